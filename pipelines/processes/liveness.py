"""State of the process that the tags of a run describe: gone, alive, on another host, or unknown.

Shared by both halves, so it needs neither torch nor mlflow. If there is any doubt, the state is UNKNOWN, not GONE.
"""

import contextlib
import os
import socket
from dataclasses import dataclass

import psutil

from pipelines.processes.identity import Identity, boot, machine, namespace, stat, ticks

STATES = GONE, ALIVE, ELSEWHERE, UNKNOWN = "gone", "alive", "on another host", "unknown"

SILENT_S = 60  # without a heartbeat for so long, a launch is taken to have no process any more

# Difference allowed between two start times, as the clock may be adjusted; used only for old runs without ticks.
_CLOCK_S = 1


@dataclass(frozen=True)
class Fate:
    """State of a process, one of GONE, ALIVE, ELSEWHERE, UNKNOWN, and the reason for that judgement."""

    state: str
    reason: str = ""


def fate(identity: Identity | None) -> Fate:
    """Returns the state of a process. GONE and ALIVE are certain, whatever the clock says; None is UNKNOWN."""
    if identity is None:
        return Fate(UNKNOWN, "it has no tags of a host and process")
    if identity.host != socket.gethostname():
        return Fate(ELSEWHERE, identity.host)
    if not (identity.boot and identity.namespace and identity.ticks and boot()):
        return _fate_by_clock(identity)
    if identity.boot != boot():
        if identity.machine and identity.machine == machine():
            return Fate(GONE, f"{identity.host} was started again since {identity}")
        return Fate(UNKNOWN, f"{identity.host} was started again since, or is another machine of that name")
    if identity.namespace != namespace():
        return Fate(UNKNOWN, f"{identity} is in another PID namespace, perhaps a container's")
    return _fate_here(identity)


def state(pid: int) -> str:
    """Returns the state of a process of this namespace, as in /proc: R, S, T (stopped), Z (ended) …; "" without one.

    Without /proc it is T, Z, or S for all other states of psutil.
    """
    with contextlib.suppress(OSError, IndexError):
        return stat(pid)[0]
    with contextlib.suppress(psutil.Error):
        return {psutil.STATUS_STOPPED: "T", psutil.STATUS_ZOMBIE: "Z"}.get(psutil.Process(pid).status(), "S")
    return ""


def _fate_here(identity: Identity) -> Fate:
    """Returns the state of a process of this boot and namespace."""
    if not _exists(identity.pid):
        return Fate(GONE, f"{identity} is gone")
    began = ticks(identity.pid)
    if not began:
        return Fate(UNKNOWN, f"{identity} may not be looked at")
    if began != identity.ticks:
        return Fate(GONE, f"{identity} is another one now")
    if state(identity.pid) in ("Z", "X"):
        return Fate(GONE, f"{identity} has ended")
    return Fate(ALIVE)


def _fate_by_clock(identity: Identity) -> Fate:
    """Returns the state of a process with fewer tags; never GONE: clocks may be set, and hosts share names."""
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(identity.pid)
        if abs(process.create_time() - identity.start) < _CLOCK_S and process.status() != psutil.STATUS_ZOMBIE:
            return Fate(ALIVE)
    return Fate(UNKNOWN, f"{identity} is not seen on this machine, but its tags lack its boot and namespace")


def _exists(pid: int) -> bool:
    """Returns whether there is such a process, also if /proc hides those of other users."""
    if os.name == "nt":  # where signal 0 is Ctrl-C
        return psutil.pid_exists(pid)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True
