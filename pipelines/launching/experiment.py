"""An experiment as data, and the plan of one launch of it: all that launch.py needs to know."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from pipelines import names
from pipelines.cli.declare import Options
from pipelines.experiments.base import Context, Settings, SettingsType
from pipelines.launching.jobs import Job, Work
from pipelines.tracking.run import Run

OptionsType = TypeVar("OptionsType", bound=Options)


@dataclass(frozen=True, kw_only=True)
class Plan(Generic[SettingsType]):
    """The jobs of one launch of an experiment, and all that they have in common.

    Attributes:
        dataset: name of the data set.
        jobs: one for each row and seed, in the order in which they are started.
        context: shared by all jobs, beside their settings.
        description: of the launch, markdown.
        training: the way of training, which the launch is tagged with.
        rows_file: text of the file with the user's own rows, "" without one.
    """

    dataset: str
    jobs: Sequence[Job[SettingsType]]
    context: Context
    description: str
    training: str
    rows_file: str = ""


def data_alone(settings: Settings, data_dir: str, folder: Path) -> Context:
    """The surroundings of a row that needs nothing but the data."""
    return Context(data_dir=data_dir)


def draw_nothing(parent: Run, finished: Sequence[Run]) -> None:
    """Draw no figure of all rows together: the `draw` of an experiment whose rows have figures of their own only."""


def accept(settings: object) -> None:
    """Refuse nothing: the `require` of an experiment whose settings name nothing outside."""


@dataclass(frozen=True, kw_only=True)
class Experiment(Generic[OptionsType, SettingsType]):
    """An experiment.

    Attributes:
        name: name of its entry point.
        options: class of its options. Without an option `jobs` the rows run one after the other, each on all cores.
        rows: its rows by name, in the order of its table; their published figures are seen in the table of a launch.
        data: kind of its data sets, as in data/datasets.py.
        metrics: columns of the table of a launch, the names of metrics.
        main: the metric by which rows are compared.
        usual: its usual way of training, which names of launches leave out.
        parameters: those that distinguish runs of one row, as columns of the saved view.
        curves: metrics along training, as charts of the saved view.
        published_on: the data set of the published figures, "" without any.
        baseline: row with which the others are best compared, "" for none.
        followed_by: the experiment that uses the models of this one, "" for none.
        champion_for: the command that uses the best of its models on a data set, "" for none.
        plan: returns the plan of a launch from its options and a temporary folder that is deleted when the launch ends;
            raises a UserError if any of the input is invalid.
        work: importable function that runs one row.
        surroundings: returns the context of a row from its settings, the folder of the data and a temporary folder;
            raises a UserError if what the settings name is not there any more.
        read: returns the settings of a row from plain data; raises a UserError if they are invalid.
        require: raises a UserError where what settings name, such as a file, is not here as it was when they were made.
        draw: logs figures of all finished rows, in the order of `rows`, to the launch's run.
    """

    name: str
    options: type[OptionsType]
    rows: Mapping[str, object]
    data: str
    metrics: Sequence[str]
    main: str
    usual: str = ""
    parameters: Sequence[str] = ()
    curves: Sequence[str] = ()
    published_on: str = ""
    baseline: str = ""
    followed_by: str = ""
    champion_for: str = ""
    plan: Callable[[OptionsType, Path], Plan[SettingsType]]
    work: Work[SettingsType]
    surroundings: Callable[[SettingsType, str, Path], Context] = data_alone
    read: Callable[[Mapping[str, object]], SettingsType]
    require: Callable[[SettingsType], None] = accept
    draw: Callable[[Run, Sequence[Run]], None] = draw_nothing

    @property
    def lowest(self) -> bool:
        """Whether the lowest value of `main` is the best."""
        return bool(names.lowest_is_best(self.main))
