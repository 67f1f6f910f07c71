"""Forecasters of relative changes: their inputs against pandas, their forecasts against what they may depend on."""

import numpy as np
import pandas as pd
import pytest
import torch

from nnmodels.relative import (
    AnyForecaster,
    Days,
    Encoder,
    Encoding,
    LagForecaster,
    RawForecaster,
    Recurrence,
    RelativeForecaster,
    Scales,
)

START = pd.Timestamp("2017-12-20 05:00")
FIRST_DAY = 17500  # days since 1970-01-01: 2017-11-30
SCALES = Scales(torch.tensor([0.02, 0.05]), torch.tensor([5.0, 7.0]), torch.tensor([0.2, 0.4]), torch.ones(2))
CHANGE = Encoding("change", "target", (24, 48), True)
STEPS = 30


@pytest.fixture(scope="module")
def days() -> Days:
    facts = np.zeros((60, 2), np.uint8)
    facts[25, 1] = 1  # 2017-12-25
    return Days(FIRST_DAY, torch.from_numpy(facts))


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """Two series of as many hours as an encoder with lags up to 48 takes for STEPS steps."""
    index = pd.date_range(START, periods=48 + STEPS + 1, freq="h")
    rng = np.random.default_rng(0)
    return pd.DataFrame(np.exp(np.cumsum(rng.normal(0, 0.05, (len(index), 2)), 0) + np.array([5, 7])), index=index)


@pytest.fixture(scope="module")
def hours(table) -> torch.Tensor:
    time = (table.index - pd.Timestamp(0)) / pd.Timedelta("1h")
    raw = [np.column_stack([table[series], time, np.full(len(table), series)]) for series in table]
    return torch.from_numpy(np.stack(raw, 1).astype(np.float32))


def encoder(encoding: Encoding, days: Days) -> Encoder:
    return Encoder(encoding, SCALES, days)


def inputs(made: Encoder, hours: torch.Tensor) -> torch.Tensor:
    return made.inputs(hours, made.item(hours))


@pytest.mark.parametrize("series", [0, 1])
def test_changes_level_and_lags_are_those_of_pandas(table, hours, days, series):
    found = inputs(encoder(CHANGE, days), hours)[:, series]
    scale = SCALES.change[series].item()
    log = np.log(table[series])
    change = (log.diff() / scale).clip(-8, 8)
    expected = pd.DataFrame(
        {
            "change": change,
            "level": (log - SCALES.mean[series].item()) / SCALES.deviation[series].item(),
            "change 24 hours before the target": change.shift(23),
            "from 24 hours before": log.diff(24) / (3 * scale),
            "change 48 hours before the target": change.shift(47),
            "from 48 hours before": log.diff(48) / (3 * scale),
        }
    )
    assert found[:, :6].numpy() == pytest.approx(expected.iloc[48:-1].to_numpy(), abs=2e-3)


def test_the_calendar_is_that_of_the_hour_to_forecast(table, hours, days):
    found = inputs(encoder(CHANGE, days), hours)[:, 0].numpy()
    target = table.index[49:]
    assert found[:, 6:30].argmax(1).tolist() == target.hour.tolist()
    assert found[:, 30:37].argmax(1).tolist() == target.day_of_week.tolist()
    assert (found[:, 6:37].sum(1) == 2).all()
    assert found[:, 37] == pytest.approx(np.sin(2 * np.pi * target.hour / 24), abs=1e-5)
    # The year turns at the end of December, but for the drift of leap years.
    turn = np.angle(found[:, 40] + 1j * found[:, 38])
    assert turn == pytest.approx(2 * np.pi * (target.day_of_year - 366) / 365.25, abs=0.03)
    assert found[:, 42].tolist() == (target.strftime("%m-%d") == "12-25").astype(float).tolist()
    assert found[:, 43:].tolist() == [[1, 0]] * STEPS


