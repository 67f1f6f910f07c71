"""Numbers of a table: which mark is that of decimals is found out by all of them.

A point or comma is the decimal mark if one number of the file can only be read so, such as 0.5, 12,75 or 1.234,5. Where
each number can be read in two ways, as 1.234 can, it separates thousands if numbers below a thousand have none, and is
the decimal mark if larger numbers have none either, or if it is a point and commas stand between the fields. Otherwise
nothing tells, and the file is refused. Blanks and apostrophes between digits separate thousands.
"""

import re
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.data.energy.reader.faults import quoted
from pipelines.errors import UserError

# Texts for a number that is not there, in small letters.
ABSENT = ("", "na", "n/a", "#n/a", "nan", "null", "none", "nil", "-", "--", "?", "missing")
LARGEST = float(np.finfo(np.float32).max)

_MARKS = {".": ",", ",": "."}  # decimal mark, and what then separates thousands
_FORM = r"^[+-]?(?:[1-9]\d{{0,2}}(?:{groups}\d{{3}})+|\d+)?(?:{mark}\d*)?(?:[eE][+-]?\d+)?$"
_FORMS = {mark: _FORM.format(mark=re.escape(mark), groups=re.escape(groups)) for mark, groups in _MARKS.items()}
_GAP = r"(\d)[ \x{a0}\x{202f}'’](\d{3})"
_LOOSE = re.compile(r"[+\-−]?\d[\d.,\s'’]*(?:[eE][+-]?\d+)?|[+\-−]?[.,]\d+")


def is_number(text: str) -> bool:
    """Returns whether a field may be a number, whatever its marks are."""
    return bool(_LOOSE.fullmatch(text))


def is_absent(text: str) -> bool:
    """Returns whether a field says that there is no number."""
    return text.lower() in ABSENT


