"""The ancestors of this process: finding the launcher, and ending when it ends.

Needs neither torch nor mlflow: a command watches its launcher before anything that takes time is imported.
"""

import contextlib
import ctypes
import os
import signal
import threading
import time
from collections.abc import Callable

import psutil

POLL_S = 0.5  # between two checks whether the process still runs

_SHELLS = {"bash", "sh", "dash", "zsh"}
_STARTED_BY = "STARTED_BY_PROCESS"  # environment variable: PID of the parent of a process that calls `end_with_parent`
_PR_SET_PDEATHSIG = 1


def launchers_folder(variable: str) -> str | None:
    """Returns the working directory of the `mlflow run` that started this, None if there is none; see `_launcher`."""
    with contextlib.suppress(psutil.Error):
        if launcher := _launcher(variable):
            return launcher.cwd()
    return None


def launchers_words(variable: str) -> list[str]:
    """Returns the words of the `mlflow run` that started this, none if there is none; see `_launcher`."""
    with contextlib.suppress(psutil.Error):
        if launcher := _launcher(variable):
            return launcher.cmdline()
    return []


def _launcher(variable: str) -> psutil.Process | None:
    """Returns the `mlflow run` that started this: the nearest ancestor without its variable.

    Args:
        variable: environment variable that `mlflow run` sets; an ancestor with another value counts as without it.

    Returns:
        None if there is no launcher to be seen: it has ended, or the variable was set in a shell.

    Raises:
        psutil.Error: it is another user's.
    """
    value = os.environ.get(variable)
    if value:
        for process in _ancestors():
            if process.environ().get(variable) != value:
                return process if _may_launch(process) else None
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
    """Give the PID of this process to the processes that it starts from now on, for `end_with_parent`."""
    os.environ[_STARTED_BY] = str(os.getpid())


def is_announced() -> bool:
    """Returns whether the process that started this one has called `announce_parent`.

    A process that has called it itself is not meant: its environment names it.
    """
    return os.environ.get(_STARTED_BY, str(os.getpid())) != str(os.getpid())


def end_with_parent(parent: int = 0) -> None:
    """Have the system kill this process when the one that started it ends (Linux; elsewhere nothing happens).

    For processes that have nothing to clean up, since they cannot handle SIGKILL.

    Args:
        parent: PID of the parent; 0 for the one that `announce_parent` has set.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        # The parent may have ended before.
        parent = parent or int(os.environ.get(_STARTED_BY, 0))
        if parent and os.getppid() != parent:
            os._exit(128 + signal.SIGKILL)


def _family() -> list[psutil.Process]:
    """Returns the ancestors of this process that are in its session, nearest first.

    They include the session's leader, since `mlflow run` starts no session, unless one of them has ended: its children
    then belong to a process outside the session, or to the first one of the system.
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
        # An ancestor may end while they are collected.
        with contextlib.suppress(psutil.Error):
            return psutil.Process().parents()


def _may_start_commands(process: psutil.Process) -> bool:
    """Returns whether the first process of a container may be an `mlflow run`, or a shell that runs one."""
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
            time.sleep(POLL_S)


def _may_launch(process: psutil.Process) -> bool:
    """Returns whether a process is a Python, as every launcher is."""
    return "mlflow" in process.name() or "python" in process.name().lower()
