"""A row to run, and the nested runs that rows leave under their parent."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pipelines import names
from pipelines.errors import AwayError
from pipelines.experiments.base import Settings
from pipelines.tracking.run import KILLED, Run
from pipelines.tracking.unsent import send_left


@dataclass(frozen=True)
class Job:
    """One row with one seed: its run's name, its settings, and the run to continue, if any."""

    name: str
    settings: Settings
    run_id: str = ""


Work = Callable[[Run, Any, Any], None]  # of the run, its Settings and its Context, each of a class of the experiment's


def end_children(parent: Run) -> None:
    """Mark as KILLED the nested runs that nothing works on any more."""
    send_left(parent.id)
    for run in parent.children():
        # Of one that is not known here, its own process has kept the end.
        with contextlib.suppress(AwayError):
            if run.status == "RUNNING":
                run.end(KILLED)


def nested(parent: Run, entry: str, job: Job) -> Run:
    """The new nested run of a job, with its settings as parameters."""
    params = job.settings.params()
    identity = (names.ROW, names.SEED, names.TRAINING, names.DATASET, names.STUDY)
    tags = {key: params[key] for key in identity if key in params}
    run = parent.child(job.name, {names.ENTRY: entry, **{key: str(value) for key, value in tags.items()}})
    run.log_params(params)
    run.hand_over()
    return run