class Numbers:
    """Columns of numbers of one file, read in parts."""

    def __init__(self, columns: int, delimiter: str, decimal_mark: str = ""):
        self._delimiter = delimiter
        marks = [decimal_mark] if decimal_mark else list(_MARKS)
        self._parts: dict[str, list[list[np.ndarray]]] = {mark: [[] for _ in range(columns)] for mark in marks}
        self._told: dict[str, tuple[int, str]] = {}  # the first line and number that only a mark explains
        self._example = ""  # the first number that has another value with another mark
        self._marked: set[str] = set()
        self._plain_small = self._plain_large = False  # numbers of 1-999, and of 1000 or more, without any mark

    def add(self, columns: list[Any], lines: np.ndarray) -> list[tuple[int, str]]:
        """Read the next rows, of texts without blanks around them; returns faults: line number and description."""
        faults = []
        for place, texts in enumerate(columns):
            faults += self._add(place, texts, lines)
        return faults

    def _add(self, place: int, texts: Any, lines: np.ndarray) -> list[tuple[int, str]]:
        texts = _plain(texts)
        absent = np.asarray(pc.is_in(pc.utf8_lower(texts), pa.array(ABSENT)))
        texts = pc.if_else(pa.array(absent), None, texts)
        read = {mark: _read(texts, mark) for mark in self._parts}
        faults: dict[int, str] = {}
        if len(read) == 2:
            faults |= self._weigh(texts, read, lines)
        values = {mark: each for mark, each in read.items() if mark in self._parts}
        for mark, each in values.items():
            self._parts[mark][place].append(each)
        nowhere = ~absent & np.logical_and.reduce([np.isnan(each) for each in values.values()])
        for row in np.flatnonzero(nowhere):
            text = quoted(texts[row].as_py())
            faults.setdefault(int(lines[row]), f"{text} is no finite number" + self._by_other_mark(texts[row].as_py()))
        return sorted(faults.items())

    def _by_other_mark(self, text: str) -> str:
        """The end of a fault, where another decimal mark would explain a number."""
        (mark,) = list(self._parts)[:1]
        other = _MARKS[mark]
        if len(self._parts) == 1 and re.match(_FORMS[other], text) and any(map(str.isdigit, text)):
            line, number = self._told.get(mark, (0, ""))
            told = f", as line {line} tells ({number})" if line else ""
            return f" where {mark!r} is the decimal mark{told}"
        return ""

    def _weigh(self, texts: Any, read: dict[str, np.ndarray], lines: np.ndarray) -> dict[int, str]:
        """Look for numbers that only one mark explains; leaves that mark only."""
        valid = {mark: ~np.isnan(values) for mark, values in read.items()}
        only = {mark: np.flatnonzero(valid[mark] & ~valid[_MARKS[mark]]) for mark in _MARKS}
        first = {mark: rows[0] for mark, rows in only.items() if len(rows)}
        if first:
            mark = min(first, key=lambda each: first[each])
            self._take(mark)
            row = first[mark]
            self._told[mark] = int(lines[row]), texts[row].as_py()
            other = only[_MARKS[mark]]
            return {
                int(lines[row]): quoted(texts[row].as_py()) + " is no number" + self._by_other_mark(texts[row].as_py())
                for row in other
            }
        both = valid["."] & valid[","]
        differ = both & (read["."] != read[","])
        if differ.any():
            row = int(np.flatnonzero(differ)[0])
            self._example = self._example or texts[row].as_py()
            self._marked |= {mark for mark in _MARKS if pc.any(pc.match_substring(texts, mark)).as_py()}
        plain = np.abs(read["."][both & ~differ])
        self._plain_small |= bool(np.any((plain > 0) & (plain < 1000)))
        self._plain_large |= bool(np.any(plain >= 1000))
        return {}

    def values(self, where: str) -> tuple[list[np.ndarray], str]:
        """Returns all numbers of each column, NaN where there is none, and a sentence on their marks.

        Raises:
            UserError: nothing tells what the decimal mark is.
        """
        if len(self._parts) == 2:
            self._decide(where)
        ((mark, parts), *_) = self._parts.items()
        said = {".": "", ",": "comma as decimal mark"}[mark] if mark in self._told or not self._example else ""
        if self._example and mark not in self._told:
            value = float(self._example.replace(_MARKS[mark], "").replace(mark, "."))
            said = f"{self._example} read as {value:g}"
        columns = []
        while parts:
            columns.append(np.concatenate(parts.pop(0)))
        return columns, said

    def _decide(self, where: str) -> None:
        if not self._example:
            return self._take(".")
        if len(self._marked) == 1:
            (mark,) = self._marked
            unusual = mark == "." and self._delimiter == ","  # points between thousands, and commas between fields
            if self._plain_large:
                return self._take(mark)
            if self._plain_small and not unusual:
                return self._take(_MARKS[mark])
            if self._delimiter == "," and not self._plain_small:
                return self._take(".")
        readings = " or ".join(
            f"{float(self._example.replace(groups, '').replace(mark, '.')):g}" for mark, groups in _MARKS.items()
        )
        raise UserError(
            f"{where}: {quoted(self._example)} may be {readings}, and no other number tells; say which with "
            "--decimal-mark . or --decimal-mark ,"
        )

    def _take(self, mark: str) -> None:
        del self._parts[_MARKS[mark]]


def _plain(texts: Any) -> Any:
    """Texts with a plain minus sign, and without blanks and apostrophes between thousands."""
    if pc.any(pc.match_substring_regex(texts, r"[−\x{a0}\x{202f} '’]")).as_py():
        texts = pc.replace_substring(texts, "−", "-")
        # Twice, as the groups of a million overlap.
        texts = pc.replace_substring_regex(texts, _GAP, r"\1\2")
        texts = pc.replace_substring_regex(texts, _GAP, r"\1\2")
    return texts


def _read(texts: Any, mark: str) -> np.ndarray:
    """Values of texts with a decimal mark; NaN where they are none, or not finite."""
    try:
        # Plain ones, as nearly all files have, need no pattern.
        values = pc.cast(texts, pa.float64())
        if mark == "," and pc.any(pc.match_substring(texts, ".")).as_py():
            raise pa.ArrowInvalid
    except pa.ArrowInvalid:
        fits = pc.and_(pc.match_substring_regex(texts, _FORMS[mark]), pc.match_substring_regex(texts, r"^[^eE]*\d"))
        plain = pc.replace_substring(pc.replace_substring(texts, _MARKS[mark], ""), mark, ".")
        values = pc.cast(pc.if_else(fits, plain, None), pa.float64())
    # A copy, since Arrow's arrays cannot be written.
    numbers = np.array(values.to_numpy(zero_copy_only=False), dtype=np.float64)
    numbers[~(np.abs(numbers) <= LARGEST)] = np.nan
    return numbers
