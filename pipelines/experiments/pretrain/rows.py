"""Protocols of the pretraining of ResNets, as plain data; torch-free."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from pipelines.data.datasets import IMAGES, find
from pipelines.data.protocol import DATA_DIR
from pipelines.experiments.base import Settings, changed, of_the_machine, read
from pipelines.experiments.resnet.rows import RESNETS, Shortcut, Stem
from pipelines.experiments.sizes import IMAGE_SIZES, between, validation_images


@dataclass(frozen=True)
class Pretraining:
    """How a ResNet is trained where no weights are to be had; ours, not the report's.

    SGD with Nesterov momentum and OneCycle, random crops and flips, label smoothing. Training images are scaled to each
    of `sides` pixels for an equal share of the epochs, and so are the validation images; the last of them is the
    images' own side.
    """

    epochs: int
    batch_size: int
    lr: float
    sides: tuple[int, ...] = (32,)
    momentum: float = 0.9
    weight_decay: float = 0.0005
    smoothing: float = 0.1
    threads: int = 2


TRAINING = "onecycle"  # the way of training, see Pretraining

# For a data set as small as the sample, a moment's training for the demo, and for one as large as CIFAR-10.
PRETRAINING = (Pretraining(epochs=4, batch_size=32, lr=0.05), Pretraining(epochs=16, batch_size=128, lr=0.1))


@dataclass(frozen=True, kw_only=True)
class PretrainingSettings(Settings):
    """Settings of a pretraining: those of Pretraining, the ResNet's form, and where it is trained.

    Attributes:
        fraction: of the training images that are not held out, (0, 1].
        stem: "pool" or "plain".
        shortcut: "A" or "B".
        validation: number of training images held out, equally many of each class, for whatever is chosen.
        device: "cpu" or a CUDA device.
        precision: "fp32" or "bf16".
    """

    fraction: float
    stem: Stem
    shortcut: Shortcut
    epochs: int
    batch_size: int
    lr: float
    validation: int
    sides: tuple[int, ...]
    momentum: float
    weight_decay: float
    smoothing: float
    threads: int
    device: str = of_the_machine("cpu")
    precision: Literal["fp32", "bf16"] = of_the_machine("fp32")

    @property
    def cores(self) -> int:
        """Number of cores that the run keeps busy."""
        return self.threads


def read_settings(values: Mapping[str, object]) -> PretrainingSettings:
    """Settings of a row from plain data, see base.read."""
    return read(PretrainingSettings, values)


def resolve_pretraining(
    row: str, dataset: str, seed: int, fraction: float, data_dir: str = DATA_DIR, **overrides: Any
) -> PretrainingSettings:
    """The full settings of one pretraining.

    Args:
        row: key of RESNETS; it is trained with the first of its stems and shortcuts.
        dataset: name of a data set of images.
        seed: from 0.
        fraction: of the training images that are not held out, (0, 1].
        data_dir: folder of the prepared data; read only where the list of data sets does not know the size.
        overrides: settings by name, laid over the protocol's; None keeps those.

    Raises:
        UserError: there is no setting of such a name, or no such data set.
    """
    found = RESNETS[row]
    images = find(dataset, IMAGES).train_size(data_dir)
    settings = PretrainingSettings(
        row=row,
        dataset=dataset,
        training=TRAINING,
        seed=seed,
        fraction=fraction,
        stem=found.stems[0],
        shortcut=found.shortcuts[0],
        validation=validation_images(images),
        **asdict(between(images, IMAGE_SIZES, *PRETRAINING)),
    )
    return changed(settings, **overrides)
