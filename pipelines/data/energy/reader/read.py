"""Reader of tables of hourly load as people have them: finds out how they are written, and says so.

A table has a column of times and at least one of load, in text. Everything else is found out: encoding, delimiter,
header, decimal mark, form of the dates, units, columns, distance of the readings. What can be read in two ways is
refused with both, and with the option that tells; all faults of lines are reported at once. Nothing is repaired that is
not counted or said. The policies are in the modules: `dates`, `numbers`, `columns`, `hours`.

- Series are the columns of load, or the values of a column of names, or, where there is one column of load and no
  names, the files. A name that occurs in several files is one series.
- A text column is that of the names if times occur again and again, and do not with it.
- Times with an offset from UTC are converted to the local time of the zone that is given. Without one, an offset that
  is the same throughout is kept; where it varies, the zone is asked for.
- Times without an offset are kept as they stand. A zone tells which hours its clocks skip and repeat.
- Without any unit the load is taken as MW.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.data.energy.reader import columns, layout, sources
from pipelines.data.energy.reader.columns import Roles, listed, unit_of, without_unit
from pipelines.data.energy.reader.dates import Dates, Instants
from pipelines.data.energy.reader.faults import Faults, named, quoted
from pipelines.data.energy.reader.format import LoadFormat, LoadSeries, LoadTables
from pipelines.data.energy.reader.hours import Clock, Readings, hourly
from pipelines.data.energy.reader.layout import Layout
from pipelines.data.energy.reader.numbers import Numbers
from pipelines.data.energy.reader.sources import Stream
from pipelines.data.energy.reader.text import Text
from pipelines.data.energy.terms import ENERGIES, UNITS
from pipelines.errors import UserError

_MOST_NAMES = 10_000  # of series; a column with more is free text
_MOST_AGAIN = 0.01  # part of the rows whose time may occur again within one series
_MIDNIGHT = r"[ T]+(?:0?0:00(?::00)?(?:\.0+)?|12:00(?::00)?\s*[Aa][Mm])$"


def read_load(source: Path, given: LoadFormat) -> LoadTables:
    """Read all tables of a source.

    Args:
        source: a table, compressed or not, or a folder or archive of tables.
        given: what is known beforehand.

    Raises:
        UserError: no table of load, or one that cannot be read, or in more than one way.
        OSError: `source` cannot be read.
    """
    faults, found = Faults(), _Found()
    files: dict[str, str] = {}
    others: list[str] = []
    parts: dict[str, list[_Part]] = {}
    for each in sources.streams(source):
        if isinstance(each, str):
            others.append(each)
            continue
        text = Text(each.bytes, each.where)
        for part in _parts(each, text, given, faults, found):
            parts.setdefault(part.name, []).append(part)
        files[each.path] = text.digest
    faults.require_none()
    if others:
        found.add("", f"files left out, as their names do not end as those of tables do: {listed(others)}")
    series: list[LoadSeries] = []
    zones = set()
    for name in list(parts):
        made, zone = _series(name, parts.pop(name), given.timezone, found, several=len(parts) + len(series) > 0)
        series.append(made)
        zones.add(zone)
    return LoadTables(tuple(series), files, found.sentences(), zones.pop() if len(zones) == 1 else "")


class _Found:
    """Sentences on what was found out, each with the files that it is true of."""

    def __init__(self) -> None:
        self._sentences: dict[str, list[str]] = {}
        self._files: set[str] = set()

    def add(self, file: str, sentence: str) -> None:
        self._sentences.setdefault(sentence, []).append(file)
        self._files |= {file} - {""}

    def sentences(self) -> tuple[str, ...]:
        """The sentences; those that are not true of all files begin with the first of theirs."""
        return tuple(self._prefix(files) + sentence for sentence, files in self._sentences.items())

    def _prefix(self, files: list[str]) -> str:
        if set(files) in ({""}, self._files):
            return ""
        return f"{files[0]}{f' and {len(files) - 1} more' if files[1:] else ''}: "


class _Part(NamedTuple):
    """What one file holds of a series."""

    name: str
    where: str
    readings: Readings
    instants: Instants
    ending: bool
    energy: bool


class _Labels:
    """A column of names of one file, read in parts."""

    def __init__(self) -> None:
        self.names: dict[str, int] = {}
        self.is_text = False  # with so many values that they are no names
        self._parts: list[np.ndarray] = []

    def add(self, texts: Any) -> None:
        """Read the next rows."""
        if self.is_text:
            return
        coded = pc.dictionary_encode(texts)
        places = [self.names.setdefault(name, len(self.names)) for name in coded.dictionary.to_pylist()]
        if len(self.names) > _MOST_NAMES:
            self.is_text, self._parts = True, []
            return
        codes = np.array(places, dtype=np.uint16)
        one = len(codes) == 1  # as in a column of one name, or a file sorted by it: takes no memory
        self._parts.append(np.broadcast_to(codes, len(texts)) if one else codes[np.asarray(coded.indices)])

    def codes(self) -> np.ndarray:
        """The place in `names` of each row's name."""
        return np.concatenate(self._parts)


