"""Policies for missing hours in series of a user's own.

A gap is where more than an hour has passed between two rows. In a known time zone that is told by the hours that have
really passed, so that the hour which clocks skip in spring is none; without one, by what the clock shows.

- `SKIP`: no window crosses a gap; the hours behind it are forecast once there are enough of them. The default.
- `FILL`: gaps of up to `LINE_HOURS` are filled along a straight line between their ends, and longer ones, of up to
  `WEEK_HOURS`, with the load of the same hours of the week before, where that is known. Filled hours are inputs, and
  targets of the training; no error is measured on them. Longer gaps are skipped.
- `KEEP`: the row after a gap follows the one before it as if there were none. The convention under which PJM's windows
  are counted.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipelines.data.energy.series import HOUR
from pipelines.data.energy.terms import KEEP, SKIP

LINE_HOURS = 3
WEEK_HOURS = 168


@dataclass(frozen=True, eq=False)
class Hours:
    """One series after a policy was applied.

    Attributes:
        times: (L,) datetime64[s], local.
        load: (L,) float64, MW.
        breaks: rows that come after a gap which no window may cross.
        filled: rows whose load is made up, ascending.
        gaps: how many gaps there were, before anything was filled.
        clock_changes: how many of these are of one hour in the night to a Sunday in spring or autumn.
    """

    times: np.ndarray
    load: np.ndarray
    breaks: np.ndarray
    filled: np.ndarray
    gaps: int
    clock_changes: int


def apply(times: np.ndarray, load: np.ndarray, timezone: str, policy: str) -> Hours:
    """Apply a policy to a series.

    Args:
        times: (L,) datetime64[s], local, sorted; an hour that clocks repeat may be there twice.
        load: (L,) MW.
        timezone: IANA name; "" if unknown.
        policy: one of terms.GAPS.
    """
    passed = elapsed(times, timezone)
    missing = np.maximum(np.diff(passed) - 1, 0)
    behind = np.flatnonzero(missing) + 1
    none = np.zeros(0, dtype=np.int64)
    changes = int(np.sum(_at_change(times[behind - 1]) & (missing[behind - 1] == 1)))
    if policy == KEEP:
        return Hours(times, load, none, none, len(behind), changes)
    if policy == SKIP:
        return Hours(times, load, behind, none, len(behind), changes)
    made = _made_up(passed, load, behind)
    hours = np.concatenate([passed, made.hours])
    order = np.argsort(hours, kind="stable")
    local = np.concatenate([times, _local(times, passed, made, timezone)])
    filled = np.flatnonzero(order >= len(times))
    left = np.flatnonzero(np.diff(hours[order]) > 1) + 1
    return Hours(local[order], np.concatenate([load, made.load])[order], left, filled, len(behind), changes)


def elapsed(times: np.ndarray, timezone: str) -> np.ndarray:
    """Hours, (L,) int64, that have really passed since 1970 in a known zone, else those that the clock shows.

    Of an hour that the zone's clocks repeat the first row is the earlier one.
    """
    if not timezone:
        return np.asarray((times - np.datetime64(0, "s")) // HOUR, dtype=np.int64)
    first = np.concatenate([[True], np.diff(times) != np.timedelta64(0, "s")])
    local = pd.DatetimeIndex(times).tz_localize(timezone, ambiguous=first, nonexistent="shift_forward")
    return np.asarray(local.as_unit("s").asi8 // 3600, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class _MadeUp:
    """Hours that are added: how many have passed since 1970, their load in MW, and the row before the gap of each."""

    hours: np.ndarray
    load: np.ndarray
    before: np.ndarray


def _made_up(passed: np.ndarray, load: np.ndarray, behind: np.ndarray) -> _MadeUp:
    """The hours that fill the gaps before the rows `behind`, as far as the policy fills them."""
    hours: list[np.ndarray] = []
    loads: list[np.ndarray] = []
    rows: list[np.ndarray] = []
    for row in behind.tolist():
        missing = np.arange(passed[row - 1] + 1, passed[row])
        if len(missing) <= LINE_HOURS:
            made = np.interp(missing, passed[row - 1 : row + 1], load[row - 1 : row + 1])
        else:
            week_before = np.searchsorted(passed[:row], missing - WEEK_HOURS)
            known = len(missing) <= WEEK_HOURS and np.array_equal(passed[week_before], missing - WEEK_HOURS)
            if not known:
                continue
            made = load[week_before]
        hours.append(missing)
        loads.append(made)
        rows.append(np.full(len(missing), row - 1))
    nothing = np.zeros(0, dtype=np.int64)
    return _MadeUp(*(np.concatenate([nothing, *parts]) for parts in (hours, loads, rows)))


def _local(times: np.ndarray, passed: np.ndarray, made: _MadeUp, timezone: str) -> np.ndarray:
    """What the clock shows at the hours that are added."""
    if timezone:
        zoned = pd.DatetimeIndex((made.hours * 3600).astype("datetime64[s]")).tz_localize("UTC").tz_convert(timezone)
        return zoned.tz_localize(None).to_numpy().astype("datetime64[s]")
    return times[made.before] + (made.hours - passed[made.before]) * HOUR


def _at_change(times: np.ndarray) -> np.ndarray:
    """Whether clocks may have changed after each of `times`: in the first hours of a Sunday of spring or autumn."""
    each = pd.DatetimeIndex(times)
    return np.asarray((each.day_of_week == 6) & (each.hour < 4) & np.isin(each.month, [3, 4, 9, 10, 11]))
