"""Storage on the disk for items that a run could not send to its tracking server: a folder with a journal and files.

The journal holds one JSON document per line. The first is the owner; each later one is an item that waits, in the order
of sending, or the number of an item that has been sent. Each line is synced to the disk before the program goes on, and
an incomplete last line is ignored. This module knows nothing of MLflow.
"""

import contextlib
import errno
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from pipelines import names
from pipelines.common.files import sync

LIMIT = 2 << 30  # bytes of a run's spool: a ResNet-50 has two checkpoints of 190 MB and a model of 95 MB
_JOURNAL, _FILES, _LOCK = "journal.jsonl", "files", "lock"


@dataclass(frozen=True)
class Owner:
    """Run that a spool belongs to: its id and name, its parent's id, and its server's address without secrets.

    `processes` are fingerprints of processes: if the run's tags on the server are of any other, that has taken it over.
    """

    run: str
    name: str
    parent: str
    server: str
    processes: tuple[str, ...]


@dataclass(frozen=True)
class Waiting:
    """Item to be sent.

    Attributes:
        number: position in the order of sending; negative if it is not on the disk.
        kind: one of the kinds in `outbox`, which determines the form of `content`.
        content: plain data.
        file: name of the item's file or folder, "" for none.
        place: destination of the file; a later item of the same kind and place replaces one that waits.
    """

    number: int
    kind: str
    content: Mapping[str, Any]
    file: str = ""
    place: str = ""


class BusyError(Exception):
    """The spool is being written or sent by another process."""


def root() -> Path:
    """Folder of all spools: in XDG_STATE_HOME, or in the working directory if that cannot be written."""
    with contextlib.suppress(RuntimeError, OSError):
        state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
        folder = Path(state) / "nn-experiment-registry" / "spool"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
    return Path("spool").absolute()


def fingerprint(tags: Mapping[str, str]) -> str:
    """Identifier of the process in a run's tags, for comparison."""
    return f"{tags.get(names.PID)} {tags.get(names.PROCESS_START)}"


def folder_of(run_id: str) -> Path:
    """Folder of the spool of a run, which need not exist."""
    return root() / run_id


def folders(where: Path) -> list[Path]:
    """Returns the spools at `where`: that folder itself, or those in it."""
    if (where / _JOURNAL).is_file():
        return [where]
    return sorted(path.parent for path in where.glob(f"*/{_JOURNAL}"))


def of_owners(is_wanted: Callable[[Owner], bool]) -> list[Path]:
    """Returns the spools of this user with a wanted owner; those that cannot be read are skipped."""
    found = []
    for folder in folders(root()):
        with contextlib.suppress(OSError, ValueError):
            if is_wanted(read(folder)[0]):
                found.append(folder)
    return found


def within(run_id: str) -> list[Path]:
    """Returns the spools of this user for the runs nested in a run."""
    return of_owners(lambda owner: owner.parent == run_id)


def read(folder: Path) -> tuple[Owner, list[Waiting]]:
    """Returns the owner and the waiting items of a spool, without locking or changing it.

    Raises:
        ValueError: it is damaged, or no spool.
        OSError: it cannot be read.
    """
    owner, waiting, _ = _parsed((folder / _JOURNAL).read_bytes())
    return owner, waiting


