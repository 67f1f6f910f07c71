"""A row to run, and the nested runs that rows leave under their parent."""

import contextlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic

from pipelines import names
from pipelines.common.words import brief
from pipelines.errors import AwayError
from pipelines.experiments.base import NO_TRAINING, Settings, SettingsType, changed
from pipelines.tracking.outage import short_timeouts
from pipelines.tracking.run import KILLED, Run
from pipelines.tracking.unsent import send_left

LISTED = 3  # rows that the name of a launch has


@dataclass(frozen=True)
class Job(Generic[SettingsType]):
    """One row with one seed, or another training of a launch.

    Attributes:
        name: of its run.
        settings: of its run.
        run_id: id of the run to continue, "" for a new one.
        tags: of the run; by default those of a row, from its settings.
        assists: whether it works for the run of its launch, as a worker of a study does, and has none of its own.
    """

    name: str
    settings: SettingsType
    run_id: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    assists: bool = False

    @property
    def label(self) -> str:
        """The name without the seed."""
        return self.name.removesuffix(f"seed{self.settings.seed}").rstrip(" -")


def with_seed(job: Job[SettingsType], seed: int) -> Job[SettingsType]:
    """The job of the same row with another seed.

    >>> with_seed(gru_2, 1).name
    "gru-2-seed1"
    """
    name = f"{job.name.removesuffix(str(job.settings.seed))}{seed}"
    return replace(job, name=name, settings=changed(job.settings, seed=seed), run_id="")


def summary(jobs: Sequence[Job[SettingsType]], every: Collection[str], usual: str = "", seeds: str = "") -> str:
    """What a launch runs, in few words: its rows, the settings that replace their own, and how many seeds.

    Args:
        jobs: of the launch.
        every: names of all rows of the experiment.
        usual: way of training that is left out.
        seeds: what is said of the seeds instead of their number.

    >>> summary(jobs, RECURRENT, "dense")
    "gru-2, lstm-2, hidden=64, training=window, 3 seeds"
    """
    rows = list(dict.fromkeys(job.settings.row for job in jobs))
    more = f" and {len(rows) - LISTED} more" if len(rows) > LISTED else ""
    named = "all rows" if set(rows) == set(every) else f"{', '.join(rows[:LISTED])}{more}"
    changed = dict.fromkeys(word for job in jobs for word in job.label.removeprefix(job.settings.row).split())
    ways = {job.settings.training for job in jobs} - {NO_TRAINING, usual}
    count = len({job.settings.seed for job in jobs})
    parts = [named, *changed, *(f"{names.TRAINING}={way}" for way in ways)]
    return ", ".join([*parts, seeds or f"{count} seeds"] if count > 1 else parts)


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
    """Mark the nested runs that are still RUNNING as KILLED, after their processes have ended.

    The signal that stopped them has been taken and no other is heard: a server that does not answer gets little time.
    """
    with short_timeouts(timeout=5):
        send_left(parent.id)
        for run in parent.children():
            # If the server does not know a run yet, its own process has kept its final status in the spool.
            with contextlib.suppress(AwayError):
                if run.status == "RUNNING":
                    run.end(KILLED)


def row_tags(settings: Settings) -> dict[str, str]:
    """The tags of the run of a row, by which it is found."""
    params = settings.params()
    identity = (names.ROW, names.SEED, names.TRAINING, names.DATASET, names.STUDY, names.LIKE, names.CHANGES)
    return {key: str(params[key]) for key in identity if key in params}


def nested(parent: Run, entry: str, job: Job) -> Run:
    """Create the nested run of a job, with its settings as parameters."""
    run = parent.child(job.name, {names.ENTRY: entry, **(job.tags or row_tags(job.settings))})
    run.log_params(job.settings.params())
    run.hand_over()
    return run
