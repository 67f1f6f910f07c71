"""A comparison of an earlier forecast with the loads that came."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from pipelines import figures
from pipelines.data.energy.series import HOUR
from pipelines.errors import UserError
from pipelines.forecasting.history import LOAD, SERIES, TIME, History
from pipelines.forecasting.outlook import held

FORECAST, ACTUAL, LAST_WEEK, ERROR = "forecast", "actual", "last_week", "error_percent"
_TURN = "turn"
_WEEK = 7 * 24 * HOUR
_LIMIT = re.compile(r"low_(\d+)")


@dataclass(frozen=True, eq=False)
class Checked:
    """A forecast and what came.

    Attributes:
        table: a line for each hour whose load is known: ``series``, ``time``, ``forecast``, ``actual`` (MW),
            ``last_week`` (load of the same hour a week before, MW), ``error_percent`` (of the forecast, signed), and
            ``low_L`` and ``high_L`` (MW) for each level L of the intervals.
        hours: number of hours that were forecast.
        levels: of the intervals, percent.
    """

    table: pd.DataFrame
    hours: int
    levels: tuple[int, ...]

    @property
    def mape(self) -> float:
        """Mean absolute error of the forecast, percent of the load; hours without load are left out."""
        return _mape(self.table[FORECAST], self.table[ACTUAL])

    @property
    def last_week_mape(self) -> float:
        """The same of the load a week before, over the hours where that is known; NaN if it is nowhere."""
        return _mape(self.table[LAST_WEEK], self.table[ACTUAL])

    @property
    def coverage(self) -> list[float]:
        """Percentage of the loads within the intervals of each level; NaN if the forecast had none."""
        return [float(100 * within.mean()) for within in map(self._within, self.levels)]

    def _within(self, level: int) -> pd.Series:
        low, high, actual = self.table[f"low_{level}"], self.table[f"high_{level}"], self.table[ACTUAL]
        return actual.between(low, high).astype(float).where(low.notna())


def read_forecast(file: Path) -> pd.DataFrame:
    """Read a forecast that was written, see champion.Champion.forecast.

    Raises:
        UserError: it is none.
    """
    try:
        table = pd.read_csv(file, parse_dates=[TIME], dtype={SERIES: str}, keep_default_na=True)
        table[FORECAST] = table[FORECAST].astype(float)
        table[TIME] = table[TIME].astype("datetime64[s]")
    except FileNotFoundError:
        raise UserError(f"{file} does not exist; make a forecast first, or give its folder as the output") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{file} is no forecast ({error}); make it anew") from None
    return table


def checked(forecast: pd.DataFrame, histories: Sequence[History]) -> Checked:
    """Compare a forecast with the loads that came.

    Args:
        forecast: see champion.Champion.forecast.
        histories: of the same series, with hours that the forecast is of.

    Raises:
        UserError: none of its hours is known, or it is not clear which series it is of.
    """
    if SERIES not in forecast:
        if len(histories) > 1:
            names = ", ".join(each.series for each in histories)
            raise UserError(f"the forecast is of one series, and there are several ({names}); give its loads alone")
        forecast = forecast.assign(**{SERIES: histories[0].series})
    loads = pd.concat([_loads(each) for each in histories], ignore_index=True)
    known = _numbered(forecast).merge(_numbered(loads), on=[SERIES, TIME, _TURN])
    if not len(known):
        first, last = forecast[TIME].min(), forecast[TIME].max()
        raise UserError(f"the loads have no hour of the forecast ({first} to {last}); give later ones")
    known[ERROR] = 100 * (known[FORECAST] / known[ACTUAL].where(known[ACTUAL] != 0) - 1)
    limits = [column for column in map(str, forecast) if column.startswith(("low_", "high_"))]
    columns = [SERIES, TIME, FORECAST, ACTUAL, LAST_WEEK, ERROR, *limits]
    levels = tuple(int(found[1]) for column in limits if (found := _LIMIT.fullmatch(column)))
    return Checked(known[columns], len(forecast), levels)


def lines(found: Checked) -> Iterator[str]:
    """The result for the terminal."""
    yield f"{len(found.table)} of {found.hours} hours are known"
    yield f"  mean error of the forecast {found.mape:.2f} %"
    if not np.isnan(found.last_week_mape):
        yield f"  of the same hour of the week before {found.last_week_mape:.2f} %"
    yield f"  within the intervals: {held(found.coverage, found.levels)}"


def figure(found: Checked) -> Figure:
    """Plot a forecast, its intervals, and the loads that came."""
    return figures.ahead(found.table.rename(columns={ACTUAL: LOAD}), found.table, "the forecast and what came")


def _numbered(table: pd.DataFrame) -> pd.DataFrame:
    """Tell apart the two hours of one name where clocks are put back."""
    return table.assign(**{_TURN: table.groupby([SERIES, TIME]).cumcount()})


def _loads(history: History) -> pd.DataFrame:
    table = pd.DataFrame({SERIES: history.series, TIME: history.times, ACTUAL: history.loads})
    before = table.drop_duplicates(TIME).set_index(TIME)[ACTUAL]
    return table.assign(**{LAST_WEEK: before.reindex(table[TIME] - _WEEK).to_numpy()})


def _mape(forecast: pd.Series, actual: pd.Series) -> float:
    return float(100 * (forecast / actual.where(actual != 0) - 1).abs().mean())
