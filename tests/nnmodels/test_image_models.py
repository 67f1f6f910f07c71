"""The networks of the CNN report: shapes and parameter counts worked out by hand from its section 2.3."""

import numpy as np
import pytest
import torch
from torch import nn

from nnmodels.cnn import cnn, output_size
from nnmodels.images import ImageClassifier
from nnmodels.mlp import mlp
from pipelines.experiments.ablation.rows import ABLATION, resolve_classifier

# Parameters layer by layer: kernel² · inputs · outputs + outputs of a convolution, inputs · outputs + outputs of a
# linear layer.
CNN = [5 * 5 * 3 * 6 + 6, 5 * 5 * 6 * 16 + 16, 400 * 120 + 120, 120 * 84 + 84, 84 * 10 + 10]
PARAMETERS = {
    "cnn": CNN,
    "cnn-leaky-relu": CNN,
    "cnn-tanh": CNN,
    "cnn-lr-low": CNN,
    "cnn-lr-high": CNN,
    "cnn-double-channel": [5 * 5 * 3 * 12 + 12, 5 * 5 * 12 * 32 + 32, 800 * 120 + 120, 120 * 84 + 84, 84 * 10 + 10],
    "cnn-1conv": [5 * 5 * 3 * 6 + 6, 1176 * 120 + 120, 120 * 84 + 84, 84 * 10 + 10],
    "cnn-3conv": [
        3 * 3 * 3 * 6 + 6,
        3 * 3 * 6 * 16 + 16,
        3 * 3 * 16 * 26 + 26,
        104 * 120 + 120,
        120 * 84 + 84,
        84 * 10 + 10,
    ],
    "mlp-2": [3072 * 120 + 120, 120 * 10 + 10],
    "mlp-3": [3072 * 120 + 120, 120 * 50 + 50, 50 * 10 + 10],
    "mlp-4": [3072 * 120 + 120, 120 * 50 + 50, 50 * 30 + 30, 30 * 10 + 10],
    "mlp-5": [3072 * 120 + 120, 120 * 50 + 50, 50 * 30 + 30, 30 * 20 + 20, 20 * 10 + 10],
}
TOTALS = {
    "cnn": 62006,
    "cnn-double-channel": 117678,
    "cnn-1conv": 152710,
    "cnn-3conv": 28432,
    "mlp-2": 369970,
    "mlp-3": 375320,
    "mlp-4": 376650,
    "mlp-5": 377170,
}

# Channels and side after each convolution and each pooling.
SHAPES = {
    "cnn": [(6, 28), (6, 14), (16, 10), (16, 5)],
    "cnn-double-channel": [(12, 28), (12, 14), (32, 10), (32, 5)],
    "cnn-1conv": [(6, 28), (6, 14)],
    "cnn-3conv": [(6, 30), (6, 15), (16, 13), (16, 6), (26, 4), (26, 2)],
}


def network(row: str) -> nn.Sequential:
    classifier = ABLATION[row]
    if not classifier.channels:
        return mlp((3072, *classifier.hidden, 10), classifier.activation)
    return cnn(classifier.channels, classifier.kernel, classifier.hidden, classifier.activation)


def test_the_table_names_all_twelve_rows_of_the_report():
    reported = [row for row, classifier in ABLATION.items() if classifier.published]
    assert reported == [
        "cnn",
        "mlp-2",
        "mlp-3",
        "mlp-4",
        "mlp-5",
        "cnn-double-channel",
        "cnn-1conv",
        "cnn-3conv",
        "cnn-leaky-relu",
        "cnn-tanh",
        "cnn-lr-low",
        "cnn-lr-high",
    ]
    assert PARAMETERS.keys() == set(reported)


@pytest.mark.parametrize("row", PARAMETERS)
def test_parameters_of_each_layer(row):
    layers = [layer for layer in network(row) if list(layer.parameters())]
    assert [sum(p.numel() for p in layer.parameters()) for layer in layers] == PARAMETERS[row]


@pytest.mark.parametrize("row", TOTALS)
def test_parameters_in_all(row):
    assert sum(p.numel() for p in network(row).parameters()) == TOTALS[row]


@pytest.mark.parametrize("row", SHAPES)
def test_shapes_along_the_network(row):
    x, seen = torch.zeros(2, 3, 32, 32), []
    for layer in network(row):
        x = layer(x)
        if isinstance(layer, nn.Conv2d | nn.MaxPool2d):
            assert x.shape[2] == x.shape[3]
            seen.append((x.shape[1], x.shape[2]))
    assert seen == SHAPES[row]
    assert x.shape == (2, 10)


