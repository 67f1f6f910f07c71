"""Launchers: what starts the rows of a launch, waits for them and stops them, on this machine or on others.

All that a launch does beside that, as creating the runs and settling them, is the same with each of them: see fan_out.
"""

from collections.abc import Sequence
from typing import Protocol, TypeVar

from pipelines.experiments.base import Context, SettingsType
from pipelines.launching.jobs import Job, Work
from pipelines.processes.reports import Reports


class Task(Protocol):
    """A job that was started."""

    @property
    def exit_code(self) -> int | None:
        """None while it runs; 0, UNSENT, 1 for an exception, which has been announced, negative for a signal."""

    @property
    def verdict(self) -> str:
        """The reason why its process was killed on purpose, or ""."""

    @property
    def lost(self) -> str:
        """The reason why it was cut short though nobody meant it to be, as by the end of its machine, or ""."""


TaskType = TypeVar("TaskType", bound=Task)


class Launcher(Protocol[TaskType]):
    """Starts jobs.

    Attributes:
        elsewhere: whether they run on other machines, whose disks are not seen from here.
        option: that names it on a command line, after a space; "" for the default.
    """

    elsewhere: bool
    option: str

    def room(self, jobs: Sequence[Job[SettingsType]]) -> int:
        """Number of such jobs at a time for which there is room."""

    def start(
        self, run_id: str, work: Work[SettingsType], job: Job[SettingsType], context: Context, reports: Reports
    ) -> TaskType:
        """Start a job, whose run, or that of its launch if it assists, is `run_id`; its progress goes to `reports`."""

    def wait(self, tasks: Sequence[TaskType], seconds: float) -> None:
        """Return when one of `tasks` has ended, or after some seconds."""

    def stop(self, tasks: Sequence[TaskType]) -> None:
        """End `tasks`, and give each some time to record it."""
