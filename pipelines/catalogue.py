"""Every experiment as a row of plain data, with its source and the published figures. Imports neither torch nor mlflow.

A row holds what makes the experiment what it is; `resolve` lays the user's overrides on top of it and gives the flat
mapping that is trained, logged and grouped by.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from types import MappingProxyType
from typing import Any

from pipelines import names

RECURRENT_REPORT = "recurrent report, Table 1"
ABLATION_REPORT = "ablation report, Table 2"

# The recurrent protocol, common to every row: 90 hours in, the next hour out; the last tenth of each series' windows is
# the test part, the last tenth of the rest the validation part of whatever is chosen.
LOOKBACK = 90
TEST_FRACTION = 0.1
VALIDATION_FRACTION = 0.1
FEATURES = ("load", "hour", "day_of_week", "month", "day_of_year")


@dataclass(frozen=True)
class Published:
    """What a report printed for a row: metric name (see names.py) to value, with the report's own label."""

    source: str
    label: str
    figures: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True)
class Protocol:
    """How a network is trained. A row's own settings; 0 in a command keeps them.

    Attributes:
        epochs: passes over the training targets.
        batch_size: items an update: windows (`window`) or segments (`dense`).
        lr: learning rate, the peak one with OneCycle.
        loss: "mse" or "mae" of the scaled load.
        schedule: "constant" or "onecycle" (Smith & Topin 2018).
        beta2: Adam's second decay.
        standardise: whether mean and deviation of the inputs are folded into the first layer's initial weights.
        segment, burn_in: hours of a dense segment, and of its beginning that is not trained on; 0 for `window`.
        threads, replicas: how the row is trained: data-parallel processes and the threads of each.
    """

    epochs: int
    batch_size: int
    lr: float
    loss: str
    schedule: str
    beta2: float
    standardise: bool
    segment: int
    burn_in: int
    threads: int
    replicas: int


# Recurrent report, section 1.4.2: lr 0.001, 2 epochs, batch 200; Adam and the squared error are its tutorial's.
_WINDOW = Protocol(
    epochs=2, batch_size=200, lr=0.001, loss="mse", schedule="constant", beta2=0.999, standardise=False,
    segment=0, burn_in=0, threads=1, replicas=2,
)  # fmt: skip
# Ours: a target at every hour of a segment after a burn-in. The README says what was tried, on validation data.
_DENSE = Protocol(
    epochs=3, batch_size=32, lr=0.005, loss="mae", schedule="onecycle", beta2=0.99, standardise=True,
    segment=96, burn_in=16, threads=1, replicas=2,
)  # fmt: skip

WINDOW, DENSE = "window", "dense"
NO_TRAINING = "none"
PJM, CIFAR10, SAMPLE = "pjm", "cifar10", "sample"

# The sample is 500 times smaller: more epochs, smaller batches, one process a row.
PROTOCOLS: Mapping[tuple[str, str], Protocol] = MappingProxyType(
    {
        (WINDOW, PJM): _WINDOW,
        (DENSE, PJM): _DENSE,
        (WINDOW, SAMPLE): replace(_WINDOW, epochs=10, batch_size=32, replicas=1),
        (DENSE, SAMPLE): replace(_DENSE, epochs=60, batch_size=8, replicas=1),
    }
)


@dataclass(frozen=True)
class Network:
    """A recurrent forecaster: `layers` layers of `cell` (a class of torch.nn), then ReLU and a linear layer.

    The report gives cell, layers and learning rate; hidden 256 and dropout 0.2 are those of the tutorial it follows.
    `dense` holds what this row's dense training has of its own, by name of the setting.
    """

    row: str
    cell: str
    layers: int
    published: Published
    hidden: int = 256
    dropout: float = 0.2
    dense: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True)
class Baseline:
    """A forecaster without a network: the row that tells whether a network is worth it."""

    row: str
    method: str


def _network(
    row: str, cell: str, layers: int, label: str, training: float, evaluation: float, smape: float, lr: float
) -> Network:
    figures = {names.TRAINING_TIME: training, names.EVALUATION_TIME: evaluation, names.SMAPE_REPORT: smape}
    published = Published(RECURRENT_REPORT, label, MappingProxyType(figures))
    return Network(row, cell, layers, published, dense=MappingProxyType({"lr": lr, "dropout": 0.0}))


