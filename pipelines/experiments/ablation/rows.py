"""Rows of the ablation experiment with their published figures and protocols, as plain data; torch-free."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any, Literal

from pipelines import names
from pipelines.data.datasets import IMAGES, find
from pipelines.data.protocol import CIFAR10, DATA_DIR
from pipelines.experiments.base import OwnModelSettings, Published, Settings, changed, of_the_machine, read
from pipelines.experiments.catalogue import Catalogue
from pipelines.experiments.limits import Decay, Epochs, Fraction, Items, Length, Processes, Rate, Units
from pipelines.experiments.sizes import IMAGE_SIZES, between

ABLATION_REPORT = "CNN report, Table 2"


@dataclass(frozen=True)
class Classifier:
    """An image classifier: convolutions with pooling, then fully connected layers. Defaults are those of the row `cnn`.

    Attributes:
        row: name.
        channels: output channels of each convolution, which has stride 1 and no padding and is followed by the
            activation and a 2x2 max-pooling; empty for a multilayer perceptron.
        kernel: size of the convolutions' kernels, pixels.
        hidden: units of each hidden fully connected layer.
        activation: class of torch.nn after each convolution and hidden layer. LeakyReLU has torch's slope, 0.01.
        lr: learning rate.
        published: the figures of the CNN report's section 2.3; None for a row that is not in the report.
    """

    row: str
    channels: tuple[int, ...] = (6, 16)
    kernel: int = 5
    hidden: tuple[int, ...] = (120, 84)
    activation: str = "ReLU"
    lr: float = 0.001
    published: Published | None = None


def _classifier(
    row: str, label: str, train_loss: float, train_accuracy: float, test_loss: float, test_accuracy: float, **own: Any
) -> Classifier:
    figures = {
        names.TRAIN_LOSS: train_loss,
        names.TRAIN_ACCURACY: train_accuracy,
        names.TEST_LOSS: test_loss,
        names.TEST_ACCURACY: test_accuracy,
    }
    return Classifier(row, published=Published(ABLATION_REPORT, label, MappingProxyType(figures)), **own)


def _perceptron(row: str, label: str, *figures: float, hidden: tuple[int, ...]) -> Classifier:
    return _classifier(row, label, *figures, channels=(), kernel=0, hidden=hidden)


# Section 2.3.2 of the report describes each row; `cnn` is the tutorial's network, and the settings that a row does not
# name are those of `cnn`. A row of your own is a `Classifier` without published figures.
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


AUTOGRAD, MANUAL = "autograd", "manual"  # ways to compute the gradients


@dataclass(frozen=True)
class ImageProtocol:
    """Protocol of the training of a classifier.

    The report states batch 32, 10 epochs and the learning rates. Momentum 0.9 and pixels scaled to [-1, 1] (mean and
    std 0.5) are inferred: they are those of the PyTorch tutorial that its network is from.
    """

    epochs: int
    batch_size: int = 32
    momentum: float = 0.9
    normalisation: str = "half"  # "half": mean and std 0.5; "channel": those of each channel of the training part
    threads: int = 1


# Protocols for a data set as small as the sample, and for one as large as the report's, which has 35 times more images.
IMAGE_PROTOCOLS = (ImageProtocol(epochs=10, batch_size=8), ImageProtocol(epochs=10))


SHEET_PER_CLASS = 2  # images of each class on the sheet of test images (Fig 7)
SHEET_CLASSES = 10
SHEET_SEED = 0


@dataclass(frozen=True, kw_only=True)
class ImageSettings(Settings):
    """Settings of the training of any classifier: those of ImageProtocol, and the device.

    Attributes:
        fraction: fraction of the training images that is used, the first ones, (0, 1].
        lr: learning rate.
        device: "cpu" or a CUDA device.
    """

    fraction: Fraction
    lr: Rate
    epochs: Epochs
    batch_size: Items
    momentum: Decay
    normalisation: Literal["half", "channel"]
    threads: Processes
    device: str = of_the_machine("cpu")

    @property
    def cores(self) -> int:
        """Number of cores that the run keeps busy."""
        return self.threads


@dataclass(frozen=True, kw_only=True)
class _Form(Settings):
    """What a classifier is, which names of runs and tables have before its training."""

    fraction: Fraction
    channels: tuple[Units, ...]
    kernel: Length
    hidden: tuple[Units, ...]
    activation: str


@dataclass(frozen=True, kw_only=True)
class ClassifierSettings(ImageSettings, _Form):
    """Settings of a classifier: those of Classifier too."""

    def contradiction(self) -> str:
        """What keeps the settings from being trained together, see base.Settings."""
        return "kernel: convolutions need one of 1 or more, not 0" if self.channels and not self.kernel else ""


@dataclass(frozen=True, kw_only=True)
class OwnClassifierSettings(OwnModelSettings, ImageSettings):
    """Settings of a classifier whose network is the user's own.

    It takes images (B, 3, 32, 32), float32, normalised as the settings say, and gives logits (B, classes).
    """


def read_settings(values: Mapping[str, object]) -> ClassifierSettings | OwnClassifierSettings:
    """Read the settings of a row from plain data, see base.read."""
    return read(OwnClassifierSettings, values) if "model" in values else read(ClassifierSettings, values)


def resolve_classifier(
    row: str, dataset: str, backprop: str, seed: int, fraction: float, data_dir: str = DATA_DIR, **overrides: Any
) -> ClassifierSettings:
    """Resolve the full settings of one row of the ablation experiment.

    Args:
        row: key of ABLATION.
        dataset: name of a data set of images.
        backprop: "autograd", or "manual" (a multilayer perceptron only).
        seed: from 0.
        fraction: fraction of the training images that is used, (0, 1].
        data_dir: folder of the prepared data; read only if the size of the data set is not known beforehand.
        overrides: settings by name that replace the row's own; None keeps the row's.

    Raises:
        UserError: a name is not that of a setting, or there is no such data set.
    """
    found = ABLATION[row]
    images = find(dataset, IMAGES, data_dir).train_size(data_dir)
    settings = ClassifierSettings(
        row=row,
        dataset=dataset,
        training=backprop,
        seed=seed,
        fraction=fraction,
        channels=found.channels,
        kernel=found.kernel,
        hidden=found.hidden,
        activation=found.activation,
        lr=found.lr,
        **asdict(between(images, IMAGE_SIZES, *IMAGE_PROTOCOLS)),
    )
    return changed(settings, **overrides)


CATALOGUE = Catalogue(
    rows=ABLATION,
    data=IMAGES,
    main=names.TEST_ACCURACY,
    published_on=CIFAR10,
    settings=lambda row, dataset, data_dir: resolve_classifier(row, dataset, AUTOGRAD, 0, 1.0, data_dir),
    models=OwnClassifierSettings,
    default="cnn",
    shown=("channels", "hidden", "activation", "lr", "kernel", "epochs"),
)
