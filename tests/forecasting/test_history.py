"""The history that a forecast begins from: what is read, and what is refused in one sentence."""

import numpy as np
import pandas as pd
import pytest

from pipelines.errors import UserError
from pipelines.forecasting.history import histories

BERLIN = "Europe/Berlin"


def table(hours: int = 100, **columns) -> pd.DataFrame:
    times = pd.date_range("2021-03-01", periods=hours, freq="h")
    return pd.DataFrame({"time": times, "load": np.arange(hours) + 500.0} | columns)


def test_hours_and_loads_are_those_of_the_table():
    (found,) = histories(table())
    assert found.series == ""
    assert found.times[[0, -1]].astype(str).tolist() == ["2021-03-01T00:00:00", "2021-03-05T03:00:00"]
    assert found.loads.tolist() == [*np.arange(100) + 500]


def test_times_may_be_text_and_loads_too():
    given = table()
    (found,) = histories(given.assign(time=given["time"].dt.strftime("%Y-%m-%d %H:%M"), load=given["load"].astype(str)))
    assert (found.times == histories(given)[0].times).all()
    assert found.loads.tolist() == histories(given)[0].loads.tolist()


def test_each_series_has_a_history():
    given = pd.concat([table(series="A"), table(50, series="B")])
    assert [(each.series, len(each.times)) for each in histories(given)] == [("A", 100), ("B", 50)]


def test_the_clock_goes_on_without_a_zone():
    (found,) = histories(table(24 * 28 - 46))  # up to 2021-03-27 01:00
    assert found.following(30)[[0, -1]].astype(str).tolist() == ["2021-03-27T02:00:00", "2021-03-28T07:00:00"]


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        ("2021-03-27 20:00", pd.date_range("2021-03-28 00:00", periods=6, freq="h", tz=BERLIN)),
        ("2021-10-30 20:00", pd.date_range("2021-10-31 00:00", periods=6, freq="h", tz=BERLIN)),
    ],
)
def test_in_a_zone_the_clock_changes_as_it_will(first, expected):
    given = pd.DataFrame({"time": pd.date_range(first, periods=4, freq="h"), "load": 1.0})
    (found,) = histories(given, BERLIN)
    assert found.following(6).tolist() == expected.tz_localize(None).to_numpy().astype("datetime64[s]").tolist()


def test_the_hour_that_clocks_skip_is_not_missing_in_its_zone():
    times = pd.date_range("2021-03-27", periods=48, freq="h", tz=BERLIN).tz_localize(None)
    given = pd.DataFrame({"time": times, "load": 1.0})
    assert len(histories(given, BERLIN)[0].times) == 48
    with pytest.raises(UserError, match=r"1 hour is missing after 2021-03-28 01:00"):
        histories(given)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda given: given.drop(columns="load"), "there is no column 'load' among time"),
        (lambda given: given.iloc[:0], "the history is empty"),
        (lambda given: given.drop(index=[10, 11]), "2 hours are missing after 2021-03-01 09:00; fill the gap"),
        (lambda given: given.iloc[::-1], "sort the hours by time"),
        (lambda given: pd.concat([given.iloc[:10], given.iloc[9:]]), "2021-03-01 09:00 is there twice"),
        (lambda given: given.assign(load=given["load"].where(given.index != 7)), "row 8: 'nan' is no finite load"),
        (lambda given: given.assign(load=np.inf), "row 1: 'inf' is no finite load"),
        (lambda given: given.assign(time="soon"), "row 1: 'soon' is no time"),
        (lambda given: given.assign(time=given["time"] + pd.Timedelta("15min")), "2021-03-01 00:15 is no full hour"),
        (lambda given: given.assign(time=given["time"].dt.tz_localize("UTC")), "times have offsets from UTC"),
        (lambda given: given.assign(series="AEP").drop(index=[3]), "1 hour is missing of series AEP after"),
    ],
)
def test_what_is_no_history_is_refused_in_one_sentence(change, said):
    with pytest.raises(UserError, match=said) as refused:
        histories(change(table()))
    assert "\n" not in str(refused.value)
