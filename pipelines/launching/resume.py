"""Continuing a launch: finds its unfinished rows, and checks that they can be continued."""

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import click

from pipelines import names
from pipelines.cli.declare import Options, kind_of
from pipelines.errors import UserError
from pipelines.experiments.base import Context, SettingsType
from pipelines.launching.agenda import Agenda
from pipelines.launching.continuation import Resumable, add_resume_note, command_of
from pipelines.launching.data import digest_of
from pipelines.launching.experiment import Experiment, OptionsType
from pipelines.launching.jobs import Job
from pipelines.launching.planned import Planned, read_plan
from pipelines.processes import liveness, scratch
from pipelines.processes.identity import Identity
from pipelines.processes.signals import interruptible
from pipelines.tracking import claim, provenance
from pipelines.tracking.run import FINISHED, KILLED, Run
from pipelines.tracking.server import connect
from pipelines.tracking.unsent import require_sent, send_left

# Options of the continuation, which need not be those of the launch.
_OF_THE_CONTINUATION = {"resume", "force", "data_dir", "jobs", "launcher"}


def resume(
    experiment: Experiment[OptionsType, SettingsType],
    options: OptionsType,
    work: Callable[[Run, Sequence[Job[SettingsType]], Context, Callable[[], Sequence[Job[SettingsType]]]], None],
) -> str:
    """Continue a run, or all rows of a launch that have not finished, with the settings they were started with.

    Args:
        experiment: the experiment of the launch.
        options: `resume` is the id of a row's run or of its parent, its first digits, or its name. The options that
            say how to train are only compared with those of the launch.
        work: runs jobs under the parent, and those that its last argument adds.

    Returns:
        The id of the launch's run.

    Raises:
        UserError: the run is not one of the experiment, has nothing left to do, is in progress in another process, or
            was trained on other data; or its code or settings differ, and the option `force` is not given.
    """
    if not isinstance(options, Resumable):
        raise TypeError(f"a launch of {experiment.name} cannot be continued")
    connect(existing=True)
    requested = Run.meant(options.resume, _stopped(experiment.name))
    options = replace(options, resume=requested.id)  # as it is recorded
    # An earlier process may have left data unsent, with a newer checkpoint than the server's.
    send_left(requested.id, requested.tags.get(names.PARENT_RUN, requested.id))
    parent, plan = _launch_of(requested)
    if plan is None or parent.tags.get(names.ENTRY) != experiment.name:
        raise UserError(
            f"resume={requested.id}: not a run of {experiment.name}: give the id of one of its rows or of their parent"
        )
    reused = {each.name: Run(each.run) for each in plan if each.run}
    started = {child.tags[names.RUN_NAME]: child for child in parent.children()}
    every = _jobs(plan, started, experiment, parent)
    jobs = [job for job in every if not _has_finished(started.get(job.name, reused.get(job.name)))]
    continued = [job for job in jobs if requested.id in (parent.id, job.run_id)]
    # A launch that was stopped after its last row still lacks its summary table and figures.
    if not continued and (jobs or parent.status == FINISHED):
        raise UserError(f"resume={requested.id}: nothing is left to do, all its rows have finished")
    _require_idle(requested, (parent, *started.values()), options.force)
    digest = ""
    if continued or names.REUSED in parent.tags:
        digest = _same_data(parent, started.values(), every[0].settings.dataset, experiment.data, options.data_dir)
    for job in continued:
        experiment.require(job.settings)
    if not options.force:
        _require_same(options, options.resume, parent, plan)
    scratch.sweep()
    with interruptible(), claim.held(parent, contested=True), add_resume_note(parent, experiment.name, options):
        if launched := Run.launchers():
            note = f"Continued {len(continued)} row(s) of run {parent.id}, where the results are."
            command = command_of(experiment.name, options)
            launched.set_tags({names.RESUMES: parent.id, names.DESCRIPTION: note, names.COMMAND: command})
        for run in (parent, *(Run(job.run_id) for job in continued if job.run_id)):
            if changed := _code_now(run.tags):
                run.set_tags(changed)
        with parent.active():
            known = digest if names.REUSED in parent.tags else ""
            agenda = Agenda(experiment, parent, options.data_dir, known, every, reused)
            # Seeds are added where all that the launch has so far is continued.
            more = agenda.grow if len(continued) == len(jobs) else list
            work(parent, continued, Context(data_dir=options.data_dir), more)
            require_sent(parent)
        if len(continued) < len(jobs):
            # Other rows that were stopped remain to be continued, so the launch has not finished.
            parent.end(KILLED)
    return parent.id