def test_the_calendar_of_the_last_hour_is_four_numbers(table, hours, days):
    found = inputs(encoder(Encoding("change", "last", (24, 48), False), days), hours)[:, 0].numpy()
    last = table.index[48:-1]
    assert found.shape == (STEPS, 10)
    assert found[:, 6] == pytest.approx((last.hour / 23 * 2 - 1) * 3**0.5, abs=1e-5)
    assert found[:, 7] == pytest.approx((last.day_of_week / 6 * 2 - 1) * 3**0.5, abs=1e-5)


@pytest.mark.parametrize("target", ["change", "level"])
@pytest.mark.parametrize("calendar", ["last", "target"])
@pytest.mark.parametrize("lags", [(), (24,), (24, 48)])
@pytest.mark.parametrize("identity", [False, True])
def test_a_perfect_forecast_is_the_load(table, hours, days, target, calendar, lags, identity):
    encoding = Encoding(target, calendar, lags, identity)
    made = encoder(encoding, days)
    given = hours[48 - encoding.history :]
    assert inputs(made, given).shape == (STEPS, 2, made.width)
    item = made.item(given)
    loads = made.load(made.targets(given, item), given, item)
    assert loads.numpy() == pytest.approx(table.iloc[-STEPS:].to_numpy(), rel=1e-4)


def test_a_load_of_zero_and_an_outage_leave_all_finite(hours, days):
    made, broken = encoder(CHANGE, days), hours.clone()
    broken[50:55, :, 0] = 0.0
    item = made.item(broken)
    targets = made.targets(broken, item)
    for part in (inputs(made, broken), targets, made.load(targets, broken, item)):
        assert torch.isfinite(part).all()
    assert targets.abs().max() <= 8


@pytest.mark.parametrize("cell", ["GRU", "LSTM", "RNN", "MLP"])
def test_a_network_that_has_learnt_nothing_repeats_the_last_load(table, hours, days, cell):
    model = network(cell, days)
    window = hours.transpose(0, 1)
    raw = RawForecaster(model, len(table) - 1).eval()
    assert raw(window).detach().numpy() == pytest.approx(table.iloc[-2].to_numpy(), rel=1e-5)


@pytest.mark.parametrize("cell", ["GRU", "LSTM", "RNN", "MLP"])
def test_a_forecast_depends_on_all_hours_before_and_not_on_its_own(table, hours, days, cell):
    model = network(cell, days)
    randomise(model)
    window = hours.transpose(0, 1).clone().requires_grad_()
    RawForecaster(model, len(table) - 1).eval()(window).sum().backward()
    gradient = window.grad[:, :, 0]
    assert (gradient[:, -1] == 0).all()
    assert (gradient[:, :-1] != 0).all(1).all()


@pytest.mark.parametrize("cell", ["GRU", "LSTM", "RNN", "MLP"])
def test_a_series_of_the_training_is_forecast_alike_by_its_number_and_by_its_scales(table, hours, days, cell):
    model = network(cell, days)
    randomise(model)
    window = hours.transpose(0, 1)
    by_number = RawForecaster(model, len(table) - 1).eval()(window)
    scales = torch.stack(list(SCALES), 1)
    by_scales = AnyForecaster(model, len(table) - 1).eval()(window[:, :, :2], scales, torch.eye(2))
    torch.testing.assert_close(by_scales, by_number[:, None])


@pytest.mark.parametrize("cell", ["GRU", "average"])
def test_of_several_hours_each_is_forecast_from_all_before_it(table, hours, days, cell):
    model = recurrent(["GRU", "LSTM", "RNN"], 2, 8, days) if cell == "average" else network(cell, days)
    randomise(model)
    model.eval()
    lookback = len(table) - 6
    known = hours.clone()
    for row in range(lookback, len(table)):
        # The whole window up to this hour, from a zero state.
        shown = known[: row + 1]
        forecast = model(shown, first=row - model.history - 1)
        known[row, :, 0] = model.encoder.load(forecast, shown, model.encoder.item(shown))[0]
    unread = hours.clone()
    unread[lookback:, :, 0] = float("nan")
    window, scales = unread.transpose(0, 1)[:, :, :2], torch.stack(list(SCALES), 1)
    with torch.inference_mode():
        found = AnyForecaster(model, lookback)(window, scales, torch.eye(2))
    torch.testing.assert_close(found, known[lookback:, :, 0].t(), rtol=1e-5, atol=0)
    assert window[:, lookback:, 0].isnan().all()


