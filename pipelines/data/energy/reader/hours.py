"""Hours of one series, made from its readings.

Policy:

- readings come every minute to every hour, evenly: the most frequent distance of two is that of all, gaps aside;
- the readings of an hour are averaged; of energies, in kWh, the power is computed by that distance first;
- an hour with more than half of its readings is their mean, and is counted; one with less is left out, and is counted;
- a time that comes again is another hour: the first ones of each time make an hour, and the second ones another, so
  that the hour that clocks repeat is there twice;
- in a known zone, hours that its clocks skip are left out, and counted;
- everything else is counted only.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from pipelines.data.energy.reader.faults import named
from pipelines.data.energy.reader.format import LoadSeries
from pipelines.errors import UserError

HOUR = 3600
CONSTANT_HOURS = 24
FEWEST = 2  # readings of which a distance is known
_MOST_AGAIN = 0.1  # part of the readings that may come at a time that was there already
_MOST_PARTIAL = 0.1  # part of the hours that may have half of their readings or less
_STEPS = {15: "quarter-hours", 30: "half-hours"}


class Readings(NamedTuple):
    """What a source holds of one series, in its order.

    Attributes:
        seconds: (N,) since 1970.
        load: (N,) MW, or MWh of each reading; NaN where there is no number.
        lines: (N,) number of the line.
    """

    seconds: np.ndarray
    load: np.ndarray
    lines: np.ndarray


@dataclass(frozen=True)
class Clock:
    """What the seconds of readings mean.

    Attributes:
        offset: by which the clock is ahead of them.
        timezone: of the clock; "" if unknown.
        naive: seconds are already those of the clock.
        ending: they are the end of what was measured.
        energy: what was measured is energy.
    """

    offset: int = 0
    timezone: str = ""
    naive: bool = True
    ending: bool = False
    energy: bool = False


def hourly(name: str, where: str, readings: Readings, clock: Clock) -> tuple[LoadSeries, list[str]]:
    """Make the hours of a series; returns it, and sentences on what was done.

    Raises:
        UserError: the readings are too few, irregular, or further apart than an hour.
    """
    seconds, load, lines = readings
    present = ~np.isnan(load)
    empty = int(np.sum(~present))
    if int(np.sum(present)) < FEWEST:
        raise UserError(
            f"{where}: {int(np.sum(present))} numbers among the loads of {named(name)}; an hourly series needs many"
        )
    if empty:
        seconds, load, lines = seconds[present], load[present], lines[present]
    unsorted = int(np.sum(np.diff(seconds) < 0))
    if unsorted:
        order = np.argsort(seconds, kind="stable")
        seconds, load, lines = seconds[order], load[order], lines[order]
    step = _step(name, where, seconds, lines)
    said = []
    if clock.energy and step != HOUR:
        load = load * (HOUR / step)
        said.append(f"energies of {_duration(step)} taken {HOUR // step} times as powers")
    if clock.ending:
        seconds = seconds - step
    local = _local(seconds, clock)
    if not clock.naive and (back := np.diff(local) < 0).any() and len(back):
        order = np.argsort(local, kind="stable")
        local, load = local[order], load[order]
    hours, load, kept = _averaged(local, load, step)
    if kept.too_few > _MOST_PARTIAL * len(hours):
        raise UserError(
            f"{where}: readings of {named(name)} come every {_duration(step)}, but {kept.too_few:,} of "
            f"{len(hours) + kept.too_few:,} hours have half of theirs or less, the first {_time(kept.first)}; give a "
            "table with one distance between readings"
        )
    if step != HOUR:
        incomplete = f", {kept.incomplete:,} of them from less than all" if kept.incomplete else ""
        dropped = f"; hours with half of theirs or less left out: {kept.too_few:,}" if kept.too_few else ""
        of = _STEPS.get(step // 60, f"readings of {_duration(step)}")
        said.append(f"{len(readings.load) - empty:,} {of} averaged to {len(hours):,} hours{incomplete}{dropped}")
    elif (local % HOUR).any():
        said.append(f"times {int(local[0] % HOUR) // 60} minutes after the hour taken as the hour they are in")
    skipped = 0
    if clock.naive and clock.timezone:
        hours, load, skipped, what = _by_zone(hours, load, clock.timezone)
        said += what
    duplicated = int(np.sum(np.diff(hours) == 0))
    constant, what = _constant(hours, load)
    counts = {
        "rows": len(hours),
        "readings": len(readings.load),
        "unsorted": unsorted,
        "duplicated": duplicated,
        "missing": int((hours[-1] - hours[0]) // HOUR) + 1 - (len(hours) - duplicated),
        "empty": empty,
        "averaged": 0 if step == HOUR else len(readings.load) - empty,
        "incomplete": kept.incomplete,
        "too few": kept.too_few,
        "skipped": skipped,
        "zero": int(np.sum(load == 0)),
        "negative": int(np.sum(load < 0)),
        "constant": constant,
    }
    return LoadSeries(name, hours.astype("datetime64[s]"), load, counts), said + what


def _step(name: str, where: str, seconds: np.ndarray, lines: np.ndarray) -> int:
    """Distance of the readings; refuses those that have none."""
    apart = np.diff(seconds)
    again = int(np.sum(apart == 0))
    apart = apart[apart > 0]
    if again > max(1, _MOST_AGAIN * len(seconds)):
        first = int(np.flatnonzero(np.diff(seconds) == 0)[0])
        raise UserError(
            f"{where}: {again:,} of {len(seconds):,} readings of {named(name)} are at a time that was there before, "
            f"the first in lines {lines[first]} and {lines[first + 1]}; if a column tells several series apart, name "
            "it with --series-column"
        )
    distances, counts = np.unique(apart, return_counts=True)
    step = int(distances[np.argmax(counts)])
    if step > HOUR:
        raise UserError(
            f"{where}: readings of {named(name)} come every {_duration(step)}; hourly loads need one an hour at least"
        )
    off = np.flatnonzero((seconds - seconds[0]) % step != 0) if HOUR % step == 0 and step >= 60 else np.array([1])
    if len(off):
        line, before, after = int(lines[off[0]]), int(seconds[off[0] - 1]), int(seconds[off[0]])
        raise UserError(
            f"{where}, line {line}: {_time(after)} is {_duration(after - before)} after "
            f"the reading before it of {named(name)}, where most come every {_duration(step)}, so that the times are "
            "irregular; give readings at even distances that divide an hour"
        )
    return step


def _duration(seconds: int) -> str:
    for unit, size in (("day", 24 * HOUR), ("hour", HOUR), ("minute", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds // size} {unit}" + ("s" if seconds > size else "")
    return f"{seconds} seconds"


def _time(seconds: int) -> str:
    return f"{np.datetime64(seconds, 's').item():%Y-%m-%d %H:%M:%S}"


def _local(seconds: np.ndarray, clock: Clock) -> np.ndarray:
    if clock.naive or not clock.timezone:
        return seconds + clock.offset
    times = pd.DatetimeIndex(seconds.astype("datetime64[s]")).tz_localize("UTC").tz_convert(clock.timezone)
    return times.tz_localize(None).to_numpy().astype("datetime64[s]").astype(np.int64)


class _Kept(NamedTuple):
    """Hours averaged from less than all readings, hours left out, and the first of these in seconds."""

    incomplete: int
    too_few: int
    first: int


def _averaged(local: np.ndarray, load: np.ndarray, step: int) -> tuple[np.ndarray, np.ndarray, _Kept]:
    """Means of the readings of each hour; `local` is sorted, and what comes first in the file is first."""
    hours = local - local % HOUR
    if step == HOUR:
        return hours, load, _Kept(0, 0, 0)
    again = np.zeros(len(local), dtype=np.int64)
    if (same := np.diff(local) == 0).any():
        begins = np.concatenate([[True], ~same])
        again = np.arange(len(local)) - np.maximum.accumulate(np.where(begins, np.arange(len(local)), 0))
        order = np.lexsort((local, again, hours))
        hours, again, load = hours[order], again[order], load[order]
    begins = np.concatenate([[True], (np.diff(hours) != 0) | (np.diff(again) != 0)])
    starts = np.flatnonzero(begins)
    counts = np.diff(np.append(starts, len(hours)))
    means = np.add.reduceat(load, starts) / counts
    enough = 2 * counts > HOUR // step
    few = np.flatnonzero(~enough)
    kept = _Kept(int(np.sum(enough & (counts < HOUR // step))), len(few), int(hours[starts[few[0]]]) if len(few) else 0)
    return hours[starts][enough], means[enough], kept


def _by_zone(hours: np.ndarray, load: np.ndarray, timezone: str) -> tuple[np.ndarray, np.ndarray, int, list[str]]:
    """Leave out hours that the clocks of a zone skip; say how many they repeat."""
    times = pd.DatetimeIndex(hours.astype("datetime64[s]"))
    early = times.tz_localize(timezone, ambiguous=np.ones(len(times), dtype=bool), nonexistent="NaT")
    late = times.tz_localize(timezone, ambiguous=np.zeros(len(times), dtype=bool), nonexistent="NaT")
    skipped = np.asarray(early.isna())
    repeated = hours[~skipped & np.asarray(early != late)]
    twice = int(np.sum(np.diff(repeated) == 0))
    once = len(np.unique(repeated)) - twice
    said = []
    if len(repeated):
        said.append(f"of the hours that the clocks of {timezone} repeat {twice} are there twice, {once} once")
    if count := int(np.sum(skipped)):
        said.append(
            f"hours that the clocks of {timezone} skip left out: {count}"
            + ("" if twice else "; if the times are of one offset all year, give no --timezone")
        )
    return hours[~skipped], load[~skipped], count, said


def _constant(hours: np.ndarray, load: np.ndarray) -> tuple[int, list[str]]:
    """Number of hours in stretches of CONSTANT_HOURS or more of the same load, and a sentence on the longest."""
    starts = np.flatnonzero(np.concatenate([[True], np.diff(load) != 0]))
    lengths = np.diff(np.append(starts, len(load)))
    long = lengths >= CONSTANT_HOURS
    if not long.any():
        return 0, []
    longest = int(np.argmax(lengths))
    first = int(starts[longest])
    return int(np.sum(lengths[long])), [
        f"stretches of {CONSTANT_HOURS} hours or more of the same load: {int(np.sum(long))}, the longest "
        f"{int(lengths[longest])} hours of {load[first]:g} MW from {_time(int(hours[first]))}"
    ]
