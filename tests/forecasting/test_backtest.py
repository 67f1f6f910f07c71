"""Backtests: the errors of forecasts of known hours, by lead time, and what is concluded from them."""

import numpy as np
import pandas as pd
import pytest

from pipelines.forecasting.backtest import LAST_WEEK, LINEAR, PERSISTENCE, backtest, verdict
from pipelines.forecasting.champion import Chosen
from pipelines.forecasting.history import History
from pipelines.forecasting.intervals import Intervals

HOURS = 6


class Knowing:
    """Forecasts what comes, off by a factor."""

    lookback = 90

    def __init__(self, history: History, factor: float):
        self._loads = dict(zip(history.times.tolist(), history.loads.tolist(), strict=True))
        self._factor = factor

    def ahead(self, loads, times):
        following = times[:, self.lookback :]
        return np.array([[self._factor * self._loads[time] for time in each] for each in following.tolist()])


class Champion:
    """A champion that knows what comes, off by a factor; it has seen the hours before the `unseen`-th."""

    row = "net"

    def __init__(self, history: History, factor: float, width: float, unseen: int = 0):
        self.network = Knowing(history, factor)
        self._width, self._unseen = width, unseen
        self.shown: list[History] = []

    def unseen(self, history):
        return self._unseen

    def chosen(self, history, hours):
        self.shown.append(history)
        return Chosen(self.network, within(self._width), (), is_new=False)


def weekly(weeks: int, noise: float = 0.0) -> History:
    """Loads that come again each week, but for noise."""
    count = 168 * weeks
    pattern = 1000 + 100 * np.random.default_rng(0).normal(size=168)
    loads = np.tile(pattern, weeks) * (1 + noise * np.random.default_rng(1).normal(size=count))
    times = pd.date_range("2021-01-04", periods=count, freq="h").to_numpy().astype("datetime64[s]")
    return History("A", times, loads)


def within(width: float) -> Intervals:
    limits = np.full((HOURS, 2), width)
    return Intervals((80, 95), limits, 100)


def test_errors_are_those_of_the_last_four_weeks_by_lead_time():
    history = weekly(9)
    found = backtest(Champion(history, 1.02, 0.03), history, HOURS)
    assert found.forecasts == 4 * 168 // 3
    of_network = found.errors[found.errors["forecaster"] == "net"]
    assert of_network["lead"].tolist() == [1, 2, 3, 4, 5, 6]
    assert of_network["mape"].tolist() == pytest.approx([2.0] * 6)
    assert of_network["smape"].tolist() == pytest.approx([100 * 2 * 0.02 / 2.02] * 6)
    assert found.mean(LAST_WEEK) == pytest.approx(0, abs=1e-9)
    assert found.coverage.tolist() == [[100, 100]] * 6
    assert set(found.errors["forecaster"]) == {"net", PERSISTENCE, LAST_WEEK, LINEAR}
    expected = [
        np.mean([abs(history.loads[origin - 1] / history.loads[origin + lead - 1] - 1) for origin in self_origins()])
        for lead in range(1, HOURS + 1)
    ]
    persistence = found.errors[found.errors["forecaster"] == PERSISTENCE]
    assert persistence["mape"].tolist() == pytest.approx((100 * np.array(expected)).tolist())


def self_origins() -> range:
    end = 168 * 9 - HOURS + 1
    return range(end - 4 * 168, end, 3)


def test_what_is_chosen_is_so_by_the_hours_before_those_of_the_test():
    history = weekly(9)
    champion = Champion(history, 1.0, 0.1)
    backtest(champion, history, HOURS)
    (shown,) = champion.shown
    assert shown.times.tolist() == history.times[: self_origins()[0]].tolist()


def test_what_is_concluded():
    history = weekly(9, noise=0.05)
    better = backtest(Champion(history, 1.001, 0.1), history, HOURS)
    assert verdict(better).startswith("worth it: mean error 0.10 %, of ")
    worse = backtest(Champion(history, 2.0, 0.1), history, HOURS)
    assert verdict(worse).startswith("not worth it for this series: ")
    assert worse.coverage.tolist() == [[0, 0]] * 6


def test_a_short_history_is_tested_on_what_it_has():
    history = weekly(2)
    found = backtest(Champion(history, 1.0, 0.1), history, HOURS)
    assert found.forecasts == len(range(168, 336 - HOURS + 1, 3))
    assert LINEAR not in set(found.errors["forecaster"])
    assert backtest(Champion(history, 1.0, 0.1), weekly(1), HOURS) is None


def test_hours_without_load_are_left_out_of_the_percentages():
    history = weekly(9)
    history.loads[-100:] = 0
    found = backtest(Champion(history, 1.0, 0.1), history, HOURS)
    assert found.mean("net") == pytest.approx(0)
    assert np.isfinite(found.errors["smape"]).all()


def test_hours_of_the_training_test_nothing():
    history = weekly(9)
    found = backtest(Champion(history, 1.0, 0.1, unseen=168 * 8), history, HOURS)
    assert found.forecasts == len(range(168 * 8, 168 * 9 - HOURS + 1, 3))
    assert backtest(Champion(history, 1.0, 0.1, unseen=168 * 9 - 24), history, HOURS) is None
