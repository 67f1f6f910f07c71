"""Identity of the process that a run belongs to, as tags of the run.

Shared by both halves, so it needs neither torch nor mlflow. The wall clock can be set, and PIDs are reused; containers
may share the name of their host; and a process in another PID namespace cannot be seen. So a process is identified by
the boot of its machine, its namespace, its PID and its start in ticks since that boot, none of which changes.
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

_NOT_KNOWN = "unknown"  # in a tag: an empty value may not be allowed, and without the tag an older value would stay
_LOCAL = 2  # bit of a network card's address: it was not assigned by the manufacturer


@dataclass(frozen=True)
class Identity:
    """A process.

    Attributes:
        host: name of its host, which several machines and containers may share.
        pid: its number within `namespace`.
        start: seconds since 1970, by the clock of that moment.
        ticks: its start, in clock ticks since the boot; "" for old runs, which did not record it.
        boot: identifies the boot of the machine, the same in all its containers; "" if not known.
        namespace: PID namespace, within which `pid` is unique; "" if not known.
        machine: unique to the machine, and the same over boots; "" if not known for sure.
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
        """Returns the process that `tags` describe, or None if they describe none."""
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
    """Start of a process in clock ticks since the boot, or "" if that is not known."""
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
        # If they differ, /proc is that of another namespace than this process is in.
        if str(Path("/proc/self").readlink()) != str(os.getpid()):
            return ""
    for kind in ("pid", "time"):
        with contextlib.suppress(OSError):
            found.append(str(Path(f"/proc/self/ns/{kind}").readlink()))
    return " ".join(found)


@cache
def machine() -> str:
    """Identifier of this machine, from the number of its installation and the addresses of its network cards; or "".

    Images of machines and containers share that number, and their cards have no addresses of a manufacturer: for those
    the machine is not known.
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
    """Address of a network card if its manufacturer assigned it, else ""."""
    with contextlib.suppress(OSError, ValueError):
        address = (path / "address").read_text().strip()
        first = int(address[:2], 16)
        if (path / "addr_assign_type").read_text().strip() == "0" and first and not first & _LOCAL:
            return address
    return ""
