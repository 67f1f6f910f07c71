"""Options of the training of classifiers to their best accuracy; torch-free."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from pipelines.cli import common_options as common
from pipelines.cli.declare import Options, option
from pipelines.cli.types import MOST_ITEMS, Sides
from pipelines.common.choices import Finite, Integer, OneOf
from pipelines.common.program import Example
from pipelines.data.datasets import IMAGES, REPORTED, known
from pipelines.experiments.own_rows import Selection, selected
from pipelines.experiments.pretrain.rows import MUON, ONECYCLE
from pipelines.experiments.resnet.rows import RESNETS


@dataclass(frozen=True, kw_only=True)
class PretrainOptions(Options):
    """Train ResNets and other classifiers of images.

    Each is registered as <dataset>-<model>, as champion if it is the best on the validation images.
    """

    examples: ClassVar[Sequence[Example]] = (
        Example("The smallest ResNet on the embedded sample", "--dataset sample --models resnet20"),
        Example("All training images, three seeds", "--dataset cifar10 --models airbench94 --validation 0 --seeds 3"),
        Example("Half of the epochs on small images, half on large ones", "--models resnet18 --sides 16,32"),
    )

    models: str = common.own_rows(RESNETS, "resnet18")
    rows: str = common.rows_file()
    dataset: str = common.dataset(*known(IMAGES), reported=REPORTED[IMAGES])
    training: str = option(
        MUON,
        OneOf([MUON, ONECYCLE]),
        "Of the ResNets. muon: kernels by Muon, other weights by SGD; onecycle: all by SGD. The others have their own.",
    )
    epochs: int = common.epochs()
    lr: float = common.lr("Highest learning rate of SGD.")
    muon_lr: float = option(-1, Finite(0, own=-1), "Highest learning rate of Muon, 0 for none.", own=-1)
    batch_size: int = common.batch_size("Images in each update.")
    sides: list[int] = option(
        "",
        Sides(),
        "Sizes that images are scaled to, each for an equal share of the epochs, such as 16,24,32.",
        own=[],
    )
    fraction: float = common.fraction("Share of the training images to train on, the first ones.")
    validation: int = option(
        -1,
        Integer(-1, MOST_ITEMS),
        "Training images to hold out, by which the champion is chosen; 0: train on all, and the newest is champion.",
        own=-1,
    )
    seeds: int = common.seeds()
    needed: bool = common.needed()
    dry_run: bool = common.dry_run()
    jobs: int = common.jobs()
    launcher: str = common.launcher()
    precision: str = common.precision()
    device: str = common.device()
    data_dir: str = common.data_dir()
    resume: str = common.resume()
    force: bool = common.force()

    def __post_init__(self) -> None:
        super().__post_init__()
        # A launch that is continued has the rows that it was planned with.
        if not self.resume:
            _ = self.selected

    @cached_property
    def selected(self) -> Selection:
        """The rows to run."""
        return selected("pretrain", "models", self.models, type(self).models, self.rows)
