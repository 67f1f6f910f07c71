"""Handling of SIGINT and SIGTERM by a command, from its start to its end.

Imported before anything that takes time, so it needs neither torch nor mlflow.
"""

import _thread
import logging
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing import resource_tracker
from types import FrameType
from typing import Any, NoReturn

from pipelines.errors import Interrupted
from pipelines.processes import parents

SIGNALS = (signal.SIGINT, signal.SIGTERM)

_Handler = Callable[[int, FrameType | None], None]

_QUERY_S = 10  # for a query to end that a signal came into
_AGAIN_S = 0.001  # until a signal that cannot be raised yet is sent again

_folders: set[str] = set()  # see remove_at_once
_waiting: dict[int, float] = {}  # signals that wait for the end of a query, with the time when they came


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
    clean-up, not even that of a block around it."""
    hook = sys.unraisablehook
    before = {number: signal.getsignal(number) for number in (*SIGNALS, *numbers)}
    for number in numbers or SIGNALS:
        signal.signal(number, _interrupt)
    try:
        try:
            yield
        finally:
            for number in list(_waiting):
                _raise(number)
    finally:
        for number, handler in before.items():
            if handler is not _interrupt or signal.getsignal(number) is not _ignore:
                signal.signal(number, handler)
        sys.unraisablehook = hook


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
    """Returns the interruption that caused `error`, if any: torch.save and Optuna raise another when interrupted."""
    while error is not None and not isinstance(error, Interrupted):
        error = error.__cause__ or error.__context__
    return error


def _end_at_once(number: int, frame: object) -> None:
    try:
        for folder in _folders:
            shutil.rmtree(folder, ignore_errors=True)
        if sys.__stderr__ is not None:
            os.write(sys.__stderr__.fileno(), f"error: stopped by signal {number}\n".encode())
    finally:
        # Ctrl-C may have ended before whoever reads stderr: raised from here, that error could be taken for another's.
        os._exit(128 + number)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Raise Interrupted, but not within a query of a database, unless that takes long.

    The frames of a query that is broken off hold its cursor, and with it the lock of an SQLite database, for as long as
    the exception is being handled. The process could not write there that it was stopped.
    """
    now = time.monotonic()
    if _is_query(frame) and now < _waiting.setdefault(number, now) + _QUERY_S:
        _send_again(number)
    else:
        _raise(number)


def _is_query(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_globals.get("__name__", "").startswith("sqlalchemy."):
            return True
        frame = frame.f_back
    return False


def _send_again(number: int) -> None:
    """Send a signal that waits once more, in a moment."""

    def send() -> None:
        time.sleep(_AGAIN_S)
        if number in _waiting:
            signal.pthread_kill(threading.main_thread().ident or 0, number)

    # Not by threading: it has locks, which the code that the signal has come into may hold.
    _thread.start_new_thread(send, ())


def _raise(number: int) -> NoReturn:
    _waiting.clear()
    for each in SIGNALS:
        # Not SIG_IGN: with that, Python raises an error for a signal that has arrived already.
        signal.signal(each, _ignore)
    # Of a query that is broken off it closes the connection, and logs a traceback as the cursor cannot be closed then.
    logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL + 1)
    sys.unraisablehook = partial(_raise_again, sys.unraisablehook)
    raise Interrupted(number)


def _raise_again(hook: Callable[[Any], object], unraisable: "sys.UnraisableHookArgs") -> None:
    """Raise an Interrupted once more that was raised in a destructor or a callback of a weak reference.

    Python drops it there, and the process would go on, without an ear for further signals.
    """
    interrupted = interruption(unraisable.exc_value)
    if interrupted is None:
        hook(unraisable)
        return
    sys.unraisablehook = hook
    for each in SIGNALS:
        signal.signal(each, _interrupt)
    _waiting[interrupted.signal_number] = time.monotonic()
    _send_again(interrupted.signal_number)


def _ignore(number: int, frame: object) -> None:
    pass


def _change(before: set[_Handler], after: _Handler) -> None:
    for number in SIGNALS:
        if signal.getsignal(number) in before:
            signal.signal(number, after)
