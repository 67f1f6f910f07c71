"""A forecaster that can be used: for series of its training and for new ones, with intervals, on disk."""

import numpy as np
import pandas as pd
import pytest
import torch

from nnmodels.relative import AnyForecaster, Days, Encoder, Scales
from pipelines.errors import UserError
from pipelines.experiments.base import changed
from pipelines.experiments.recurrent.forecaster import encoding_of, network_of
from pipelines.experiments.recurrent.rows import resolve_network
from pipelines.forecasting.champion import Champion, Known, calibrating, load
from pipelines.forecasting.history import histories
from pipelines.forecasting.intervals import Intervals
from pipelines.forecasting.models import SeriesNetwork

LEADS = 24
SCALES = ((0.02, 6.9, 0.3, 1.0), (0.05, 4.6, 0.3, 0.1))  # of loads about 1,000 and 100 MW
SEEN = np.datetime64("2021-03-03T00", "s")
COLUMNS = ["time", "forecast", "low_80", "high_80", "low_95", "high_95", "note"]


def wide(width: float) -> Intervals:
    limits = np.full((LEADS, 2), width) * np.array([1, 2])
    return Intervals((80, 95), limits, 50)


@pytest.fixture(scope="module", params=["gru-relative", "mlp-lags"])
def champion(request) -> Champion:
    settings = changed(resolve_network(request.param, "sample", "dense", 0, 1.0), hidden=4, head=3)
    torch.manual_seed(0)
    scales = Scales(*torch.tensor(SCALES).T)
    network = network_of(settings, Encoder(encoding_of(settings), scales, Days(18000, torch.zeros(900, 2).byte())))
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    known = tuple(Known(name, each, SEEN, wide(0.1)) for name, each in zip("AB", SCALES, strict=True))
    return Champion(settings, AnyForecaster(network, 90).eval(), known, wide(0.2), "", {"row": request.param})


def hours(count: int, level: float = 1000.0, **columns) -> pd.DataFrame:
    number = np.arange(count)
    load = level * (1 + 0.2 * np.sin(number * np.pi / 12)) + np.random.default_rng(0).normal(0, level / 50, count)
    return pd.DataFrame({"time": pd.date_range("2021-03-01", periods=count, freq="h"), "load": load} | columns)


def test_a_series_of_the_training_is_rolled_forward_with_its_scales(champion):
    given = hours(100, series="a")
    answer = champion.forecast(given, LEADS)
    assert list(answer) == ["series", *COLUMNS]
    assert answer["time"].tolist() == pd.date_range("2021-03-05 04:00", periods=LEADS, freq="h").tolist()
    network = SeriesNetwork(champion.network, SCALES[0], np.array([[1, 0]]))
    times = np.concatenate([given["time"].to_numpy(), answer["time"].to_numpy()]).astype("datetime64[s]")
    expected = network.ahead(given["load"].to_numpy()[None, -90:], times[None, -90 - LEADS :])
    assert answer["forecast"].tolist() == pytest.approx(expected[0].tolist())
    assert answer["low_80"].tolist() == pytest.approx((0.9 * answer["forecast"]).tolist())
    assert answer["high_95"].tolist() == pytest.approx((1.2 * answer["forecast"]).tolist())
    ended = "A is a series of its training, which ended at 2021-03-03 00:00"
    assert set(answer["note"]) == {f"{ended}; intervals of the validation part of its training"}


def test_a_table_of_one_series_without_a_name_has_an_answer_without_one(champion):
    assert list(champion.forecast(hours(100), 3)) == COLUMNS


def test_each_series_of_a_table_is_answered(champion):
    answer = champion.forecast(pd.concat([hours(100, series="A"), hours(120, 100.0, series="B")]), 5)
    assert answer["series"].tolist() == ["A"] * 5 + ["B"] * 5


def test_a_new_series_counts_as_the_one_that_forecasts_its_last_weeks_best(champion):
    (history,) = histories(hours(400, 50.0))
    chosen = champion.chosen(history, LEADS)
    assert "none of its training: scaled by its own 400 hours" in chosen.notes[0]
    errors = {}
    for name, row in zip("AB", np.eye(2), strict=True):
        network = SeriesNetwork(champion.network, chosen.forecaster._scales.tolist(), row[None])
        rows = np.arange(90, 400, 5)[:, None] + np.arange(-90, 1)
        forecast = network.ahead(history.loads[rows[:, :-1]], history.times[rows])[:, 0]
        errors[name] = np.mean(np.abs(forecast / history.loads[90::5] - 1))
    assert f"forecast as {min(errors, key=errors.__getitem__)}," in chosen.notes[1]


