"""Launching: a parent run, a nested run for each row and seed, and a process for each of those, some side by side."""

import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import wait
from multiprocessing.forkserver import ensure_running
from multiprocessing.process import BaseProcess

from pipelines import names
from pipelines.common.streams import announce
from pipelines.errors import UNSENT, AwayError, FailedRunsError, Interrupted, UnsentError
from pipelines.experiments.base import Context
from pipelines.launching.commands import continuation, resumes
from pipelines.launching.jobs import Job, Work, end_children, nested
from pipelines.processes import scratch, vigil
from pipelines.processes.supervision import SIGNALS, announce_parent, end_after, held, interruptible, let_go
from pipelines.processes.vigil import Vigil
from pipelines.tracking.run import FAILED, KILLED, Run
from pipelines.tracking.unsent import send_left

_GRACE_S = 20  # for a row to record its end before it is killed

# Tensors of some megabytes come and go at every update. By default glibc gives each back to the system and faults it in
# again, for a tenth of the time; other allocators ignore these.
ALLOCATOR = {
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 33),
    "MALLOC_TOP_PAD_": str(1 << 28),
}


def fan_out(
    parent: Run,
    entry: str,
    jobs: Sequence[Job],
    work: Work,
    context: Context,
    side: int,
    then: Callable[[], None] = lambda: None,
) -> None:
    """Run every job in a process of its own, at most `side` at a time (0: as many as the cores hold).

    Args:
        parent: gets a nested run for each job.
        entry: tag of the nested runs.
        jobs: what to run, in this order.
        work: importable function of (run, settings, context) that does it.
        context: what all jobs need beside their settings.
        side: how many side by side.
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
                forkserver = _forkserver(work.__module__)
                # After that, which has put the allocator's settings there: a row's replicas need them too.
                arguments = (dict(os.environ), work, run.id, job, replace(context, slot=slot))
                process = forkserver.Process(target=_work, args=arguments, name=job.name)
                process.start()
                alive[process.sentinel] = _Row(process, parent, run, job, slot, Vigil(process.pid))
            for sentinel in wait(list(alive), vigil.LOOK_S):
                row = alive.pop(sentinel)
                slots.append(row.slot)
                row.process.join()
                if not _settle(row, entry):
                    failed.append(row.job.name)
            for row in alive.values():
                row.verdict = row.verdict or _verdict(row.process, row.vigil)
    except BaseException:
        _stop([row.process for row in alive.values()])
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


def crew(
    parent: Run,
    work: Callable[..., None],
    arguments: Sequence[tuple[object, ...]],
    tick: Callable[[], None],
    every_s: float,
) -> list[int]:
    """Run `work(*each)` in a process for each of `arguments`, all side by side, until all have ended.

    Args:
        parent: its nested runs are made by `work`.
        work: importable function.
        arguments: plain data, a tuple a process.
        tick: called here meanwhile, and once when all have ended.
        every_s: seconds between two calls of it.

    Returns:
        Exit codes: 0, 1 for an exception, which has been announced, negative for a signal.

    Raises:
        Interrupted: a signal came; the processes have ended and their runs are KILLED.
    """
    forkserver = _forkserver(work.__module__)
    processes = [forkserver.Process(target=_member, args=(dict(os.environ), work, each)) for each in arguments]
    try:
        for process in processes:
            process.start()
        vigils = {process: Vigil(process.pid) for process in processes}
        while alive := [process for process in processes if process.exitcode is None]:
            wait([process.sentinel for process in alive], every_s)
            tick()
            for process in alive:
                _verdict(process, vigils[process])
        # A process may have ended its work, and itself, while the last tick looked.
        tick()
    except BaseException:
        _stop([process for process in processes if process.pid])
        end_children(parent)
        raise
    send_left(parent.id)
    return [process.exitcode for process in processes]


def _forkserver(module: str) -> multiprocessing.context.ForkServerContext:
    """Starts processes that have `module` already: its imports cost seconds, and a server pays them once."""
    forkserver = multiprocessing.get_context("forkserver")
    forkserver.set_forkserver_preload(["pipelines.processes.with_parent", module])
    announce_parent()
    os.environ.update({key: os.environ.get(key, value) for key, value in ALLOCATOR.items()})
    with held(*SIGNALS):
        ensure_running()
    return forkserver


def _work(environment: Mapping[str, str], work: Work, run_id: str, job: Job, context: Context) -> None:
    """What a job's process does."""
    _take(environment)
    with _reported(job.name), scratch.everything():
        run = Run(run_id)
        with run.active():
            work(run, job.settings, context)


def _member(environment: Mapping[str, str], work: Callable[..., None], arguments: tuple[object, ...]) -> None:
    """What a process of a crew does."""
    _take(environment)
    with _reported("a worker"):
        work(*arguments)


def _take(environment: Mapping[str, str]) -> None:
    """Give this process the environment of the one that started it, the tracking server's address among it.

    It has that of the server of processes, which may have been started for an earlier launch, on another server.
    """
    os.environ.clear()
    os.environ.update(environment)


@contextmanager
def _reported(name: str) -> Iterator[None]:
    """The life of a process: it ends with its parent or at a signal, and an exception is one line and exit code 1."""
    try:
        with interruptible():
            let_go()
            end_after(multiprocessing.parent_process().join)
            yield
    except Interrupted as interrupted:
        sys.exit(128 + interrupted.signal_number)
    except UnsentError as error:
        announce(str(error))
        sys.exit(UNSENT)
    except (FailedRunsError, AwayError) as error:
        announce(f"{name} failed: {error}")
        sys.exit(1)
    except Exception as error:
        announce(f"{name} failed: {type(error).__name__}: {error}")
        sys.exit(1)


@contextmanager
def told_later() -> Iterator[None]:
    """Within it a run may end that waits here to be sent: that is said, and no error."""
    try:
        yield
    except UnsentError as error:
        announce(str(error))


@dataclass
class _Row:
    """A job under way; `verdict` is why its process was ended by us."""

    process: BaseProcess
    parent: Run
    run: Run
    job: Job
    slot: int
    vigil: Vigil
    verdict: str = ""


def _verdict(process: BaseProcess, watch: Vigil) -> str:
    """Why the process was given up and killed just now, or ""."""
    if reason := watch.verdict():
        announce(f"{process.name}: {reason}, and is ended")
        process.kill()
    return reason


def _settle(row: _Row, entry: str) -> bool:
    """Whether the job succeeded; a process that could not record its end (killed) gets it recorded."""
    exit_code = row.process.exitcode
    if exit_code in (0, UNSENT):
        row.run.note_finished()
        return True
    send_left(row.run.id)
    if row.run.status == "RUNNING":
        reason = row.verdict or f"the process ended with exit code {exit_code}"
        # A study's winner is no launch of its entry, and goes on with the study.
        can_resume = resumes(entry) and row.parent.tags.get(names.ENTRY) == entry
        remedy = f"; to go on: {continuation(entry, row.run)}" if can_resume else ""
        row.run.set_tags({names.FAILURE: reason + remedy})
        row.run.end(KILLED if exit_code < 0 else FAILED)
        announce(f"{row.job.name}: {reason}")
    return False


def _stop(processes: Sequence[BaseProcess]) -> None:
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + _GRACE_S
    for process in processes:
        process.join(max(0.1, deadline - time.monotonic()))
        if process.is_alive():
            process.kill()
            process.join()
