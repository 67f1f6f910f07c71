"""Processes that are forked from the server, each for one task, watched for hanging, and stopped."""

import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess

from pipelines.common import garbage
from pipelines.common.streams import announce, announce_by
from pipelines.errors import UNSENT, AwayError, FailedRunsError, Interrupted, UnsentError
from pipelines.processes.forked import forkserver
from pipelines.processes.parents import end_after
from pipelines.processes.reports import Reports
from pipelines.processes.signals import interruptible, interruption, let_go
from pipelines.processes.watchdog import Watchdog

_GRACE_S = 20  # time for a process to record its end before it is killed

# What a process does; its argument takes the reports of its progress.
Task = Callable[[Reports], None]


@dataclass
class Child:
    """A process that was started here.

    Attributes:
        process: as multiprocessing has it.
        watchdog: decides when it hangs.
        verdict: why it was killed here, or "".
    """

    process: BaseProcess
    watchdog: Watchdog
    verdict: str = ""

    @property
    def exit_code(self) -> int | None:
        """None while it runs; 0, UNSENT, 1 for an exception, which has been announced, negative for a signal."""
        return self.process.exitcode

    @property
    def lost(self) -> str:
        """Nothing: whoever ends a process of this machine, as the system does that has no memory left, means it."""
        return ""


def start(name: str, task: Task, reports: Reports, *modules: str) -> Child:
    """Fork a process.

    Args:
        name: of the process, for messages.
        task: what it does: an importable function, or a partial of one and plain data.
        reports: the end at which it reports.
        modules: imported by the server, so that the process need not.
    """
    server = forkserver(*modules)
    # `forkserver` has put the allocator's settings into the environment, which a row's replicas need too.
    process = server.Process(target=_run, args=(dict(os.environ), name, task, reports), name=name)
    process.start()
    assert process.pid is not None
    return Child(process, Watchdog(process.pid))


def watch(children: Sequence[Child], seconds: float) -> None:
    """Return when one of `children` has ended, or after some seconds; end those that hang."""
    wait([child.process.sentinel for child in children], seconds)
    for child in children:
        if child.exit_code is None and not child.verdict:
            child.verdict = _end_if_hung(child)


def stop(children: Sequence[Child]) -> None:
    """Terminate processes, and kill those that have not recorded their end after some time."""
    for child in children:
        child.process.terminate()
    deadline = time.monotonic() + _GRACE_S
    for child in children:
        child.process.join(max(0.1, deadline - time.monotonic()))
        if child.process.is_alive():
            child.process.kill()
            child.process.join()


def _end_if_hung(child: Child) -> str:
    """Kill a process that was stopped or hangs; returns the reason, or "" if it is fine."""
    if reason := child.watchdog.verdict():
        announce(f"{child.process.name}: {reason}, and is ended")
        child.process.kill()
    return reason


def _run(environment: Mapping[str, str], name: str, task: Task, reports: Reports) -> None:
    """Do a task: the main function of a process."""
    with _child(name, environment, reports):
        task(reports)


@contextmanager
def _child(name: str, environment: Mapping[str, str], reports: Reports) -> Iterator[None]:
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
        if cause := interruption(error):
            sys.exit(128 + cause.signal_number)
        announce(f"{name} failed: {type(error).__name__}: {error}")
        sys.exit(1)


def _set_environment(environment: Mapping[str, str]) -> None:
    """Replace the environment of this process by that of the one that started it.

    It was forked from a server that may have been started for an earlier launch, with another tracking server.
    """
    os.environ.clear()
    os.environ.update(environment)
