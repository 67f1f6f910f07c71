"""Processes of a launch: forked from a server that has imported their modules, watched for hanging, and stopped."""

import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess

from pipelines.common import garbage
from pipelines.common.streams import announce, announce_by
from pipelines.errors import UNSENT, AwayError, FailedRunsError, Interrupted, UnsentError
from pipelines.launching.jobs import end_children
from pipelines.processes.forked import forkserver
from pipelines.processes.parents import end_after
from pipelines.processes.reports import Reports
from pipelines.processes.signals import interruptible, let_go
from pipelines.processes.watchdog import Watchdog
from pipelines.terminal.display import showing
from pipelines.tracking.run import Run
from pipelines.tracking.unsent import send_left

_GRACE_S = 20  # time for a row to record its end before it is killed


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
    server = forkserver(work.__module__, "pipelines.tracking.preload")
    processes: list[BaseProcess] = []
    with showing("workers") as display:
        try:
            for number, each in enumerate(given, 1):
                with display.row(f"worker {number}") as reports:
                    arguments = (dict(os.environ), work, each, reports)
                    process = server.Process(target=_worker, args=arguments, name=f"worker {number}")
                    processes.append(process)
                    process.start()
            watchdogs = {process: Watchdog(pid_of(process)) for process in processes}
            while alive := [process for process in processes if process.exitcode is None]:
                wait([process.sentinel for process in alive], every_s)
                poll()
                for running in alive:
                    end_if_hung(running, watchdogs[running])
                    if running.exitcode is not None:
                        display.end(running.name)
            # A worker may finish while the last poll is running, so poll once more.
            poll()
        except BaseException:
            stop([process for process in processes if process.pid])
            end_children(parent)
            raise
    send_left(parent.id)
    return [exit_code_of(process) for process in processes]


def pid_of(process: BaseProcess) -> int:
    """The id of a process that has been started."""
    assert process.pid is not None
    return process.pid


def exit_code_of(process: BaseProcess) -> int:
    """The exit code of a process that has ended; negative for a signal."""
    assert process.exitcode is not None
    return process.exitcode


@contextmanager
def child(name: str, environment: Mapping[str, str], reports: Reports) -> Iterator[None]:
    """Context of all that a process started here does.

    The process ends with its parent or at a signal. An exception is announced in one line and gives exit code 1.

    Args:
        name: name of the process, for messages.
        environment: environment of the process that started it.
        reports: take its messages, since the process that started it may be drawing on the terminal.
    """
    garbage.collect()
    _set_environment(environment)
    reports.open()
    announce_by(reports.message)
    parent = multiprocessing.parent_process()
    assert parent is not None  # it was started by multiprocessing
    try:
        with interruptible():
            let_go()
            end_after(parent.join)
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


def end_if_hung(process: BaseProcess, watch: Watchdog) -> str:
    """Kill a process that was stopped or hangs; returns the reason, or "" if it is fine."""
    if reason := watch.verdict():
        announce(f"{process.name}: {reason}, and is ended")
        process.kill()
    return reason


def stop(processes: Sequence[BaseProcess]) -> None:
    """Terminate processes, and kill those that have not recorded their end after some time."""
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + _GRACE_S
    for process in processes:
        process.join(max(0.1, deadline - time.monotonic()))
        if process.is_alive():
            process.kill()
            process.join()


def _worker(
    environment: Mapping[str, str], work: Callable[..., None], arguments: tuple[object, ...], reports: Reports
) -> None:
    """Run a worker: the main function of its process."""
    with child("a worker", environment, reports):
        work(*arguments, reports)


def _set_environment(environment: Mapping[str, str]) -> None:
    """Replace the environment of this process by that of the one that started it.

    It was forked from a server that may have been started for an earlier launch, with another tracking server.
    """
    os.environ.clear()
    os.environ.update(environment)
