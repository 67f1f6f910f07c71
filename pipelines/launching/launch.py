"""The one launch of an experiment: a parent run, a nested run for each row and seed, and their summary."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial

from pipelines import names
from pipelines.cli.declare import Options
from pipelines.errors import AwayError, Interrupted, UserError
from pipelines.experiments.base import Context, SettingsType
from pipelines.launching.agenda import Agenda
from pipelines.launching.continuation import Resumable, add_resume_note, command_of
from pipelines.launching.data import digest_of
from pipelines.launching.dry_run import rehearsed, require_no_preparation
from pipelines.launching.ending import ending
from pipelines.launching.experiment import Experiment, OptionsType, Plan
from pipelines.launching.fan_out import fan_out
from pipelines.launching.jobs import Job, end_children, summary
from pipelines.launching.launcher import Launcher
from pipelines.launching.launchers import launching
from pipelines.launching.resume import resume
from pipelines.launching.summary import sum_up, summarise
from pipelines.launching.view import view_of
from pipelines.processes import scratch
from pipelines.processes.ranks import ranks
from pipelines.processes.signals import interruptible, signals_later
from pipelines.terminal.display import conclude, showing
from pipelines.tracking import claim
from pipelines.tracking.artifacts import log_text
from pipelines.tracking.page import present
from pipelines.tracking.run import KILLED, Run
from pipelines.tracking.server import connect
from pipelines.tracking.unsent import require_sent


def run(experiment: Experiment[OptionsType, SettingsType], options: OptionsType, within: Run | None = None) -> str:
    """Launch an experiment, or continue a launch of it.

    Args:
        experiment: what is launched.
        options: an instance of `experiment.options`.
        within: run of the larger launch that this one is part of.

    Returns:
        The id of the launch's run, "" of a dry run.

    Raises:
        UserError: before any run is made.
        FailedRunsError: rows failed.
    """
    dry = getattr(options, "dry_run", False)
    if dry and getattr(options, "resume", ""):
        raise UserError("dry_run=true: a launch that is continued runs what its plan lists; leave out one of the two")
    if isinstance(options, Resumable) and options.resume:
        with launching(experiment, options) as launcher:
            return resume(experiment, options, partial(_fan_out, experiment, options, launcher))
    with showing(experiment.name) as display, scratch.folder() as folder:
        display.doing("reading the data")
        if dry:
            require_no_preparation(experiment, options)
        # The input is checked before the tracking server is contacted: connecting creates a database.
        plan = experiment.plan(options, folder)
        if dry:
            display.doing("looking for earlier runs")
            conclude(rehearsed(experiment, options, plan))
            return ""
        display.doing("connecting to the tracking server")
        connect()
        display.doing("")
        tags = {names.ENTRY: experiment.name, names.DATASET: plan.dataset, names.TRAINING: plan.training}
        seeds = ""
        if width := getattr(options, "width", 0.0):
            tags |= {names.WIDTH: str(width)}
            seeds = f"seeds until width {width:g}"
        # MLflow's list shows the first twenty letters of a name, so it begins with what tells launches apart.
        what = summary(plan.jobs, experiment.rows, experiment.usual, seeds)
        name = f"{what} ({experiment.name} on {plan.dataset})"
        with (
            launching(experiment, options) as launcher,
            launch(experiment.name, name, tags, options, plan.description, within) as parent,
        ):
            present(parent, view_of(experiment, plan.dataset))
            if plan.rows_file:
                log_text(parent, plan.rows_file, names.ROWS_FILE)
            agenda = Agenda(experiment, parent, plan.context.data_dir, _digest(experiment, options, plan))
            jobs = agenda.add(plan.jobs)
            _fan_out(experiment, options, launcher, parent, jobs, plan.context, agenda.grow, ends=within is None)
            return parent.id


def _digest(experiment: Experiment[OptionsType, SettingsType], options: OptionsType, plan: Plan[SettingsType]) -> str:
    """The digest of the data, by which earlier runs are found; "" if the options do not ask for them."""
    if not getattr(options, "needed", False):
        return ""
    return digest_of(plan.dataset, experiment.data, plan.context.data_dir)


def _fan_out(
    experiment: Experiment[OptionsType, SettingsType],
    options: OptionsType,
    launcher: Launcher,
    parent: Run,
    jobs: Sequence[Job[SettingsType]],
    context: Context,
    more: Callable[[], Sequence[Job[SettingsType]]],
    ends: bool = True,
) -> None:
    fan_out(
        parent,
        experiment.name,
        jobs,
        experiment.work,
        context,
        # Elsewhere a row that keeps all cores busy has those of its node.
        # The ranks of torchrun train one row at a time.
        parallel=1 if ranks() > 1 else getattr(options, "jobs", 0 if launcher.elsewhere else 1),
        main=experiment.main,
        more=more,
        then=partial(_conclude, experiment, parent, context.data_dir, ends),
        resumable=isinstance(options, Resumable),
        launcher=launcher,
    )


def _conclude(experiment: Experiment[OptionsType, SettingsType], parent: Run, data_dir: str, ends: bool) -> None:
    """Summarise a launch and, if the command `ends` with it, print its results."""
    finished = sum_up(parent, experiment.name, partial(summarise, experiment))
    if finished and ends:
        with suppress(AwayError):
            conclude(ending(experiment, parent, finished, data_dir))


@contextmanager
def launch(
    entry: str,
    name: str,
    tags: Mapping[str, str],
    options: Options,
    description: str,
    within: Run | None = None,
) -> Iterator[Run]:
    """Create the parent run of a launch and end it as FINISHED, FAILED or KILLED.

    Args:
        entry: name of the entry point.
        name: of the run.
        tags: such as `entry` and `dataset`.
        options: as given; they are logged as parameters.
        description: text that the UI shows beside the run, in markdown.
        within: run of the larger launch that this one is part of.
    """
    scratch.sweep()
    with interruptible():
        tags = {**tags, names.DESCRIPTION: description, names.COMMAND: command_of(entry, options)}
        with _run_of(name, tags, within) as run, claim.held(run), run.active(), add_resume_note(run, entry, options):
            run.log_params(options.logged())
            yield run
            require_sent(run)


@contextmanager
def _run_of(name: str, tags: Mapping[str, str], within: Run | None) -> Iterator[Run]:
    """Create the run of a launch; a signal ends it as KILLED, even one that arrives while it is being created."""
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
