"""Errors by groups of targets, against sums by hand."""

import numpy as np
import pandas as pd
import pytest

from pipelines.experiments.recurrent.breakdown import breakdown


@pytest.fixture
def predictions() -> pd.DataFrame:
    """Two hours of two series: from 1 January 2018 00:00, a holiday."""
    return pd.DataFrame(
        {
            "series": pd.Categorical(["B", "B", "A", "A"]),
            "time": pd.to_datetime(["2018-01-01 00:00", "2018-01-01 01:00"] * 2),
            "holiday": True,
            "actual_mw": np.array([110, 110, 100, 300], np.float32),
            "forecast_mw": np.array([110, 90, 300, 300], np.float32),
        }
    )


def test_the_mean_error_of_each_group_and_that_of_the_hour_before(predictions):
    found = breakdown(predictions, np.array([100, 110, 200, 100])).set_index(["by", "group"])
    # Of |F - A| / ((F + A) / 2) in percent, a quarter: 0; 20/100; 200/200; 0. Of the hour before: 10/105; 0; 100/150;
    # 200/200.
    assert found.loc[("series", "B")].tolist() == pytest.approx(
        [2, 25 * 0.2 / 2, 25 * 10 / 105 / 2, 1 - 0.2 * 105 / 10]
    )
    assert found.loc[("series", "A")].tolist() == pytest.approx([2, 25 / 2, 25 * (2 / 3 + 1) / 2, 1 - 1 / (5 / 3)])
    assert found.loc[("hour", "00"), "smape_report"] == pytest.approx(25 / 2)
    assert found.loc[("hour", "01"), "smape_report"] == pytest.approx(25 * 0.2 / 2)
    assert found.loc["weekday"].index.tolist() == ["Mon"]
    assert found.loc["month"].index.tolist() == ["Jan"]
    assert found.loc[("day", "holiday"), "targets"] == 4
    assert ("day", "ordinary") not in found.index


def test_groups_are_in_their_natural_order():
    times = pd.date_range("2017-01-01", "2017-12-31 23:00", freq="h")
    load = np.full(len(times), 100.0, np.float32)
    year = pd.DataFrame({"series": "S", "time": times, "holiday": False, "actual_mw": load, "forecast_mw": load})
    groups = breakdown(year, load).groupby("by", sort=False)["group"].agg(list)
    assert groups["hour"] == [f"{hour:02d}" for hour in range(24)]
    assert groups["weekday"] == ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
    assert groups["month"][:3] == ["Jan", "Feb", "Mar"]


def test_where_the_hour_before_is_always_right_there_is_no_skill():
    times = pd.date_range("2017-01-01", periods=5, freq="h")
    load = np.full(5, 100.0, np.float32)
    flat = pd.DataFrame({"series": "S", "time": times, "holiday": False, "actual_mw": load, "forecast_mw": load + 1})
    found = breakdown(flat, load)
    assert found["skill"].isna().all()
    assert (found["persistence"] == 0).all()
