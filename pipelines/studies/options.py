"""Options of a study; torch-free."""

from dataclasses import dataclass
from typing import ClassVar

import click

from pipelines.cli import common_options as common
from pipelines.cli.declare import Options, option
from pipelines.cli.types import LARGEST_SEED, MOST_PROCESSES, MOST_TRIALS, Finite
from pipelines.data.datasets import IMAGES, LOAD, known
from pipelines.experiments.index import STUDIED


@dataclass(frozen=True, kw_only=True)
class TuneOptions(Options):
    """Search for a better learning rate and depth on validation data, then train and test the winner."""

    continuation: ClassVar[str] = "the same command goes on"

    study: str = option("recurrent", click.Choice(STUDIED), "What to tune.")
    name: str = option("", str, "Of the study; empty: study and dataset. One that exists is continued.")
    space: str = option(
        "default", str, "What to search: default (lr and depth), wide (everything), or names, comma separated."
    )
    dataset: str = common.dataset(*known(LOAD, IMAGES), help="auto: the report's if prepared.")
    n_trials: int = option(20, click.IntRange(1, MOST_TRIALS), "That the study has in the end.")
    workers: int = option(1, click.IntRange(1, MOST_PROCESSES), "Processes, each with a trial of its own.")
    fraction: float = common.fraction("Of the training part that a trial is trained on; the winner has all of it.")
    storage: str = option("", str, "Optuna's database; empty: OPTUNA_STORAGE, else sqlite:///optuna.db.")
    seed: int = option(0, click.IntRange(0, LARGEST_SEED), "Of the choices and of every trial's training.")
    timeout: float = option(0, Finite(0), "Seconds after which no trial is begun; 0: none.")
    device: str = common.device()
    data_dir: str = common.data_dir()
