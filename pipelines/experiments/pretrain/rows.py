"""Protocols of the training of classifiers to their best accuracy, as plain data; torch-free."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal

from annotated_types import MinLen
from click import BadParameter

from pipelines import names
from pipelines.cli.types import Sides
from pipelines.data.datasets import IMAGES, find
from pipelines.data.protocol import CIFAR10, DATA_DIR
from pipelines.experiments.base import Settings, changed, of_the_machine, optional, read
from pipelines.experiments.catalogue import Catalogue
from pipelines.experiments.limits import Decay, Epochs, Fraction, Items, Length, Processes, Rate, Share
from pipelines.experiments.resnet.rows import RESNETS, WHITENING, Shortcut, Stem
from pipelines.experiments.sizes import IMAGE_SIZES, between, validation_images

Annealing = Literal["cosine", "linear"]
Padding = Literal["zeros", "reflect"]
Flips = Literal["random", "alternating"]


@dataclass(frozen=True)
class Pretraining:
    """Protocol of the training of a network without published weights; not from a course report.

    Training and validation images are scaled to each of the sizes in `sides`, in pixels, for an equal share of the
    epochs; the last one is the original size of the images.

    Attributes:
        lr: highest learning rate of SGD with Nesterov `momentum`.
        muon_lr: highest learning rate of Muon, which trains the kernels of all convolutions but the first with
            `muon_momentum`; 0: SGD trains them too.
        head_lr: highest learning rate of the last layer's weights; 0: `lr`.
        annealing: how the rates fall to 0 after they have risen for a share of `warm_up` of all updates: as a "cosine"
            (and rise as one), or "linear".
        summed: True if `lr` and `head_lr` are meant for the sum of the losses of a batch instead of their mean, and
            `weight_decay`, for each of its images, is not multiplied by the learning rate.
        whitening: epochs in which the bias of a whitened first convolution is trained; 0: the network has none.
        shift, padding, flips, cutout: see images.batches.Augmentation.
        threads, replicas: number of data-parallel processes on a CPU, and of threads in each.
    """

    epochs: int
    batch_size: int
    lr: float
    sides: tuple[int, ...] = (32,)
    momentum: float = 0.9
    weight_decay: float = 0.0005
    smoothing: float = 0.1
    threads: int = 2
    replicas: int = 1
    muon_lr: float = 0.0
    muon_momentum: float = 0.0
    head_lr: float = 0.0
    warm_up: float = 0.3
    annealing: Annealing = "cosine"
    summed: bool = False
    whitening: int = 0
    shift: int = 4
    padding: Padding = "zeros"
    flips: Flips = "random"
    cutout: int = 0


# Ways of training a ResNet. onecycle: SGD and OneCycle (Smith and Topin 2018). muon: Muon for the kernels, and what
# airbench94 adds to it that needs no change of the network.
ONECYCLE: Final = "onecycle"
MUON: Final = "muon"

_SMALL_MUON = Pretraining(
    epochs=4,
    batch_size=32,
    lr=0.05,
    muon_lr=0.1,
    muon_momentum=0.6,
    warm_up=0.2,
    annealing="linear",
    padding="reflect",
    flips="alternating",
)

# For each way of training the protocol for a data set as small as the sample, a short training for the demo, and for
# one as large as CIFAR-10.
PRETRAINING: Mapping[str, tuple[Pretraining, Pretraining]] = MappingProxyType(
    {
        ONECYCLE: (Pretraining(epochs=4, batch_size=32, lr=0.05), Pretraining(epochs=16, batch_size=128, lr=0.1)),
        MUON: (
            _SMALL_MUON,
            replace(_SMALL_MUON, epochs=56, batch_size=512, lr=0.15, muon_lr=0.06, cutout=8, threads=1, replicas=2),
        ),
    }
)

_SMALL_AIRBENCH = Pretraining(
    epochs=8,
    batch_size=64,
    lr=0.053,
    momentum=0.85,
    weight_decay=2e-6,
    smoothing=0.2,
    muon_lr=0.24,
    muon_momentum=0.6,
    head_lr=0.67,
    warm_up=0.0,
    annealing="linear",
    summed=True,
    whitening=3,
    shift=2,
    padding="reflect",
    flips="alternating",
)
_AIRBENCH94 = replace(_SMALL_AIRBENCH, batch_size=2000, threads=1, replicas=2)

# The same for the rows that have a protocol of their own: that of airbench94 by Jordan (2024), and for its larger
# sisters, which were published with SGD, the same with their own lengths and augmentations.
OWN_PRETRAINING: Mapping[str, tuple[Pretraining, Pretraining]] = MappingProxyType(
    {
        "airbench94": (_SMALL_AIRBENCH, _AIRBENCH94),
        "airbench95": (_SMALL_AIRBENCH, replace(_AIRBENCH94, epochs=15, batch_size=1000)),
        "airbench96": (
            replace(_SMALL_AIRBENCH, shift=4, cutout=12),
            replace(_AIRBENCH94, epochs=37, batch_size=1000, shift=4, cutout=12),
        ),
    }
)


@dataclass(frozen=True, kw_only=True)
class PretrainingSettings(Settings):
    """Settings of a pretraining: those of Pretraining, the network's form, and device and precision.

    Attributes:
        fraction: fraction of the training images that is used, of those that are not held out, (0, 1].
        stem, shortcut: of its network, see resnet.rows.
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
    replicas: Processes = optional(lambda: 1)
    muon_lr: Rate = optional(float)
    muon_momentum: Decay = optional(float)
    head_lr: Rate = optional(float)
    warm_up: Share = optional(lambda: 0.3)
    annealing: Annealing = optional(lambda: "cosine")
    summed: bool = optional(bool)
    whitening: Length = optional(int)
    shift: Length = optional(lambda: 4)
    padding: Padding = optional(lambda: "zeros")
    flips: Flips = optional(lambda: "random")
    cutout: Length = optional(int)
    device: str = of_the_machine("cpu")
    precision: Literal["fp32", "bf16"] = of_the_machine("fp32")

    @property
    def cores(self) -> int:
        """Number of cores that the run keeps busy."""
        return self.threads * self.replicas

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
        has_whitening = self.stem == WHITENING
        if has_whitening and len(self.sides) > 1:
            return f"sides: {self.architecture} takes images of 32 pixels only"
        if bool(self.whitening) != has_whitening:
            needed = "has a whitening, whose bias is trained for some epochs" if has_whitening else "has no whitening"
            return f"whitening: {self.architecture} {needed}"
        if self.muon_lr and not self.muon_momentum:
            return "muon_momentum: Muon needs one, above 0"
        if self.shift >= min(self.sides):
            return f"shift: it has to be less than the side of an image, {min(self.sides)}"
        return ""


