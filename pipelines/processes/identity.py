"""Which process a run belongs to, as tags can hold it.

Shared by both halves, so it needs neither torch nor mlflow. The wall clock is set, and a number is given again; a
host's name is shared by the containers on it; and a process in another PID namespace cannot be seen. So a process is
known by the boot of its machine, its namespace, its number and its start in ticks since that boot, none of which
changes.
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


def own() -> Identity:
    """This process."""
    process = psutil.Process()
    return Identity(
        socket.gethostname(), process.pid, process.create_time(), ticks(process.pid), boot(), namespace(), machine()
    )


def ticks(pid: int) -> str:
    """Start of a process in units since the boot, or "" if that is not known."""
    with contextlib.suppress(OSError, IndexError):
        return stat(pid)[19]
    if sys.platform == "darwin":
        # Recorded when a process starts, and not changed when the clock is set.
        with contextlib.suppress(psutil.Error):
            return f"{psutil.Process(pid).create_time():.6f}"
    return ""


def stat(pid: int) -> list[str]:
    """Fields of /proc/<pid>/stat from the third on: the second, a name, may hold anything."""
    return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()


@cache
def boot() -> str:
    """The boot of this machine, the same in all its containers; "" if that is not known."""
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    if sys.platform == "darwin":
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            command = ["sysctl", "-n", "kern.bootsessionuuid"]
            return subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
    return ""


def namespace() -> str:
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
def machine() -> str:
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
