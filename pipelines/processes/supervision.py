"""The life of a command from its first moment: it ends at a signal, and with the `mlflow run` that started it.

Imported before anything that takes time, so it needs neither torch nor mlflow.
"""

import contextlib
import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker

import psutil

from pipelines.errors import Interrupted

SIGNALS = (signal.SIGINT, signal.SIGTERM)
LOOK_S = 0.5  # between two looks at the process whose end is waited for

_SHELLS = {"bash", "sh", "dash", "zsh"}
_STARTED_BY = "STARTED_BY_PROCESS"  # variable of the environment: who starts what `end_with_parent` is called in
_PR_SET_PDEATHSIG = 1


def begin() -> None:
    """From now on SIGINT and SIGTERM end this process at once, with one line: nothing is there yet that could be lost.

    So does the end of the `mlflow run` that started this, now or later.
    """
    for number in SIGNALS:
        signal.signal(number, _end_at_once)
    if os.environ.get("MLFLOW_RUN_ID"):
        _follow_launcher()


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


def end_after(event: Callable[[], None]) -> None:
    """Send this process SIGTERM as soon as `event` returns."""

    def watch() -> None:
        event()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def announce_parent() -> None:
    """Tell the processes started from now on who their parent is, for `end_with_parent`."""
    os.environ[_STARTED_BY] = str(os.getpid())


def end_with_parent(parent: int = 0) -> None:
    """Have the system kill this process when the one that started it ends (Linux; elsewhere nothing happens).

    For processes that have nothing to put in order, since they cannot handle this end.

    Args:
        parent: its number; without it, the one that `announce_parent` has told.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        # It may have ended before.
        parent = parent or int(os.environ.get(_STARTED_BY, 0))
        if parent and os.getppid() != parent:
            os._exit(128 + signal.SIGKILL)


def _end_at_once(number: int, frame: object) -> None:
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


def _follow_launcher() -> None:
    """End when the process that called `mlflow run` ends; at once if it has ended already."""
    family = _family()
    launcher = next((process for process in family if not _is_shell(process)), None)
    if launcher is not None:
        end_after(lambda: _await_end(launcher))
    elif not any(_leads_session(process) for process in family):
        os.kill(os.getpid(), signal.SIGTERM)


def _family() -> list[psutil.Process]:
    """The ancestors of this process that are in its session, nearest first.

    They go up to the session's leader, for `mlflow run` starts no session, unless one of them has ended: its children
    were given to a process outside the session, or to the first one of the system.
    """
    if not hasattr(os, "getsid"):
        return _ancestors()
    session = os.getsid(0)
    family = []
    for process in _ancestors():
        try:
            within = os.getsid(process.pid) == session
        except OSError:
            within = False
        if not within or (process.pid == 1 and not _may_start_commands(process)):
            break
        family.append(process)
    return family


def _ancestors() -> list[psutil.Process]:
    while True:
        # One may end between two steps of it.
        with contextlib.suppress(psutil.Error):
            return psutil.Process().parents()


def _may_start_commands(process: psutil.Process) -> bool:
    """Of the first process of a container: whether it may be an `mlflow run`, or a shell with one."""
    try:
        return _is_shell(process) or "python" in os.path.basename(process.exe()).lower()  # noqa: PTH119 - no file of ours
    except psutil.Error:
        return False


def _is_shell(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return process.name() in _SHELLS
    return False


def _leads_session(process: psutil.Process) -> bool:
    with contextlib.suppress(OSError, AttributeError):
        return os.getsid(process.pid) == process.pid
    return False


def _await_end(process: psutil.Process) -> None:
    """Return when `process`, which need not be a child, has ended."""
    with contextlib.suppress(psutil.NoSuchProcess):
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            time.sleep(LOOK_S)