def test_of_several_hours_a_perceptron_forecasts_each_from_the_same_number_before_it(table, hours, days):
    lookback = 60
    model = LagForecaster(lookback, (16, 8), encoder(CHANGE, days)).eval()
    randomise(model)
    first = len(table) - lookback - 3
    window, scales = hours[first:].transpose(0, 1)[:, :, :2], torch.stack(list(SCALES), 1)
    known = window.clone()
    one = AnyForecaster(model, lookback)
    with torch.inference_mode():
        for hour in range(3):
            known[:, lookback + hour, 0] = one(known[:, hour : lookback + hour + 1], scales, torch.eye(2))[:, 0]
        torch.testing.assert_close(one(window, scales, torch.eye(2)), known[:, lookback:, 0])


@pytest.mark.parametrize("cell", ["GRU", "MLP"])
def test_a_series_ten_times_as_large_with_scales_of_its_own_is_forecast_ten_times_as_large(table, hours, days, cell):
    model = network(cell, days)
    randomise(model)
    window = hours.transpose(0, 1)[:, :, :2]
    scales, larger = torch.stack(list(SCALES), 1), torch.stack(list(SCALES), 1)
    larger[:, 1] += np.log(10)
    forecaster = AnyForecaster(model, len(table) - 1).eval()
    tenfold = window * torch.tensor([10.0, 1.0])
    torch.testing.assert_close(
        forecaster(tenfold, larger, torch.eye(2)), 10 * forecaster(window, scales, torch.eye(2)), rtol=1e-4, atol=0
    )


@pytest.mark.parametrize("layers", [1, 2])
def test_training_and_evaluation_give_the_same_forecasts(hours, days, layers):
    model = recurrent(["GRU"], layers, 8, days)
    randomise(model)
    by_hand, by_torch = model.train()(hours, first=3), model.eval()(hours, first=3)
    assert by_hand.shape == (1, STEPS - 3, 2)
    torch.testing.assert_close(by_hand[0], by_torch, rtol=1e-5, atol=1e-6)


def test_several_networks_forecast_each_for_itself_in_training_and_their_mean_otherwise(hours, days):
    model = recurrent(["GRU", "LSTM", "RNN"], 1, 8, days)
    randomise(model)
    each, mean = model.train()(hours, first=3), model.eval()(hours, first=3)
    alone = [RelativeForecaster(model.encoder, [member]).eval()(hours, first=3) for member in model.members]
    assert not torch.allclose(alone[0], alone[1])
    torch.testing.assert_close(each, torch.stack(alone), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(mean, (alone[0] + alone[1] + alone[2]) / 3, rtol=1e-5, atol=1e-6)


def network(cell: str, days: Days) -> RelativeForecaster | LagForecaster:
    torch.manual_seed(0)
    if cell == "MLP":
        return LagForecaster(48 + STEPS, (16, 8), encoder(CHANGE, days))
    return recurrent([cell], 1, 16, days)


def recurrent(cells: list[str], layers: int, hidden: int, days: Days) -> RelativeForecaster:
    inputs = encoder(CHANGE, days)
    return RelativeForecaster(
        inputs, [Recurrence(inputs.width, cell, layers, hidden, 0.0, hidden // 2) for cell in cells]
    )


def randomise(model: torch.nn.Module) -> None:
    """Give the last layers, which begin with zero, random weights."""
    for name, weight in model.named_parameters():
        if "head" in name and len(weight) == 1:
            torch.nn.init.normal_(weight)
