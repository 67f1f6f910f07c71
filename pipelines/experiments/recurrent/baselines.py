"""Forecasters without a network, for comparison with the networks.

A forecaster predicts *targets*, rows of a data set whose load is wanted, from the LOOKBACK rows before each target and
the target's own calendar features, which are known beforehand. linear-ar-hourly corrects the forecasts of linear-ar,
and gradient-boosting those of linear-ar-hourly. Sums are computed in float64, one series at a time, which takes less
than 300 MB for the longest; nothing is random.
"""

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from threadpoolctl import threadpool_limits

from pipelines.data.energy.series import EnergyDataset, Part, log_floor
from pipelines.data.protocol import FEATURES, LOOKBACK
from pipelines.errors import UserError

LOAD, HOUR, DAY_OF_WEEK = (FEATURES.index(feature) for feature in ("load", "hour", "day_of_week"))
CALENDAR = slice(LOAD + 1, None)

# Settings were chosen on validation data, the last tenth of the training windows of the PJM series. Percentages are
# sMAPE in the report's convention. Ridge penalties of 0 and 1 are equally good on the whole series (0.183 and 0.184 %);
# on 2,016 hours of each series, with 65 targets for an hour of the day, 1 gives 0.30 % and 0 gives 0.48 %.
HOURLY_RIDGE = 1.0
# Gradient boosting: number of recent hours in the input, and size of the model. On four series these give 0.207 %, a
# learning rate of 0.1 gives 0.209 %, and trees without the linear forecast as an input 0.210 %.
RECENT = 49
TREES, LEAVES, LEARNING_RATE = 400, 63, 0.05