def test_with_a_short_history_a_new_series_counts_as_each_in_turn(champion):
    (history,) = histories(hours(100, 50.0))
    chosen = champion.chosen(history, LEADS)
    assert "averaged, since its history is short" in chosen.notes[1]
    assert chosen.intervals is champion.pooled


def test_intervals_are_those_of_the_series_own_errors_where_there_are_enough(champion):
    (history,) = histories(hours(90 + 672 + LEADS))
    chosen = champion.chosen(history, LEADS)
    assert chosen.intervals.errors == 135
    assert "of hours that it has not seen" in chosen.notes[-1]


@pytest.mark.parametrize(("hours", "errors"), [(100, 100), (520, 520), (2600, 520), (8760, 516), (100_000, 516)])
def test_a_calibration_is_spread_over_a_year_and_the_hours_of_the_week(hours, errors):
    origins = calibrating(np.arange(hours) + 5)
    assert len(origins) == errors
    assert set(origins) <= set(range(max(5, 5 + hours - 8760), 5 + hours))
    assert len(set(origins % 168)) == min(errors, 168)


def test_hours_of_the_training_calibrate_nothing(champion):
    (history,) = histories(hours(90 + 672 + LEADS, series="A"))
    seen = Known("A", SCALES[0], history.times[-LEADS], wide(0.1))
    trained_on_it = Champion(
        champion.settings, champion.network, (seen, champion.known[1]), champion.pooled, "", champion.about
    )
    assert trained_on_it.chosen(history, LEADS).intervals is seen.intervals
    assert champion.chosen(history, LEADS).intervals.errors > 100


def test_what_is_saved_forecasts_alike(champion, tmp_path):
    champion.save(tmp_path)
    again = load(tmp_path)
    given = pd.concat([hours(100, series="A"), hours(200, 5.0, series="new")])
    pd.testing.assert_frame_equal(again.forecast(given, 12), champion.forecast(given, 12))
    assert (again.about, again.settings, again.timezone) == (champion.about, champion.settings, "")
    assert [each.seen for each in again.known] == [SEEN, SEEN]


@pytest.mark.parametrize(
    ("table", "ahead", "said"),
    [
        (hours(89), 24, "89 hours; the forecaster needs the last 90"),
        (hours(89, series="A"), 24, "89 hours of series A; the forecaster needs the last 90"),
        (
            hours(100, 1e6, series="A"),
            24,
            r"the loads of A are about 1\.01e\+06, in its training 992 MW; give megawatts",
        ),
        (hours(100), 0, "0 hours ahead; give 1 to 168"),
        (hours(100), 169, "169 hours ahead; give 1 to 168"),
    ],
)
def test_what_cannot_be_forecast_is_refused_in_one_sentence(champion, table, ahead, said):
    with pytest.raises(UserError, match=said):
        champion.forecast(table, ahead)


def test_in_a_known_zone_the_hour_that_clocks_skip_is_not_missing(champion):
    # On 2021-03-28 clocks in Berlin went from 02:00 to 03:00.
    skipping = hours(700).assign(
        time=lambda table: pd.date_range("2021-03-01", periods=700, freq="h", tz="Europe/Berlin")
    )
    table = skipping.assign(time=skipping["time"].dt.tz_localize(None))[:660]
    assert "2021-03-28 02:00" not in set(table["time"].astype(str).str[:16])
    answer = champion.forecast(table, 5, "Europe/Berlin")
    assert answer["time"].tolist() == skipping["time"].dt.tz_localize(None)[660:665].tolist()
    with pytest.raises(UserError, match="1 hour is missing after 2021-03-28 01:00"):
        champion.forecast(table, 5)
    with pytest.raises(UserError, match="unknown time zone 'Europe/Berln'"):
        champion.forecast(table, 5, "Europe/Berln")


def test_beyond_what_was_calibrated_the_last_intervals_stand_and_that_is_said(champion):
    (history,) = histories(hours(100, series="A"))
    assert "beyond 24 hours those of 24 hours ahead, which are too narrow" in champion.chosen(history, 30).notes[-1]
    answer = champion.forecast(hours(100, series="A"), 30)
    assert (answer["high_80"] / answer["forecast"]).tolist() == pytest.approx([1.1] * 30)
