"""A test of forecasts on a history's own last weeks: by lead time, beside forecasts that need no network."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipelines.common.forecast_errors import relative_errors
from pipelines.data.energy.series import features
from pipelines.data.protocol import LOOKBACK
from pipelines.experiments.recurrent.baselines import HourlyLinearAR
from pipelines.forecasting.champion import Champion, ahead
from pipelines.forecasting.history import History
from pipelines.forecasting.models import LinearNextHour
from pipelines.forecasting.rolling import HourByHour, Persistence, SameHour, SeveralHours

WEEKS = 4
WEEK = 168
EVERY = 3  # hours from one forecast to the next: they begin at every third hour of the day
PERSISTENCE, LAST_WEEK, LINEAR = "persistence", "same hour last week", "linear-ar-hourly"
MAPE, SMAPE = "mape", "smape"
FEWEST = 24  # forecasts
FEWEST_TO_FIT = 4 * WEEK  # hours that linear-ar-hourly is fitted to


@dataclass(frozen=True, eq=False)
class Backtest:
    """Errors of forecasts of hours that are known.

    Attributes:
        row: of the network.
        forecasts: number of forecasts.
        errors: a line for each forecaster and lead time: ``forecaster``, ``lead`` (hours), ``mape`` and ``smape``
            (percent, the latter 0-200).
        coverage: percentage of the loads within the intervals, (H, levels); empty without forecasts.
    """

    row: str
    forecasts: int
    errors: pd.DataFrame
    coverage: np.ndarray

    def mean(self, forecaster: str) -> float:
        """Mean of ``mape`` over the lead times, percent."""
        return float(self.errors.loc[self.errors["forecaster"] == forecaster, MAPE].mean())


def backtest(champion: Champion, history: History, hours: int) -> Backtest | None:
    """Forecast the last weeks of a history again, each time from the hours before; None if it is too short.

    Whatever is fitted or chosen is so by the hours before these weeks: scales, likeness and intervals of the champion,
    the linear model. Hours of the champion's training are not tested on. Hours without load are left out of ``mape``.

    Args:
        champion: the network.
        history: of the series.
        hours: ahead, H.
    """
    others: dict[str, SeveralHours] = {PERSISTENCE: HourByHour(Persistence()), LAST_WEEK: HourByHour(SameHour(7))}
    longest = max(champion.network.lookback, *(each.lookback for each in others.values()))
    end = len(history.loads) - hours + 1
    first = max(end - WEEKS * WEEK, longest, champion.unseen(history))
    origins = np.arange(first, end, EVERY)
    if len(origins) < FEWEST:
        return None
    if linear := _linear(history, first):
        others[LINEAR] = HourByHour(linear)
    chosen = champion.chosen(history.first(first), hours)
    lines, coverage = [], np.zeros((0, 0))
    for label, forecaster in ({champion.row: chosen.forecaster} | others).items():
        forecast, actual = ahead(forecaster, history.loads, history.times, origins, hours)
        lines += [_line(label, lead, forecast[:, lead - 1], actual[:, lead - 1]) for lead in range(1, hours + 1)]
        if label == champion.row:
            coverage = chosen.intervals.coverage(forecast, actual)
    return Backtest(champion.row, len(origins), pd.DataFrame(lines), coverage)


def verdict(found: Backtest) -> str:
    """One sentence on whether the network is worth it for this series."""
    means = {label: found.mean(label) for label in dict.fromkeys(found.errors["forecaster"])}
    own = means.pop(found.row)
    best = min(means, key=means.__getitem__)
    worth = "worth it" if own < means[best] else "not worth it for this series"
    return f"{worth}: mean error {own:.2f} %, of {best} {means[best]:.2f} %"


def _linear(history: History, rows: int) -> LinearNextHour | None:
    """A linear-ar-hourly of the first hours of the history; None if they are too few."""
    if rows < FEWEST_TO_FIT:
        return None
    model = HourlyLinearAR()
    model.fit(features(history.times[:rows], history.loads[:rows]), np.arange(LOOKBACK, rows))
    return LinearNextHour(model)


def _line(label: str, lead: int, forecast: np.ndarray, actual: np.ndarray) -> Mapping[str, object]:
    loaded = actual != 0
    mape = 100 * np.mean(np.abs(forecast / np.where(loaded, actual, 1) - 1)[loaded]) if loaded.any() else np.nan
    return {
        "forecaster": label,
        "lead": lead,
        MAPE: float(mape),
        SMAPE: float(100 * relative_errors(forecast, actual).mean()),
    }
