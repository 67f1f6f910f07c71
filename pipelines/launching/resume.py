"""Continuing a launch: which of its rows are left, and whether they can go on."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click
from pydantic import TypeAdapter, ValidationError

from pipelines import names
from pipelines.cli.declare import Options, kind_of
from pipelines.data.datasets import find
from pipelines.errors import UserError
from pipelines.experiments.base import Context
from pipelines.launching.continuation import command_of, way_on
from pipelines.launching.experiment import Experiment
from pipelines.launching.jobs import Job
from pipelines.processes import liveness, scratch
from pipelines.processes.identity import Identity
from pipelines.processes.signals import interruptible
from pipelines.tracking import claim, provenance
from pipelines.tracking.artifacts import read_json
from pipelines.tracking.run import FINISHED, KILLED, Run
from pipelines.tracking.server import connect
from pipelines.tracking.unsent import require_sent, send_left

# Options that are not the launch's own: where the data are now, and how it goes on.
_OF_THE_RESUMPTION = {"resume", "force", "data_dir", "jobs"}


@dataclass(frozen=True)
class _Planned:
    """A job as the artifact names.PLAN has it."""

    name: str
    settings: dict[str, Any]


def resume(experiment: Experiment, options: Options, work: Callable[[Run, Sequence[Job], Context], None]) -> str:
    """Continue a run, or all rows of a launch that have not finished, with the settings they were started with.

    Args:
        experiment: whose launch it is.
        options: `resume` is the id of a row's run or of its parent. Those that say how to train count for nothing but
            to be compared with the launch's.
        work: runs jobs under the parent.

    Returns:
        The id of the launch's run.

    Raises:
        UserError: the run is not one of the experiment, has nothing left to do, is being worked on, or had other data;
            or it had other code or settings, and `force` is not among the options.
    """
    connect(existing=True)
    asked = Run.existing(options.resume)
    # What an earlier process could not send; a checkpoint may be newer than the server's.
    send_left(asked.id, asked.tags.get(names.PARENT_RUN, asked.id))
    parent, written = _launch_of(asked)
    if written is None or parent.tags.get(names.ENTRY) != experiment.name:
        raise UserError(
            f"resume={asked.id}: not a run of {experiment.name}: give the id of one of its rows or of their parent"
        )
    plan = _checked_plan(written, parent)
    begun = {child.tags[names.RUN_NAME]: child for child in parent.children()}
    jobs = _unfinished(plan, begun, experiment, parent)
    wanted = [job for job in jobs if asked.id in (parent.id, job.run_id)]
    # A launch that was stopped after its last row still lacks its tables and figures.
    if not wanted and (jobs or parent.status == FINISHED):
        raise UserError(f"resume={asked.id}: nothing is left to do, all its rows have finished")
    _require_nobody(asked, (parent, *begun.values()), options.force)
    if wanted:
        _require_same_data(parent, begun.values(), wanted[0].settings.dataset, experiment.data, options.data_dir)
    if not options.force:
        _require_same(options, parent, plan)
    scratch.sweep()
    with interruptible(), claim.held(parent, contested=True), way_on(parent, experiment.name, options):
        if launched := Run.launchers():
            note = f"Continued {len(wanted)} row(s) of run {parent.id}, where the results are."
            command = command_of(experiment.name, options)
            launched.set_tags({names.RESUMES: parent.id, names.DESCRIPTION: note, names.COMMAND: command})
        for run in (parent, *(Run(job.run_id) for job in wanted if job.run_id)):
            if changed := _code_now(run.tags):
                run.set_tags(changed)
        with parent.active():
            work(parent, wanted, Context(data_dir=options.data_dir))
            require_sent(parent)
        if len(wanted) < len(jobs):
            # Not finished: the other rows that were stopped are still to be resumed.
            parent.end(KILLED)
    return parent.id


def _launch_of(asked: Run) -> tuple[Run, object]:
    """The launch that a run is or belongs to, which is the one that has a plan, and that plan; None without one.

    A launch may itself be nested in a larger one.
    """
    plan = read_json(asked, names.PLAN)
    if plan is None and asked.parent:
        return asked.parent, read_json(asked.parent, names.PLAN)
    return asked, plan


def _checked_plan(plan: object, parent: Run) -> list[_Planned]:
    """The plan, which anybody who can log artifacts may have replaced.

    Raises:
        UserError: it lacks what is read.
    """
    try:
        planned = TypeAdapter(list[_Planned]).validate_python(plan)
    except ValidationError as error:
        raise UserError(f"resume={parent.id}: its artifact {names.PLAN} is not what was written: start anew") from error
    if any("dataset" not in each.settings for each in planned):
        raise UserError(f"resume={parent.id}: its artifact {names.PLAN} names no dataset: start anew")
    return planned


def _require_nobody(asked: Run, runs: Sequence[Run], force: bool) -> None:
    """Of a launch of before there were claims, the processes that can be seen tell whether it is worked on.

    Raises:
        UserError: it is; or that cannot be seen from here, and is not forced.
    """
    running = [run for run in runs if run.status == "RUNNING"]
    for run in running:
        process = Identity.of(run.tags)
        found = liveness.fate(process)
        if found.state == liveness.ALIVE:
            raise UserError(f"resume={asked.id}: {process} is at work on it: wait, or end it first")
        if found.state != liveness.GONE and process and not process.boot and not force:
            raise UserError(
                f"resume={asked.id}: {process} may be at work on it, which cannot be seen from here: end it first, and "
                "give --force true"
            )


def _require_same(options: Options, parent: Run, plan: Sequence[_Planned]) -> None:
    """Name what is not as it was in the launch that is to go on.

    Raises:
        UserError: something.
    """
    differences = [*_other_options(options, parent, plan), *_other_code(parent.tags)]
    if differences:
        raise UserError(
            f"resume={options.resume}: {'; '.join(differences)}; it would go on with its own settings and the code "
            "that is here: leave out such options and take that code, or accept this with --force true"
        )


def _other_options(options: Options, parent: Run, plan: Sequence[_Planned]) -> Iterator[str]:
    """A text for each option that departs from its default, from what was asked then, and from what is in the plan."""
    given, tags, defaults = parent.params, parent.tags, type(options)().values()
    for name, value in options.values().items():
        if name in _OF_THE_RESUMPTION or value == defaults[name]:
            continue
        then = _converted(kind_of(type(options), name), given.get(name))
        planned = [each.settings[name] for each in plan if name in each.settings]
        if value != then and tags.get(name) != value and not (planned and all(each == value for each in planned)):
            yield f"{name} was {_shown(then)} in that launch, {_shown(value)} is given"


def _converted(kind: click.ParamType, text: str | None) -> Any:
    """Value of a logged parameter; `mlflow run` logs what was typed, we log what it stands for."""
    if text is None:
        return None
    with contextlib.suppress(click.ClickException):
        return kind.convert(text.strip("[]").replace(" ", ""), None, None)
    return text


def _shown(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _other_code(tags: Mapping[str, str]) -> Iterator[str]:
    now = provenance.code_tags()
    known = tags.get(names.RESUMED_CODE, tags.get(names.CODE))
    commits = [each.get(names.COMMIT, "") for each in (tags, now)]
    if known is not None:
        changed = known != now[names.CODE]
    else:
        # Of before there was a digest. What was not committed may be anything.
        changed = all(commits) and (commits[0] != commits[1] or "true" in (tags.get(names.DIRTY), now.get(names.DIRTY)))
    if changed:
        then, today = (_commit(each) for each in (tags, now))
        yield f"the code was that of {then}, now it is that of {today}"


def _commit(tags: Mapping[str, str]) -> str:
    commit = tags.get(names.RESUMED_COMMIT, tags.get(names.COMMIT, "an unknown commit"))[:12]
    return commit + (" with changes" if tags.get(names.DIRTY) == "true" else "")


def _code_now(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags for a run that goes on with code that is not its own."""
    now = provenance.code_tags()
    changed = {}
    for own, resumed in ((names.COMMIT, names.RESUMED_COMMIT), (names.CODE, names.RESUMED_CODE)):
        if own in now and (resumed in tags or now[own] != tags.get(own)):
            changed[resumed] = now[own]
    return changed


def _unfinished(plan: Sequence[_Planned], begun: Mapping[str, Run], experiment: Experiment, parent: Run) -> list[Job]:
    """The jobs of the plan whose runs have not finished.

    Raises:
        UserError: their settings are not those of the experiment.
    """
    jobs = []
    for each in plan:
        child = begun.get(each.name)
        if child is None or child.status != FINISHED:
            try:
                settings = experiment.read(each.settings)
            except UserError as error:
                raise UserError(
                    f"resume={parent.id}: its artifact {names.PLAN} is not what was written ({error}): start anew"
                ) from error
            jobs.append(Job(each.name, settings, child.id if child else ""))
    return jobs


def _require_same_data(parent: Run, begun: Sequence[Run], name: str, kind: str, data_dir: str) -> None:
    dataset = find(name, kind)
    if not dataset.is_prepared(data_dir):
        raise UserError(f"{name} is not prepared in {data_dir}: python -m pipelines prepare --dataset {name}")
    digest = dataset.load(data_dir).digest
    other = [child for child in begun if child.tags.get(names.DATA_DIGEST, digest) != digest]
    if other:
        raise UserError(f"resume={parent.id}: the data in {data_dir} are not those it was trained on (other digest)")
