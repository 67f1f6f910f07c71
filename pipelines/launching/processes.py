"""The workers of a study: processes on this machine that share one task until it is done."""

from collections.abc import Callable, Sequence
from functools import partial

from pipelines.launching.jobs import end_children
from pipelines.launching.local import PRELOAD
from pipelines.processes import children
from pipelines.processes.children import Child
from pipelines.terminal.display import showing
from pipelines.tracking.run import Run
from pipelines.tracking.unsent import send_left


def run_workers(
    parent: Run,
    work: Callable[..., None],
    given: Sequence[tuple[object, ...]],
    poll: Callable[[], None],
    every_s: float,
) -> list[int]:
    """Run `work(*each, reports)` for each of `given` in parallel, each in a process, until all have ended.

    Args:
        parent: run whose nested runs `work` creates.
        work: importable function; its last argument takes the reports of its progress.
        given: a tuple of plain data for each process.
        poll: called in this process while the others run, and once when all have ended.
        every_s: seconds between two calls of `poll`.

    Returns:
        Exit codes: 0, 1 for an exception, which has been announced, negative for a signal.

    Raises:
        Interrupted: a signal arrived; the processes have ended and their runs are KILLED.
    """
    workers: list[Child] = []
    with showing("workers") as display:
        try:
            for number, each in enumerate(given, 1):
                with display.row(f"worker {number}") as reports:
                    task = partial(work, *each)
                    workers.append(children.start(f"worker {number}", task, reports, work.__module__, PRELOAD))
            while alive := [worker for worker in workers if worker.exit_code is None]:
                children.watch(alive, every_s)
                poll()
                for worker in alive:
                    if worker.exit_code is not None:
                        display.end(worker.process.name)
            # A worker may finish while the last poll is running, so poll once more.
            poll()
        except BaseException:
            children.stop(workers)
            end_children(parent)
            raise
    send_left(parent.id)
    return [worker.exit_code or 0 for worker in workers]
