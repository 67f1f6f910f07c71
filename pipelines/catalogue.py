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
    """A forecast plot: which of the series (from 0, in the data set's order) and which of its test hours.

    `figure` is the report's that shows the like of its own data.
    """

    name: str
    series: int
    hours: slice
    title: str
    figure: str


# Figs 7-9 of the recurrent report; its order of the series is taken to be the tutorial's, it does not say.
PANELS = (
    Panel("forecasts_first", 0, slice(-100, None), "last 100 test hours of the first series, {series}", "Fig 7"),
    Panel("forecasts_fourth", 3, slice(0, 100), "first 100 test hours of the fourth series, {series}", "Fig 8"),
    Panel("forecasts_tenth", 9, slice(0, 100), "first 100 test hours of the tenth series, {series}", "Fig 9"),
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


# The ResNet experiment.

POOL, PLAIN = "pool", "plain"  # stems of ResNet-18, 34 and 50: 3x3 stride 1, with a max-pooling 3x3 stride 2 or without
OPTION_A, OPTION_B = "A", "B"  # shortcuts where sizes change: zero-padded identity, or 1x1 convolution (He et al., 3.3)


@dataclass(frozen=True)
class Residual:
    """A ResNet of nnmodels.resnet with the test accuracy that was published for it.

    Attributes:
        row: name.
        published: what the report's weights (ResNet-18, 34, 50) and those of He et al.'s form reached.
        stems: those it may have; where there are two, the state dict does not tell which.
        shortcuts: those it may have; where there are two, the keys tell which.
        batch_size: images at a time in an evaluation.
    """

    row: str
    published: Published
    stems: tuple[str, ...]
    shortcuts: tuple[str, ...]
    batch_size: int = 128


def _residual(row: str, label: str, accuracy: float) -> Residual:
    # The report's Fig 6 shows bars without figures; these are of the repository whose weights it loaded.
    figures = MappingProxyType({names.TEST_ACCURACY: accuracy})
    return Residual(row, Published("github.com/huyvnphan/PyTorch_CIFAR10", label, figures), (POOL, PLAIN), (OPTION_B,))


def _small_residual(row: str, label: str, accuracy: float) -> Residual:
    figures = MappingProxyType({names.TEST_ACCURACY: accuracy})
    published = Published("github.com/akamaster/pytorch_resnet_cifar10", label, figures)
    return Residual(row, published, (PLAIN,), (OPTION_A, OPTION_B))


RESNETS: Mapping[str, Residual] = MappingProxyType(
    {
        residual.row: residual
        for residual in (
            _residual("resnet18", "ResNet18", 93.07),
            _residual("resnet34", "ResNet34", 93.34),  # "ResNet36" in one place of the report
            _residual("resnet50", "ResNet50", 93.65),
            _small_residual("resnet20", "ResNet20", 91.73),
            _small_residual("resnet32", "ResNet32", 92.63),
            _small_residual("resnet44", "ResNet44", 93.10),
            _small_residual("resnet56", "ResNet56", 93.39),
            _small_residual("resnet110", "ResNet110", 93.68),
        )
    }
)


@dataclass(frozen=True)
class Normalisation:
    """Mean and deviation of the red, green and blue pixels, in units of 0-1, that a network's input is taken to."""

    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]


_CIFAR10_MEAN = (0.4914, 0.4822, 0.4465)

