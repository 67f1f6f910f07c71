"""The rows of a launch: a nested run and a process for each row and seed, some in parallel."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from pipelines import names
from pipelines.common.streams import announce
from pipelines.errors import UNSENT, AwayError, FailedRunsError, UnsentError
from pipelines.experiments.base import Context, SettingsType
from pipelines.launching.continuation import resumption
from pipelines.launching.jobs import Job, Work, end_children, nested
from pipelines.launching.launcher import Launcher, Task
from pipelines.launching.local import LOCAL
from pipelines.processes import watchdog
from pipelines.processes.reports import Report
from pipelines.terminal.clock import span
from pipelines.terminal.display import Display, showing
from pipelines.tracking.delivery import replay
from pipelines.tracking.run import FAILED, FINISHED, KILLED, Run
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
    launcher: Launcher = LOCAL,
) -> None:
    """Run every job, each in a process of its own, at most `parallel` at a time.

    Args:
        parent: gets a nested run for each job.
        entry: tag of the nested runs.
        jobs: in the order in which they are started.
        work: importable function of (run, settings, context) that runs a job.
        context: shared by all jobs, beside their settings.
        parallel: number of jobs at a time; 0: as many as the launcher has room for.
        main: metric that is shown of a job that has finished, if it has it.
        more: called when all jobs have ended; returns further ones.
        then: called when all jobs have ended, even if some failed; but not after a signal, since a user who stops a
            launch does not wait for figures, and a continued launch draws them.
        resumable: True if a failed job can be continued by itself.
        launcher: starts them.

    Raises:
        FailedRunsError: jobs failed; the others have finished.
        UnsentError: they succeeded, but on other machines some of their results wait to be sent.
        Interrupted: a signal arrived; the running jobs are KILLED.
    """
    every, waiting = list(jobs), list(jobs)
    finished, failed, not_started = list[str](), list[str](), list[str]()
    continued, unsent = set[str](), list[_Row]()
    alive: list[_Row] = []
    with showing(entry) as display:
        display.expect(" ".join([entry, *{job.settings.dataset for job in jobs}]), len(jobs))

        def further() -> list[Job[SettingsType]]:
            new = list(more())
            every.extend(new)
            display.expect_further(len(new))
            return new

        try:
            while waiting or alive or (waiting := further()):
                while waiting and len(alive) < (parallel or launcher.room(every)):
                    job = waiting.pop(0)
                    if row := _started(parent, entry, job, work, context, launcher, display):
                        alive.append(row)
                    else:
                        not_started.append(job.name)
                launcher.wait([row.task for row in alive], watchdog.POLL_S)
                for row in [each for each in alive if each.task.exit_code is not None]:
                    alive.remove(row)
                    if row.task.lost and row.job.name not in continued:
                        continued.add(row.job.name)
                        waiting.insert(0, _continued(row))
                        continue
                    if row.task.exit_code == UNSENT and launcher.elsewhere:
                        unsent.append(row)
                    remedy = resumption(entry, row.run.id, context.data_dir, launcher.option) if resumable else ""
                    succeeded = _settle(row, remedy)
                    (finished if succeeded else failed).append(row.job.name)
                    display.end(row.job.name, _outcome(row, main) if succeeded else "")
        except BaseException:
            launcher.stop([row.task for row in alive])
            # A run may have been created without a process when the signal arrived.
            end_children(parent)
            for row in alive:
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
    # Of a node that shares its disk with this machine, all may have been sent meanwhile.
    if waits := [row.job.name for row in unsent if row.run.status != FINISHED]:
        raise UnsentError(
            f"{len(waits)} of its runs are not wholly on the tracking server: {', '.join(waits)}; the tag "
            f"{names.FAILURE!r} of each says where the rest is: send it from there: {replay()}"
        )


def _started(
    parent: Run,
    entry: str,
    job: Job[SettingsType],
    work: Work[SettingsType],
    context: Context,
    launcher: Launcher,
    display: Display,
) -> "_Row | None":
    """Create the run of a job and start it; None, which is announced, if the tracking server is away."""
    try:
        run = Run(job.run_id) if job.run_id else nested(parent, entry, job)
    except AwayError as error:
        # The jobs that are running go on.
        announce(f"{job.name} was not begun: {error}")
        return None
    with display.row(job.name) as reports:
        task = launcher.start(run.id, work, job, context, reports)
    return _Row(task, run, job, time.monotonic())


def _continued(row: "_Row") -> Job:
    """The job of a row that was cut short, to go on from its last checkpoint in the same run, which is tagged."""
    announce(f"{row.job.name}: {row.task.lost}; it is continued")
    row.run.set_tags({names.CONTINUED_AFTER: row.task.lost})
    row.run.hand_over()
    return replace(row.job, run_id=row.run.id)


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
    if reached.follows:
        followed = f"{reached.epoch} of {reached.epochs} epochs of what followed ({reached.phase})"
        return f"stopped, its training is kept, and {followed}"
    kept = f"epoch {reached.epoch} of {reached.epochs} is kept" if reached.epoch else "in its first epoch"
    return f"stopped, {kept}"


def _listed(finished: Sequence[str]) -> str:
    return f" ({', '.join(finished)})" if finished else ""


@dataclass(frozen=True)
class _Row:
    """A running job, since `began` (time.monotonic)."""

    task: Task
    run: Run
    job: Job
    began: float


def _settle(row: _Row, remedy: str) -> bool:
    """Check if a job succeeded, and record the failure of a process that was killed before it could do so itself."""
    exit_code = row.task.exit_code
    assert exit_code is not None  # it has ended
    if exit_code in (0, UNSENT):
        row.run.note_finished()
        return True
    send_left(row.run.id)
    if row.run.status == "RUNNING":
        reason = row.task.verdict or f"the process ended with exit code {exit_code}"
        row.run.set_tags({names.FAILURE: "; ".join(filter(None, (reason, remedy)))})
        row.run.end(KILLED if exit_code < 0 else FAILED)
        announce(f"{row.job.name}: {reason}")
    return False
