"""Forecasters of one series: of the next hour, and of several, each of which is taken for measured by the next."""

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


class SeveralHours(Protocol):
    """A forecaster of the hours after a window, of one series.

    Attributes:
        lookback: number of hours in a window.
    """

    lookback: int

    def ahead(self, loads: np.ndarray, times: np.ndarray) -> np.ndarray:
        """Forecast the hours that follow.

        Args:
            loads: (n, lookback), MW, of consecutive hours.
            times: (n, lookback + H) datetime64[s], local, of these and of the H to forecast.

        Returns:
            (n, H), MW.
        """


class HourByHour:
    """Forecasts several hours by a forecaster of the next one, which takes the ones before for measured.

    Args:
        next_hour: the forecaster.
    """

    def __init__(self, next_hour: NextHour):
        self.lookback = next_hour.lookback
        self._next_hour = next_hour

    def ahead(self, loads: np.ndarray, times: np.ndarray) -> np.ndarray:
        """Forecast the hours that follow, see SeveralHours."""
        back, whole = self.lookback, times.shape[1]
        known = np.concatenate([loads, np.empty((len(loads), whole - back))], axis=1)
        for hour in range(back, whole):
            known[:, hour] = self._next_hour(known[:, hour - back : hour], times[:, hour - back : hour + 1])
        return known[:, back:]


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
