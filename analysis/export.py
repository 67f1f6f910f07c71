"""Runs and histories as flat files, of any number: records wait on disk while the columns they need are gathered."""

import io
import itertools
import json
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, BinaryIO

import pandas as pd

from analysis.errors import unwritable
from analysis.escapes import Csv
from pipelines.common.files import replacing

FORMATS = ("csv", "parquet")
CHUNK = 2000  # records in memory at once, and in a row group

TEXT, INTEGER, NUMBER, FLAG, TIME = "text", "integer", "number", "flag", "time"

Stored = str | float | None  # a value of a record while it waits on disk, where a time is text

_LEADING = ("run_id", "run_name", "experiment", "status", "start_time", "end_time", "duration_s", "parent_run_id")
_INTEGER = re.compile(r"-?(0|[1-9]\d{0,17})")
_NUMBER = re.compile(r"-?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|nan|-?inf", re.IGNORECASE)


class Columns:
    """The columns of records seen so far, with the narrowest kind that holds all values of each.

    Parameters are text to MLflow: one whose values all read as whole numbers, numbers or truths is taken so. A number
    with leading zeros is a name.
    """

    def __init__(self) -> None:
        self._kinds: dict[str, set[str]] = {}

    def see(self, record: Mapping[str, object]) -> None:
        """Takes note of a record's columns."""
        for column, value in record.items():
            kinds = self._kinds.setdefault(column, set())
            if value is not None and TEXT not in kinds:
                kinds.add(_kind(column, value))

    @property
    def kinds(self) -> dict[str, str]:
        """Column to kind: attributes, parameters, metrics, tags; in each by name."""
        parts = ("params.", "metrics.", "tags.")

        def place(column: str) -> tuple[int, int, str]:
            leading = _LEADING.index(column) if column in _LEADING else len(_LEADING)
            part = next((number for number, part in enumerate(parts, 1) if column.startswith(part)), 0)
            return part, leading, column

        return {column: _common(self._kinds[column]) for column in sorted(self._kinds, key=place)}


def write(records: Iterable[Mapping[str, object]], form: str, path: Path | None) -> int:
    """Writes flat records to `path`, whole or not at all, or as CSV to standard output; returns their number.

    Memory is that of CHUNK records whatever their number. A missing value is empty in CSV and null in parquet; NaN and
    infinity are ``nan``, ``inf`` and ``-inf``. What a spreadsheet would compute is text in CSV, see escapes.cell.

    Args:
        records: values are text, numbers, pandas timestamps or None.
        form: one of FORMATS.
        path: None for standard output, which parquet cannot go to.

    Raises:
        InputError: the file cannot be written.
    """
    columns, count = Columns(), 0
    with tempfile.TemporaryFile("w+", encoding="utf-8") as spool:
        for record in records:
            columns.see(record)
            spool.write(json.dumps(record, default=pd.Timestamp.isoformat) + "\n")
            count += 1
        spool.seek(0)
        lines = (json.loads(line) for line in spool)
        if path is None:
            _write_csv(lines, columns.kinds, sys.stdout)
            return count
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as file:
                _write_binary(lines, columns.kinds, form, file)
        except OSError as error:
            raise unwritable(path, error) from error
    return count


def _kind(column: str, value: object) -> str:
    if isinstance(value, pd.Timestamp):
        return TIME
    if not column.startswith("params."):
        return NUMBER if isinstance(value, float) else INTEGER if isinstance(value, int) else TEXT
    text = str(value)
    if text in ("True", "False"):
        return FLAG
    if _INTEGER.fullmatch(text):
        return INTEGER
    return NUMBER if _NUMBER.fullmatch(text) and not re.match(r"-?0\d", text) else TEXT


def _common(kinds: set[str]) -> str:
    if len(kinds) == 1:
        return next(iter(kinds))
    return NUMBER if kinds == {INTEGER, NUMBER} else TEXT


def _typed(value: Stored, kind: str) -> object:
    if value is None or kind == TEXT:
        return value if value is None else str(value)
    if kind == FLAG:
        return value == "True"
    if kind == TIME:
        return pd.Timestamp(value).to_pydatetime()
    return int(value) if kind == INTEGER else float(value)


def _write_csv(records: Iterable[Mapping[str, Stored]], kinds: Mapping[str, str], file: IO[str]) -> None:
    lines = Csv(file)
    lines.line(kinds)
    for record in records:
        lines.line([_printed(_typed(record.get(column), kind)) for column, kind in kinds.items()])


def _printed(value: object) -> object:
    return value.isoformat(timespec="milliseconds") if hasattr(value, "isoformat") else value


def _write_binary(records: Iterator[Mapping[str, Stored]], kinds: Mapping[str, str], form: str, file: BinaryIO) -> None:
    if form != "csv":
        _write_parquet(records, kinds, file)
        return
    text = io.TextIOWrapper(file, encoding="utf-8", newline="")
    try:
        _write_csv(records, kinds, text)
    finally:
        text.detach()  # which also flushes; left to itself it would close the file


def _write_parquet(records: Iterator[Mapping[str, Stored]], kinds: Mapping[str, str], file: BinaryIO) -> None:
    import pyarrow
    from pyarrow import parquet

    types = {
        TEXT: pyarrow.string(),
        INTEGER: pyarrow.int64(),
        NUMBER: pyarrow.float64(),
        FLAG: pyarrow.bool_(),
        TIME: pyarrow.timestamp("ms", tz="UTC"),
    }
    schema = pyarrow.schema([(column, types[kind]) for column, kind in kinds.items()])
    with parquet.ParquetWriter(file, schema) as writer:
        while chunk := list(itertools.islice(records, CHUNK)):
            values = {c: [_typed(record.get(c), kind) for record in chunk] for c, kind in kinds.items()}
            writer.write_table(pyarrow.table(values, schema))
