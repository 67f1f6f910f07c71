"""The plan of a launch, an artifact of its run: all its jobs, and the runs of earlier launches that stand for some."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from pipelines import names
from pipelines.errors import UserError
from pipelines.experiments.base import SettingsType
from pipelines.launching.jobs import Job
from pipelines.tracking.artifacts import log_json, read_json
from pipelines.tracking.run import Run


@dataclass(frozen=True)
class Planned:
    """A job as it is written in the artifact names.PLAN.

    Attributes:
        name: of its run.
        settings: of its run, as logged.
        run: id of the run of an earlier launch that stands for it, or "".
    """

    name: str
    settings: dict[str, Any]
    run: str = ""


def log_plan(parent: Run, jobs: Iterable[Job[SettingsType]], reused: Mapping[str, Run]) -> None:
    """Log the plan of a launch; `reused` has runs of earlier launches by the name of the job that they stand for."""
    plan = [
        {"name": job.name, "settings": job.settings.params()}
        | ({"run": reused[job.name].id} if job.name in reused else {})
        for job in jobs
    ]
    log_json(parent, plan, names.PLAN)


def read_plan(run: Run) -> list[Planned] | None:
    """The plan of a launch; None if the run has none, as it is no launch.

    It is untrusted input: anyone who can log artifacts may have replaced it.

    Raises:
        UserError: it is not of the form that a launch writes.
        AwayError: the tracking server is away.
    """
    plan = read_json(run, names.PLAN)
    if plan is None:
        return None
    try:
        planned = TypeAdapter(list[Planned]).validate_python(plan)
    except ValidationError as error:
        raise UserError(f"run {run.id}: its artifact {names.PLAN} is not what was written: start anew") from error
    if any("dataset" not in each.settings for each in planned):
        raise UserError(f"run {run.id}: its artifact {names.PLAN} names no dataset: start anew")
    return planned