class Spool:
    """A spool that is locked by this process.

    Args:
        folder: of the spool; created if it does not exist.
        owner: of a new spool.

    Attributes:
        owner: run that the spool belongs to.
        waiting: items that have not been sent, in order.

    Raises:
        BusyError: another process has locked it.
        OSError: it cannot be created or read.
        ValueError: it is damaged.
    """

    def __init__(self, folder: Path, owner: Owner | None = None):
        self.folder = folder
        (folder / _FILES).mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = FileLock(folder / _LOCK)
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise BusyError(f"{folder} is in use by another process") from None
        try:
            journal = folder / _JOURNAL
            content = journal.read_bytes() if journal.exists() else b""
            if owner is not None and b"\n" not in content:
                content = json.dumps(asdict(owner)).encode() + b"\n"
                _write(journal, content)
                sync(folder)
                sync(folder.parent)
            self.owner, self.waiting, whole = _parsed(content)
            self._numbers = max((line.number for line in self.waiting), default=content.count(b"\n"))
            with journal.open("r+b") as file:
                file.truncate(whole)
        except BaseException:
            self._lock.release()
            raise

    def add(self, kind: str, content: Mapping[str, Any], source: Path | None = None, place: str = "") -> Waiting:
        """Add an item, to be sent after those that wait already.

        Args:
            kind, content, place: see `Waiting`.
            source: file or folder of the item, which is copied.

        Raises:
            OSError: it cannot be stored, because LIMIT is reached or the disk is full; the other items stay.
        """
        self._numbers += 1
        older = [line for line in self.waiting if place and (line.kind, line.place) == (kind, place)]
        waiting = Waiting(self._numbers, kind, content, source.name if source else "", place)
        if source:
            self._require_room(_size(source) - sum(_size(self.path(line)) for line in older))
            self._copy(source, self.path(waiting))
        try:
            self._append(asdict(waiting))
        except OSError:
            if source:
                _remove(self.path(waiting).parent)
            raise
        self.waiting.append(waiting)
        for line in older:
            self.sent(line)
        return waiting

    def sent(self, waiting: Waiting) -> None:
        """Remove an item that has been sent, or need not be sent any more."""
        self.waiting.remove(waiting)
        # If this cannot be written, the item is sent again, which has no effect.
        with contextlib.suppress(OSError):
            self._append({"sent": waiting.number})
        if waiting.file:
            _remove(self.path(waiting).parent)

    def path(self, waiting: Waiting) -> Path:
        """Path of the file or folder of an item."""
        return self.folder / _FILES / str(waiting.number) / waiting.file

    def close(self) -> None:
        """Unlock the spool; remove it if no item waits."""
        if not self.waiting:
            shutil.rmtree(self.folder / _FILES, ignore_errors=True)
            (self.folder / _JOURNAL).unlink(missing_ok=True)
        self._lock.release()
        if not self.waiting:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _require_room(self, more: int) -> None:
        if more > 0 and _size(self.folder) + more > LIMIT:
            raise OSError(errno.ENOSPC, f"the spool {self.folder} has reached its limit of {LIMIT >> 20} MB")

    def _copy(self, source: Path, target: Path) -> None:
        part = self.folder / _FILES / "part"
        _remove(part)
        part.mkdir()
        try:
            copy = shutil.copytree if source.is_dir() else shutil.copyfile
            copy(source, part / target.name)
            for path in (part, *part.rglob("*")):
                sync(path)
            part.rename(target.parent)
        except OSError:
            _remove(part)
            raise
        sync(target.parent.parent)

    def _append(self, line: Mapping[str, Any]) -> None:
        journal = self.folder / _JOURNAL
        before = journal.stat().st_size
        try:
            with journal.open("ab") as file:
                file.write(json.dumps(line).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            with contextlib.suppress(OSError), journal.open("r+b") as file:
                file.truncate(before)
            raise


@contextmanager
def opened(folder: Path) -> Iterator[Spool]:
    """Open an existing spool, and close it at the end of the block; raises the errors of `Spool`."""
    spool = Spool(folder)
    try:
        yield spool
    finally:
        spool.close()


def _parsed(content: bytes) -> tuple[Owner, list[Waiting], int]:
    """Returns the owner and the waiting items of a journal, and the number of its bytes in complete lines."""
    whole = content.rfind(b"\n") + 1
    lines = content[:whole].splitlines()
    waiting: dict[int, Waiting] = {}
    try:
        first = json.loads(lines[0])
        owner = Owner(**{**first, "processes": tuple(first["processes"])})
        for line in map(json.loads, lines[1:]):
            if "sent" in line:
                waiting.pop(line["sent"], None)
            else:
                waiting[line["number"]] = Waiting(**line)
    except (LookupError, TypeError, ValueError) as error:
        raise ValueError("its journal is damaged") from error
    for line in waiting.values():
        # Only the user can write here; still, no file outside the spool is ever sent.
        if line.file and Path(line.file).name != line.file:
            raise ValueError(f"its journal names a file outside it: {line.file}")
    return owner, list(waiting.values()), whole


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _size(path: Path) -> int:
    """Bytes of a file, or of all files below a folder."""
    if path.is_dir():
        return sum(each.stat().st_size for each in path.rglob("*") if each.is_file())
    return path.stat().st_size


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