class Model(Protocol):
    """A forecaster of one series."""

    def fit(self, values: np.ndarray, rows: np.ndarray) -> None:
        """Learn from the targets `rows`, (n,) row numbers of `values`, (N, 5) with the columns FEATURES."""

    def predict(self, values: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Forecast the load at `rows`: (n,) MW."""


class Repeat:
    """Repeats the load of `hours` rows ago: persistence for 1, the same hour yesterday for 24 if no hour is missing."""

    def __init__(self, hours: int) -> None:
        """Look back `hours` rows."""
        self.hours = hours

    def fit(self, values: np.ndarray, rows: np.ndarray) -> None:
        """Learn nothing."""

    def predict(self, values: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Forecast the load at `rows`: (n,) MW."""
        return values[rows - self.hours, LOAD].astype(np.float64)


class LinearAR:
    """Linear autoregression: ordinary least squares on the LOOKBACK last loads, the calendar and an intercept."""

    def fit(self, values: np.ndarray, rows: np.ndarray) -> None:
        """Learn the weights from the targets `rows`."""
        self.weights, self.intercept = _least_squares(_predictors(values, rows), values[rows, LOAD], ridge=0.0)

    def predict(self, values: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Forecast the load at `rows`: (n,) MW."""
        return self.forecast(_lags(values, rows, LOOKBACK), values[rows, CALENDAR])

    def forecast(self, lags: np.ndarray, calendar: np.ndarray) -> np.ndarray:
        """Forecast the load (n,), MW, after `lags` (n, LOOKBACK), MW, at hours with these calendar features (n, 4)."""
        return np.hstack([lags, calendar]) @ self.weights + self.intercept


class HourlyLinearAR:
    """A linear autoregression for each hour of day: LinearAR, plus a correction for the hour with its own weights.

    The correction has the day of the week as seven further indicators, and its weights are shrunk (ridge regression),
    so that it is small for an hour with few training targets, and zero for one with none. All in MW: with logarithms of
    the load the validation error is the same.
    """

    def fit(self, values: np.ndarray, rows: np.ndarray) -> None:
        """Learn LinearAR, then the correction for each hour of day that occurs in the targets `rows`."""
        self.base = LinearAR()
        self.base.fit(values, rows)
        residual = values[rows, LOAD] - self.base.predict(values, rows)
        hours = values[rows, HOUR]
        self.corrections = {}
        for hour in np.unique(hours):
            of_hour = rows[hours == hour]
            inputs = _with_weekday(_lags(values, of_hour, LOOKBACK), values[of_hour, CALENDAR])
            self.corrections[hour] = _least_squares(inputs, residual[hours == hour], HOURLY_RIDGE)

    def predict(self, values: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Forecast the load at `rows`: (n,) MW."""
        return self.forecast(_lags(values, rows, LOOKBACK), values[rows, CALENDAR])

    def forecast(self, lags: np.ndarray, calendar: np.ndarray) -> np.ndarray:
        """Forecast the load (n,), MW, after `lags` (n, LOOKBACK), MW, at hours with these calendar features (n, 4)."""
        forecast = self.base.forecast(lags, calendar)
        hours = calendar[:, HOUR - 1]
        for hour, (weights, intercept) in self.corrections.items():
            of_hour = hours == hour
            forecast[of_hour] += _with_weekday(lags[of_hour], calendar[of_hour]) @ weights + intercept
        return forecast


class BoostedLinearAR:
    """Gradient-boosted trees that predict the logarithm of the ratio of the load to HourlyLinearAR's forecast of it.

    Their inputs are the calendar, the RECENT last loads and HourlyLinearAR's forecast. Loads are taken as logarithms
    relative to the last one, so that a split means the same in summer and in winter. Of loads and forecasts below the
    floor (FE's files hold one zero) it is the floor's.
    """

    def fit(self, values: np.ndarray, rows: np.ndarray) -> None:
        """Learn HourlyLinearAR, then the trees, from the targets `rows`."""
        # Imported here, as it takes a second, and no other row needs it.
        from sklearn.ensemble import HistGradientBoostingRegressor

        self.base = HourlyLinearAR()
        self.base.fit(values, rows)
        # early_stopping would hold out random rows, which are not independent of their neighbours in the training part.
        self.trees = HistGradientBoostingRegressor(
            max_iter=TREES, max_leaf_nodes=LEAVES, learning_rate=LEARNING_RATE, early_stopping=False, random_state=0
        )
        self.floor = log_floor(values[rows, LOAD])
        forecast = self._log(self.base.predict(values, rows))
        self.trees.fit(self._relative(values, rows, forecast), self._log(values[rows, LOAD]) - forecast)

    def predict(self, values: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Forecast the load at `rows`: (n,) MW."""
        forecast = self._log(self.base.predict(values, rows))
        return np.exp(forecast + self.trees.predict(self._relative(values, rows, forecast)))

    def _log(self, load: np.ndarray) -> np.ndarray:
        return np.log(np.maximum(load, self.floor, dtype=np.float64))

    def _relative(self, values: np.ndarray, rows: np.ndarray, forecast: np.ndarray) -> np.ndarray:
        """Inputs of the trees: calendar, then `forecast` and recent lags as logarithms relative to the last hour's."""
        lags = self._log(_lags(values, rows, RECENT))
        return np.hstack([values[rows, CALENDAR], forecast[:, None] - lags[:, -1:], lags[:, :-1] - lags[:, -1:]])


_MODELS: dict[str, Callable[[], Model]] = {
    "persistence": lambda: Repeat(1),
    "same-hour-yesterday": lambda: Repeat(24),
    "linear-ar": LinearAR,
    "linear-ar-hourly": HourlyLinearAR,
    "gradient-boosting": BoostedLinearAR,
}


class Forecaster:
    """One model for each series, on a fixed number of threads, so that results do not depend on the machine."""

    def __init__(self, model: Callable[[], Model], threads: int) -> None:
        """Take `model`, a function that returns an untrained model of one series, and the number of threads."""
        self.model = model
        self.threads = threads
        self.models: list[Model] = []

    def fit(self, dataset: EnergyDataset, train: Part) -> None:
        """Train a model for each series on its training targets.

        Raises:
            UserError: a series has no training target.
        """
        for series, targets in zip(dataset.series, train, strict=True):
            if not len(targets):
                raise UserError(
                    f"{dataset.name}: series {series} has no training window: it needs more than {LOOKBACK} hours; "
                    "give more data or a larger fraction"
                )
        self.models = [self.model() for _ in train]
        with threadpool_limits(self.threads):
            for model, targets in zip(self.models, train, strict=True):
                model.fit(dataset.values, targets)

    def predict(self, dataset: EnergyDataset, targets: Part) -> list[np.ndarray]:
        """Forecast the load at `targets`: an array for each series, (targets,) float64, MW."""
        with threadpool_limits(self.threads):
            return [
                model.predict(dataset.values, rows) if len(rows) else np.empty(0)
                for model, rows in zip(self.models, targets, strict=True)
            ]


def forecaster(row: str, threads: int = 1) -> Forecaster:
    """Create the untrained forecaster of a row of `rows.BASELINES`.

    Args:
        row: name of the row.
        threads: number of threads of the linear algebra and of the trees. The last bits of a forecast may depend on it.

    Raises:
        KeyError: there is no such row.
    """
    return Forecaster(_MODELS[row], threads)


def _least_squares(X: np.ndarray, y: np.ndarray, ridge: float) -> tuple[np.ndarray, float]:
    """Minimise |y - Zv - c|² + ridge (|v|² + c²), where Z is X with standardised columns.

    The normal equations are solved, which is six times as fast here as a decomposition of Z; standardising keeps their
    condition number small. With collinear columns the solution has the least norm; constant columns get weight zero.

    Returns:
        w, (columns,), and b of the solution y ≈ Xw + b.
    """
    mean, level = X.mean(axis=0, dtype=np.float64), y.sum(dtype=np.float64) / (len(y) + ridge)
    X = X - mean
    gram = X.T @ X
    scale = np.sqrt(gram.diagonal() / len(X))
    scale[scale <= 1e-9 * np.abs(mean)] = np.inf
    gram = gram / np.outer(scale, scale) + ridge * np.eye(len(scale))
    weights = np.linalg.lstsq(gram, X.T @ (y - level) / scale)[0] / scale
    return weights, level - mean @ weights


def _lags(values: np.ndarray, rows: np.ndarray, hours: int) -> np.ndarray:
    """Load of the `hours` rows before each of `rows`, the last hour last: (n, hours) float32, MW."""
    return sliding_window_view(values[:, LOAD], hours)[rows - hours]


def _predictors(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Lags and calendar of LinearAR: (n, LOOKBACK + 4) float32."""
    return np.hstack([_lags(values, rows, LOOKBACK), values[rows, CALENDAR]])


def _with_weekday(lags: np.ndarray, calendar: np.ndarray) -> np.ndarray:
    """Predictors of LinearAR and an indicator for each day of the week: (n, LOOKBACK + 11)."""
    return np.hstack([lags, calendar, calendar[:, DAY_OF_WEEK - 1, None] == np.arange(7)])
