"""An experiment as data, and the plan of one launch of it: all that the one launch needs to know."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.cli.declare import Options
from pipelines.experiments.base import Context, Settings
from pipelines.launching.jobs import Job, Work
from pipelines.tracking.run import Run


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What one launch of an experiment runs.

    Attributes:
        dataset: name of the data set.
        jobs: one for each row and seed, in the order in which they are begun.
        context: what all of them need beside their settings.
        description: of the launch, markdown.
        training: the way of training, which the launch is tagged with.
    """

    dataset: str
    jobs: Sequence[Job]
    context: Context
    description: str
    training: str


def draw_nothing(parent: Run, finished: Sequence[Run]) -> None:
    """No figure of all rows together: each has its own."""


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """An experiment.

    Attributes:
        name: its entry point.
        options: class of its options. Without an option `jobs` one row runs after the other, and has all cores.
        rows: names of its rows, in the order of its table.
        data: kind of its data sets, as in data/datasets.py.
        metrics: columns of the table of a launch, the names of metrics.
        main: the metric by which rows are compared.
        plan: gives the plan of a launch from its options and a folder that lasts as long as the launch; raises a
            UserError for all that may be wrong with the input.
        work: importable function that runs one row.
        read: gives the settings of a row from plain data; raises a UserError.
        draw: logs figures of all finished rows, in the order of `rows`, to the launch's run.
    """

    name: str
    options: type[Options]
    rows: Sequence[str]
    data: str
    metrics: Sequence[str]
    main: str
    plan: Callable[[Any, Path], Plan]
    work: Work
    read: Callable[[Mapping[str, object]], Settings]
    draw: Callable[[Run, Sequence[Run]], None] = draw_nothing
