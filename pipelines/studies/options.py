"""Options of a study; torch-free."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from pipelines.cli import common_options as common
from pipelines.cli.declare import Options, option
from pipelines.cli.types import LARGEST_SEED, MOST_PROCESSES, MOST_TRIALS
from pipelines.common.choices import Finite, Integer, Names, OneOf
from pipelines.common.program import Example
from pipelines.data.datasets import IMAGES, LOAD, REPORTED, known
from pipelines.data.protocol import DATA_DIR, SAMPLE
from pipelines.errors import UserError, meant
from pipelines.experiments.base import Settings
from pipelines.experiments.index import STUDIED, search_of
from pipelines.experiments.own_rows import Selection, selected
from pipelines.experiments.spaces import DEFAULT_SPACE, WIDE_SPACE

LISTED = 8  # rows that a message names


def _names(entry: str) -> Iterable[str]:
    """Names of the hyperparameters that rows of an experiment have, whatever the data."""
    search = search_of(entry)
    return dict.fromkeys(name for row in search.rows for name in search.space(search.own(row, SAMPLE, DATA_DIR)))


def _spaces() -> Iterable[str]:
    return dict.fromkeys(name for entry in STUDIED for name in (DEFAULT_SPACE, WIDE_SPACE, *_names(entry)))


def _searched() -> str:
    of_studies = "; ".join(f"{', '.join(_names(entry))} ({entry})" for entry in STUDIED)
    return f"default (lr and depth), wide (all that the row has), or names, comma separated: {of_studies}"


def _rows() -> Iterable[str]:
    return [row for entry in STUDIED for row in search_of(entry).rows]


def _usual() -> str:
    return ", ".join(f"{search_of(entry).row} ({entry})" for entry in STUDIED)


@dataclass(frozen=True, kw_only=True)
class TuneOptions(Options):
    """Search for a better learning rate and depth on validation data, then train and test the winner."""

    continuation: ClassVar[str] = "the same command goes on"

    examples: ClassVar[Sequence[Example]] = (
        Example("Eight trials of learning rate and depth on the embedded sample", "--dataset sample --n-trials 8"),
        Example("The learning rate alone", "--study ablation --space lr --n-trials 8"),
        Example("A network of relative changes", "--row gru-relative --space lr,hidden,lags --fraction 0.4"),
        Example("Everything, in two processes, for an hour at most", "--space wide --workers 2 --timeout 3600"),
    )

    study: str = option("recurrent", OneOf(STUDIED), "Experiment to tune.")
    row: str = option(
        "",
        Names(_rows, "row", lists=False),
        "Row whose settings are the first trial's; others change them.",
        shown=_usual(),
    )
    rows: str = common.rows_file()
    name: str = option("", str, "Name of the study; one that exists is continued.", shown="STUDY[-ROW]-DATASET")
    space: str = option("default", Names(_spaces, "space"), f"What to search: {_searched()}.")
    dataset: str = common.dataset(*known(LOAD, IMAGES), reported=" or ".join(REPORTED.values()))
    n_trials: int = option(20, Integer(1, MOST_TRIALS), "Trials that the study has in the end.")
    workers: int = option(1, Integer(1, MOST_PROCESSES), "Processes, each with a trial or a finalist of its own.")
    fraction: float = common.fraction("Share of the training data that a trial is trained on; the winner has all.")
    finalists: int = option(
        3,
        Integer(0, MOST_TRIALS),
        "Best trials that are trained at full length, at three or more learning rates, before the winner is named, "
        "and with them the row itself; 0: none.",
    )
    storage: str = option(
        "", str, "Optuna's database, as an SQLAlchemy URL.", shown="OPTUNA_STORAGE, else sqlite:///optuna.db"
    )
    seed: int = option(0, Integer(0, LARGEST_SEED), "Seed of the choices and of every trial's training.")
    timeout: float = option(0, Finite(0), "Seconds after which no further trial is begun.", shown="no limit")
    needed: bool = option(False, bool, "Make no run of a study that has its trials, its finalists and its winner.")
    dry_run: bool = option(
        False, bool, "Check everything and say what would be trained, and how long that took earlier, but run nothing."
    )
    launcher: str = common.launcher()
    device: str = common.device()
    data_dir: str = common.data_dir()

    def __post_init__(self):
        super().__post_init__()
        # So that a misspelt name is refused at once, before any data are read.
        search = search_of(self.study)
        (row,) = self.selected.rows
        if row not in (*search.rows, *self.selected.own):
            raise UserError(f"row={row}: not a trained row of study={self.study}; {meant(row, search.rows)}")
        search.dimensions(self.own(SAMPLE), self.space)

    @cached_property
    def selected(self) -> Selection:
        """The one row that the study begins with."""
        given = self.row or ("" if self.rows else search_of(self.study).row)
        found = selected(self.study, "row", given, "", self.rows)
        if len(found.rows) > 1:
            listed = ", ".join(found.rows[:LISTED]) + (" …" if len(found.rows) > LISTED else "")
            where = f"row={given}" if given else f"rows={self.rows}"
            raise UserError(f"{where}: a study begins with one row; give --row one of {listed}")
        return found

    def own(self, dataset: str) -> Settings:
        """The settings that this row has of its own on a data set."""
        (row,) = self.selected.rows
        return self.selected.settings(row, lambda like: search_of(self.study).own(like, dataset, self.data_dir))
