"""Options of the pretraining of ResNets; torch-free."""

from dataclasses import dataclass

from pipelines.cli import common_options as common
from pipelines.cli.declare import Options, option
from pipelines.cli.types import Sides
from pipelines.data.datasets import IMAGES, known


@dataclass(frozen=True, kw_only=True)
class PretrainOptions(Options):
    """Train ResNets and register each as <dataset>-<model>, as champion if it is the best on the validation images."""

    models: str = common.rows("resnet18")
    dataset: str = common.dataset(*known(IMAGES), help="auto: cifar10 if prepared.")
    epochs: int = common.epochs()
    lr: float = common.lr("Highest learning rate; 0: the row's.")
    batch_size: int = common.batch_size("Images an update; 0: the row's.")
    sides: list[int] = option(
        "",
        Sides(),
        "Pixels that images are scaled to, each for an equal share of the epochs, e.g. 16,24,32; empty: the row's.",
        own=[],
    )
    fraction: float = common.fraction("Of the training images, the first.")
    seeds: int = common.seeds()
    precision: str = common.precision()
    device: str = common.device()
    data_dir: str = common.data_dir()
    resume: str = common.resume()
    force: bool = common.force()