def read_settings(values: Mapping[str, object]) -> PretrainingSettings:
    """Read the settings of a row from plain data, see base.read."""
    return read(PretrainingSettings, values)


def resolve_pretraining(
    row: str,
    dataset: str,
    seed: int,
    fraction: float,
    data_dir: str = DATA_DIR,
    training: str = MUON,
    **overrides: Any,
) -> PretrainingSettings:
    """Resolve the full settings of one pretraining.

    Args:
        row: key of RESNETS; the first of its stems and of its shortcuts is trained.
        dataset: name of a data set of images.
        seed: from 0.
        fraction: fraction of the training images that is used, of those that are not held out, (0, 1].
        data_dir: folder of the prepared data; read only if the size of the data set is not known beforehand.
        training: key of PRETRAINING; a row with a protocol of its own has no other.
        overrides: settings by name that replace the protocol's; None keeps the protocol's.

    Raises:
        UserError: a name is not that of a setting, or there is no such data set.
    """
    found = RESNETS[row]
    images = find(dataset, IMAGES, data_dir).train_size(data_dir)
    own = OWN_PRETRAINING.get(row)
    settings = PretrainingSettings(
        row=row,
        dataset=dataset,
        training=MUON if own else training,
        seed=seed,
        fraction=fraction,
        stem=found.stems[0],
        shortcut=found.shortcuts[0],
        validation=validation_images(images),
        **asdict(_between(images, *(own or PRETRAINING[training]))),
    )
    return changed(settings, **overrides)


def _between(images: int, small: Pretraining, large: Pretraining) -> Pretraining:
    """The protocol for so many images, with the processes of the nearer size: a network has all cores either way."""
    found = between(images, IMAGE_SIZES, replace(small, threads=large.threads, replicas=large.replicas), large)
    nearer = small if images * images < IMAGE_SIZES.small * IMAGE_SIZES.large else large
    return replace(found, threads=nearer.threads, replicas=nearer.replicas)


CATALOGUE = Catalogue(
    rows=RESNETS,
    data=IMAGES,
    main=names.TEST_ACCURACY,
    published_on=CIFAR10,
    settings=lambda row, dataset, data_dir: resolve_pretraining(row, dataset, 0, 1.0, data_dir),
    fixed=("validation",),  # so that every ResNet is judged on the same images
    shown=("stem", "shortcut", "batch_size", "lr", "muon_lr", "epochs"),
)
