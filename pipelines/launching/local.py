"""The rows of a launch: a nested run for each row and seed, and a process for each of those, some side by side."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess

from pipelines import names
from pipelines.common.streams import announce
from pipelines.errors import UNSENT, AwayError, FailedRunsError
from pipelines.experiments.base import Context
from pipelines.launching.continuation import resumption
from pipelines.launching.jobs import Job, Work, end_children, nested
from pipelines.launching.processes import child, end_if_hung, forkserver, stop
from pipelines.processes import scratch, watchdog
from pipelines.processes.watchdog import Watchdog
from pipelines.tracking.run import FAILED, KILLED, Run
from pipelines.tracking.unsent import send_left


def fan_out(
    parent: Run,
    entry: str,
    jobs: Sequence[Job],
    work: Work,
    context: Context,
    side: int,
    then: Callable[[], None] = lambda: None,
    resumable: bool = False,
) -> None:
    """Run every job in a process of its own, at most `side` at a time (0: as many as the cores hold).

    Args:
        parent: gets a nested run for each job.
        entry: tag of the nested runs.
        jobs: what to run, in this order.
        work: importable function of (run, settings, context) that does it.
        context: what all jobs need beside their settings.
        side: how many side by side.
        resumable: whether one that failed can be resumed by itself.
        then: called when all have ended, also if some failed. Not after a signal: who asks to stop does not wait for
            figures, and a resumed launch has them.

    Raises:
        FailedRunsError: jobs failed; the others have run to their end.
        Interrupted: a signal came; the jobs under way are KILLED.
    """
    if not side:
        side = max(1, (os.cpu_count() or 1) // max((job.settings.cores for job in jobs), default=1))
    waiting, alive, failed, unbegun = list(jobs), {}, [], []
    slots = list(range(min(side, len(jobs))))
    try:
        while waiting or alive:
            while waiting and slots:
                job = waiting.pop(0)
                try:
                    run = Run(job.run_id) if job.run_id else nested(parent, entry, job)
                except AwayError as error:
                    # What is under way is not disturbed by that.
                    announce(f"{job.name} was not begun: {error}")
                    unbegun.append(job.name)
                    continue
                slot = slots.pop(0)
                server = forkserver(work.__module__)
                # After that, which has put the allocator's settings there: a row's replicas need them too.
                arguments = (dict(os.environ), work, run.id, job, replace(context, slot=slot))
                process = server.Process(target=_work, args=arguments, name=job.name)
                process.start()
                alive[process.sentinel] = _Row(process, run, job, slot, Watchdog(process.pid))
            for sentinel in wait(list(alive), watchdog.LOOK_S):
                row = alive.pop(sentinel)
                slots.append(row.slot)
                row.process.join()
                if not _settle(row, resumption(entry, row.run.id) if resumable else ""):
                    failed.append(row.job.name)
            for row in alive.values():
                row.verdict = row.verdict or end_if_hung(row.process, row.watchdog)
    except BaseException:
        stop([row.process for row in alive.values()])
        # The signal may have come between a run and its process.
        end_children(parent)
        raise
    send_left(parent.id)
    then()
    if unbegun:
        raise FailedRunsError(
            f"{len(failed)} of {len(jobs)} runs failed and {len(unbegun)} could not be begun, as the tracking server "
            f"was away: {', '.join([*failed, *unbegun])}"
        )
    if failed:
        raise FailedRunsError(
            f"{len(failed)} of {len(jobs)} runs failed: {', '.join(failed)}; the reason is in their "
            f"tag {names.FAILURE!r}"
        )


def _work(environment: Mapping[str, str], work: Work, run_id: str, job: Job, context: Context) -> None:
    """What a job's process does."""
    with child(job.name, environment), scratch.everything():
        run = Run(run_id)
        with run.active():
            work(run, job.settings, context)


@dataclass
class _Row:
    """A job under way; `verdict` is why its process was ended by us."""

    process: BaseProcess
    run: Run
    job: Job
    slot: int
    watchdog: Watchdog
    verdict: str = ""


def _settle(row: _Row, remedy: str) -> bool:
    """Whether the job succeeded; a process that could not record its end (killed) gets it recorded."""
    exit_code = row.process.exitcode
    if exit_code in (0, UNSENT):
        row.run.note_finished()
        return True
    send_left(row.run.id)
    if row.run.status == "RUNNING":
        reason = row.verdict or f"the process ended with exit code {exit_code}"
        row.run.set_tags({names.FAILURE: "; ".join(filter(None, (reason, remedy)))})
        row.run.end(KILLED if exit_code < 0 else FAILED)
        announce(f"{row.job.name}: {reason}")
    return False
