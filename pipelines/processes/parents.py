"""The processes that started this one: found, and followed to their end.

Needs neither torch nor mlflow: a command follows its launcher before anything that takes time is imported.
"""

import contextlib
import ctypes
import os
import signal
import threading
import time
from collections.abc import Callable

import psutil

LOOK_S = 0.5  # between two looks at the process whose end is waited for

_SHELLS = {"bash", "sh", "dash", "zsh"}
_STARTED_BY = "STARTED_BY_PROCESS"  # variable of the environment: who starts what `end_with_parent` is called in
_PR_SET_PDEATHSIG = 1


def launchers_folder(variable: str) -> str | None:
    """Working directory of the `mlflow run` that started this: the nearest ancestor that lacks the variable it sets.

    Args:
        variable: name in the environment; an ancestor with another value lacks it.

    Returns:
        None where the launcher cannot be seen: it has ended or is another user's, or a shell has kept the variable.
    """
    value = os.environ.get(variable)
    if value:
        with contextlib.suppress(psutil.Error):
            for process in _ancestors():
                if process.environ().get(variable) != value:
                    return process.cwd() if _may_launch(process) else None
    return None


def follow_launcher() -> None:
    """End when the process that called `mlflow run` ends; at once if it has ended already."""
    family = _family()
    launcher = next((process for process in family if not _is_shell(process)), None)
    if launcher is not None:
        end_after(lambda: _await_end(launcher))
    elif not any(_leads_session(process) for process in family):
        os.kill(os.getpid(), signal.SIGTERM)


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


def _may_launch(process: psutil.Process) -> bool:
    """Whether it is a Python, as every launcher is."""
    return "mlflow" in process.name() or "python" in process.name().lower()
