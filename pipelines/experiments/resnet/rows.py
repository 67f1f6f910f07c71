"""Classifiers of images with the accuracy that was published for each, as plain data; torch-free."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from pipelines import names
from pipelines.data.datasets import IMAGES
from pipelines.data.protocol import CIFAR10
from pipelines.experiments.base import Published, Settings, optional, read
from pipelines.experiments.catalogue import Catalogue

# Stems of ResNet-18, 34 and 50: a convolution 3x3 with stride 1, with a max-pooling 3x3 with stride 2 or without it.
# Those of airbench94 to 96 have a whitening.
Stem = Literal["pool", "plain", "whitening"]
POOL: Final = "pool"
PLAIN: Final = "plain"
WHITENING: Final = "whitening"

# Shortcuts where sizes change: the identity padded with zeros, or a 1x1 convolution (He et al. 2015, section 3.3); none
# where a network has no shortcuts there.
Shortcut = Literal["A", "B", "none"]
OPTION_A: Final = "A"
OPTION_B: Final = "B"
NO_SHORTCUT: Final = "none"


@dataclass(frozen=True)
class Residual:
    """A network of nnmodels.classifiers, with its published test accuracy.

    Attributes:
        row: name.
        stems: possible stems; if there are two, a state dict does not show which one it was trained with.
        shortcuts: possible shortcuts; if there are two, the keys of a state dict show which one it has.
        batch_size: images at a time in an evaluation.
        published: accuracy of the report's weights (ResNet-18, 34, 50), of those of He et al.'s form, or of the mean of
            many trainings (airbench94 to 96); None if none is published.
    """

    row: str
    stems: tuple[Stem, ...]
    shortcuts: tuple[Shortcut, ...]
    batch_size: int = 128
    published: Published | None = None


def _residual(row: str, label: str, accuracy: float) -> Residual:
    # The report's Fig 6 shows bars without figures; these are from the repository whose weights it loaded.
    figures = MappingProxyType({names.TEST_ACCURACY: accuracy})
    published = Published("github.com/huyvnphan/PyTorch_CIFAR10", label, figures)
    return Residual(row, (POOL, PLAIN), (OPTION_B,), published=published)


def _small_residual(row: str, label: str, accuracy: float) -> Residual:
    figures = MappingProxyType({names.TEST_ACCURACY: accuracy})
    published = Published("github.com/akamaster/pytorch_resnet_cifar10", label, figures)
    return Residual(row, (PLAIN,), (OPTION_A, OPTION_B), published=published)


def _airbench(row: str, accuracy: float) -> Residual:
    figures = MappingProxyType({names.TEST_ACCURACY_OF_VIEWS[6]: accuracy})
    published = Published("github.com/KellerJordan/cifar10-airbench", row, figures)
    return Residual(row, (WHITENING,), (NO_SHORTCUT,), published=published)


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
            _airbench("airbench94", 94.01),
            _airbench("airbench95", 95.01),
            _airbench("airbench96", 96.03),
        )
    }
)


@dataclass(frozen=True, kw_only=True)
class EvaluationSettings(Settings):
    """Settings of the evaluation of one ResNet.

    Attributes:
        weights: the option `weights`, as given.
        origin: description of the source of the weights.
        sha256: SHA-256 of their file.
        dialect: naming and wrapping of the tensors in the file.
        stem: "pool" or "plain".
        shortcut: "A" or "B".
        mean, deviation: mean and std by which the red, green and blue pixels are normalised, in units of 0-1.
        batch_size: images at a time.
        device: "cpu" or a CUDA device.
        precision: precisions to try, the fastest first, comma separated.
        weights_key: key of the state dict in a checkpoint that holds several, or "".
    """

    weights: str
    origin: str
    sha256: str
    dialect: str
    stem: str
    shortcut: str
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]
    batch_size: int
    device: str
    precision: str
    weights_key: str = optional()

    @property
    def cores(self) -> int:
        """Number of cores that the run keeps busy: all."""
        return os.cpu_count() or 1


def read_settings(values: Mapping[str, object]) -> EvaluationSettings:
    """Read the settings of a row from plain data, see base.read."""
    return read(EvaluationSettings, values)


CATALOGUE = Catalogue(
    rows=RESNETS, data=IMAGES, main=names.TEST_ACCURACY, published_on=CIFAR10, shown=("stems", "shortcuts")
)
