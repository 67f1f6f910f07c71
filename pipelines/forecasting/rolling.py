"""Forecasts of several hours, hour by hour: each takes the ones before it for loads that were measured."""

from typing import Protocol

import numpy as np


class NextHour(Protocol):
    """A forecaster of the hour after a window, of one series.

    Attributes:
        lookback: number of hours in a window.
    """

    lookback: int

    def __call__(self, loads: np.ndarray, times: np.ndarray) -> np.ndarray:
        """Forecast an hour.

        Args:
            loads: (n, lookback), MW, of consecutive hours.
            times: (n, lookback + 1) datetime64[s], local, of these and of the hour to forecast.

        Returns:
            (n,), MW.
        """


def rolled(next_hour: NextHour, loads: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Forecast the hours that follow each of n windows.

    Args:
        next_hour: the forecaster.
        loads: (n, L) of at least its lookback, MW.
        times: (n, L + H) datetime64[s], local, of these hours and of the H to forecast.

    Returns:
        (n, H), MW.
    """
    before, back = loads.shape[1], next_hour.lookback
    known = np.concatenate([loads, np.empty((len(loads), times.shape[1] - before))], axis=1)
    for hour in range(before, times.shape[1]):
        window = slice(hour - back, hour)
        known[:, hour] = next_hour(known[:, window], times[:, hour - back : hour + 1])
    return known[:, before:]


class SameHour:
    """The load of the same hour some days ago: of its own forecast where that lies in the future."""

    def __init__(self, days: int):
        self.lookback = 24 * days

    def __call__(self, loads: np.ndarray, times: np.ndarray) -> np.ndarray:
        """Forecast an hour: (n,), MW."""
        return loads[:, 0]


class Persistence:
    """The last load."""

    lookback = 1

    def __call__(self, loads: np.ndarray, times: np.ndarray) -> np.ndarray:
        """Forecast an hour: (n,), MW."""
        return loads[:, -1]