NETWORKS: Mapping[str, Network] = MappingProxyType(
    {
        network.row: network
        for network in (
            _network("gru-2", "GRU", 2, "GRU Model 2 layer", 763.7, 7.13, 0.239, lr=0.006),
            _network("lstm-2", "LSTM", 2, "LSTM Model 2 layer", 908.6, 9.56, 0.266, lr=0.006),
            _network("rnn-2", "RNN", 2, "RNN 2 layer", 310.1, 2.68, 0.297, lr=0.002),
            _network("gru-3", "GRU", 3, "GRU 3 layer", 1302.2, 11.72, 0.261, lr=0.005),
            _network("lstm-3", "LSTM", 3, "LSTM 3 layer", 1512.3, 16.04, 0.283, lr=0.005),
            _network("rnn-3", "RNN", 3, "RNN 3 layer", 415.5, 4.26, 0.294, lr=0.0015),
        )
    }
)

BASELINES: Mapping[str, Baseline] = MappingProxyType(
    {
        baseline.row: baseline
        for baseline in (
            Baseline("persistence", "the last hour's load"),
            Baseline("same-hour-yesterday", "the load of the same hour yesterday"),
            Baseline("linear-ar", "least squares on the 90 lags and the calendar, one model a series"),
            Baseline(
                "linear-ar-hourly", "linear-ar, corrected by a ridge regression for each hour of day, with weekdays"
            ),
            Baseline("gradient-boosting", "boosted trees on 49 lags and the calendar, correcting linear-ar-hourly"),
        )
    }
)

RECURRENT: Mapping[str, Network | Baseline] = MappingProxyType({**NETWORKS, **BASELINES})


@dataclass(frozen=True)
class Panel:
    """A forecast plot: which of the series (from 0, in the data set's order) and which of its test hours."""

    name: str
    series: int
    hours: slice
    title: str


# Figs 7-9 of the recurrent report; its order of the series is taken to be the tutorial's, it does not say.
PANELS = (
    Panel("forecasts_first", 0, slice(-100, None), "last 100 test hours of the first series, {series} (cf. Fig 7)"),
    Panel("forecasts_fourth", 3, slice(0, 100), "first 100 test hours of the fourth series, {series} (cf. Fig 8)"),
    Panel("forecasts_tenth", 9, slice(0, 100), "first 100 test hours of the tenth series, {series} (cf. Fig 9)"),
)

CURVE_WINDOWS = 4000  # test windows, evenly spread, on which the error along training is measured (Fig 10)
# Where along training it is measured, as shares of all updates: densely at the beginning, where it falls.
CURVE_POINTS = (0, 0.02, 0.05, 0.1, 0.25, 0.5, 0.75, 1)


def resolve(row: str, dataset: str, training: str, seed: int, fraction: float, **overrides: float) -> dict[str, object]:
    """The full settings of one row of the recurrent experiment, flat: what is trained, logged and grouped by.

    Args:
        row: key of RECURRENT.
        dataset: "pjm" or "sample".
        training: "window" or "dense"; of no meaning to a baseline.
        seed: from 0; a baseline has none and gets 0.
        fraction: of the training windows, 0-1].
        overrides: settings by name, laid over the row's own; None keeps the row's. A baseline takes none.
    """
    found = RECURRENT[row]
    common = {"row": row, "dataset": dataset, "lookback": LOOKBACK, "fraction": fraction}
    if isinstance(found, Baseline):
        return common | {"training": NO_TRAINING, "seed": 0, "method": found.method}
    own = {"cell": found.cell, "layers": found.layers, "hidden": found.hidden, "dropout": found.dropout}
    settings = common | {"training": training, "seed": seed} | own | asdict(PROTOCOLS[training, dataset])
    if training == DENSE:
        settings |= found.dense
    return settings | {name: value for name, value in overrides.items() if value is not None}


# The ablation experiment.


@dataclass(frozen=True)
class Classifier:
    """An image classifier of the ablation report, section 2.3: convolutions with pooling, then fully connected layers.

    Attributes:
        row: name.
        channels: output channels of each convolution, all of stride 1 without padding, each followed by the activation
            and a 2x2 max-pooling; none for a multilayer perceptron.
        kernel: side of the convolutions' kernels.
        hidden: neurons of each hidden fully connected layer.
        published: the report's figures.
        activation: class of torch.nn after each convolution and hidden layer. LeakyReLU has torch's slope, 0.01.
        lr: learning rate.
    """

    row: str
    channels: tuple[int, ...]
    kernel: int
    hidden: tuple[int, ...]
    published: Published
    activation: str = "ReLU"
    lr: float = 0.001