class _Table:
    """The columns of one file, read in parts."""

    def __init__(self, where: str, shape: Layout, roles: Roles, given: LoadFormat):
        self.repeated = 0  # headers among the rows
        self._where, self._shape, self._roles = where, shape, roles
        sample = [self._sample_time(row) for row in shape.sample if row[roles.time]]
        self.dates = Dates(where, sample, given.date_format, roles.utc)
        self.numbers = Numbers(len(roles.loads), shape.delimiter, given.decimal_mark)
        places = roles.keys if roles.key is None else (roles.key,)
        self.labels = {place: _Labels() for place in places}
        self.lines: list[np.ndarray] = []

    def _sample_time(self, row: Sequence[str]) -> str:
        return str(self._times({place: pa.array([row[place]]) for place in self._roles.times})[0].as_py())

    def _times(self, read: dict[int, Any]) -> Any:
        times = read[self._roles.time]
        if self._roles.clock is None:
            return times
        dates = pc.replace_substring_regex(times, _MIDNIGHT, "")
        return pc.utf8_trim_whitespace(pc.binary_join_element_wise(dates, read[self._roles.clock], " "))

    def add(self, text: str, first: int) -> list[tuple[int, str]]:
        """Read lines, of which `first` is the number of the first; returns faults: line number and description."""
        rows = layout.parse(text, first, self._shape, self._roles.used)
        if not len(rows.lines):
            return rows.faults
        keep = self._is_row(rows.columns)
        read = (
            rows.columns if keep.all() else {place: each.filter(pa.array(keep)) for place, each in rows.columns.items()}
        )
        lines = rows.lines[keep]
        if not len(lines):
            return rows.faults
        for place, labels in self.labels.items():
            labels.add(read[place])
        self.lines.append(lines.astype(np.uint32))
        faults = [*rows.faults, *self.dates.add(self._times(read), lines)]
        return sorted([*faults, *self.numbers.add([read[place] for place in self._roles.loads], lines)])

    def _is_row(self, read: dict[int, Any]) -> np.ndarray:
        """Which rows are neither blank nor the header again."""
        names = (self._roles.time, *self._roles.loads)
        blank = np.logical_and.reduce([np.asarray(pc.equal(read[place], "")) for place in names])
        if not self._shape.header:
            return ~blank
        again = np.logical_and.reduce([np.asarray(pc.equal(read[place], self._shape.header[place])) for place in names])
        self.repeated += int(np.sum(again & ~blank))
        return ~(blank | again)


