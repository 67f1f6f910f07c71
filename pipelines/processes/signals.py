"""What SIGINT and SIGTERM do to a command, from its first moment to its last.

Imported before anything that takes time, so it needs neither torch nor mlflow.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker

from pipelines.errors import Interrupted
from pipelines.processes import parents

SIGNALS = (signal.SIGINT, signal.SIGTERM)


def begin() -> None:
    """From now on SIGINT and SIGTERM end this process at once, with one line: nothing is there yet that could be lost.

    So does the end of the `mlflow run` that started this, now or later.
    """
    for number in SIGNALS:
        signal.signal(number, _end_at_once)
    if os.environ.get("MLFLOW_RUN_ID"):
        parents.follow_launcher()


def ready() -> None:
    """From now on, if this has begun, they raise Interrupted: there is something to be put in order."""
    _change({_end_at_once}, _interrupt)


def over() -> None:
    """From now on they change nothing: what the command does is done, and its exit code is known."""
    _change({_end_at_once, _interrupt}, _ignore)


@contextmanager
def interruptible() -> Iterator[None]:
    """Within it SIGINT and SIGTERM raise Interrupted, once: nothing may disturb the way out."""
    before = {number: signal.signal(number, _interrupt) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def signals_later() -> Iterator[None]:
    """SIGINT and SIGTERM that come within it are handled at its end; for writes to the tracking server.

    One that is broken off would leave an SQLite database locked for those on the way out. A server that does not answer
    delays the signal by the seconds of MLflow's time limit.
    """
    if threading.current_thread() is not threading.main_thread():  # signals come to the main thread only
        yield
        return
    came: list[int] = []
    before = {number: signal.signal(number, lambda number, frame: came.append(number)) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])


@contextmanager
def held(*numbers: int) -> Iterator[None]:
    """Within it these signals wait; and they wait in a process started within it, until that calls `let_go`.

    Ignoring them would lose one that comes just then, and to a process without a handler Ctrl-C is a traceback.
    """
    # It would let them go in the midst, if it were started within.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def let_go() -> None:
    """Take the signals that were held when this process was started: it is ready for them."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


def interruption(error: BaseException | None) -> Interrupted | None:
    """The interruption that `error` came of, if any: a file half written by torch.save fails when it is closed."""
    while error is not None and not isinstance(error, Interrupted):
        error = error.__cause__ or error.__context__
    return error


def _end_at_once(number: int, frame: object) -> None:
    if sys.__stderr__ is not None:
        os.write(sys.__stderr__.fileno(), f"error: stopped by signal {number}\n".encode())
    os._exit(128 + number)


def _interrupt(number: int, frame: object) -> None:
    for each in SIGNALS:
        # Not SIG_IGN: Python would complain of a signal that has come already.
        signal.signal(each, _ignore)
    raise Interrupted(number)


def _ignore(number: int, frame: object) -> None:
    pass


def _change(before: set[Callable[[int, object], None]], after: Callable[[int, object], None]) -> None:
    for number in SIGNALS:
        if signal.getsignal(number) in before:
            signal.signal(number, after)
