"""Which process a run belongs to, as tags can hold it, and what became of it.

Shared by both halves, so it needs neither torch nor mlflow. A verdict is only as good as what it rests on. The wall
clock is set, and a number is given again; a host's name is shared by the containers on it; and a process in another PID
namespace cannot be seen. So a process is known by the boot of its machine, its namespace, its number and its start in
ticks since that boot, none of which changes; and whatever is in doubt is UNKNOWN, not GONE.
"""

import contextlib
import hashlib
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import psutil

from pipelines import names

STATES = GONE, ALIVE, ELSEWHERE, UNKNOWN = "gone", "alive", "on another host", "unknown"

# Between two readings of a clock that may be set by a little; only a run of before there were ticks is judged by it.
_CLOCK_S = 1
_NOT_KNOWN = "unknown"  # as a tag: one without a value may not be allowed, and one left out would keep an older value
_LOCAL = 2  # the bit of a network card's address that says that somebody, not its maker, has given it


@dataclass(frozen=True)
class Identity:
    """A process.

    Attributes:
        host: its name, which several machines and containers may share.
        pid: number within `namespace`.
        start: seconds since 1970, by the clock of that moment.
        ticks: when it began, in units that count from the boot; "" of runs of before it was recorded.
        boot: of the machine: another one after each start, the same in all its containers; "" if not known.
        namespace: within which `pid` is unique; "" if not known.
        machine: no other has it, and it stays the same over boots; "" if not known for sure.
    """

    host: str
    pid: int
    start: float
    ticks: str = ""
    boot: str = ""
    namespace: str = ""
    machine: str = ""

    @classmethod
    def of(cls, tags: Mapping[str, object]) -> "Identity | None":
        """The process that `tags` tell of, or None if they tell of none."""
        try:
            pid, start = int(str(tags[names.PID])), float(str(tags[names.PROCESS_START]))
        except (KeyError, ValueError):
            return None
        host = str(tags.get(names.HOST) or "")
        rest = (tags.get(name) for name in (names.PROCESS_TICKS, names.BOOT, names.PID_NAMESPACE, names.MACHINE))
        known = ("" if value in (None, _NOT_KNOWN) else str(value) for value in rest)
        return cls(host, pid, start, *known) if host and pid > 0 else None

    @property
    def tags(self) -> dict[str, str]:
        """Tags of a run that `of` reads."""
        return {
            names.HOST: self.host,
            names.PID: str(self.pid),
            names.PROCESS_START: f"{self.start:.2f}",
            names.PROCESS_TICKS: self.ticks or _NOT_KNOWN,
            names.BOOT: self.boot or _NOT_KNOWN,
            names.PID_NAMESPACE: self.namespace or _NOT_KNOWN,
            names.MACHINE: self.machine or _NOT_KNOWN,
        }

    def __str__(self) -> str:
        return f"process {self.pid} of {self.host}"


@dataclass(frozen=True)
class Fate:
    """What became of a process: one of GONE, ALIVE, ELSEWHERE, UNKNOWN, and why we think so."""

    state: str
    reason: str = ""


def own() -> Identity:
    """This process."""
    process = psutil.Process()
    return Identity(
        socket.gethostname(), process.pid, process.create_time(), _ticks(process.pid), _boot(), _namespace(), _machine()
    )


def fate(identity: Identity | None) -> Fate:
    """What became of a process. GONE and ALIVE are certain, whatever the clock says; None is UNKNOWN."""
    if identity is None:
        return Fate(UNKNOWN, "it tells of no host and process")
    if identity.host != socket.gethostname():
        return Fate(ELSEWHERE, identity.host)
    if not (identity.boot and identity.namespace and identity.ticks and _boot()):
        return _fate_by_clock(identity)
    if identity.boot != _boot():
        if identity.machine and identity.machine == _machine():
            return Fate(GONE, f"{identity.host} was started again since {identity}")
        return Fate(UNKNOWN, f"{identity.host} was started again since, or is another machine of that name")
    if identity.namespace != _namespace():
        return Fate(UNKNOWN, f"{identity} is in another PID namespace, perhaps a container's")
    return _fate_here(identity)


