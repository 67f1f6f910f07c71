"""The launcher of this machine: a process for each job."""

import os
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from pipelines.experiments.base import Context, SettingsType
from pipelines.launching.costs import costs
from pipelines.launching.hosted import needs_gpu
from pipelines.launching.jobs import Job, Work
from pipelines.processes import children, scratch
from pipelines.processes.children import Child
from pipelines.processes.reports import Reports
from pipelines.tracking.run import Run

PRELOAD = "pipelines.tracking.preload"  # imported by the server that rows are forked from


class Local:
    """Starts jobs on this machine, see launcher.Launcher."""

    elsewhere = False
    option = ""

    def room(self, jobs: Sequence[Job[SettingsType]]) -> int:
        """Number of such jobs at a time: as many as there are cores for, and one where a GPU trains them."""
        if any(needs_gpu(job.settings) for job in jobs):
            return 1
        return max(1, (os.cpu_count() or 1) // max((job.settings.cores for job in jobs), default=1))

    def start(
        self, run_id: str, work: Work[SettingsType], job: Job[SettingsType], context: Context, reports: Reports
    ) -> Child:
        """Start the process of a job."""
        task = partial(run_job, run_id, work, job, context)
        return children.start(job.name, task, reports, work.__module__, PRELOAD)

    def wait(self, tasks: Sequence[Child], seconds: float) -> None:
        """Return when one of `tasks` has ended, or after some seconds; end those that hang."""
        children.watch(tasks, seconds)

    def stop(self, tasks: Sequence[Child]) -> None:
        """Terminate `tasks`, and kill those that have not recorded their end after some time."""
        children.stop(tasks)


LOCAL = Local()


def run_job(run_id: str, work: Work[SettingsType], job: Job[SettingsType], context: Context, reports: Reports) -> None:
    """Run a job, in a process of its own."""
    context = replace(context, reports=reports)
    with scratch.everything():
        run = Run(run_id)
        if job.assists:
            work(run, job.settings, context)
            return
        with run.active(), costs(run) as apart:
            work(run, job.settings, replace(context, apart=apart))
