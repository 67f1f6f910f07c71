"""Launching: a parent run, a nested run for each row and seed, and a process for each of those, some side by side."""

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import wait
from multiprocessing.forkserver import ensure_running
from multiprocessing.process import BaseProcess

import psutil

from pipelines import command, names
from pipelines.addresses import redacted
from pipelines.errors import FailedRunsError
from pipelines.tracking import FAILED, KILLED, Interrupted, Run

_SHELLS = {"bash", "sh", "dash", "zsh"}
_GRACE_S = 20  # for a row to record its end before it is killed

# Tensors of some megabytes come and go at every update. By default glibc gives each back to the system and faults it in
# again, for a tenth of the time; other allocators ignore these.
ALLOCATOR = {
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 33),
    "MALLOC_TOP_PAD_": str(1 << 28),
}


@dataclass(frozen=True)
class Job:
    """One row with one seed: its run's name, its settings, the cores it trains on, and the run to continue, if any."""

    name: str
    settings: Mapping[str, object]
    cores: int = 1
    run_id: str = ""


Work = Callable[[Run, Mapping[str, object], Mapping[str, object]], None]


@contextmanager
def supervised() -> Iterator[None]:
    """Within it SIGINT and SIGTERM raise Interrupted, and so does the end of the `mlflow run` that started this."""
    with _signals():
        if "MLFLOW_RUN_ID" in os.environ:
            # Its own child may be a shell that outlives it.
            ancestors = psutil.Process().parents()
            launcher = next((process for process in ancestors if process.name() not in _SHELLS), None)
            if launcher is not None:
                _die_after(lambda: _await_end(launcher))
        yield


@contextmanager
def launch(
    name: str, tags: Mapping[str, str], params: Mapping[str, object], description: str, within: Run | None = None
) -> Iterator[Run]:
    """The parent run of a launch, FINISHED, FAILED or KILLED in the end.

    Args:
        name: of the run.
        tags: `entry`, `dataset` and such.
        params: the launch's parameters as given.
        description: what the UI shows beside the run, in markdown.
        within: the run of a larger launch that this one belongs to.
    """
    with supervised():
        tags = {**tags, names.DESCRIPTION: description, names.COMMAND: command_of(tags[names.ENTRY], params)}
        run = within.child(name, tags) if within else Run.launch(name, tags)
        with run.active():
            run.log_params(params)
            yield run


def command_of(entry: str, params: Mapping[str, object]) -> str:
    """The command line of a launch of `entry` with these parameters, see command.line."""
    from pipelines.__main__ import cli  # here, since the entry points that it leads to import this module

    return command.line("pipelines", cli.commands[entry], params)


