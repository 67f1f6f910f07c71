"""A row to run, and the nested runs that rows leave under their parent."""

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pipelines import names
from pipelines.errors import AwayError
from pipelines.tracking.run import KILLED, Run, send_left


@dataclass(frozen=True)
class Job:
    """One row with one seed: its run's name, its settings, the cores it trains on, and the run to continue, if any."""

    name: str
    settings: Mapping[str, object]
    cores: int = 1
    run_id: str = ""


Work = Callable[[Run, Mapping[str, object], Mapping[str, object]], None]


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
    settings = job.settings
    identity = (names.ROW, names.SEED, names.TRAINING, names.DATASET, names.STUDY)
    tags = {key: settings[key] for key in identity if key in settings}
    run = parent.child(job.name, {names.ENTRY: entry, **{key: str(value) for key, value in tags.items()}})
    run.log_params(settings)
    run.hand_over()
    return run
