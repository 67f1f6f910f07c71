import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from pipelines import names
from pipelines.data.energy import pjm, taylor
from pipelines.data.energy.series import EnergyDataset, split
from pipelines.data.protocol import LOOKBACK
from pipelines.errors import UserError
from pipelines.experiments.recurrent.baselines import Forecaster, forecaster
from pipelines.experiments.recurrent.rows import BASELINES
from pipelines.training.metrics import forecast_metrics, smape


def hand_made(*series: np.ndarray) -> EnergyDataset:
    """A data set of the series given, each (L, 5)."""
    offsets = tuple(np.cumsum([0, *map(len, series)]).tolist())
    values = np.concatenate(series).astype(np.float32)
    times = np.zeros(len(values), "datetime64[s]")
    return EnergyDataset("hand", tuple("ABC"[: len(series)]), values, times, offsets, digest="", counts={})


def random_calendar(rows: int, seed: int = 0) -> np.ndarray:
    """(rows, 5) with no load yet, hours that run on, and a calendar drawn at random: known inputs, one row each."""
    draw = np.random.default_rng(seed)
    return np.stack(
        [
            np.zeros(rows),
            np.arange(rows) % 24,
            draw.integers(0, 7, rows),
            draw.integers(1, 13, rows),
            draw.integers(1, 367, rows),
        ],
        axis=1,
    )


def noisy(rows: int, seed: int = 0) -> np.ndarray:
    """(rows, 5) of a load that swings with the hour and is disturbed."""
    table = random_calendar(rows, seed)
    disturbance = np.random.default_rng(seed + 1).normal(0, 20, rows)
    table[:, 0] = 1000 + 300 * np.sin(2 * np.pi * table[:, 1] / 24) + disturbance
    return table


def forecast_test_part(row: str, dataset: EnergyDataset) -> tuple[np.ndarray, np.ndarray]:
    """Forecast and actual load of the test part of the first series."""
    parts = split(dataset)
    model = forecaster(row)
    model.fit(dataset, parts["train"])
    targets = parts["test"][0]
    return model.predict(dataset, parts["test"])[0], dataset.values[targets, 0].astype(float)


def test_persistence_and_yesterday_by_hand_on_two_series():
    tables = [random_calendar(130), random_calendar(120)]
    tables[0][:, 0], tables[1][:, 0] = np.arange(130), 500 + np.arange(120)
    dataset = hand_made(*tables)
    train, targets = (np.arange(90, 91), np.arange(220, 221)), (np.arange(100, 103), np.arange(230, 232))
    for row, expected in {
        "persistence": ([99, 100, 101], [599, 600]),
        "same-hour-yesterday": ([76, 77, 78], [576, 577]),
    }.items():
        model = forecaster(row)
        model.fit(dataset, train)
        forecasts = model.predict(dataset, targets)
        assert [forecast.tolist() for forecast in forecasts] == [list(values) for values in expected]


@pytest.mark.parametrize("row", ["same-hour-yesterday", "linear-ar", "linear-ar-hourly"])
def test_a_periodic_day_is_forecast_exactly(row):
    # Ninety lags of rank 24: the least squares must not divide by what is only rounding.
    table = random_calendar(600)
    table[:, 0] = np.tile(np.arange(24) ** 2, 25)
    forecast, actual = forecast_test_part(row, hand_made(table))
    np.testing.assert_allclose(forecast, actual, atol=1e-6)


def test_linear_ar_is_exact_on_a_driven_ar2_process():
    # x(t) = 1.2 x(t-1) - 0.5 x(t-2) + 40 month(t) + day_of_year(t), without noise. The random calendar drives it, so
    # neither older lags nor the last row's calendar could stand in for the true ones.
    table = random_calendar(1200)
    for t in range(2, len(table)):
        table[t, 0] = 1.2 * table[t - 1, 0] - 0.5 * table[t - 2, 0] + 40 * table[t, 3] + table[t, 4]
    forecast, actual = forecast_test_part("linear-ar", hand_made(table))
    assert np.ptp(actual) > 1000
    np.testing.assert_allclose(forecast, actual, atol=0.01)


def test_the_hourly_model_has_its_own_weights_each_hour_and_knows_the_weekday():
    # The weight of the last load alternates with the hour, and the weekdays' levels follow no line.
    table = random_calendar(6000)
    level = np.array([500.0, 900.0, 100.0, 700.0, 300.0, 800.0, 200.0])
    weight = np.where(table[:, 1] % 2, 0.2, 0.9)
    for t in range(1, len(table)):
        table[t, 0] = weight[t] * table[t - 1, 0] + level[int(table[t, 2])]
    dataset = hand_made(table)
    hourly, actual = forecast_test_part("linear-ar-hourly", dataset)
    linear, _ = forecast_test_part("linear-ar", dataset)
    assert smape(linear, actual) > 10
    assert smape(hourly, actual) < 0.5