def _classifier(
    row: str, label: str, train_loss: float, train_accuracy: float, test_loss: float, test_accuracy: float, **own: Any
) -> Classifier:
    figures = {
        names.TRAIN_LOSS: train_loss,
        names.TRAIN_ACCURACY: train_accuracy,
        names.TEST_LOSS: test_loss,
        names.TEST_ACCURACY: test_accuracy,
    }
    cnn = {"channels": (6, 16), "kernel": 5, "hidden": (120, 84)}
    return Classifier(row, published=Published(ABLATION_REPORT, label, MappingProxyType(figures)), **cnn | own)


def _perceptron(row: str, label: str, *figures: float, hidden: tuple[int, ...]) -> Classifier:
    return _classifier(row, label, *figures, channels=(), kernel=0, hidden=hidden)


# Section 2.3.2 describes each row; `cnn` is the tutorial's network, and what a row does not name it has of `cnn`.
ABLATION: Mapping[str, Classifier] = MappingProxyType(
    {
        classifier.row: classifier
        for classifier in (
            _classifier("cnn", "Original CNN", 1.08, 61.69, 1.16, 58.58),
            _perceptron("mlp-2", "2 layer neural network", 1.18, 59.06, 1.36, 51.95, hidden=(120,)),
            _perceptron("mlp-3", "3 layer neural network", 1.15, 59.71, 1.35, 52.6, hidden=(120, 50)),
            _perceptron("mlp-4", "4 layer neural network", 1.18, 58.39, 1.37, 51.69, hidden=(120, 50, 30)),
            _perceptron("mlp-5", "5 layer neural network", 1.22, 56.32, 1.39, 50.67, hidden=(120, 50, 30, 20)),
            _classifier("cnn-double-channel", "Double channel CNN", 0.93, 67.43, 1.03, 64.09, channels=(12, 32)),
            _classifier("cnn-1conv", "1 conv layer CNN", 1.02, 63.78, 1.21, 56.9, channels=(6,)),
            _classifier("cnn-3conv", "3 conv layer CNN", 1.27, 54.7, 1.29, 53.7, channels=(6, 16, 26), kernel=3),
            _classifier("cnn-leaky-relu", "Leaky ReLU CNN", 1.15, 58.9, 1.21, 56.7, activation="LeakyReLU"),
            _classifier("cnn-tanh", "Tanh CNN", 1.11, 60.2, 1.16, 58.96, activation="Tanh"),
            _classifier("cnn-lr-low", "Less learning rate CNN", 1.88, 31.2, 1.88, 31.7, lr=0.0001),
            _classifier("cnn-lr-high", "More learning rate CNN", 0.77, 72.5, 1.19, 61.3, lr=0.01),
        )
    }
)

AUTOGRAD, MANUAL = "autograd", "manual"  # what computes the gradients


@dataclass(frozen=True)
class ImageProtocol:
    """How a classifier is trained.

    The report states batch 32, 10 epochs and the learning rates. Momentum 0.9 and pixels taken to -1..1 (mean and
    deviation 0.5) are those of the PyTorch tutorial that its network is from; they are inferred.
    """

    epochs: int
    batch_size: int = 32
    momentum: float = 0.9
    normalisation: str = "half"  # "half": mean and deviation 0.5; "channel": those of the training part's channels
    threads: int = 1


# The sample has 35 times fewer images: smaller batches.
IMAGE_PROTOCOLS: Mapping[str, ImageProtocol] = MappingProxyType(
    {CIFAR10: ImageProtocol(epochs=10), SAMPLE: ImageProtocol(epochs=10, batch_size=8)}
)

SHEET_PER_CLASS = 2  # images of each class on the sample sheet (Fig 7)
SHEET_SEED = 0


def resolve_classifier(
    row: str, dataset: str, backprop: str, seed: int, fraction: float, **overrides: float
) -> dict[str, object]:
    """The full settings of one row of the ablation experiment, flat: what is trained, logged and grouped by.

    Args:
        row: key of ABLATION.
        dataset: "cifar10" or "sample".
        backprop: "autograd", or "manual" (a multilayer perceptron only).
        seed: from 0.
        fraction: of the training images, 0-1].
        overrides: settings by name, laid over the row's own; None keeps the row's.
    """
    found = ABLATION[row]
    # Lists, as they come back from JSON.
    own = {
        "channels": list(found.channels), "kernel": found.kernel, "hidden": list(found.hidden),
        "activation": found.activation, "lr": found.lr,
    }  # fmt: skip
    common = {"row": row, "dataset": dataset, "training": backprop, "seed": seed, "fraction": fraction}
    settings = common | own | asdict(IMAGE_PROTOCOLS[dataset])
    return settings | {name: value for name, value in overrides.items() if value is not None}
