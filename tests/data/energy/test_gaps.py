"""Policies for missing hours: what is a gap, what is filled, and what stands in for it."""

import numpy as np
import pandas as pd
import pytest

from pipelines.data.energy.gaps import LINE_HOURS, WEEK_HOURS, apply, elapsed
from pipelines.data.energy.terms import FILL, GAPS, KEEP, SKIP

BERLIN = "Europe/Berlin"


def clock(first: str, hours: int, timezone: str = "") -> np.ndarray:
    """What a clock shows at consecutive hours."""
    times = pd.date_range(first, periods=hours, freq="h", tz=timezone or None)
    return times.tz_localize(None).to_numpy().astype("datetime64[s]")


def without(times: np.ndarray, *absent: int) -> tuple[np.ndarray, np.ndarray]:
    """Times and loads, each of which is its number, of all hours but some."""
    kept = np.setdiff1d(np.arange(len(times)), absent)
    return times[kept], kept.astype(float)


@pytest.mark.parametrize("policy", GAPS)
def test_a_series_without_gaps_stays_as_it_is(policy):
    times, load = without(clock("2021-06-01", 50))
    hours = apply(times, load, "", policy)
    assert hours.times.tolist() == times.tolist()
    assert hours.load.tolist() == load.tolist()
    assert (len(hours.breaks), len(hours.filled), hours.gaps, hours.clock_changes) == (0, 0, 0, 0)


def test_no_window_may_cross_a_gap_that_is_skipped():
    times, load = without(clock("2021-06-01", 50), 10, 30, 31)
    hours = apply(times, load, "", SKIP)
    assert hours.breaks.tolist() == [10, 29]
    assert hours.load[hours.breaks].tolist() == [11, 32]
    assert hours.gaps == 2


def test_gaps_that_are_kept_are_counted_only():
    times, load = without(clock("2021-06-01", 50), 10, 30, 31)
    hours = apply(times, load, "", KEEP)
    assert (hours.breaks.tolist(), hours.filled.tolist(), hours.gaps) == ([], [], 2)


def test_short_gaps_are_filled_along_a_line():
    times, load = without(clock("2021-06-01", 50), 10, 30, 31, 32)
    hours = apply(times, load, "", FILL)
    assert hours.times.tolist() == clock("2021-06-01", 50).tolist()
    assert hours.load.tolist() == pytest.approx(range(50))
    assert hours.filled.tolist() == [10, 30, 31, 32]
    assert (hours.breaks.tolist(), hours.gaps) == ([], 2)


def test_longer_gaps_are_filled_with_the_week_before():
    absent = range(200, 200 + LINE_HOURS + 1)
    times, load = without(clock("2021-06-01", 400), *absent)
    hours = apply(times, load, "", FILL)
    assert hours.load[list(absent)].tolist() == [hour - WEEK_HOURS for hour in absent]
    assert hours.filled.tolist() == list(absent)


@pytest.mark.parametrize(
    "absent",
    [
        pytest.param(range(300, 300 + WEEK_HOURS + 1), id="longer than a week"),
        pytest.param(range(100, 110), id="no week before it"),
        pytest.param([*range(40, 43), *range(40 + WEEK_HOURS, 45 + WEEK_HOURS)], id="a gap a week before"),
    ],
)
def test_a_gap_that_cannot_be_filled_is_skipped(absent):
    times, load = without(clock("2021-06-01", 700), *absent)
    hours = apply(times, load, "", FILL)
    assert len(hours.breaks) == 1
    first = int(hours.breaks[0])
    assert hours.load[first] == max(absent) + 1
    assert hours.times[first] - hours.times[first - 1] > np.timedelta64(1, "h")


def test_the_hour_that_clocks_skip_is_missing_only_where_the_zone_is_unknown():
    times = clock("2021-03-28", 24, BERLIN)
    assert times[1:3].astype(str).tolist() == ["2021-03-28T01:00:00", "2021-03-28T03:00:00"]
    known, unknown = (apply(times, np.ones(24), zone, SKIP) for zone in (BERLIN, ""))
    assert known.gaps == 0
    assert (unknown.breaks.tolist(), unknown.clock_changes) == ([2], 1)


def test_an_hour_that_clocks_repeat_is_no_gap_and_no_duplicate():
    times = clock("2021-10-31", 25, BERLIN)
    assert len(np.unique(times)) == 24
    for zone in (BERLIN, ""):
        assert apply(times, np.ones(25), zone, SKIP).gaps == 0


def test_filled_hours_have_the_times_that_the_clock_showed():
    whole = clock("2021-10-30", 60, BERLIN)  # hour 26 is the first 02:00 of 31 October, hour 27 the second
    times, load = without(whole, 26, 27, 28)
    hours = apply(times, load, BERLIN, FILL)
    assert hours.times.tolist() == whole.tolist()
    assert hours.load.tolist() == pytest.approx(range(60))


def test_hours_that_have_passed_are_those_of_the_utc_clock():
    whole = pd.date_range("2021-03-01", "2021-12-01", freq="h", tz=BERLIN)
    passed = elapsed(whole.tz_localize(None).to_numpy().astype("datetime64[s]"), BERLIN)
    assert passed.tolist() == (whole.tz_convert("UTC").as_unit("s").asi8 // 3600).tolist()
