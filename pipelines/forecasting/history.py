"""The hours before a forecast, checked: what a user hands over of one series."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from pipelines.data.energy.gaps import elapsed
from pipelines.data.energy.series import HOUR
from pipelines.errors import UserError

SERIES, TIME, LOAD = "series", "time", "load"  # columns of a table of histories


@dataclass(frozen=True, eq=False)
class History:
    """Consecutive hours of one series.

    Attributes:
        series: its name, "" if it has none.
        times: (L,) datetime64[s], local.
        loads: (L,) float64, MW, finite.
        timezone: of the times, IANA name; "" if unknown.
    """

    series: str
    times: np.ndarray
    loads: np.ndarray
    timezone: str = ""

    def first(self, hours: int) -> "History":
        """The first `hours` of it."""
        return replace(self, times=self.times[:hours], loads=self.loads[:hours])

    def following(self, hours: int) -> np.ndarray:
        """The next hours as the clock will show them, (hours,) datetime64[s]."""
        if not self.timezone:
            return self.times[-1] + np.arange(1, hours + 1) * HOUR
        last = int(elapsed(self.times[-2:], self.timezone)[-1])
        seconds = (last + np.arange(1, hours + 1)) * 3600
        local = pd.DatetimeIndex(seconds.astype("datetime64[s]")).tz_localize("UTC").tz_convert(self.timezone)
        return local.tz_localize(None).to_numpy().astype("datetime64[s]")


def histories(table: pd.DataFrame, timezone: str = "") -> list[History]:
    """Read the histories of a table of hours.

    Args:
        table: columns ``time`` (local, or anything that pandas reads as a time) and ``load`` (MW), and ``series`` where
            there are several.
        timezone: IANA name of the zone of the times; "" if unknown.

    Raises:
        UserError: a column is missing, a time or a load cannot be read, or the hours of a series are not consecutive;
            one sentence that says where.
    """
    for column in (TIME, LOAD):
        if column not in table:
            raise UserError(
                f"there is no column {column!r} among {', '.join(map(str, table))}; give time and load (MW)"
            )
    if not len(table):
        raise UserError("the history is empty; give its hours, one a line")
    times, loads = _times(table[TIME]), _loads(table[LOAD])
    names = table[SERIES].astype(str).to_numpy() if SERIES in table else np.full(len(table), "")
    found = []
    for name in dict.fromkeys(names.tolist()):
        rows = names == name
        _require_consecutive(name, times[rows], timezone)
        found.append(History(name, times[rows], loads[rows], timezone))
    return found


def _times(column: pd.Series) -> np.ndarray:
    read = pd.to_datetime(column, errors="coerce", format="ISO8601" if column.dtype == object else None)
    if read.isna().any():
        row = int(np.flatnonzero(read.isna())[0])
        raise UserError(f"row {row + 1}: {str(column.iloc[row])!r:.60} is no time; write YYYY-MM-DD HH:MM")
    if read.dt.tz is not None:
        raise UserError("times have offsets from UTC; give the local time of the series")
    return read.to_numpy().astype("datetime64[s]")


def _loads(column: pd.Series) -> np.ndarray:
    read = pd.to_numeric(column, errors="coerce").to_numpy(np.float64)
    if not np.isfinite(read).all():
        row = int(np.flatnonzero(~np.isfinite(read))[0])
        raise UserError(
            f"row {row + 1}: {str(column.iloc[row])!r:.60} is no finite load; fill the hour or begin after it"
        )
    return read


def _require_consecutive(name: str, times: np.ndarray, timezone: str) -> None:
    of = f" of series {name}" if name else ""
    hours = elapsed(times, timezone)
    if (times.astype("datetime64[h]") != times).any():
        odd = times[times.astype("datetime64[h]") != times][0]
        raise UserError(f"{_shown(odd)}{of} is no full hour; give hourly loads")
    steps = np.diff(hours)
    # Where the zone is unknown, an hour that clocks repeat is there twice, and one that they skip is not.
    wrong = np.flatnonzero(steps != 1)
    if len(wrong):
        before, after = times[wrong[0]], times[wrong[0] + 1]
        if after < before:
            raise UserError(f"{_shown(after)}{of} comes after {_shown(before)}; sort the hours by time")
        if after == before:
            raise UserError(
                f"{_shown(after)}{of} is there twice; give each hour once, or the time zone that repeats it"
            )
        missing = int(steps[wrong[0]]) - 1
        raise UserError(
            f"{missing} {'hour is' if missing == 1 else 'hours are'} missing{of} after {_shown(before)}; fill the gap, "
            "or begin after it"
        )


def _shown(time: np.datetime64) -> str:
    return str(time).replace("T", " ")[:16]
