"""The saved view of a study's trials in MLflow's interface."""

from pipelines import names
from pipelines.common import ui
from pipelines.common.views import Bars, Lines, Parallel, Scatter, View
from pipelines.studies.plan import ENTRY, Plan


def view_of(plan: Plan) -> View:
    """Returns the view of the trials of an experiment's studies on one data set; nothing else is comparable."""
    metric = plan.search.metric
    parameters = tuple(plan.dimensions)
    return View(
        name=f"trials of {plan.study} on {plan.dataset}",
        # The metric tells the experiment: a trial's tags name its study only.
        where=f"tags.{names.ENTRY} = '{ENTRY}' and tags.{names.DATASET} = '{plan.dataset}' "
        f"and tags.{names.TRIAL} LIKE '%' and metrics.{metric} >= 0",
        # A trial that was pruned has the metric of half-way, but no objective.
        metric=names.OBJECTIVE,
        lowest=not plan.search.maximise,
        columns=(
            *map(ui.metric, (names.OBJECTIVE, metric, names.TRAINING_TIME)),
            *map(ui.param, (*parameters, "fraction")),  # of the training part, which --fraction may change
            *map(ui.tag, (names.STUDY, names.PRUNED)),
        ),
        charts=(
            Bars(names.OBJECTIVE),
            Parallel(parameters, names.OBJECTIVE),
            Lines(metric),
            Scatter(x=names.TRAINING_TIME, y=names.OBJECTIVE),
        ),
    )