def test_an_hour_seen_once_moves_half_way_and_an_unseen_one_is_linear_ar():
    # Of one target the penalty of 1 leaves half: min (r - c)² + c² at c = r / 2.
    table = noisy(800)
    table[:, 1] %= 20
    table[[300, 790], 1] = 22
    table[791, 1] = 23
    dataset = hand_made(table)
    models = [forecaster("linear-ar"), forecaster("linear-ar-hourly")]
    for model in models:
        model.fit(dataset, (np.arange(90, 700),))
    (at_300, *_), (linear_790, linear_791) = (
        models[0].predict(dataset, (t,))[0] for t in (np.arange(300, 301), np.arange(790, 792))
    )
    residual = table[300, 0] - at_300
    assert abs(residual) > 1
    forecast = models[1].predict(dataset, (np.arange(790, 792),))[0]
    np.testing.assert_allclose(forecast, [linear_790 + residual / 2, linear_791], rtol=1e-6)


def test_boosting_finds_what_linear_models_cannot():
    # Exclusive or of two independent features: no linear model explains any of it.
    table = random_calendar(1000)
    table[:, 1] = 12
    table[:, 0] = 1000 + 500 * ((table[:, 3] <= 6) ^ (table[:, 4] <= 183))
    dataset = hand_made(table)
    hourly, actual = forecast_test_part("linear-ar-hourly", dataset)
    boosted, _ = forecast_test_part("gradient-boosting", dataset)
    assert smape(boosted, actual) < 0.25 * smape(hourly, actual)


@pytest.mark.parametrize("row", BASELINES)
def test_a_forecast_knows_the_past_only(row):
    table = noisy(300)
    dataset = hand_made(table)
    model = forecaster(row)
    model.fit(dataset, (np.arange(90, 270),))
    before = model.predict(dataset, (np.arange(270, 281),))[0]
    assert before.shape == (11,)
    table[280:, 0] = 9999
    assert model.predict(hand_made(table), (np.arange(270, 281),))[0].tolist() == before.tolist()


@pytest.mark.parametrize("row", BASELINES)
def test_a_constant_series_with_a_constant_calendar_is_forecast_exactly(row):
    forecast, actual = forecast_test_part(row, hand_made(np.tile([500.3, 7.0, 2.0, 3.0, 60.0], (300, 1))))
    np.testing.assert_allclose(forecast, actual, rtol=1e-9)


@pytest.mark.parametrize("row", BASELINES)
def test_zero_loads_are_learned_from_and_forecast_from(row):
    table = noisy(300)
    table[[0, 200, 201, 270, 290, 295], 0] = 0  # lags and targets, in training and test part
    forecast, _ = forecast_test_part(row, hand_made(table))
    assert np.isfinite(forecast).all()


@pytest.mark.parametrize("row", ["linear-ar-hourly", "gradient-boosting"])
def test_forecasts_repeat_to_the_bit(row):
    dataset = hand_made(noisy(250))
    once, again = (forecast_test_part(row, dataset)[0] for _ in range(2))
    assert once.tobytes() == again.tobytes()


def test_models_compute_on_the_threads_given_and_leave_the_others_alone():
    def threads() -> set[int]:
        return {library["num_threads"] for library in threadpool_info()}

    class Probe:
        def fit(self, values, rows):
            self.fitted = threads()

        def predict(self, values, rows):
            return self.fitted, threads()

    dataset = hand_made(noisy(100))
    model = Forecaster(Probe, threads=1)
    with threadpool_limits(2):
        model.fit(dataset, (np.arange(90, 95),))
        assert model.predict(dataset, (np.arange(95, 100),)) == [({1}, {1})]
        assert threads() == {2}


@pytest.mark.medium
def test_each_step_is_worth_it_on_the_sample():
    dataset = taylor.load()
    rows = ("persistence", "linear-ar", "linear-ar-hourly", "gradient-boosting")
    errors = [smape(*forecast_test_part(row, dataset)) for row in rows]
    assert errors == sorted(errors, reverse=True)


@pytest.mark.parametrize("row", BASELINES)
def test_no_training_window_is_an_error_and_no_target_is_not(row):
    dataset = hand_made(noisy(300), noisy(300, seed=5))
    model = forecaster(row)
    with pytest.raises(UserError, match=f"series B has no training window.*{LOOKBACK} hours"):
        model.fit(dataset, (np.arange(90, 250), np.arange(390, 390)))
    model.fit(dataset, (np.arange(90, 250), np.arange(390, 550)))
    forecasts = model.predict(dataset, (np.arange(250, 250), np.arange(550, 552)))
    assert [len(forecast) for forecast in forecasts] == [0, 2]


@pytest.mark.slow
def test_published_figures_on_the_pjm_series(real_energy, tmp_path):
    # Measured once by other code: percent in the report's convention.
    dataset = pjm.prepare(tmp_path, source=real_energy)
    parts = split(dataset)
    expected = {"persistence": 0.823, "same-hour-yesterday": 1.823, "linear-ar": 0.253, "linear-ar-hourly": 0.190}
    for row, figure in expected.items():
        model = forecaster(row)
        model.fit(dataset, parts["train"])
        forecasts = model.predict(dataset, parts["test"])
        actuals = [dataset.values[targets, 0] for targets in parts["test"]]
        measured = forecast_metrics(forecasts, actuals, dataset.series)[names.SMAPE_REPORT]
        assert measured == pytest.approx(figure, abs=0.002), row
