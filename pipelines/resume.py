"""Continuing a launch: which of its rows are left, and whether they can go on."""

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from pipelines import names, scratch, tracking
from pipelines.errors import UserError
from pipelines.runner import Job, command_of, way_on
from pipelines.supervision import interruptible


def resume(
    entry: str, options: dict[str, Any], data: ModuleType, work: Callable[[tracking.Run, Sequence[Job]], None]
) -> None:
    """Continue a run, or all rows of a launch that have not finished, with the settings they were started with.

    Args:
        entry: the entry point that is asked.
        options: its parameters; `resume` is the id of a row's run or of its parent.
        data: the module that loads the data sets of this entry (pipelines.data).
        work: runs jobs under the parent.

    Raises:
        UserError: the run is not one of `entry`, has nothing left to do, is being worked on, or had other data.
    """
    tracking.connect(existing=True)
    asked = tracking.Run.existing(options["resume"])
    # The launch is the one that has a plan; it may itself be nested in a larger one.
    plan = asked.read_json(names.PLAN)
    parent = asked
    if plan is None and asked.parent:
        parent = asked.parent
        plan = parent.read_json(names.PLAN)
    if plan is None or parent.tags.get(names.ENTRY) != entry:
        raise UserError(f"resume={asked.id}: not a run of {entry}: give the id of one of its rows or of their parent")
    _require_plan(plan, parent)
    begun = {child.tags[names.RUN_NAME]: child for child in parent.children()}
    jobs = _unfinished(plan, begun)
    wanted = [job for job in jobs if asked.id in (parent.id, job.run_id)]
    if not wanted:
        raise UserError(f"resume={asked.id}: nothing is left to do, all its rows have finished")
    if working := next((run for run in (parent, *begun.values()) if run.is_alive), None):
        raise UserError(f"resume={asked.id}: process {working.tags[names.PID]} is at work on it: wait, or end it first")
    _require_same_data(parent, begun.values(), wanted[0].settings["dataset"], data, options["data_dir"])
    scratch.sweep()
    with interruptible():
        if launched := tracking.Run.launchers():
            note = f"Continued {len(wanted)} row(s) of run {parent.id}, where the results are."
            command = command_of(entry, options)
            launched.set_tags({names.RESUMES: parent.id, names.DESCRIPTION: note, names.COMMAND: command})
        with parent.active(), way_on(parent, entry):
            work(parent, wanted)
        if len(wanted) < len(jobs):
            # Not finished: the other rows that were stopped are still to be resumed.
            parent.end(tracking.KILLED)


def _require_plan(plan: Any, parent: tracking.Run) -> None:
    """Raises a UserError if the plan, which anybody who can log artifacts may have replaced, lacks what is read."""
    jobs = plan if isinstance(plan, list) else [None]
    for job in jobs:
        if not (isinstance(job, dict) and isinstance(job.get("name"), str) and isinstance(job.get("settings"), dict)):
            raise UserError(f"resume={parent.id}: its artifact {names.PLAN} is not what was written: start anew")
        if "dataset" not in job["settings"]:
            raise UserError(f"resume={parent.id}: its artifact {names.PLAN} names no dataset: start anew")


def _unfinished(plan: list[dict[str, Any]], begun: dict[str, tracking.Run]) -> list[Job]:
    jobs = []
    for job in plan:
        child = begun.get(job["name"])
        if child is None or child.status != tracking.FINISHED:
            settings = job["settings"]
            cores = settings.get("threads", 1) * settings.get("replicas", 1)
            jobs.append(Job(job["name"], settings, cores, child.id if child else ""))
    return jobs


def _require_same_data(
    parent: tracking.Run, begun: Sequence[tracking.Run], name: str, data: ModuleType, data_dir: str
) -> None:
    if not data.is_prepared(name, data_dir):
        raise UserError(f"{name} is not prepared in {data_dir}: python -m pipelines prepare --dataset {name}")
    digest = data.load(name, data_dir).digest
    other = [child for child in begun if child.tags.get(names.DATA_DIGEST, digest) != digest]
    if other:
        raise UserError(f"resume={parent.id}: the data in {data_dir} are not those it was trained on (other digest)")
