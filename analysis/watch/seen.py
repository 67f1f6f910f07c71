"""Runs as the tracking server has them at one moment: what a page is made of."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pipelines import names

_ENTRY_POINT = f"{names.PROJECT_TAGS}entryPoint"

RUNNING, FINISHED, FAILED, KILLED = "RUNNING", "FINISHED", "FAILED", "KILLED"


@dataclass(frozen=True)
class Point:
    """A value of a metric, logged at `at` (seconds since 1970, by the clock of the process that logged it)."""

    step: int
    value: float
    at: float


@dataclass(frozen=True)
class Seen:
    """A run.

    Attributes:
        run_id: of the run.
        name: of the run.
        status: RUNNING, SCHEDULED, FINISHED, FAILED or KILLED.
        began: seconds since 1970.
        ended: seconds since 1970, None while it is running.
        tags: text by name.
        params: text by name.
        latest: the last point of each metric.
    """

    run_id: str
    name: str
    status: str
    began: float
    ended: float | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    latest: Mapping[str, Point] = field(default_factory=dict)

    @property
    def entry(self) -> str:
        """The entry that made it, "" if it is another project's."""
        return self.tags.get(names.ENTRY) or self.tags.get(_ENTRY_POINT, "")

    @property
    def is_launch(self) -> bool:
        """Whether it is the run of a launch, be it one that `mlflow run` has only just begun."""
        return bool(self.entry) and not self.tags.keys() & set(names.PARTS)


@dataclass(frozen=True)
class Beat:
    """Heartbeat of a launch: when its claim was first read here, and when it was last seen to change, if ever.

    Both are seconds since 1970 by the clock of this machine, so that no other clock matters.
    """

    first_read: float
    changed: float | None = None


@dataclass(frozen=True)
class Found:
    """All that was read.

    Attributes:
        runs: those that are running or ended lately, with their parents and the other runs of the same launches.
        histories: the points, in the order of their steps, by run and metric; of running runs only.
        plans: names of the rows and seeds that a launch was to run, by the launch's run.
        beats: heartbeats of launches, by run.
        empty: whether nothing was ever logged on the server.
        address: of the server, without password.
    """

    runs: tuple[Seen, ...] = ()
    histories: Mapping[tuple[str, str], tuple[Point, ...]] = field(default_factory=dict)
    plans: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    beats: Mapping[str, Beat] = field(default_factory=dict)
    empty: bool = False
    address: str = ""
