"""The recurrent forecasters: sizes worked out by hand, and every form of the same network giving the same numbers."""

import numpy as np
import pytest
import torch
from torch import nn

from nnmodels.recurrent import LoadForecaster, RecurrentForecaster
from pipelines.experiments.recurrent.rows import NETWORKS

CELLS = ("RNN", "LSTM", "GRU")
INPUTS = 5
CLOSE = {"rtol": 1e-5, "atol": 1e-6}

# By hand, with H = 256 and 5 features: a gate is H x 5 + H x H + 2 H = 67,328 in the first layer and
# H x H + H x H + 2 H = 131,584 in each further one; the head is 256 + 1. One gate an RNN, three a GRU, four an LSTM.
PARAMETERS = {
    "gru-2": 596_993,
    "lstm-2": 795_905,
    "rnn-2": 199_169,
    "gru-3": 991_745,
    "lstm-3": 1_322_241,
    "rnn-3": 330_753,
}


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def test_every_network_of_the_catalogue_has_its_number_of_parameters():
    counts = {}
    for row in PARAMETERS:
        network = NETWORKS[row]
        model = RecurrentForecaster(network.cell, network.layers, network.hidden, network.dropout)
        counts[row] = sum(parameter.numel() for parameter in model.parameters())
    assert counts == PARAMETERS


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("cell", CELLS)
def test_is_the_cell_then_relu_and_a_linear_layer_at_every_step(cell, training):
    model = RecurrentForecaster(cell, 2, 8).train(training)
    x = torch.rand(12, 3, INPUTS)
    reference = getattr(nn, cell)(INPUTS, 8, 2)
    reference.load_state_dict(model.recurrent.state_dict())
    states, weight, bias = (
        tensor.detach().numpy() for tensor in (reference(x)[0], model.head.weight[0], model.head.bias)
    )
    np.testing.assert_allclose(model(x).detach(), np.maximum(states, 0) @ weight + bias, **CLOSE)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("first", [1, 7, 11])
@pytest.mark.parametrize("cell", CELLS)
def test_first_leaves_out_the_steps_before_it(cell, first, training):
    model = RecurrentForecaster(cell, 2, 8).train(training)
    x = torch.rand(12, 3, INPUTS)
    tail = model(x, first=first)
    assert tail.shape == (12 - first, 3)
    torch.testing.assert_close(tail, model(x)[first:], **CLOSE)


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("cell", CELLS)
def test_training_and_evaluation_agree_without_dropout(cell, layers):
    model = RecurrentForecaster(cell, layers, 8)
    x = torch.rand(20, 4, INPUTS)
    results = []
    for training in (True, False):
        forecasts = model.train(training)(x, first=5)
        results.append([forecasts, *torch.autograd.grad(forecasts.square().sum(), list(model.parameters()))])
    torch.testing.assert_close(*results, **CLOSE)


def test_a_gru_trains_on_the_hand_written_path(monkeypatch):
    calls = []
    monkeypatch.setattr("nnmodels.recurrent.gru", lambda module, x: calls.append(module) or module(x)[0])
    model = RecurrentForecaster("GRU", 2, 8)
    model(torch.rand(3, 2, INPUTS))
    assert calls == [model.recurrent]
    model.eval()(torch.rand(3, 2, INPUTS))
    assert len(calls) == 1


@pytest.mark.parametrize("cell", CELLS)
def test_dropout_is_between_layers_while_training_only(cell):
    x = torch.rand(6, 2, INPUTS)
    two, one = (RecurrentForecaster(cell, layers, 8, dropout=0.5) for layers in (2, 1))
    assert not torch.equal(two(x), two(x))
    assert torch.equal(one(x), one(x))
    assert torch.equal(two.eval()(x), two(x))


