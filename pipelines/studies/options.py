"""Options of a study; torch-free."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from pipelines.cli import common_options as common
from pipelines.cli.declare import Options, option
from pipelines.cli.types import LARGEST_SEED, MOST_PROCESSES, MOST_TRIALS
from pipelines.common.choices import Finite, Integer, Names, OneOf
from pipelines.common.program import Example
from pipelines.data.datasets import IMAGES, LOAD, REPORTED, known
from pipelines.experiments.index import STUDIED, search_of
from pipelines.experiments.spaces import DEFAULT_SPACE, WIDE_SPACE


def _spaces() -> Iterable[str]:
    return dict.fromkeys(name for entry in STUDIED for name in (DEFAULT_SPACE, WIDE_SPACE, *search_of(entry).space))


def _searched() -> str:
    of_studies = "; ".join(f"{', '.join(search_of(entry).space)} ({entry})" for entry in STUDIED)
    return f"default (lr and depth), wide (all), or names, comma separated: {of_studies}"


@dataclass(frozen=True, kw_only=True)
class TuneOptions(Options):
    """Search for a better learning rate and depth on validation data, then train and test the winner."""

    continuation: ClassVar[str] = "the same command goes on"

    examples: ClassVar[Sequence[Example]] = (
        Example("Eight trials of learning rate and depth on the embedded sample", "--dataset sample --n-trials 8"),
        Example("The learning rate alone", "--study ablation --space lr --n-trials 8"),
        Example("Everything, in two processes, for an hour at most", "--space wide --workers 2 --timeout 3600"),
    )

    study: str = option("recurrent", OneOf(STUDIED), "Experiment to tune.")
    name: str = option("", str, "Name of the study; one that exists is continued.", shown="STUDY-DATASET")
    space: str = option("default", Names(_spaces, "space"), f"What to search: {_searched()}.")
    dataset: str = common.dataset(*known(LOAD, IMAGES), reported=" or ".join(REPORTED.values()))
    n_trials: int = option(20, Integer(1, MOST_TRIALS), "Trials that the study has in the end.")
    workers: int = option(1, Integer(1, MOST_PROCESSES), "Processes, each with a trial of its own.")
    fraction: float = common.fraction("Share of the training data that a trial is trained on; the winner has all.")
    storage: str = option(
        "", str, "Optuna's database, as an SQLAlchemy URL.", shown="OPTUNA_STORAGE, else sqlite:///optuna.db"
    )
    seed: int = option(0, Integer(0, LARGEST_SEED), "Seed of the choices and of every trial's training.")
    timeout: float = option(0, Finite(0), "Seconds after which no further trial is begun.", shown="no limit")
    device: str = common.device()
    data_dir: str = common.data_dir()

    def __post_init__(self):
        super().__post_init__()
        search_of(self.study).dimensions(self.space)  # so that a misspelt name is refused at once
