"""Layout of a table: what stands between its fields, and where its header is."""

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from pipelines.data.energy.reader.dates import is_date
from pipelines.data.energy.reader.faults import quoted
from pipelines.data.energy.reader.numbers import is_number
from pipelines.errors import UserError

SAMPLE_LINES = 500  # among which the first rows must be

BLANKS = " "  # any number of blanks and tabs
_DELIMITERS = {"\t": "tabs", ";": "semicolons", "|": "bars", ",": "commas", BLANKS: "blanks"}
_RUN = re.compile(r"[ \t]+")


@dataclass(frozen=True)
class Layout:
    """Where a table's columns and rows are.

    Attributes:
        delimiter: one of tab, semicolon, bar, comma and BLANKS.
        names: of the columns; of one without a name its number, from 1.
        header: the fields of the header as they stand there, from which its repetitions are known; none if there is no
            header.
        start: number of lines before the rows.
        sample: the fields of the first rows.
    """

    delimiter: str
    names: tuple[str, ...]
    header: tuple[str, ...]
    start: int
    sample: tuple[tuple[str, ...], ...]

    @property
    def said(self) -> list[str]:
        """Sentences on the layout."""
        before = self.start - bool(self.header)
        lines = "a line" if before == 1 else f"{before} lines"
        return [
            f"{_DELIMITERS[self.delimiter]} between the fields"
            + ("" if self.header else ", no header: columns have numbers")
            + (f", {lines} before the {'header' if self.header else 'rows'} left out" if before else "")
        ]

    def column(self, place: int) -> list[str]:
        """Fields of a column of the sample that are not empty."""
        return [row[place] for row in self.sample if row[place]]


def find(text: str, where: str, date_format: str) -> Layout:
    """Find out the layout by the first lines of a table.

    A row has a date and a number. What stands between fields is what makes most lines rows, of one number of fields.

    Raises:
        UserError: there are no rows.
    """
    lines = text.split("\n", SAMPLE_LINES)[:SAMPLE_LINES]
    best: tuple[int, str, int, list[list[str]]] = (0, "", 0, [])
    for delimiter in _DELIMITERS:
        split = [fields(line, delimiter) for line in lines]
        widths = Counter(len(each) for each in split if _is_row(each, date_format))
        if widths and (found := max(widths.items(), key=lambda item: item[1]))[1] > best[0]:
            best = found[1], delimiter, found[0], split
    rows, delimiter, width, split = best
    if not rows:
        first = next((line for line in lines if line.strip()), "")
        raise UserError(
            f"{where}: no row with a date and a number in the first {len(lines):,} lines, of which the first is "
            f"{quoted(first)}; give a table with a column of times and one of load, and --date-format if its dates are "
            "written in a way of their own"
        )
    is_row = [len(each) == width and _is_row(each, date_format) for each in split]
    start = is_row.index(True)
    header = _header(split[:start], width, delimiter)
    names = tuple(name or str(place) for place, name in enumerate(header or [""] * width, start=1))
    sample = tuple(tuple(each) for each, row in zip(split, is_row, strict=True) if row)
    return Layout(delimiter, names, tuple(header), start, sample)


def fields(line: str, delimiter: str) -> list[str]:
    """The fields of one line, without blanks around them."""
    if delimiter == BLANKS:
        line = line.strip()
        return _RUN.split(line) if line else []
    try:
        return [field.strip() for field in next(csv.reader([line], delimiter=delimiter), [])]
    except csv.Error:
        return [line]


def _is_row(row: list[str], date_format: str) -> bool:
    dates = [place for place, field in enumerate(row) if is_date(field, date_format)]
    return any(is_number(field) for place, field in enumerate(row) if dates and place != dates[0])


def _header(before: list[list[str]], width: int, delimiter: str) -> list[str]:
    """The last line before the rows, if it has a name for each column; ends of lines may have more delimiters."""
    last = next((each for each in reversed(before) if any(each)), [])
    while len(last) > width and not last[-1]:
        last = last[:-1]
    if delimiter == BLANKS and len(last) == width - 1:
        last = [last[0], "", *last[1:]]  # of a date and an hour, which have one name
    if delimiter != BLANKS and 1 < len(last) < width:
        last = last + [""] * (width - len(last))
    return last if len(last) == width and len(last) > 1 else []


class Rows(NamedTuple):
    """Rows of consecutive lines.

    Attributes:
        columns: the fields of each column that was asked for, by its place, without blanks around them.
        lines: number of the line of each row.
        faults: line number and description of lines that are no row.
    """

    columns: dict[int, Any]
    lines: np.ndarray
    faults: list[tuple[int, str]]


def parse(text: str, first: int, layout: Layout, wanted: Sequence[int]) -> Rows:
    r"""Split lines of a table, which end in \n; `first` is the number of the first, `wanted` are places of columns."""
    if layout.delimiter == BLANKS:
        text = "".join(f"{_RUN.sub(' ', line.strip())}\n" for line in text.split("\n")[:-1])
    width = len(layout.names)
    skipped: list[tuple[int, str]] = []

    def skip(row: Any) -> str:
        skipped.append((row.number - 1, f"number of fields {row.actual_columns}, not {width}: {quoted(row.text)}"))
        return "skip"

    names = [str(place) for place in range(width)]
    data = text.encode()
    table = arrow_csv.read_csv(
        pa.BufferReader(data),
        arrow_csv.ReadOptions(use_threads=False, column_names=names, block_size=len(data) + 1),
        arrow_csv.ParseOptions(delimiter=layout.delimiter, ignore_empty_lines=False, invalid_row_handler=skip),
        arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            strings_can_be_null=False,
            include_columns=[names[place] for place in wanted],
        ),
    )
    if table.num_rows + len(skipped) != text.count("\n"):
        return Rows({}, np.empty(0, dtype=np.int64), [_open_quote(text, first)])
    lines = first + np.delete(np.arange(text.count("\n")), [place for place, _ in skipped])
    columns = {place: trimmed(table.column(str(place)).combine_chunks()) for place in wanted}
    return Rows(columns, lines, [(first + place, what) for place, what in skipped])


def trimmed(texts: Any) -> Any:
    """Texts without blanks around them."""
    return pc.utf8_trim_whitespace(texts)


def _open_quote(text: str, first: int) -> tuple[int, str]:
    """The first line within which a quotation is not closed."""
    lines = text.split("\n")
    place = next((place for place, line in enumerate(lines) if line.count('"') % 2), 0)
    return first + place, f"a quotation that does not end in the line: {quoted(lines[place])}"