@pytest.mark.parametrize("cell", CELLS)
def test_standardise_is_the_network_on_standardised_inputs(cell):
    model = RecurrentForecaster(cell, 2, 8).eval()
    mean = torch.tensor([0.4, 0.5, 0.3, 0.6, 0.2])
    std = torch.tensor([0.25, 0.3, 0.2, 0.1, 0.28])
    x = torch.rand(15, 4, INPUTS)
    expected = model((x - mean) / std)
    before = model(x)
    model.standardise(mean, std)
    torch.testing.assert_close(model(x), expected, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(model(x), before, atol=1e-3)


def test_standardise_only_centres_a_constant_feature():
    model = RecurrentForecaster("GRU", 1, 8).eval()
    mean, std = torch.full((INPUTS,), 0.5), torch.tensor([0.2, 0.2, 0.2, 0.0, 0.2])
    x = torch.rand(15, 4, INPUTS)
    expected = model((x - mean) / torch.tensor([0.2, 0.2, 0.2, 1.0, 0.2]))
    model.standardise(mean, std)
    torch.testing.assert_close(model(x), expected, rtol=1e-4, atol=1e-5)


def test_forecasts_are_fp32_under_autocast():
    model = RecurrentForecaster("GRU", 2, 8)
    x = torch.rand(6, 2, INPUTS)
    for training in (True, False):
        with torch.autocast("cpu", torch.bfloat16):
            assert model.train(training)(x).dtype == torch.float32


# The model with its scaling inside. Series 0 is small, series 1 large, series 2 has a feature that never changed.
HOURS = 7  # torch.export writes out every step of an RNN: 90 would take a minute
MINIMUM = np.array([[1000, 0, 0, 1, 1], [20000, 0, 0, 1, 1], [300, 0, 0, 8, 213]], dtype=np.float32)
MAXIMUM = np.array([[2500, 23, 6, 12, 366], [60000, 23, 6, 12, 366], [900, 23, 6, 8, 243]], dtype=np.float32)


def load_forecaster(cell: str) -> LoadForecaster:
    forecaster = RecurrentForecaster(cell, 2, 8)
    return LoadForecaster(forecaster, torch.from_numpy(MINIMUM), torch.from_numpy(MAXIMUM)).eval()


def raw_windows(series: list[int]) -> np.ndarray:
    """Windows (B, HOURS, 6) of random hours, most within each series' range."""
    share = np.random.default_rng(0).uniform(-0.1, 1.1, (len(series), HOURS, INPUTS))
    hours = MINIMUM[series, None] + share * (MAXIMUM - MINIMUM)[series, None]
    numbers = np.broadcast_to(np.array(series, dtype=np.float64)[:, None, None], (len(series), HOURS, 1))
    return np.concatenate([hours, numbers], axis=2).astype(np.float32)


@pytest.mark.parametrize("cell", CELLS)
def test_megawatts_in_and_out_are_the_scaling_done_by_hand(cell):
    model = load_forecaster(cell)
    series = [2, 0, 1, 0]
    windows = raw_windows(series)
    forecasts = model(torch.from_numpy(windows))
    assert forecasts.shape == (len(series),)
    for window, number, forecast in zip(windows, series, forecasts, strict=True):
        scaled = np.zeros((HOURS, 1, INPUTS), dtype=np.float32)
        for feature in range(INPUTS):
            low, high = MINIMUM[number, feature], MAXIMUM[number, feature]
            scaled[:, 0, feature] = (window[:, feature] - low) / (high - low if high > low else 1)
        last = model.forecaster(torch.from_numpy(scaled))[-1, 0].item()
        low, high = MINIMUM[number, 0], MAXIMUM[number, 0]
        assert forecast.item() == pytest.approx(low + last * (high - low), rel=1e-5)


# torch.export sees torch.nn's recurrent modules keep their weights in a list too; the program is complete.
@pytest.mark.filterwarnings("ignore:The tensor attributes .*_flat_weights:UserWarning")
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.medium
def test_export_with_a_dynamic_batch(cell, tmp_path):
    model = load_forecaster(cell)
    example = torch.from_numpy(raw_windows([0, 1]))
    # As mlflow.pytorch.log_model calls it for the format pt2.
    program = torch.export.export(model, (example,), dynamic_shapes=[{0: torch.export.Dim.AUTO}])
    torch.export.save(program, tmp_path / "model.pt2")
    loaded = torch.export.load(tmp_path / "model.pt2").module()
    for series in ([1], [0, 1], [2, 0, 1, 1, 0]):
        windows = torch.from_numpy(raw_windows(series))
        torch.testing.assert_close(loaded(windows), model(windows), rtol=1e-6, atol=1e-3)