NORMALISATIONS: Mapping[str, Normalisation] = MappingProxyType(
    {
        # The deviations of all pixels of the training part.
        "huyvnphan": Normalisation(_CIFAR10_MEAN, (0.2471, 0.2435, 0.2616)),
        # The mean of each image's own deviations: smaller, and as widely used.
        "cifar10": Normalisation(_CIFAR10_MEAN, (0.2023, 0.1994, 0.2010)),
        "imagenet": Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        "half": Normalisation((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    }
)

# What weights of He et al.'s form were trained with: akamaster's have option A shortcuts, chenyaofo's option B.
SHORTCUT_NORMALISATIONS: Mapping[str, str] = MappingProxyType({OPTION_A: "imagenet", OPTION_B: "cifar10"})


@dataclass(frozen=True)
class Source:
    """Published weights of one model.

    Attributes:
        name: of the publisher.
        model: key of RESNETS.
        url: where to download it.
        file: name that the download is kept under.
        accuracy: published, on the test part, in percent.
        stem: "pool" or "plain".
        normalisation: key of NORMALISATIONS.
        licence: SPDX identifier.
        megabytes: of the download, about.
        sha256: hexadecimal; its first digits where no more was published, empty where nothing was.
        member: name of the weights within `file` where that is an archive; `sha256` is then the member's.
    """

    name: str
    model: str
    url: str
    file: str
    accuracy: float
    stem: str
    normalisation: str
    licence: str
    megabytes: int
    sha256: str = ""
    member: str = ""


_HUYVNPHAN = "https://rutgers.box.com/shared/static/gkw08ecs797j2et1ksmbg1w5t3idf5r5.zip"  # all of its models
_EDADALTOCG = "https://huggingface.co/edadaltocg"
_AKAMASTER = "https://github.com/akamaster/pytorch_resnet_cifar10/raw/d5489e8995e81e91ce6b1d69dcc98ad579b0b153"
_CHENYAOFO = "https://github.com/chenyaofo/pytorch-cifar-models/releases/download/resnet"

_MEGABYTES = {  # four bytes a parameter
    "resnet18": 45, "resnet34": 85, "resnet50": 94,
    "resnet20": 1, "resnet32": 2, "resnet44": 3, "resnet56": 3, "resnet110": 7,
}  # fmt: skip


def _huyvnphan(model: str, accuracy: float, sha256: str = "") -> Source:
    return Source(
        "huyvnphan",
        model,
        _HUYVNPHAN,
        "state_dicts.zip",
        accuracy,
        POOL,
        "huyvnphan",
        "MIT",
        933,
        sha256,
        f"{model}.pt",
    )


def _edadaltocg(model: str, accuracy: float, sha256: str = "") -> Source:
    url, file = f"{_EDADALTOCG}/{model}_cifar10/resolve/main/pytorch_model.bin", f"edadaltocg-{model}.bin"
    return Source("edadaltocg", model, url, file, accuracy, PLAIN, "cifar10", "MIT", _MEGABYTES[model], sha256)


def _akamaster(model: str, accuracy: float, sha256: str) -> Source:
    file = f"{model}-{sha256[:8]}.th"
    url = f"{_AKAMASTER}/pretrained_models/{file}"
    return Source("akamaster", model, url, file, accuracy, PLAIN, "imagenet", "BSD-2-Clause", _MEGABYTES[model], sha256)


def _chenyaofo(model: str, accuracy: float, sha256: str) -> Source:
    file = f"cifar10_{model}-{sha256[:8]}.pt"
    return Source(
        "chenyaofo", model, f"{_CHENYAOFO}/{file}", file, accuracy, PLAIN, "cifar10", "BSD-3-Clause",
        _MEGABYTES[model], sha256,
    )  # fmt: skip


# Of each model those that the published figure is of come first: `auto` takes the first with a digest, and where there
# is none, or none can be had, the smallest of the others.
SOURCES = (
    _huyvnphan("resnet18", 93.07, "72d30ca70e7d54e24a26628113604c40bc872eb8dc7a44f50ec58c3a1400f1b0"),
    _huyvnphan("resnet34", 93.34),
    _huyvnphan("resnet50", 93.65),
    _edadaltocg("resnet18", 94.98),
    _edadaltocg("resnet34", 95.40),  # its best epoch; the last one has 95.38
    _edadaltocg("resnet50", 94.65, "600e3f79fa41bc7c91d751a65b29b1ed2733345f8b6908381caa79a32ff28a6e"),
    _akamaster("resnet20", 91.73, "12fca82f0bebc4135bf1f32f6e3710e61d5108578464b84fd6d7f5c1b04036c8"),
    _akamaster("resnet32", 92.63, "d509ac1820d7f25398913559d7e81a13229b1e7adc5648e3bfa5e22dc137f850"),
    _akamaster("resnet44", 93.10, "014dd654"),
    _akamaster("resnet56", 93.39, "4bfd97631478d6b638d2764fd2baff3edb1d7d82252d54439343b6596b9b5367"),
    _akamaster("resnet110", 93.68, "1d1ed7c2"),
    _chenyaofo("resnet20", 92.60, "4118986f"),
    _chenyaofo("resnet32", 93.53, "ef93fc4d"),
    _chenyaofo("resnet44", 94.01, "2a3cabcb"),
    _chenyaofo("resnet56", 94.37, "187c023a"),
)


@dataclass(frozen=True)
class Pretraining:
    """How a ResNet is trained where no weights are to be had; ours, not the report's.

    SGD with Nesterov momentum and OneCycle, random crops and flips, label smoothing. `validation` training images are
    held out, equally many of each class, for whatever is chosen. Training images are scaled to each of `sides` pixels
    for an equal share of the epochs, and so are the validation images; the last of them is the images' own side.
    """

    epochs: int
    batch_size: int
    lr: float
    validation: int
    sides: tuple[int, ...] = (32,)
    momentum: float = 0.9
    weight_decay: float = 0.0005
    smoothing: float = 0.1
    threads: int = 2


PRETRAINING: Mapping[str, Pretraining] = MappingProxyType(
    {
        CIFAR10: Pretraining(epochs=16, batch_size=128, lr=0.1, validation=5000),
        # Some hundreds of images: a moment's training, for the demo.
        SAMPLE: Pretraining(epochs=4, batch_size=32, lr=0.05, validation=200),
    }
)


def resolve_pretraining(row: str, dataset: str, seed: int, fraction: float, **overrides: object) -> dict[str, object]:
    """The full settings of one pretraining, flat: what is trained, logged and grouped by.

    Args:
        row: key of RESNETS; it is trained with the first of its stems and shortcuts.
        dataset: "cifar10" or "sample".
        seed: from 0.
        fraction: of the training images that are not held out, 0-1].
        overrides: settings by name, laid over the protocol's; None keeps those.
    """
    found = RESNETS[row]
    own = {"stem": found.stems[0], "shortcut": found.shortcuts[0]}
    common = {"row": row, "dataset": dataset, "training": "onecycle", "seed": seed, "fraction": fraction}
    protocol = asdict(PRETRAINING[dataset])
    settings = common | own | protocol | {"sides": list(protocol["sides"])}
    return settings | {name: value for name, value in overrides.items() if value is not None}


# The studies.


@dataclass(frozen=True)
class LogUniform:
    """A number in [low, high], uniform in its logarithm."""

    low: float
    high: float


@dataclass(frozen=True)
class Steps:
    """A number of low, low + step, … high."""

    low: float
    high: float
    step: float


@dataclass(frozen=True)
class Whole:
    """A whole number in [low, high]."""

    low: int
    high: int


@dataclass(frozen=True)
class OneOf:
    """One of `options`, in no order."""

    options: tuple[str | int, ...]


@dataclass(frozen=True)
class Depending:
    """A range that depends on the choice made before for `on`: choice to range."""

    on: str
    cases: Mapping[str, Whole]


Dimension = LogUniform | Steps | Whole | OneOf | Depending

DEFAULT_SPACE, WIDE_SPACE = "default", "wide"
_DEFAULT_DIMENSIONS = ("lr", "depth")  # what the mission asks to tune


@dataclass(frozen=True)
class Study:
    """A search for better hyperparameters than a report's hand-picked ones, on validation data only.

    Attributes:
        entry: whose experiment it is, and in whose table its winner stands.
        metric: what a trial is judged by, after its last epoch.
        maximise: whether more of it is better.
        space: dimension of each hyperparameter that can be searched, in the order in which they are chosen.
        fixed: value of each that is not searched; the learning rate is then the report's row's.
    """

    entry: str
    metric: str
    maximise: bool
    space: Mapping[str, Dimension]
    fixed: Mapping[str, str | int | float]

    def dimensions(self, space: str) -> dict[str, Dimension]:
        """Those of `space`: "default" (lr and depth), "wide" (all), or names, comma separated.

        Raises:
            KeyError: a name is not known.
        """
        chosen = {DEFAULT_SPACE: _DEFAULT_DIMENSIONS, WIDE_SPACE: tuple(self.space)}.get(space)
        wanted = chosen or tuple(name.strip() for name in space.split(","))
        for name in wanted:
            self.space[name]
        return {name: dimension for name, dimension in self.space.items() if name in wanted}


STUDIES: Mapping[str, Study] = MappingProxyType(
    {
        "recurrent": Study(
            entry="recurrent",
            metric=names.VAL_SMAPE,
            maximise=False,
            space=MappingProxyType(
                {
                    "lr": LogUniform(0.0005, 0.02),
                    "cell": OneOf(("GRU", "LSTM", "RNN")),
                    "depth": Whole(1, 4),
                    "hidden": OneOf((64, 128, 192, 256)),
                    "dropout": Steps(0.0, 0.3, 0.05),
                }
            ),
            fixed=MappingProxyType({"cell": "GRU", "depth": 2, "hidden": 256, "dropout": 0.0}),
        ),
        "ablation": Study(
            entry="ablation",
            metric=names.VAL_ACCURACY,
            maximise=True,
            space=MappingProxyType(
                {
                    "lr": LogUniform(0.0001, 0.05),
                    "family": OneOf(("cnn", "mlp")),
                    "depth": Depending("family", MappingProxyType({"cnn": Whole(1, 3), "mlp": Whole(1, 4)})),
                    "width": OneOf((1, 2, 4)),
                    "activation": OneOf(("ReLU", "LeakyReLU", "Tanh")),
                }
            ),
            fixed=MappingProxyType({"family": "cnn", "depth": 2, "width": 1, "activation": "ReLU"}),
        ),
    }
)

TUNED = "tuned"  # the row of a study's winner
IMPORTANCE_TRIALS = 10  # that must have run to their end before importances of hyperparameters mean anything

# Of the windows a trial holds out, those it is judged on: 4,000, evenly spread. Of the images all.
VALIDATION_WINDOWS = 4000
VALIDATION_IMAGES: Mapping[str, int] = MappingProxyType({CIFAR10: 5000, SAMPLE: 200})

# The report's row of each depth, from 1.
_OF_DEPTH = {"cnn": ("cnn-1conv", "cnn", "cnn-3conv"), "mlp": ("mlp-2", "mlp-3", "mlp-4", "mlp-5")}


def resolve_tuned(study: str, dataset: str, seed: int, fraction: float, chosen: Mapping[str, Any]) -> dict[str, object]:
    """The full settings of one trial of a study, or of its winner, flat: what is trained, logged and grouped by.

    Args:
        study: key of STUDIES.
        dataset: one that the study's entry knows.
        seed: from 0.
        fraction: of what is trained on, 0-1].
        chosen: value of each dimension that is searched.
    """
    values = {**STUDIES[study].fixed, **chosen}
    if study == "recurrent":
        like = next(network.row for network in NETWORKS.values() if network.cell == values["cell"])
        settings = resolve(like, dataset, DENSE, seed, fraction)
        shape = {"layers": values.pop("depth")}
    else:
        like = "cnn"
        settings = resolve_classifier(like, dataset, AUTOGRAD, seed, fraction)
        shape = _shape(values.pop("family"), values.pop("depth"), values.pop("width"))
    return settings | shape | values | {"row": TUNED}


def _shape(family: str, depth: int, width: int) -> dict[str, object]:
    """Layers of the report's row of that depth, `width` times as wide: a perceptron's hidden ones, a CNN's channels."""
    found = ABLATION[_OF_DEPTH[family][depth - 1]]
    if family == "mlp":
        return {"channels": [], "kernel": 0, "hidden": [width * neurons for neurons in found.hidden]}
    wider = [width * channels for channels in found.channels]
    return {"channels": wider, "kernel": found.kernel, "hidden": list(found.hidden)}