@pytest.mark.parametrize(
    ("row", "activation"),
    [("cnn", nn.ReLU), ("cnn-tanh", nn.Tanh), ("cnn-leaky-relu", nn.LeakyReLU), ("mlp-5", nn.ReLU)],
)
def test_an_activation_follows_every_layer_but_the_last(row, activation):
    layers = list(network(row))
    parameters = [layer for layer in layers if isinstance(layer, nn.Conv2d | nn.Linear)]
    assert sum(isinstance(layer, activation) for layer in layers) == len(parameters) - 1
    assert isinstance(layers[-1], nn.Linear)
    assert all(layer.negative_slope == 0.01 for layer in layers if isinstance(layer, nn.LeakyReLU))


@pytest.mark.parametrize("activation", ["ReLU", "LeakyReLU", "Tanh"])
def test_activation_after_pooling_is_the_reports_activation_before_it(activation):
    """Logits and gradients of the listing's order: convolution, activation, pooling."""
    torch.manual_seed(0)
    ours = cnn((6, 16), 5, (120, 84), activation).double()
    listed = []
    layers = list(ours)
    for number, layer in enumerate(layers):
        if isinstance(layer, nn.MaxPool2d):
            listed += [layers[number + 1], layer]
        elif not (number and isinstance(layers[number - 1], nn.MaxPool2d)):
            listed.append(layer)
    theirs = nn.Sequential(*listed)
    assert [type(layer) for layer in theirs[:3]] == [nn.Conv2d, getattr(nn, activation), nn.MaxPool2d]
    x, labels = torch.randn(8, 3, 32, 32, dtype=torch.float64), torch.arange(8)
    gradients = []
    for model in (ours, theirs):
        model.zero_grad()
        logits = model(x)
        nn.functional.cross_entropy(logits, labels).backward()
        gradients.append([logits.detach(), *(p.grad.clone() for p in ours.parameters())])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding"), [(32, 5, 1, 0), (28, 2, 2, 0), (13, 2, 2, 0), (32, 3, 2, 1), (7, 3, 3, 2)]
)
def test_output_size_is_torchs(size, kernel, stride, padding):
    convolution = nn.Conv2d(1, 1, kernel, stride, padding)
    assert output_size(size, kernel, stride, padding) == convolution(torch.zeros(1, 1, size, size)).shape[-1]


def test_output_size_floors():
    # (13 - 2) / 2 + 1 = 6.5, which the report's formula gives.
    assert output_size(13, 2, 2) == 6


def test_too_many_convolutions_are_refused():
    # 32 -> 28 -> 14 -> 10 -> 5 -> 1 -> nothing to pool
    with pytest.raises(ValueError, match="kernel of 2 does not fit into an input of 1"):
        cnn((6, 16, 26), 5, (10,), "ReLU")


def test_raw_pixels_go_through_the_normalisation():
    mean, deviation = (0.1, 0.2, 0.3), (0.5, 0.25, 0.125)
    model = ImageClassifier(nn.Identity(), mean, deviation)
    pixels = torch.tensor([0, 51, 255], dtype=torch.uint8).view(1, 3, 1, 1)
    # (0 - 0.1) / 0.5, (51 / 255 - 0.2) / 0.25, (1 - 0.3) / 0.125
    torch.testing.assert_close(model(pixels).flatten(), torch.tensor([-0.2, 0.0, 5.6]), atol=1e-6, rtol=0)
    assert not model.state_dict()


def test_a_rows_settings_come_from_the_catalogue_and_give_way_to_overrides():
    low = resolve_classifier("cnn-lr-low", "cifar10", "autograd", 2, 0.5)
    assert (low.lr, low.batch_size, low.epochs, low.momentum) == (0.0001, 32, 10, 0.9)
    assert (low.seed, low.fraction, low.training) == (2, 0.5, "autograd")
    other = resolve_classifier("cnn-lr-low", "cifar10", "manual", 0, 1.0, lr=0.3, epochs=None)
    assert (other.lr, other.epochs, other.training) == (0.3, 10, "manual")
    assert resolve_classifier("cnn-lr-high", "cifar10", "autograd", 0, 1.0).lr == 0.01


def test_the_published_figures_are_those_of_table_2():
    row = ABLATION["cnn-double-channel"].published
    assert dict(row.figures) == {"train_loss": 0.93, "train_accuracy": 67.43, "test_loss": 1.03, "test_accuracy": 64.09}
    gaps = np.array([ABLATION[row].published.figures["test_accuracy"] for row in PARAMETERS])
    assert gaps.min() == 31.7
    assert gaps.max() == 64.09
