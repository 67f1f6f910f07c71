"""Prediction intervals by split conformal calibration, for each lead time by itself.

Source: Lei, G'Sell, Rinaldo, Tibshirani and Wasserman 2018, Distribution-free predictive inference for regression.

An interval of 80 % holds the load with that probability where errors to come are like those of the calibration.
Errors are taken relative to the forecast, so that they mean the same in summer and in winter.
"""

import math
from dataclasses import dataclass

import numpy as np

LEVELS = (80, 95)  # percent
_ROUNDING = 1e-9  # 0.95 * 20 is above 19


@dataclass(frozen=True, eq=False)
class Intervals:
    """Calibrated intervals.

    Attributes:
        levels: percent.
        reach: (H, levels), how far they reach to either side, relative to the forecast, for each lead time: 0.1 is a
            tenth above and below it; NaN for a level that needs more errors than there were.
        errors: number of errors that each is calibrated on.
    """

    levels: tuple[int, ...]
    reach: np.ndarray
    errors: int

    def of(self, forecast: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper limits (n, h, levels), MW, of forecasts (n, h); beyond H hours those of H hours ahead."""
        lead = np.minimum(np.arange(forecast.shape[1]), len(self.reach) - 1)
        reach = np.abs(forecast)[..., None] * self.reach[lead]
        return forecast[..., None] - reach, forecast[..., None] + reach

    def coverage(self, forecast: np.ndarray, actual: np.ndarray) -> np.ndarray:
        """Percentage of `actual` loads (n, h) within the intervals of `forecast` (n, h): (h, levels), or NaN."""
        low, high = self.of(forecast)
        inside = (low <= actual[..., None]) & (actual[..., None] <= high)
        return 100 * np.where(np.isnan(low), np.nan, inside).mean(axis=0)


def calibrated(forecast: np.ndarray, actual: np.ndarray, levels: tuple[int, ...] = LEVELS) -> Intervals:
    """Calibrate intervals on forecasts of loads that are known, and were not seen in training.

    Args:
        forecast: (n, H), MW, not 0.
        actual: (n, H), MW.
        levels: percent.
    """
    errors = np.abs(actual / forecast - 1)
    reach = np.stack([_exceeded(errors, 1 - level / 100) for level in levels], axis=-1)
    return Intervals(levels, reach, len(errors))


def _exceeded(errors: np.ndarray, share: float) -> np.ndarray:
    """For each column of errors (n, H) the one that a further error exceeds with a probability of `share` at most.

    That is the ⌈(n + 1)(1 - share)⌉-th smallest; NaN where there are not so many.
    """
    count = len(errors)
    rank = math.ceil((count + 1) * (1 - share) - _ROUNDING)
    return np.partition(errors, rank - 1, axis=0)[rank - 1] if rank <= count else np.full(errors.shape[1], np.nan)
