"""A row to run, and the nested runs that rows leave under their parent."""

import contextlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic

from pipelines import names
from pipelines.common.words import brief
from pipelines.errors import AwayError
from pipelines.experiments.base import NO_TRAINING, SettingsType
from pipelines.tracking.run import KILLED, Run
from pipelines.tracking.unsent import send_left

LISTED = 3  # rows that the description of a launch begins with


@dataclass(frozen=True)
class Job(Generic[SettingsType]):
    """One row with one seed: its run's name, its settings, and the id of the run to continue, "" for a new one."""

    name: str
    settings: SettingsType
    run_id: str = ""

    @property
    def label(self) -> str:
        """The name without the seed."""
        return self.name.removesuffix(f"seed{self.settings.seed}").rstrip(" -")


def listed(jobs: Sequence[Job[SettingsType]], every: Collection[str]) -> str:
    """The first three rows of `jobs`, with the settings that were changed, and how many more there are.

    Args:
        jobs: of one launch.
        every: names of all rows of the experiment.
    """
    labels = list(dict.fromkeys(job.label for job in jobs))
    more = f" and {len(labels) - LISTED} more" if len(labels) > LISTED else ""
    whole = "all rows: " if {job.settings.row for job in jobs} == set(every) else ""
    return f"{whole}{', '.join(labels[:LISTED])}{more}"


def job(settings: SettingsType, overridden: Mapping[str, object]) -> Job[SettingsType]:
    """The job of a row, named after it, after its `overridden` settings, and after its seed if it is trained.

    >>> job(settings, {}).name, job(settings, {"hidden": 64, "lr": 0.003}).name
    ("gru-2-seed0", "gru-2 hidden=64 lr=0.003 seed0")
    """
    seed = [] if settings.training == NO_TRAINING else [f"seed{settings.seed}"]
    words = [settings.row, *brief(overridden), *seed]
    return Job((" " if overridden else "-").join(words), settings)


# A function of a run, its settings and its context, the latter of the experiment's class.
Work = Callable[[Run, SettingsType, Any], None]


def end_children(parent: Run) -> None:
    """Mark the nested runs that are still RUNNING as KILLED, after their processes have ended."""
    send_left(parent.id)
    for run in parent.children():
        # If the server does not know a run yet, its own process has kept its final status in the spool.
        with contextlib.suppress(AwayError):
            if run.status == "RUNNING":
                run.end(KILLED)


def nested(parent: Run, entry: str, job: Job) -> Run:
    """Create the nested run of a job, with its settings as parameters."""
    params = job.settings.params()
    identity = (names.ROW, names.SEED, names.TRAINING, names.DATASET, names.STUDY)
    tags = {key: params[key] for key in identity if key in params}
    run = parent.child(job.name, {names.ENTRY: entry, **{key: str(value) for key, value in tags.items()}})
    run.log_params(params)
    run.hand_over()
    return run
