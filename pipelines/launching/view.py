"""The saved view of an experiment's rows in MLflow's interface."""

from pipelines import names
from pipelines.common import ui
from pipelines.common.views import Bars, Lines, Scatter, View
from pipelines.experiments.base import SettingsType
from pipelines.launching.experiment import Experiment, OptionsType


def view_of(experiment: Experiment[OptionsType, SettingsType], dataset: str) -> View:
    """Returns the view of the rows of an experiment on one data set, since nothing is compared across data sets."""
    others = [metric for metric in experiment.metrics if metric != experiment.main]
    costs = [cost for cost in (names.TRAINING_TIME, names.IMAGES_PER_S) if cost in others][:1]
    return View(
        name=f"{experiment.name} on {dataset}",
        where=f"tags.{names.ENTRY} = '{experiment.name}' and tags.{names.DATASET} = '{dataset}' "
        f"and tags.{names.ROW} LIKE '%'",
        metric=experiment.main,
        lowest=experiment.lowest,
        # A screen has room for ten or so.
        columns=(
            *map(ui.metric, [experiment.main, *costs]),
            *map(ui.param, [*experiment.parameters, names.SEED]),
            *(ui.metric(metric) for metric in others if metric not in costs),
        ),
        charts=(
            Bars(experiment.main),
            *(Scatter(x=cost, y=experiment.main) for cost in costs),
            *map(Lines, experiment.curves),
        ),
    )