def _stopped(entry: str) -> str:
    """Condition in MLflow's search syntax for the runs of `entry` that can be continued."""
    return f"tags.{names.ENTRY} = '{entry}' and attributes.status != 'FINISHED'"


def _launch_of(run: Run) -> tuple[Run, list[Planned] | None]:
    """Find the launch of a run: the run itself if it has a plan, else its parent. Returns it with its plan, or None.

    A launch may itself be nested in a larger one.
    """
    plan = read_plan(run)
    if plan is None and run.parent:
        return run.parent, read_plan(run.parent)
    return run, plan


def _require_idle(requested: Run, runs: Sequence[Run], force: bool) -> None:
    """Check that no process is working on any of `runs`; needed for launches of versions without claims.

    Raises:
        UserError: a process is; or one may be on a machine that cannot be checked from here, and `force` is False.
    """
    running = [run for run in runs if run.status == "RUNNING"]
    for run in running:
        process = Identity.of(run.tags)
        found = liveness.fate(process)
        if found.state == liveness.ALIVE:
            raise UserError(f"resume={requested.id}: {process} is at work on it: wait, or end it first")
        if found.state != liveness.GONE and process and not process.boot and not force:
            raise UserError(
                f"resume={requested.id}: {process} may be at work on it, which cannot be seen from here: end it first, "
                "and give --force true"
            )


def _require_same(options: Options, requested: str, parent: Run, plan: Sequence[Planned]) -> None:
    """Check that options and code are those of the launch that is continued.

    Raises:
        UserError: some differ; names each.
    """
    code = provenance.other_code(parent.tags, provenance.code_tags())
    differences = [*_other_options(options, parent, plan), *([code] if code else [])]
    if differences:
        raise UserError(
            f"resume={requested}: {'; '.join(differences)}; it would go on with its own settings and the code "
            "that is here: leave out such options and take that code, or accept this with --force true"
        )


def _other_options(options: Options, parent: Run, plan: Sequence[Planned]) -> Iterator[str]:
    """Describe each option that differs from its default, the option of the launch, and the settings of the plan."""
    given, tags, defaults = parent.params, parent.tags, type(options)().values()
    for name, value in options.values().items():
        if name in _OF_THE_CONTINUATION or value == defaults[name]:
            continue
        then = _converted(kind_of(type(options), name), given.get(name))
        planned = [each.settings[name] for each in plan if name in each.settings]
        if value != then and tags.get(name) != value and not (planned and all(each == value for each in planned)):
            yield f"{name} was {_shown(then)} in that launch, {_shown(value)} is given"


def _converted(kind: click.ParamType, text: str | None) -> Any:
    """Value of a logged parameter: `mlflow run` logs the text as typed, a launch of ours the converted value."""
    if text is None:
        return None
    with contextlib.suppress(click.ClickException):
        return kind.convert(text.strip("[]").replace(" ", ""), None, None)
    return text


def _shown(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _code_now(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags that record the present code on a run that other code began; none if the code is the same."""
    now = provenance.code_tags()
    changed = {}
    for own, resumed in ((names.COMMIT, names.RESUMED_COMMIT), (names.CODE, names.RESUMED_CODE)):
        if own in now and (resumed in tags or now[own] != tags.get(own)):
            changed[resumed] = now[own]
    return changed


def _jobs(
    plan: Sequence[Planned],
    started: Mapping[str, Run],
    experiment: Experiment[OptionsType, SettingsType],
    parent: Run,
) -> list[Job[SettingsType]]:
    """The jobs of the plan, with the runs that were `started` for them, by name.

    Raises:
        UserError: their settings are not valid settings of the experiment.
    """
    jobs = []
    for each in plan:
        try:
            settings = experiment.read(each.settings)
        except UserError as error:
            raise UserError(
                f"resume={parent.id}: its artifact {names.PLAN} is not what was written ({error}): start anew"
            ) from error
        jobs.append(Job(each.name, settings, started[each.name].id if each.name in started else ""))
    return jobs


def _has_finished(run: Run | None) -> bool:
    return run is not None and run.status == FINISHED


def _same_data(parent: Run, started: Collection[Run], name: str, kind: str, data_dir: str) -> str:
    """The digest of the data, which are those that the runs of a launch were trained on.

    Raises:
        UserError: they are other data, or are not prepared.
    """
    digest = digest_of(name, kind, data_dir)
    other = [child for child in started if child.tags.get(names.DATA_DIGEST, digest) != digest]
    if other:
        raise UserError(f"resume={parent.id}: the data in {data_dir} are not those it was trained on (other digest)")
    return digest
