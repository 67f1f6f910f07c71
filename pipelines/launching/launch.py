"""The one launch of an experiment: a parent run, a nested run for each row and seed, and their summary."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

from pipelines import names
from pipelines.cli.declare import Options
from pipelines.errors import Interrupted
from pipelines.experiments.base import Context
from pipelines.launching.continuation import command_of, way_on
from pipelines.launching.experiment import Experiment
from pipelines.launching.jobs import Job, end_children
from pipelines.launching.local import fan_out
from pipelines.launching.resume import resume
from pipelines.launching.summary import sum_up, summarise
from pipelines.processes import scratch
from pipelines.processes.signals import interruptible, signals_later
from pipelines.tracking import claim
from pipelines.tracking.artifacts import log_json
from pipelines.tracking.run import KILLED, Run
from pipelines.tracking.server import connect
from pipelines.tracking.unsent import require_sent


def run(experiment: Experiment, options: Options, within: Run | None = None) -> str:
    """Launch an experiment, or continue a launch of it.

    Args:
        experiment: what is launched.
        options: an instance of `experiment.options`.
        within: the run of a larger launch that this one belongs to.

    Returns:
        The id of the launch's run.

    Raises:
        UserError: before any run is made.
        FailedRunsError: rows failed.
    """
    if getattr(options, "resume", ""):
        return resume(experiment, options, partial(_fan_out, experiment, options))
    with scratch.folder() as folder:
        # All that may be wrong with the input comes before the tracking server: connecting makes a database.
        plan = experiment.plan(options, folder)
        connect()
        tags = {names.ENTRY: experiment.name, names.DATASET: plan.dataset, names.TRAINING: plan.training}
        name = f"{experiment.name} {plan.dataset}"
        with launch(experiment.name, name, tags, options, plan.description, within) as parent:
            log_json(parent, [{"name": job.name, "settings": job.settings.params()} for job in plan.jobs], names.PLAN)
            _fan_out(experiment, options, parent, plan.jobs, plan.context)
            return parent.id


def _fan_out(experiment: Experiment, options: Options, parent: Run, jobs: Sequence[Job], context: Context) -> None:
    then = partial(sum_up, parent, experiment.name, partial(summarise, experiment))
    side = getattr(options, "jobs", 1)
    fan_out(parent, experiment.name, jobs, experiment.work, context, side, then, resumable="resume" in options.names())


@contextmanager
def launch(
    entry: str,
    name: str,
    tags: Mapping[str, str],
    options: Options,
    description: str,
    within: Run | None = None,
) -> Iterator[Run]:
    """The parent run of a launch, FINISHED, FAILED or KILLED in the end.

    Args:
        entry: name of the entry point.
        name: of the run.
        tags: `entry`, `dataset` and such.
        options: as given, which are logged as parameters.
        description: what the UI shows beside the run, in markdown.
        within: the run of a larger launch that this one belongs to.
    """
    scratch.sweep()
    with interruptible():
        tags = {**tags, names.DESCRIPTION: description, names.COMMAND: command_of(entry, options)}
        with _run_of(name, tags, within) as run, claim.held(run), run.active(), way_on(run, entry, options):
            run.log_params(options.values())
            yield run
            require_sent(run)


@contextmanager
def _run_of(name: str, tags: Mapping[str, str], within: Run | None) -> Iterator[Run]:
    """The new run of a launch, which a signal does not leave RUNNING: not even one that comes while it is made."""
    made: list[Run] = []
    try:
        if within:
            made.append(within.child(name, tags))
        else:
            with signals_later():
                made.append(Run.launch(name, tags))
        yield made[0]
    except Interrupted:
        if within:
            end_children(within)
        for run in made:
            if run.status == "RUNNING":
                run.end(KILLED)
        raise
