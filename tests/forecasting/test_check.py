"""What came, beside what was forecast: errors, intervals, the week before, and forecasts that cannot be compared."""

import numpy as np
import pandas as pd
import pytest

from pipelines.errors import UserError
from pipelines.forecasting.check import checked, lines, read_forecast
from pipelines.forecasting.history import History

START = np.datetime64("2021-05-10T00:00:00", "s")


def forecast(loads: list[float], **columns) -> pd.DataFrame:
    values = np.array(loads)
    times = START + np.arange(len(loads)) * np.timedelta64(3600, "s")
    limits = {"low_80": 0.9 * values, "high_80": 1.1 * values, "low_95": 0.7 * values, "high_95": 1.3 * values}
    return pd.DataFrame({"time": times, "forecast": values} | limits | columns)


def history(name: str, first: int, loads: list[float]) -> History:
    """Loads from so many hours after START on."""
    times = START + (first + np.arange(len(loads))) * np.timedelta64(3600, "s")
    return History(name, times, np.array(loads))


def test_errors_are_those_of_the_hours_that_are_known():
    found = checked(forecast([100, 200, 300, 400]), [history("town", -1, [7, 80, 250, 300])])
    assert found.table["actual"].tolist() == [80, 250, 300]
    assert found.table["error_percent"].tolist() == pytest.approx([25, -20, 0])
    assert found.table["series"].tolist() == ["town"] * 3
    assert found.mape == pytest.approx(15)
    # 80 is within 70 to 130, 250 within 140 to 260; neither within a tenth.
    assert found.coverage == pytest.approx([100 / 3, 100])
    said = "\n".join(lines(found))
    assert "3 of 4 hours are known" in said
    assert "mean error of the forecast 15.00 %" in said
    assert "33 % (nominal 80 %), 100 % (nominal 95 %)" in said
    assert "week before" not in said


def test_the_week_before_is_a_forecast_too():
    week = [100.0] * 168
    found = checked(forecast([100, 100]), [history("town", -168, [*week, 80, 125])])
    assert found.table["last_week"].tolist() == [100, 100]
    assert found.last_week_mape == pytest.approx((25 + 20) / 2)
    assert "of the same hour of the week before 22.50 %" in "\n".join(lines(found))


def test_each_series_is_compared_with_its_own_loads():
    both = pd.concat([forecast([100], series="a"), forecast([200], series="b")])
    found = checked(both, [history("b", 0, [100]), history("a", 0, [100]), history("c", 0, [1])])
    assert dict(zip(found.table["series"], found.table["error_percent"], strict=True)) == {"a": 0, "b": 100}


def test_the_two_hours_of_one_name_are_told_apart():
    twice = forecast([100, 100]).assign(time=START)
    found = checked(twice, [History("town", np.array([START, START]), np.array([100.0, 50.0]))])
    assert found.table["error_percent"].tolist() == [0, 100]


def test_hours_without_load_have_no_percentage():
    found = checked(forecast([100, 100]), [history("town", 0, [0, 80])])
    assert found.mape == pytest.approx(25)
    assert found.table["error_percent"].isna().tolist() == [True, False]


def test_a_level_without_limits_has_no_coverage():
    without = forecast([100]).assign(low_95=np.nan, high_95=np.nan)
    found = checked(without, [history("town", 0, [100])])
    assert np.isnan(found.coverage).tolist() == [False, True]
    assert "within the intervals: 100 % (nominal 80 %)" in list(lines(found))[-1]


@pytest.mark.parametrize(
    ("histories", "said"),
    [
        ([history("town", 1, [1.0])], "the loads have no hour of the forecast"),
        ([history("a", 0, [1.0]), history("b", 0, [1.0])], r"there are several \(a, b\); give its loads alone"),
    ],
)
def test_what_cannot_be_compared_is_refused(histories, said):
    with pytest.raises(UserError, match=said):
        checked(forecast([100]), histories)


def test_a_forecast_is_read_as_it_was_written(tmp_path):
    file = tmp_path / "forecast.csv"
    written = forecast([100, 200.5], series=["7", "7"])
    written.to_csv(file, index=False)
    pd.testing.assert_frame_equal(read_forecast(file), written)


@pytest.mark.parametrize(
    "text", ["", "time,load\n2021-01-01,5\n", "time,forecast\nyesterday,5\n", "time,forecast\n,x\n"]
)
def test_a_file_that_is_no_forecast_is_refused(tmp_path, text):
    file = tmp_path / "forecast.csv"
    file.write_text(text)
    with pytest.raises(UserError, match="is no forecast"):
        read_forecast(file)
    with pytest.raises(UserError, match="does not exist; make a forecast first"):
        read_forecast(tmp_path / "none.csv")