def fan_out(parent: Run, entry: str, jobs: Sequence[Job], work: Work, context: Mapping[str, object], side: int) -> None:
    """Run every job in a process of its own, at most `side` at a time (0: as many as the cores hold).

    Args:
        parent: gets a nested run for each job.
        entry: tag of the nested runs.
        jobs: what to run, in this order.
        work: importable function of (run, settings, context) that does it.
        context: plain data for all jobs, which is no part of their settings (folders, devices).
        side: how many side by side.

    Raises:
        FailedRunsError: jobs failed; the others have run to their end.
        Interrupted: a signal came; the jobs under way are KILLED.
    """
    if not side:
        side = max(1, (os.cpu_count() or 1) // max((job.cores for job in jobs), default=1))
    waiting, alive, failed = list(jobs), {}, []
    slots = list(range(min(side, len(jobs))))
    forkserver = _forkserver(work.__module__)
    try:
        while waiting or alive:
            while waiting and slots:
                job, slot = waiting.pop(0), slots.pop(0)
                run = Run(job.run_id) if job.run_id else _nested(parent, entry, job)
                arguments = (work, run.id, job, {**context, "slot": slot})
                process = forkserver.Process(target=_work, args=arguments, name=job.name)
                process.start()
                alive[process.sentinel] = (process, run, job, slot)
            for sentinel in wait(list(alive)):
                process, run, job, slot = alive.pop(sentinel)
                slots.append(slot)
                process.join()
                if not _settle(process, run, job):
                    failed.append(job.name)
    except BaseException:
        _stop([process for process, *_ in alive.values()])
        # The signal may have come between a run and its process.
        _end_children(parent)
        raise
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
    processes = [forkserver.Process(target=_member, args=(work, each)) for each in arguments]
    try:
        for process in processes:
            process.start()
        while alive := [process.sentinel for process in processes if process.exitcode is None]:
            wait(alive, every_s)
            tick()
        # A process may have ended its work, and itself, while the last tick looked.
        tick()
    except BaseException:
        _stop([process for process in processes if process.pid])
        _end_children(parent)
        raise
    return [process.exitcode for process in processes]


def announce(text: str) -> None:
    """Tell the user something, on stderr, below any progress bar."""
    print(redacted(text), file=sys.stderr, flush=True)


def _forkserver(module: str) -> multiprocessing.context.ForkServerContext:
    """Starts processes that have `module` already: its imports cost seconds, and a server pays them once."""
    forkserver = multiprocessing.get_context("forkserver")
    forkserver.set_forkserver_preload([module])
    os.environ.update({key: os.environ.get(key, value) for key, value in ALLOCATOR.items()})
    with _ctrl_c_ignored():
        ensure_running()
    return forkserver


def _end_children(parent: Run) -> None:
    """Mark as KILLED the nested runs that nothing works on any more."""
    for run in parent.children():
        if run.status == "RUNNING":
            run.end(KILLED)


def _nested(parent: Run, entry: str, job: Job) -> Run:
    settings = job.settings
    identity = (names.ROW, names.SEED, names.TRAINING, names.DATASET, names.STUDY)
    tags = {key: settings[key] for key in identity if key in settings}
    run = parent.child(job.name, {names.ENTRY: entry, **{key: str(value) for key, value in tags.items()}})
    run.log_params(settings)
    return run


def _work(work: Work, run_id: str, job: Job, context: Mapping[str, object]) -> None:
    """What a job's process does."""
    with _reported(job.name):
        run = Run(run_id)
        with run.active():
            work(run, job.settings, context)


def _member(work: Callable[..., None], arguments: tuple[object, ...]) -> None:
    """What a process of a crew does."""
    with _reported("a worker"):
        work(*arguments)


@contextmanager
def _reported(name: str) -> Iterator[None]:
    """The life of a process: it ends with its parent or at a signal, and an exception is one line and exit code 1."""
    try:
        with _signals():
            _die_after(multiprocessing.parent_process().join)
            yield
    except Interrupted as interrupted:
        sys.exit(128 + interrupted.signal_number)
    except Exception as error:
        announce(f"{name} failed: {type(error).__name__}: {error}")
        sys.exit(1)


def _settle(process: BaseProcess, run: Run, job: Job) -> bool:
    """Whether the job succeeded; a process that could not record its end (killed) gets it recorded."""
    if process.exitcode == 0:
        return True
    if run.status == "RUNNING":
        run.set_tags({names.FAILURE: f"the process ended with exit code {process.exitcode}"})
        run.end(KILLED if process.exitcode < 0 else FAILED)
        announce(f"{job.name}: the process ended with exit code {process.exitcode}")
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


@contextmanager
def _signals() -> Iterator[None]:
    """Within it SIGINT and SIGTERM raise Interrupted, once: nothing may disturb the way out."""

    def interrupt(number: int, frame: object) -> None:
        for each in (signal.SIGINT, signal.SIGTERM):
            # Not SIG_IGN: Python would complain of a signal that has come already.
            signal.signal(each, lambda number, frame: None)
        raise Interrupted(number)

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _ctrl_c_ignored() -> Iterator[None]:
    """A process started within it ignores Ctrl-C until it has a handler: Python would print a traceback for it.

    So do those forked from it.
    """
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


def _die_after(event: Callable[[], None]) -> None:
    """Send this process SIGTERM as soon as `event` returns."""

    def watch() -> None:
        event()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def _await_end(process: psutil.Process) -> None:
    """Return when `process`, which need not be a child, has ended."""
    with contextlib.suppress(psutil.NoSuchProcess):
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            time.sleep(1)
