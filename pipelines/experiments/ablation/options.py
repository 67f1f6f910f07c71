"""Options of the ablation experiment; torch-free."""

from dataclasses import dataclass

import click

from pipelines.cli import common_options as common
from pipelines.cli.declare import Options, option
from pipelines.data.datasets import IMAGES, known
from pipelines.experiments.ablation.rows import AUTOGRAD, MANUAL


@dataclass(frozen=True, kw_only=True)
class AblationOptions(Options):
    """Train the CNN and MLP variants: Table 2, Figs 5-7 and Table 1 of the ablation report."""

    dataset: str = common.dataset(*known(IMAGES), help="auto: cifar10 if prepared.")
    variants: str = common.rows()
    epochs: int = common.epochs()
    batch_size: int = common.batch_size("Images an update; 0: the row's.")
    lr: float = common.lr()
    fraction: float = common.fraction("Of the training images, the first.")
    backprop: str = option(
        AUTOGRAD, click.Choice([AUTOGRAD, MANUAL]), "manual: by the derived formulas, for the mlp rows."
    )
    seeds: int = common.seeds()
    jobs: int = common.jobs()
    device: str = common.device()
    data_dir: str = common.data_dir()
    resume: str = common.resume()
    force: bool = common.force()
