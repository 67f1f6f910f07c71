"""The rows of a launch on this machine: a nested run and a process for each row and seed, some in parallel."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess

from pipelines import names
from pipelines.common.streams import announce
from pipelines.errors import UNSENT, AwayError, FailedRunsError
from pipelines.experiments.base import Context, SettingsType
from pipelines.launching.continuation import resumption
from pipelines.launching.costs import costs
from pipelines.launching.jobs import Job, Work, end_children, nested
from pipelines.launching.processes import child, end_if_hung, exit_code_of, pid_of, stop
from pipelines.processes import scratch, watchdog
from pipelines.processes.forked import forkserver
from pipelines.processes.reports import Report
from pipelines.processes.watchdog import Watchdog
from pipelines.terminal.clock import span
from pipelines.terminal.display import Display, showing
from pipelines.tracking.run import FAILED, KILLED, Run
from pipelines.tracking.unsent import send_left


def fan_out(
    parent: Run,
    entry: str,
    jobs: Sequence[Job[SettingsType]],
    work: Work[SettingsType],
    context: Context,
    parallel: int,
    main: str = "",
    more: Callable[[], Sequence[Job[SettingsType]]] = list,
    then: Callable[[], object] = lambda: None,
    resumable: bool = False,
) -> None:
    """Run every job in a process of its own, at most `parallel` at a time.

    Args:
        parent: gets a nested run for each job.
        entry: tag of the nested runs.
        jobs: in the order in which they are started.
        work: importable function of (run, settings, context) that runs a job.
        context: shared by all jobs, beside their settings.
        parallel: number of jobs at a time; 0: as many as the cores allow.
        main: metric that is shown of a job that has finished, if it has it.
        more: called when all jobs have ended; returns further ones.
        then: called when all jobs have ended, even if some failed; but not after a signal, since a user who stops a
            launch does not wait for figures, and a continued launch draws them.
        resumable: True if a failed job can be continued by itself.

    Raises:
        FailedRunsError: jobs failed; the others have finished.
        Interrupted: a signal arrived; the running jobs are KILLED.
    """
    every, waiting = list(jobs), list(jobs)
    finished, failed, not_started = list[str](), list[str](), list[str]()
    alive: dict[int, _Row] = {}
    with showing(entry) as display:
        display.expect(" ".join([entry, *{job.settings.dataset for job in jobs}]), len(jobs))

        def further() -> list[Job[SettingsType]]:
            new = list(more())
            every.extend(new)
            display.expect_further(len(new))
            return new

        try:
            while waiting or alive or (waiting := further()):
                while waiting and len(alive) < (parallel or side_by_side(every)):
                    job = waiting.pop(0)
                    if row := _started(parent, entry, job, work, context, display):
                        alive[row.process.sentinel] = row
                    else:
                        not_started.append(job.name)
                ended = wait(list(alive), watchdog.POLL_S)
                for sentinel in [each for each in alive if each in ended]:
                    row = alive.pop(sentinel)
                    row.process.join()
                    succeeded = _settle(row, resumption(entry, row.run.id) if resumable else "")
                    (finished if succeeded else failed).append(row.job.name)
                    display.end(row.job.name, _outcome(row, main) if succeeded else "")
                for row in alive.values():
                    row.verdict = row.verdict or end_if_hung(row.process, row.watchdog)
        except BaseException:
            stop([row.process for row in alive.values()])
            # A run may have been created without a process when the signal arrived.
            end_children(parent)
            for row in alive.values():
                display.end(row.job.name, _left(display.reached(row.job.name), resumable))
            announce(f"kept: {len(finished)} of {len(every)} rows finished" + _listed(finished))
            raise
        display.doing("summing up")
        send_left(parent.id)
        then()
        display.doing("")
    if not_started:
        raise FailedRunsError(
            f"{len(failed)} of {len(every)} runs failed and {len(not_started)} could not be begun, as the tracking "
            f"server was away: {', '.join([*failed, *not_started])}"
        )
    if failed:
        raise FailedRunsError(
            f"{len(failed)} of {len(every)} runs failed: {', '.join(failed)}; the reason is in their "
            f"tag {names.FAILURE!r}"
        )


def side_by_side(jobs: Sequence[Job[SettingsType]]) -> int:
    """Number of jobs at a time for which there are cores."""
    return max(1, (os.cpu_count() or 1) // max((job.settings.cores for job in jobs), default=1))


def _started(
    parent: Run, entry: str, job: Job[SettingsType], work: Work[SettingsType], context: Context, display: Display
) -> "_Row | None":
    """Create the run of a job and start its process; None, which is announced, if the tracking server is away."""
    try:
        run = Run(job.run_id) if job.run_id else nested(parent, entry, job)
    except AwayError as error:
        # The jobs that are running go on.
        announce(f"{job.name} was not begun: {error}")
        return None
    server = forkserver(work.__module__, "pipelines.tracking.preload")
    with display.row(job.name) as reports:
        # `forkserver` has put the allocator's settings into the environment, which a row's replicas need too.
        arguments = (dict(os.environ), work, run.id, job, replace(context, reports=reports))
        process = server.Process(target=_work, args=arguments, name=job.name)
        process.start()
    return _Row(process, run, job, Watchdog(pid_of(process)), time.monotonic())


def _outcome(row: "_Row", main: str) -> str:
    """What is said of a job that has finished: the time it took with all that it did besides its training, and its main
    metric if the tracking server answers."""
    text = f"finished in {span(time.monotonic() - row.began)} overall"
    with suppress(AwayError):
        if (value := row.run.metrics.get(main)) is not None:
            text += f", {main} {value:.4g}"
    return text


def _left(reached: Report, resumable: bool) -> str:
    """What is said of a job that was stopped, which has reported that it `reached` an epoch."""
    if not (resumable and reached.epochs):
        return "stopped"
    kept = f"epoch {reached.epoch} of {reached.epochs} is kept" if reached.epoch else "in its first epoch"
    return f"stopped, {kept}"


def _listed(finished: Sequence[str]) -> str:
    return f" ({', '.join(finished)})" if finished else ""


def _work(
    environment: Mapping[str, str], work: Work[SettingsType], run_id: str, job: Job[SettingsType], context: Context
) -> None:
    """Run a job: the main function of its process."""
    with child(job.name, environment, context.reports), scratch.everything():
        run = Run(run_id)
        with run.active(), costs(run):
            work(run, job.settings, context)


@dataclass
class _Row:
    """A running job, since `began` (time.monotonic); `verdict` is the reason why its process was killed here, or ""."""

    process: BaseProcess
    run: Run
    job: Job
    watchdog: Watchdog
    began: float
    verdict: str = ""


def _settle(row: _Row, remedy: str) -> bool:
    """Check if a job succeeded, and record the failure of a process that was killed before it could do so itself."""
    exit_code = exit_code_of(row.process)
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
