"""What a run could not send to its tracking server, kept on the disk until it is: a folder with a journal and files.

The journal holds a JSON document a line. The first tells whose it is; each later one tells of something that waits, in
the order in which it is to be sent, or of something that has been sent since. Each line is on the disk before anything
goes on, and a line that was cut off is none. Knows nothing of MLflow.
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
    """The run that a spool is of: its id and name, its parent's id, and its server's address without secrets.

    `processes` are the fingerprints of those that the run may name on the server unless another one has taken it up.
    """

    run: str
    name: str
    parent: str
    server: str
    processes: tuple[str, ...]


@dataclass(frozen=True)
class Waiting:
    """Something to be sent.

    Attributes:
        number: in the order of sending.
        kind: says what `content` is.
        content: plain data.
        file: name of the file or folder that goes with it, "" for none.
        place: where that goes; what comes later to the same place takes the place of what waits.
    """

    number: int
    kind: str
    content: Mapping[str, Any]
    file: str = ""
    place: str = ""


class BusyError(Exception):
    """The spool is being written or sent by another process."""


def root() -> Path:
    """Folder of all spools: in the user's folder for the state of programs, or in the working directory without one."""
    with contextlib.suppress(RuntimeError, OSError):
        state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
        folder = Path(state) / "nn-experiment-registry" / "spool"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
    return Path("spool").absolute()


def fingerprint(tags: Mapping[str, str]) -> str:
    """Of the process that a run's tags tell of."""
    return f"{tags.get(names.PID)} {tags.get(names.PROCESS_START)}"


def folder_of(run_id: str) -> Path:
    """Where the spool of a run is, or would be."""
    return root() / run_id


def folders(where: Path) -> list[Path]:
    """The spools at `where`: it itself, or those in it."""
    if (where / _JOURNAL).is_file():
        return [where]
    return sorted(path.parent for path in where.glob(f"*/{_JOURNAL}"))


def of_owners(is_wanted: Callable[[Owner], bool]) -> list[Path]:
    """The spools of this user whose owner is wanted; what cannot be read is passed over."""
    found = []
    for folder in folders(root()):
        with contextlib.suppress(OSError, ValueError):
            if is_wanted(read(folder)[0]):
                found.append(folder)
    return found


def within(run_id: str) -> list[Path]:
    """The spools of this user of the runs nested in one."""
    return of_owners(lambda owner: owner.parent == run_id)


def read(folder: Path) -> tuple[Owner, list[Waiting]]:
    """What a spool tells, without touching it.

    Raises:
        ValueError: it is damaged, or none.
        OSError: it cannot be read.
    """
    owner, waiting, _ = _parsed((folder / _JOURNAL).read_bytes())
    return owner, waiting


class Spool:
    """A spool that this process alone works on.

    Args:
        folder: of the spool; made if it is not there.
        owner: of a new one.

    Attributes:
        owner: the run.
        waiting: what has not been sent, in order.

    Raises:
        BusyError: another process has it.
        OSError: it cannot be made or read.
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
        """Keep something to be sent after all that waits.

        Args:
            kind, content, place: see `Waiting`.
            source: file or folder that is copied.

        Raises:
            OSError: it cannot be kept, the bound being reached or the disk full; what waited waits still.
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
        """Note that it has been sent, or need not be any more."""
        self.waiting.remove(waiting)
        # Where even this cannot be noted, it is sent again, which does no harm.
        with contextlib.suppress(OSError):
            self._append({"sent": waiting.number})
        if waiting.file:
            _remove(self.path(waiting).parent)

    def path(self, waiting: Waiting) -> Path:
        """The file or folder that goes with it."""
        return self.folder / _FILES / str(waiting.number) / waiting.file

    def close(self) -> None:
        """Let others have it; without anything that waits it is removed."""
        if not self.waiting:
            shutil.rmtree(self.folder / _FILES, ignore_errors=True)
            (self.folder / _JOURNAL).unlink(missing_ok=True)
        self._lock.release()
        if not self.waiting:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _require_room(self, more: int) -> None:
        if more > 0 and _size(self.folder) + more > LIMIT:
            raise OSError(errno.ENOSPC, f"the spool {self.folder} has its {LIMIT >> 20} MB")

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
    """A spool that is there, closed in the end; see `Spool` for what is raised."""
    spool = Spool(folder)
    try:
        yield spool
    finally:
        spool.close()


def _parsed(content: bytes) -> tuple[Owner, list[Waiting], int]:
    """What a journal tells, and how many of its bytes are whole lines."""
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
        # Whoever can write here is the user; still nothing outside is ever sent.
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
