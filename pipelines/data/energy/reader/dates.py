"""Times of a table: how dates are written is found out by all of them.

Whether the day or the month comes first is told by one date of the file that can only be read so. Where none tells, the
file is refused, and so is one with dates of both kinds. A year of two digits comes last, and is one of 1969-2068.

A time labels the hour that begins at it, or whatever the file means by its label, with two exceptions, where it is the
end of the hour or of a part of one: hours are counted to 24, or the column's name says so (see `columns`).
"""

import re
from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.data.energy.reader.faults import quoted
from pipelines.data.energy.terms import DAY_FIRST, EPOCH, MONTH_FIRST, YEAR_FIRST
from pipelines.errors import UserError

_HOUR = (
    r"(?:HE|H)?(?P<hour>\d{1,2})(?:[:.h]?(?P<minute>\d{2})(?:[:.]?(?P<second>\d{2})(?:[.,]0+)?)?)?"
    r"\s*(?P<half>[AaPp]\.?[Mm]\.?)?"
)
_OFFSET = r"\s*(?P<offset>Z|z|UTC|GMT|[+-]\d{2}(?::?\d{2})?)?"
_UNTIL = r"(?P<until>\s+-\s+\d.*)?"
_REST = rf"(?:[T ,_]\s*{_HOUR})?{_OFFSET}{_UNTIL}"
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_YEAR = r"(?P<year>\d{4}|\d{2})"

_NUMBERS_FORM = rf"(?P<one>\d{{1,2}})[-/.](?P<two>\d{{1,2}})[-/.]{_YEAR}{_REST}"
_YEAR_FORM = rf"(?P<year>\d{{4}})[-/.](?P<month>\d{{1,2}})[-/.](?P<day>\d{{1,2}}){_REST}"
_COMPACT_FORM = (
    r"(?P<year>(?:19|20)\d{2})(?P<month>0[1-9]|1[0-2])(?P<day>0[1-9]|[12]\d|3[01])"
    rf"(?:[T ]?(?P<hour>\d{{2}})(?::?(?P<minute>\d{{2}})(?::?(?P<second>\d{{2}}))?)?)?{_OFFSET}"
)
_EPOCH_FORM = r"(?P<epoch>\d{9,10}|\d{12,13})(?:\.0*)?"
# In the order in which they are tried.
FORMS = (
    _YEAR_FORM,
    _NUMBERS_FORM,
    rf"(?P<day>\d{{1,2}})[-/. ]\s*(?P<name>[A-Za-z]{{3,9}})\.?[-/., ]\s*{_YEAR}{_REST}",
    rf"(?P<name>[A-Za-z]{{3,9}})\.?\s+(?P<day>\d{{1,2}}),?\s+{_YEAR}{_REST}",
    _COMPACT_FORM,
    _EPOCH_FORM,
)
BARE = (_COMPACT_FORM, _EPOCH_FORM)  # those that are numbers too
_ORDERS = {DAY_FIRST: ("two", "one"), MONTH_FIRST: ("one", "two")}  # what the month is, and what the day
_OF_ORDER = {YEAR_FIRST: (_YEAR_FORM, _COMPACT_FORM), EPOCH: (_EPOCH_FORM,)}
_CLOCK = re.compile(_HOUR)

_DAY = 86400
_SHORTEST = len("1/1/20")
_MILLISECONDS = 10**11  # an epoch of more is one of milliseconds: in seconds it would be the year 5138
_NO_TIME = np.iinfo(np.int64).min


@lru_cache(1 << 14)  # the same fields are looked at for each delimiter, and for the columns
def is_date(text: str, date_format: str = "") -> bool:
    """Returns whether a field is written as a date may be, or by a format of strptime."""
    if "%" in date_format:
        try:
            datetime.strptime(text, date_format)
        except ValueError:
            return False
        return True
    return len(text) >= _SHORTEST and form_of([text]) != ""


def is_clock(text: str) -> bool:
    """Returns whether a field may be an hour of the day, from 0 to 24, with minutes or not."""
    found = _CLOCK.fullmatch(text)
    return bool(found and int(found["hour"]) <= 24)


def form_of(texts: Iterable[str]) -> str:
    """The form of most of the texts, "" if most have none."""
    texts = list(texts)
    return next((form for form in FORMS if 2 * sum(bool(re.fullmatch(form, text)) for text in texts) > len(texts)), "")