def _parts(stream: Stream, text: Text, given: LoadFormat, faults: Faults, found: _Found) -> Iterator[_Part]:
    """Read one table; yields what it holds of each series."""
    where = stream.where
    table: _Table | None = None
    sound = True
    for first, block in text.blocks():
        if table is None:
            shape = layout.find(block, where, given.date_format)
            roles = columns.find(shape, given, where)
            table = _Table(where, shape, roles, given)
            block = block.split("\n", shape.start)[shape.start]
            first += shape.start
        of_block = table.add(block, first) if block else []
        faults.add(where, of_block)
        sound = sound and not of_block
    if table is None:
        raise UserError(f"{where} is empty; give a table of load")
    if not sound:
        return
    instants = table.dates.instants()
    if not instants.with_hours:
        date = shape.names[roles.time]
        raise UserError(
            f"{where}: column {quoted(date)} has dates without hours; name the column of hours too, as in "
            f"--time-column {quoted(f'{date},Hour')}; daily loads are too coarse"
        )
    loads, marks = table.numbers.values(where)
    lines = np.concatenate(table.lines)
    table.lines.clear()
    key = _key(where, shape, roles, table, instants.seconds, loads)
    _say(where, text, shape, roles, table, instants, marks, key, given, found)
    for place in roles.loads:
        load = loads.pop(0)
        unit = given.unit or unit_of(shape.names[place]) or "MW"
        if UNITS[unit] != 1:
            load *= UNITS[unit]
        column = _column_name(shape, roles, place)
        for label, rows in _split(table, key):
            names = [part for part in (label, column if len(roles.loads) > 1 else "") if part]
            readings = Readings(instants.seconds[rows], load[rows], lines[rows])
            ending = roles.ending or instants.ending
            yield _Part(" ".join(names) or stream.name, where, readings, instants, ending, unit in ENERGIES)


def _column_name(shape: Layout, roles: Roles, place: int) -> str:
    """The name of a series by its column's: without the unit, if names differ without it too."""
    names = [without_unit(shape.names[each]) for each in roles.loads]
    return without_unit(shape.names[place]) if all(names) and len(set(names)) == len(names) else shape.names[place]


def _split(table: _Table, key: int | None) -> Iterator[tuple[str, Any]]:
    """Yield the name of each series and its rows, in the order of the file."""
    if key is None:
        yield "", slice(None)
        return
    codes = table.labels[key].codes()
    order = np.argsort(codes, kind="stable")
    ends = np.cumsum(np.bincount(codes, minlength=len(table.labels[key].names)))
    for name, code in table.labels[key].names.items():
        yield name or "(no name)", order[ends[code - 1] if code else 0 : ends[code]]


def _key(
    where: str, shape: Layout, roles: Roles, table: _Table, seconds: np.ndarray, loads: list[np.ndarray]
) -> int | None:
    """The column of the names of the series, none if all rows are of one."""
    if roles.key is not None:
        if table.labels[roles.key].is_text:
            raise UserError(
                f"{where}: column {quoted(shape.names[roles.key])} has more than {_MOST_NAMES:,} names; give that of "
                "the series with --series-column"
            )
        return roles.key
    varying = [place for place, labels in table.labels.items() if len(labels.names) > 1 and not labels.is_text]
    if not varying or _again(seconds) <= _MOST_AGAIN:
        return None
    telling = [place for place in varying if _again(seconds, table.labels[place].codes()) <= _MOST_AGAIN]
    if len(telling) == 1:
        return telling[0]
    raise UserError(
        f"{where}: times occur again and again, and columns "
        f"{listed(shape.names[place] for place in telling or varying)} may each name the series that a row belongs to; "
        "say which with --series-column"
    )


def _again(seconds: np.ndarray, codes: np.ndarray | None = None) -> float:
    """Part of the rows whose time, or time and name, occurred before."""
    if codes is None:
        ordered = np.sort(seconds)
        same = np.diff(ordered) == 0
    else:
        order = np.lexsort((codes, seconds))
        same = (np.diff(seconds[order]) == 0) & (np.diff(codes[order].astype(np.int32)) == 0)
    return float(np.sum(same)) / len(seconds)


