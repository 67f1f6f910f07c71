"""Handling of SIGINT and SIGTERM by a command, from its start to its end.

Imported before anything that takes time, so it needs neither torch nor mlflow.
"""

import logging
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker

from pipelines.errors import Interrupted
from pipelines.processes import parents

SIGNALS = (signal.SIGINT, signal.SIGTERM)

_folders: set[str] = set()  # see remove_at_once


def begin() -> None:
    """Have SIGINT and SIGTERM end this process at once, with one line: there is nothing yet that could be lost.

    The end of the `mlflow run` that started this process does the same, now or later.
    """
    for number in SIGNALS:
        signal.signal(number, _end_at_once)
    if os.environ.get("MLFLOW_RUN_ID"):
        parents.follow_launcher()


def remove_at_once(folder: str) -> None:
    """Have a signal that ends this process at once remove `folder` before."""
    _folders.add(folder)


def ready() -> None:
    """Have the signals raise Interrupted, if `begin` was called: from now on there is something to clean up."""
    _change({_end_at_once}, _interrupt)


def over() -> None:
    """Ignore the signals, if `begin` was called: the command is done, and its exit code is known."""
    _change({_end_at_once, _interrupt}, _ignore)


@contextmanager
def interruptible(*numbers: int) -> Iterator[None]:
    """Have signals, by default SIGINT and SIGTERM, raise Interrupted within the block, once: nothing may interrupt the
    clean-up."""
    before = {number: signal.signal(number, _interrupt) for number in numbers or SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def signals_later() -> Iterator[None]:
    """Delay SIGINT and SIGTERM to the end of the block; for writes to the tracking server.

    An interrupted write would leave an SQLite database locked for processes that are shutting down. A server that does
    not answer delays the signal by MLflow's timeout.
    """
    if threading.current_thread() is not threading.main_thread():  # signals come to the main thread only
        yield
        return
    received: list[int] = []
    before = {number: signal.signal(number, lambda number, frame: received.append(number)) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if received:
            signal.raise_signal(received[0])


@contextmanager
def held(*numbers: int) -> Iterator[None]:
    """Block these signals; they stay blocked in a process that is started in the block, until it calls `let_go`.

    Ignoring them instead would lose a signal that comes just then; and in a process without a handler yet, Ctrl-C
    prints a traceback.
    """
    # Starting it within the block would unblock the signals.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def let_go() -> None:
    """Unblock the signals that were blocked when this process was started: it can handle them now."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


def interruption(error: BaseException | None) -> Interrupted | None:
    """Returns the interruption that caused `error`, if any: torch.save raises another error when it is interrupted."""
    while error is not None and not isinstance(error, Interrupted):
        error = error.__cause__ or error.__context__
    return error


def _end_at_once(number: int, frame: object) -> None:
    for folder in _folders:
        shutil.rmtree(folder, ignore_errors=True)
    if sys.__stderr__ is not None:
        os.write(sys.__stderr__.fileno(), f"error: stopped by signal {number}\n".encode())
    os._exit(128 + number)


def _interrupt(number: int, frame: object) -> None:
    for each in SIGNALS:
        # Not SIG_IGN: with that, Python raises an error for a signal that has arrived already.
        signal.signal(each, _ignore)
    # Of a query that is broken off it closes the connection, and logs a traceback as the cursor cannot be closed then.
    logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL + 1)
    raise Interrupted(number)


def _ignore(number: int, frame: object) -> None:
    pass


def _change(before: set[Callable[[int, object], None]], after: Callable[[int, object], None]) -> None:
    for number in SIGNALS:
        if signal.getsignal(number) in before:
            signal.signal(number, after)
