"""A study of an experiment: the search for its hyperparameters, and how a trial of it is trained.

An experiment gets a study by two modules in its folder, and by nothing else: `search`, torch-free, with a SEARCH, and
`study` with a STUDY. The command `tune` offers it then, and the report draws it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Generic

from pipelines.experiments.base import SettingsType
from pipelines.experiments.spaces import Search
from pipelines.experiments.trial import Report
from pipelines.tracking.run import Run
from pipelines.training.loop import Callback


def _accept(settings: object, data_dir: str) -> None:
    """Refuse nothing."""


def _as_they_are(settings: SettingsType, data_dir: str) -> SettingsType:
    """Find nothing out about settings."""
    return settings


@dataclass(frozen=True, kw_only=True)
class Study(Generic[SettingsType]):
    """A study of an experiment.

    Attributes:
        search: what is searched, and what a trial is judged by.
        train: trains a trial and returns the search's metric after the last epoch. Its arguments are the active run,
            which gets the metrics of each epoch, the settings, which have `epochs`, the folder of the prepared data,
            the function that is told the metric after each epoch, and callbacks that see the training too. It never
            reads test data, and raises CutShort when the trial is to be given up.
        one_process: settings by which a trial is trained in one process with one thread, and not as its row would be.
        has_precision: whether its settings have a `precision`, which the machine decides.
        updates: number of updates of a training with some settings on the data in the given folder, as a trial (True),
            which has no validation part, or on the whole training part; None where the best learning rate is not known
            to follow from it. Otherwise the winner's, found in fewer updates, is multiplied by the square root of the
            quotient.
        require: raises a UserError where the settings of a trial cannot be trained on the data in the given folder.
        checked: returns the settings of a row of the user's own, with what was found out about its network; raises a
            UserError where that does not take the data in the given folder.
    """

    search: Search[SettingsType]
    train: Callable[[Run, SettingsType, str, Report, Sequence[Callback]], float]
    one_process: Mapping[str, int]
    has_precision: bool = False
    updates: Callable[[SettingsType, str, bool], int] | None = None
    require: Callable[[SettingsType, str], None] = _accept
    checked: Callable[[SettingsType, str], SettingsType] = _as_they_are


def study_of(entry: str) -> Study:
    """The study of an experiment that has one, see index.STUDIED."""
    return import_module(f"pipelines.experiments.{entry}.study").STUDY
