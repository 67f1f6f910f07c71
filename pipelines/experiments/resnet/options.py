"""Options of the evaluation of pretrained ResNets; torch-free."""

from dataclasses import dataclass

import click

from pipelines.cli import common_options as common
from pipelines.cli.declare import Options, option
from pipelines.data.datasets import IMAGES, known
from pipelines.experiments.resnet.rows import PLAIN, POOL


@dataclass(frozen=True, kw_only=True)
class ResnetOptions(Options):
    """Evaluate pretrained ResNets: accuracies and Fig 6 of the recurrent and ResNet report."""

    models: str = common.rows("resnet18,resnet34,resnet50")
    weights: str = option(
        "auto",
        str,
        "File, folder, zip, models:/name@alias, name of a known source, or auto: the registry's champion, then "
        "DATA_DIR/weights, then known sources.",
    )
    weights_key: str = option("", str, "Where a checkpoint holds several state dicts: the key of the one to take.")
    stem: str = option(
        "auto",
        click.Choice(["auto", POOL, PLAIN]),
        "Of ResNet-18, 34, 50: with or without max-pooling; auto: the source's.",
    )
    normalisation: str = option("auto", str, "Name of the catalogue or six numbers; auto: the source's.")
    dataset: str = common.dataset(*known(IMAGES), help="auto: cifar10 if prepared.")
    batch_size: int = common.batch_size("Images at a time; 0: the row's.")
    device: str = common.device()
    precision: str = option(
        "auto",
        click.Choice(["auto", "fp32", "bf16", "int8"]),
        "auto: int8 or bf16 if fast; either way fp32 where that changes the accuracy.",
    )
    data_dir: str = common.data_dir()
