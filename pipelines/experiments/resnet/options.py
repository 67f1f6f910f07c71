"""Options of the evaluation of pretrained ResNets; torch-free."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from pipelines.cli import common_options as common
from pipelines.cli.declare import Options, option
from pipelines.common.choices import Names, OneOf, Place
from pipelines.common.program import Example
from pipelines.data.datasets import IMAGES, REPORTED, known
from pipelines.experiments.resnet.rows import PLAIN, POOL, RESNETS
from pipelines.experiments.resnet.sources import NORMALISATIONS, SOURCES

_PUBLISHERS = tuple(dict.fromkeys(source.name for source in SOURCES))


@dataclass(frozen=True, kw_only=True)
class ResnetOptions(Options):
    """Evaluate pretrained ResNets: accuracies and Fig 6 of the forecasting report."""

    examples: ClassVar[Sequence[Example]] = (
        Example("The weights that `pretrain` has registered", "--dataset sample --models resnet20"),
        Example("ResNets that others have published", "--models resnet20,resnet56 --weights akamaster"),
        Example("Weights of your own", "--models resnet18 --weights mine.pt --stem plain"),
    )

    models: str = common.rows(RESNETS, "resnet18,resnet34,resnet50")
    weights: str = option(
        "auto",
        Place("weights"),
        "A file, folder or zip; models:/NAME@ALIAS of the registry; a known source "
        f"({', '.join(_PUBLISHERS)}); or auto: the registry's champion, else DATA_DIR/weights, else the known sources.",
    )
    weights_key: str = option("", str, "Key of the state dict to take, where a checkpoint holds several.")
    stem: str = option(
        "auto",
        OneOf(["auto", POOL, PLAIN]),
        "First layers of ResNet-18, 34 and 50: with max-pooling (pool) or without; auto: as the weights' source has.",
    )
    normalisation: str = option(
        "auto",
        Names(["auto", *NORMALISATIONS], "name", lists=False),
        f"Normalisation of the images: {', '.join(NORMALISATIONS)}; six numbers (three means, then three standard "
        "deviations); or auto: as the weights' source has.",
    )
    dataset: str = common.dataset(*known(IMAGES), reported=REPORTED[IMAGES], to="evaluate on")
    batch_size: int = common.batch_size("Images to evaluate at a time.")
    device: str = common.device()
    precision: str = option(
        "auto",
        OneOf(["auto", "fp32", "bf16", "int8"]),
        "Format of numbers; auto: the fastest on this machine. Either way fp32 where another changes the accuracy.",
    )
    needed: bool = common.needed()
    dry_run: bool = common.dry_run()
    launcher: str = common.launcher()
    data_dir: str = common.data_dir()