def _say(
    where: str,
    text: Text,
    shape: Layout,
    roles: Roles,
    table: _Table,
    instants: Instants,
    marks: str,
    key: int | None,
    given: LoadFormat,
    found: _Found,
) -> None:
    """Add the sentences on one table."""
    if text.encoding != "UTF-8":
        found.add(where, f"text in {text.encoding}")
    found.add(where, ", ".join([*shape.said, *([marks] if marks else [])]))
    name = shape.names
    times = quoted(name[roles.time]) + (f", hour in column {quoted(name[roles.clock])}" if roles.clock else "")
    found.add(where, f"time in column {times}, {instants.said}")
    if roles.ending or instants.ending:
        why = "hours are counted to 24" if instants.ending else "its name says so"
        found.add(where, f"a time is the end of what was measured, as {why}: the hour before it")
    if roles.utc:
        found.add(where, "times are UTC, as the column's name says")
    units = {unit_of(name[place]) for place in roles.loads}
    unit = given.unit or ("/".join(sorted(units)) if all(units) else "")
    found.add(
        where,
        f"load in column{'s' if roles.loads[1:] else ''} {listed(name[place] for place in roles.loads)}, "
        + (f"in {unit}" if unit else "no unit named, taken as MW"),
    )
    if key is not None:
        found.add(where, f"series named in column {quoted(name[key])}: {len(table.labels[key].names):,}")
    left_out = sorted({*roles.left_out, *(place for place in roles.keys if place != key)})
    if left_out:
        found.add(where, f"columns left out: {listed(name[place] for place in left_out)}")
    if table.repeated:
        found.add(where, f"headers among the rows left out: {table.repeated:,}")


def _series(name: str, parts: list[_Part], timezone: str, found: _Found, several: bool) -> tuple[LoadSeries, str]:
    """Make one series of what files hold of it; returns it, and the zone of its times."""
    where = parts[0].where
    if len(parts) > 1:
        found.add("", f"{named(name)} is in {len(parts)} files, joined")
    kinds = {(bool(part.instants.offsets), part.ending, part.energy) for part in parts}
    if len(kinds) > 1:
        raise UserError(
            f"{where} and {parts[-1].where} both hold {named(name)}, but their times or loads do not mean the same: "
            "offsets from UTC, ends of hours, or energies; give them alike"
        )
    ((aware, ending, energy),) = kinds
    offset, zone = 0, timezone
    if aware and not timezone:
        offset = _one_offset(parts)
        zone = "" if offset else "UTC"
        found.add("", f"times are those of {_written(offset)} throughout, and stay so")
    elif aware:
        found.add("", f"times converted to the local time of {timezone}")
    clock = Clock(offset, timezone, not aware, ending, energy)
    readings = (
        parts[0].readings
        if len(parts) == 1
        else Readings(*(np.concatenate([getattr(part.readings, each) for part in parts]) for each in Readings._fields))
    )
    parts.clear()
    made, said = hourly(name, where, readings, clock)
    for sentence in said:
        found.add("", f"{named(name)}: {sentence}" if several else sentence)
    return made, zone


def _one_offset(parts: list[_Part]) -> int:
    """The offset from UTC of all times; refuses several."""
    offsets = {offset: (part.where, line) for part in parts for offset, line in part.instants.offsets.items()}
    if len(offsets) > 1:
        (first, (one, line)), (second, (other, another)) = list(offsets.items())[:2]
        raise UserError(
            f"{one}, line {line}, has times of {_written(first)}, and {other}, line {another}, of {_written(second)}; "
            "say whose local time the series are to have with --timezone, e.g. --timezone Europe/Berlin"
        )
    return next(iter(offsets))


def _written(offset: int) -> str:
    hours, rest = divmod(abs(offset), 3600)
    return f"UTC{'-' if offset < 0 else '+'}{hours:02d}:{rest // 60:02d}" if offset else "UTC"
