"""Options of the recurrent experiment; torch-free."""

from dataclasses import dataclass

import click

from pipelines.cli import common_options as common
from pipelines.cli.declare import Options, option
from pipelines.cli.types import MOST_UNITS, Finite
from pipelines.data.datasets import LOAD, known
from pipelines.experiments.recurrent.rows import DENSE, WINDOW


@dataclass(frozen=True, kw_only=True)
class RecurrentOptions(Options):
    """Train RNN, LSTM and GRU forecasters and their baselines: Table 1 and Figs 7-10 of the recurrent report."""

    dataset: str = common.dataset(*known(LOAD), help="auto: pjm if prepared.")
    models: str = common.rows()
    training: str = option(DENSE, click.Choice([DENSE, WINDOW]), "window is the report's.")
    epochs: int = common.epochs()
    batch_size: int = common.batch_size("Items an update; 0: the row's.")
    lr: float = common.lr()
    hidden: int = option(0, click.IntRange(0, MOST_UNITS), "Width of a layer; 0: the row's.", own=0)
    dropout: float = option(-1, Finite(0, 0.99, own=-1), "Between layers; -1: the row's.", own=-1)
    fraction: float = common.fraction("Of the training windows, the latest.")
    seeds: int = common.seeds()
    jobs: int = common.jobs()
    device: str = common.device()
    precision: str = common.precision()
    data_dir: str = common.data_dir()
    resume: str = common.resume()
    force: bool = common.force()