class Instants(NamedTuple):
    """Times of a table.

    Attributes:
        seconds: (N,) since 1970: of UTC if `offsets` is not empty, else on the clock of the place.
        offsets: seconds by which the clock is ahead of UTC, each with the first line that has it.
        ending: whether a time is the end of what was measured.
        said: how they are written.
        with_hours: whether any has an hour of the day.
    """

    seconds: np.ndarray
    offsets: dict[int, int]
    ending: bool
    said: str
    with_hours: bool


class Dates:
    """The column of times of one file, read in parts."""

    def __init__(self, where: str, sample: list[str], date_format: str = "", utc: bool = False):
        """Find out the form by the first texts.

        Args:
            where: how messages name the table.
            sample: the first texts.
            date_format: of `LoadFormat`.
            utc: times without an offset are of UTC.

        Raises:
            UserError: they are in none, or not in that of `date_format`.
        """
        self._where, self._format, self._utc = where, date_format, utc
        self._form = "" if "%" in date_format else _form(where, sample, date_format)
        one = date_format if date_format in _ORDERS else ""
        orders = ([one] if one else list(_ORDERS)) if self._form == _NUMBERS_FORM else [""]
        self._parts: dict[str, list[np.ndarray]] = {order: [] for order in orders}
        self._told: tuple[str, int, str] | None = None  # order, line and text
        written = [text for text in sample if re.fullmatch(self._form, text)] if self._form else sample
        self._example = max(written or sample, key=len, default="")  # some leave midnight out
        self._offsets: dict[int, int] = {}
        self._naive = 0  # the first line without an offset
        self._midnights: dict[int, tuple[int, str]] = {}  # the first line and text of 00:00 and 24:00
        self._until = False
        self._with_hours = self._form in ("", _EPOCH_FORM)

    def add(self, texts: Any, lines: np.ndarray) -> list[tuple[int, str]]:
        """Read the next rows, of texts without blanks around them; returns faults: line number and description."""
        if self._form:
            read, local = self._parsed(texts, lines)
        else:
            read, local = self._by_format(texts, lines)
        valid = {order: seconds != _NO_TIME for order, seconds in read.items()}
        faults: dict[int, str] = {}
        if len(read) == 2:
            faults = self._weigh(texts, valid, lines)
        for order in self._parts:
            self._parts[order].append(read[order])
        nowhere = ~np.logical_or.reduce([valid[order] for order in self._parts])
        for row in np.flatnonzero(nowhere):
            faults.setdefault(int(lines[row]), self._fault(texts[row].as_py()))
        rows = np.flatnonzero(~nowhere & local)
        if len(rows) and not self._naive:
            self._naive = int(lines[rows[0]])
        return sorted(faults.items())

    def _fault(self, text: str) -> str:
        if not text:
            return "no time"
        if self._told and re.fullmatch(_NUMBERS_FORM, text):
            order, line, other = self._told
            return f"{quoted(text)} is no date with the {order}, as line {line} has it ({other})"
        form = f"as {self._format}" if "%" in self._format else f"as {quoted(self._example)}"
        return f"{quoted(text)} is no time written {form}"

    def _weigh(self, texts: Any, valid: dict[str, np.ndarray], lines: np.ndarray) -> dict[int, str]:
        """Look for dates that only one order explains; leaves that order only."""
        day, month = _ORDERS
        only = {day: np.flatnonzero(valid[day] & ~valid[month]), month: np.flatnonzero(valid[month] & ~valid[day])}
        first = {order: int(rows[0]) for order, rows in only.items() if len(rows)}
        if not first:
            return {}
        order = min(first, key=lambda each: first[each])
        other = month if order == day else day
        del self._parts[other]
        self._told = order, int(lines[first[order]]), texts[first[order]].as_py()
        return {int(lines[row]): self._fault(texts[row].as_py()) for row in only[other]}

    def _parsed(self, texts: Any, lines: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Seconds by order, _NO_TIME where a text is no time, and which times have no offset."""
        groups = pc.extract_regex(texts, f"^{self._form}$")
        matched = np.asarray(pc.is_valid(groups))
        names = {groups.type.field(place).name for place in range(groups.type.num_fields)}
        part = {name: pc.fill_null(pc.struct_field(groups, name), "") for name in names}
        if "epoch" in part:
            seconds, self._offsets = _number(part["epoch"]), self._offsets or {0: int(lines[0])}
            thousands = seconds > _MILLISECONDS
            fraction = thousands & (seconds % 1000 != 0)
            seconds = np.where(thousands, seconds // 1000, seconds)
            return {"": np.where(matched & ~fraction, seconds, _NO_TIME)}, np.zeros(len(texts), dtype=bool)
        self._until |= "until" in part and bool(pc.any(pc.not_equal(part["until"], "")).as_py())
        clock, sound = self._clock(part, texts, matched, lines)
        shift, local = self._shift(part["offset"], matched, lines)
        year = _number(part["year"])
        short = np.asarray(pc.binary_length(part["year"])) == 2
        year = np.where(short, np.where(year < 69, 2000, 1900) + year, year)
        read = {}
        for order in self._parts:
            month, day = (
                (_number(part[name]) for name in _ORDERS[order])
                if order
                else (_months(part["name"]) if "name" in part else _number(part["month"]), _number(part["day"]))
            )
            days, right = _days(year, month, day)
            read[order] = np.where(matched & sound & right, days * _DAY + clock - shift, _NO_TIME)
        return read, local

    def _clock(self, part: dict[str, Any], texts: Any, matched: np.ndarray, lines: np.ndarray) -> tuple[Any, Any]:
        """Seconds since midnight, and whether they are right."""
        hour, minute, second = (_number(part[name]) for name in ("hour", "minute", "second"))
        sound = (hour <= 24) & (minute < 60) & (second < 60) & ((hour < 24) | (minute + second == 0))
        if "half" in part:
            half = pc.utf8_lower(pc.utf8_slice_codeunits(part["half"], 0, 1))
            morning, afternoon = np.asarray(pc.equal(half, "a")), np.asarray(pc.equal(half, "p"))
            sound &= ~(morning | afternoon) | ((hour >= 1) & (hour <= 12))
            hour = np.where(morning | afternoon, hour % 12 + 12 * afternoon, hour)
        seconds = hour * 3600 + minute * 60 + second
        given = matched & sound & np.asarray(pc.not_equal(part["hour"], ""))
        self._with_hours = self._with_hours or bool(given.any())
        for midnight in (0, _DAY):
            if midnight not in self._midnights and len(rows := np.flatnonzero(given & (seconds == midnight))):
                self._midnights[midnight] = int(lines[rows[0]]), texts[int(rows[0])].as_py()
        return seconds, sound

    def _shift(self, offsets: Any, matched: np.ndarray, lines: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Seconds by which each clock is ahead of UTC, 0 without an offset, and which have none."""
        coded = pc.dictionary_encode(offsets)
        codes = np.asarray(coded.indices)
        known = [_offset(text) for text in coded.dictionary.to_pylist()]
        local = np.array([each is None for each in known], dtype=bool)[codes]
        for code, offset in enumerate(known):
            rows = np.flatnonzero((codes == code) & matched)
            if offset is not None and len(rows):
                self._offsets.setdefault(offset, int(lines[rows[0]]))
        return np.array([each or 0 for each in known], dtype=np.int64)[codes], local & matched

    def _by_format(self, texts: Any, lines: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """As `_parsed`, by the format of strptime."""
        with_offset = self._format.endswith("%z")
        shift, local = np.zeros(len(texts), dtype=np.int64), np.ones(len(texts), dtype=bool)
        if with_offset:
            split = pc.extract_regex(texts, r"^(?P<rest>.*?)(?P<offset>Z|[+-]\d{2}:?\d{2})$")
            matched = np.asarray(pc.is_valid(split))
            shift, local = self._shift(pc.fill_null(pc.struct_field(split, "offset"), ""), matched, lines)
            texts = pc.fill_null(pc.struct_field(split, "rest"), "")
        written = self._format.removesuffix("%z")
        try:
            times = pd.to_datetime(pd.Series(texts.to_pandas()), format=written, errors="coerce")
        except ValueError as error:
            raise UserError(f"date format {self._format!r:.60}: {error}; give one of strptime") from error
        seconds = times.to_numpy().astype("datetime64[s]").astype(np.int64)
        absent = times.isna().to_numpy() | (times.to_numpy() != times.to_numpy().astype("datetime64[s]"))
        return {"": np.where(absent, _NO_TIME, seconds - shift)}, local & ~absent & (not with_offset)

    def instants(self) -> Instants:
        """Returns all times.

        Raises:
            UserError: nothing tells whether the day or the month comes first; some have an offset and some have none;
                hours are counted to 23 and to 24.
        """
        if len(self._parts) == 2:
            day, month = (f"{part[0][0].astype('datetime64[s]').item():%-d %B %Y}" for part in self._parts.values())
            raise UserError(
                f"{self._where}: {quoted(self._example)} may be {day} or {month}, and no other date tells; "
                f"say which with --date-format '{DAY_FIRST}' or --date-format '{MONTH_FIRST}'"
            )
        ((order, parts),) = self._parts.items()
        if self._offsets and self._naive:
            line = next(iter(self._offsets.values()))
            raise UserError(
                f"{self._where}: the time of line {line} has an offset from UTC, that of line {self._naive} has none; "
                "write all of them alike"
            )
        if len(self._midnights) == 2:
            (early, first), (late, second) = self._midnights[0], self._midnights[_DAY]
            raise UserError(
                f"{self._where}, line {early}: {quoted(first)}, and line {late}: {quoted(second)}, so that hours are "
                "counted from 0 and to 24; write them in one way"
            )
        offsets = {0: 1} if self._utc and not self._offsets else self._offsets
        return Instants(np.concatenate(parts), offsets, _DAY in self._midnights, self._said(order), self._with_hours)

    def _said(self, order: str) -> str:
        if not self._form:
            return f"written {self._format}"
        if self._form == _EPOCH_FORM:
            return f"{'milliseconds' if len(self._example.partition('.')[0]) > 10 else 'seconds'} since 1970"
        found = re.match(self._form, self._example)
        written = _in_words(found, order) if found else self._example
        told = f" (line {self._told[1]}: {self._told[2]})" if self._told else ""
        return f"written {written}{told}" + (", of an interval the beginning" if self._until else "")


def _form(where: str, sample: list[str], date_format: str) -> str:
    form = form_of(sample)
    wanted = (_NUMBERS_FORM,) if date_format in _ORDERS else _OF_ORDER.get(date_format, FORMS)
    if form not in wanted:
        raise UserError(
            f"{where}: times such as {quoted(sample[0] if sample else '')} are not written in a way that is known"
            + (f" as {date_format!r}" if form else "")
            + "; give --date-format as of strptime, e.g. '%d.%m.%Y %H:%M'"
        )
    return form


def _in_words(found: re.Match[str], order: str) -> str:
    """A time with the names of its parts in their places."""
    words = {"one": "day", "two": "month"} if order == DAY_FIRST else {"one": "month", "two": "day"}
    words |= {"name": "month's name", "half": "AM/PM", "until": ""}
    text, end = "", 0
    for name in sorted((name for name, value in found.groupdict().items() if value), key=found.start):
        text += found.string[end : found.start(name)] + words.get(name, name)
        end = found.end(name)
    return text + found.string[end:]


def _offset(text: str) -> int | None:
    """Seconds of an offset from UTC; none of an empty text."""
    if not text:
        return None
    digits = re.sub(r"\D", "", text).ljust(4, "0")
    seconds = int(digits[:2]) * 3600 + int(digits[2:]) * 60
    return -seconds if text.startswith("-") else seconds


def _number(texts: Any) -> np.ndarray:
    """Whole numbers of digits, 0 of an empty text."""
    return np.asarray(pc.cast(pc.if_else(pc.equal(texts, ""), "0", texts), pa.int64()))


def _months(texts: Any) -> np.ndarray:
    """Numbers of months by their English names, 0 of others."""
    places = pc.index_in(pc.utf8_slice_codeunits(pc.utf8_lower(texts), 0, 3), pa.array(_MONTHS))
    return np.asarray(pc.fill_null(places, -1)) + 1


def _days(year: np.ndarray, month: np.ndarray, day: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Days since 1970, and whether there is such a date."""
    months = ((year - 1970) * 12 + month - 1).astype("datetime64[M]")
    days = months.astype("datetime64[D]") + (day - 1)
    right = (month >= 1) & (month <= 12) & (day >= 1) & (days.astype("datetime64[M]") == months)
    return days.astype(np.int64), right