def state(pid: int) -> str:
    """State of a process of this namespace, as in /proc: R, S, T (stopped), Z (ended) and so on; "" if there is none.

    Where there is no /proc, those of psutil that have a letter here.
    """
    with contextlib.suppress(OSError, IndexError):
        return _stat(pid)[0]
    with contextlib.suppress(psutil.Error):
        return {psutil.STATUS_STOPPED: "T", psutil.STATUS_ZOMBIE: "Z"}.get(psutil.Process(pid).status(), "S")
    return ""


def _fate_here(identity: Identity) -> Fate:
    """Of a process of this boot and namespace."""
    if not _exists(identity.pid):
        return Fate(GONE, f"{identity} is gone")
    ticks = _ticks(identity.pid)
    if not ticks:
        return Fate(UNKNOWN, f"{identity} may not be looked at")
    if ticks != identity.ticks:
        return Fate(GONE, f"{identity} is another one now")
    if state(identity.pid) in ("Z", "X"):
        return Fate(GONE, f"{identity} has ended")
    return Fate(ALIVE)


def _fate_by_clock(identity: Identity) -> Fate:
    """Of a process of which less is known: never GONE, for the clock may have been set, and hosts share names."""
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(identity.pid)
        if abs(process.create_time() - identity.start) < _CLOCK_S and process.status() != psutil.STATUS_ZOMBIE:
            return Fate(ALIVE)
    return Fate(UNKNOWN, f"{identity} is not seen here, but its tags do not tell its boot and namespace")


def _exists(pid: int) -> bool:
    """Whether there is such a process, also where /proc hides those of others."""
    if os.name == "nt":  # where signal 0 is Ctrl-C
        return psutil.pid_exists(pid)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def _ticks(pid: int) -> str:
    """Start of a process in units since the boot, or "" if that is not known."""
    with contextlib.suppress(OSError, IndexError):
        return _stat(pid)[19]
    if sys.platform == "darwin":
        # Recorded when a process starts, and not changed when the clock is set.
        with contextlib.suppress(psutil.Error):
            return f"{psutil.Process(pid).create_time():.6f}"
    return ""


def _stat(pid: int) -> list[str]:
    """Fields of /proc/<pid>/stat from the third on: the second, a name, may hold anything."""
    return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()


@cache
def _boot() -> str:
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    if sys.platform == "darwin":
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            command = ["sysctl", "-n", "kern.bootsessionuuid"]
            return subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
    return ""


def _namespace() -> str:
    """The PID namespace and, since ticks are shifted by it, the time namespace; "" if that is not known."""
    if sys.platform == "darwin":
        return "the only one"
    found = []
    with contextlib.suppress(OSError):
        # Else /proc shows another namespace than that of this process.
        if str(Path("/proc/self").readlink()) != str(os.getpid()):
            return ""
    for kind in ("pid", "time"):
        with contextlib.suppress(OSError):
            found.append(str(Path(f"/proc/self/ns/{kind}").readlink()))
    return " ".join(found)


@cache
def _machine() -> str:
    """Made from the installation's number and the addresses of the network cards.

    Images of machines and containers share the number, and their cards have addresses that somebody gave: of those
    nothing is known.
    """
    try:
        installation = Path("/etc/machine-id").read_text().strip()
        cards = [_card(path) for path in sorted(Path("/sys/class/net").iterdir()) if (path / "device").exists()]
    except OSError:
        return ""
    addresses = [card for card in cards if card]
    if not installation or not addresses:
        return ""
    return hashlib.sha256(" ".join([installation, *addresses]).encode()).hexdigest()[:16]


def _card(path: Path) -> str:
    """Address of a network card that its maker has given, or ""."""
    with contextlib.suppress(OSError, ValueError):
        address = (path / "address").read_text().strip()
        first = int(address[:2], 16)
        if (path / "addr_assign_type").read_text().strip() == "0" and first and not first & _LOCAL:
            return address
    return ""
