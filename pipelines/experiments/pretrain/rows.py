"""Protocols of the pretraining of ResNets, as plain data; torch-free."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

from annotated_types import MinLen
from click import BadParameter

from pipelines import names
from pipelines.cli.types import Sides
from pipelines.data.datasets import IMAGES, find
from pipelines.data.protocol import CIFAR10, DATA_DIR
from pipelines.experiments.base import Settings, changed, of_the_machine, read
from pipelines.experiments.catalogue import Catalogue
from pipelines.experiments.limits import Decay, Epochs, Fraction, Items, Processes, Rate
from pipelines.experiments.resnet.rows import RESNETS, Shortcut, Stem
from pipelines.experiments.sizes import IMAGE_SIZES, between, validation_images


@dataclass(frozen=True)
class Pretraining:
    """Protocol of the training of a ResNet without published weights; not from a course report.

    SGD with Nesterov momentum and OneCycle, random crops and flips, label smoothing. Training and validation images are
    scaled to each of the sizes in `sides`, in pixels, for an equal share of the epochs; the last one is the original
    size of the images.
    """

    epochs: int
    batch_size: int
    lr: float
    sides: tuple[int, ...] = (32,)
    momentum: float = 0.9
    weight_decay: float = 0.0005
    smoothing: float = 0.1
    threads: int = 2


TRAINING = "onecycle"  # name of the way of training, see Pretraining

# Protocols for a data set as small as the sample, a short training for the demo, and for one as large as CIFAR-10.
PRETRAINING = (Pretraining(epochs=4, batch_size=32, lr=0.05), Pretraining(epochs=16, batch_size=128, lr=0.1))


@dataclass(frozen=True, kw_only=True)
class PretrainingSettings(Settings):
    """Settings of a pretraining: those of Pretraining, the ResNet's form, and device and precision.

    Attributes:
        fraction: fraction of the training images that is used, of those that are not held out, (0, 1].
        stem: "pool" or "plain".
        shortcut: "A" or "B".
        validation: number of training images held out for validation, equally many of each class.
        device: "cpu" or a CUDA device.
        precision: "fp32" or "bf16".
    """

    fraction: Fraction
    stem: Stem
    shortcut: Shortcut
    epochs: Epochs
    batch_size: Items
    lr: Rate
    validation: int
    sides: Annotated[tuple[int, ...], MinLen(1)]
    momentum: Decay
    weight_decay: Rate
    smoothing: Decay
    threads: Processes
    device: str = of_the_machine("cpu")
    precision: Literal["fp32", "bf16"] = of_the_machine("fp32")

    @property
    def cores(self) -> int:
        """Number of cores that the run keeps busy."""
        return self.threads

    @property
    def architecture(self) -> str:
        """Key of RESNETS: the network, of a row of a user's own that of the row it is like."""
        return self.like or self.row

    def contradiction(self) -> str:
        """What keeps the settings from being trained together, see base.Settings."""
        found = RESNETS[self.architecture]
        for name, value, possible in (
            ("stem", self.stem, found.stems),
            ("shortcut", self.shortcut, found.shortcuts),
        ):
            if value not in possible:
                return f"{name}: {self.architecture} has {' or '.join(possible)}, not {value}"
        try:
            Sides().convert(self.sides, None, None)
        except BadParameter as error:
            return f"sides: {error.message}"
        return ""


def read_settings(values: Mapping[str, object]) -> PretrainingSettings:
    """Read the settings of a row from plain data, see base.read."""
    return read(PretrainingSettings, values)


def resolve_pretraining(
    row: str, dataset: str, seed: int, fraction: float, data_dir: str = DATA_DIR, **overrides: Any
) -> PretrainingSettings:
    """Resolve the full settings of one pretraining.

    Args:
        row: key of RESNETS; the first of its stems and of its shortcuts is trained.
        dataset: name of a data set of images.
        seed: from 0.
        fraction: fraction of the training images that is used, of those that are not held out, (0, 1].
        data_dir: folder of the prepared data; read only if the size of the data set is not known beforehand.
        overrides: settings by name that replace the protocol's; None keeps the protocol's.

    Raises:
        UserError: a name is not that of a setting, or there is no such data set.
    """
    found = RESNETS[row]
    images = find(dataset, IMAGES, data_dir).train_size(data_dir)
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


CATALOGUE = Catalogue(
    rows=RESNETS,
    data=IMAGES,
    main=names.TEST_ACCURACY,
    published_on=CIFAR10,
    settings=lambda row, dataset, data_dir: resolve_pretraining(row, dataset, 0, 1.0, data_dir),
    fixed=("validation",),  # so that every ResNet is judged on the same images
    shown=("stem", "shortcut", "sides", "lr", "epochs"),
)
