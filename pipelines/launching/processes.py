"""The workers of a study: processes that share one task until it is done, on this machine or on others."""

from collections.abc import Callable, Sequence

from pipelines.common.streams import announce
from pipelines.experiments.base import Context, SettingsType
from pipelines.launching.jobs import Job, Work, end_children
from pipelines.launching.launcher import Launcher, Task
from pipelines.terminal.display import showing
from pipelines.tracking.run import Run
from pipelines.tracking.unsent import send_left


def run_workers(
    parent: Run,
    jobs: Sequence[Job[SettingsType]],
    work: Work[SettingsType],
    context: Context,
    poll: Callable[[], None],
    every_s: float,
    launcher: Launcher,
) -> list[int]:
    """Run jobs that assist a launch in parallel, each in a process, until all have ended.

    Args:
        parent: run of the launch, whose nested runs `work` creates.
        jobs: one for each process.
        work: importable function of (parent, settings, context) that does a job.
        context: shared by all jobs, beside their settings.
        poll: called in this process while the others run, and once when all have ended.
        every_s: seconds between two calls of `poll`.
        launcher: starts them.

    Returns:
        Exit codes: 0, 1 for an exception, which has been announced, negative for a signal.

    Raises:
        Interrupted: a signal arrived; the processes have ended and their runs are KILLED.
    """
    workers: list[tuple[str, Task]] = []
    with showing("workers") as display:
        try:
            for job in jobs:
                with display.row(job.name) as reports:
                    workers.append((job.name, launcher.start(parent.id, work, job, context, reports)))
            while alive := [worker for worker in workers if worker[1].exit_code is None]:
                launcher.wait([task for _, task in alive], every_s)
                poll()
                for name, task in alive:
                    if task.exit_code is not None:
                        display.end(name)
                        # On this machine it was announced, or meant.
                        if task.verdict and launcher.elsewhere:
                            announce(f"{name}: {task.verdict}")
            # A worker may finish while the last poll is running, so poll once more.
            poll()
        except BaseException:
            launcher.stop([task for _, task in workers if task.exit_code is None])
            end_children(parent)
            raise
    send_left(parent.id)
    return [task.exit_code or 0 for _, task in workers]
