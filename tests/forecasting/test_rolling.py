"""Forecasts hour by hour: each takes the ones before it for measured loads."""

import numpy as np
import pytest

from pipelines.forecasting.rolling import HourByHour, Persistence, SameHour

START = np.datetime64("2021-01-01T00:00:00", "s")


def times(first: int, count: int) -> np.ndarray:
    return START + np.arange(first, first + count) * np.timedelta64(3600, "s")


class Growing:
    """The last load but one and the last, added; keeps the hours that it forecast."""

    lookback = 2

    def __init__(self):
        self.asked = []

    def __call__(self, loads, times):
        self.asked.append(times[:, -1])
        return loads.sum(1)


def test_a_forecast_takes_those_before_it():
    forecaster = Growing()
    loads = np.array([[1.0, 1.0], [0.0, 2.0]])
    when = np.stack([times(0, 7), times(5, 7)])
    found = HourByHour(forecaster).ahead(loads, when)
    assert found.tolist() == [[2, 3, 5, 8, 13], [2, 4, 6, 10, 16]]
    assert np.stack(forecaster.asked, 1).tolist() == when[:, 2:].tolist()


def test_the_loads_before_are_left_as_they_are():
    loads = np.ones((1, 2))
    HourByHour(Growing()).ahead(loads, times(0, 9)[None])
    assert loads.tolist() == [[1, 1]]


@pytest.mark.parametrize("days", [1, 7])
def test_the_same_hour_of_an_earlier_day_comes_again(days):
    loads = np.arange(24.0 * days)[None]
    found = HourByHour(SameHour(days)).ahead(loads, times(0, 24 * days + 30)[None])
    assert found[0].tolist() == [hour % (24 * days) for hour in range(30)]


def test_the_last_load_stays():
    assert HourByHour(Persistence()).ahead(np.array([[7.0]]), times(0, 4)[None]).tolist() == [[7, 7, 7]]
