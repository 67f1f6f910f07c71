"""Files in folders that others can write to as well: replaced whole, never through a link; read only if they are files.

Shared by both halves, so it needs neither torch nor mlflow. Its errors are OSErrors whose `strerror` can be printed.
"""

import errno
import hashlib
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedRandom, BufferedReader, BufferedWriter
from pathlib import Path

FORGOTTEN = 3600  # seconds without a write after which a temporary file is that of a process that was killed
LONGEST_NAME = 100  # letters: file systems allow 255 bytes, and callers add endings

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISLNK, "a link"),
)
# Not on every system.
_NO_LINKS = getattr(os, "O_NOFOLLOW", 0)
_NO_WAITING = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
_PROCESSES = "/proc/"
_BYTES = getattr(os, "O_BINARY", 0)

_PLAIN_NAME = re.compile(rf"[a-z0-9](?:[a-z0-9._-]{{0,{LONGEST_NAME - 2}}}[a-z0-9_-])?")
_MADE_NAME = re.compile(r"(?:.*-)?[0-9a-f]{16}")
_WINDOWS_DEVICE = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?")


@contextmanager
def replacing(path: str | Path) -> Iterator[BufferedRandom]:
    """A file, open for writing and reading, that takes the place of `path` once it is complete and on the disk.

    A failure leaves `path` as it was. Until then the file lies beside it under a random name that nobody can have put
    there before. Where `path` is a link, the link is replaced and what it points to stays as it is.

    Raises:
        OSError: the folder cannot be written, or `path` is, or links to, something that is there and no file.
    """
    path = Path(path)
    _require_replaceable(path)
    temporary, file = _opened_beside(path)
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync(path.parent)


def write_text(path: str | Path, text: str) -> None:
    """Replaces `path` by `text` in UTF-8, see `replacing`."""
    with replacing(path) as file:
        file.write(text.encode())


def sync(path: Path) -> None:
    """Brings a file, or the names in a folder, to the disk, where the system can."""
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def open_regular(path: str | Path) -> BufferedReader:
    """Opens a file for reading, and nothing else: a FIFO or device could hold its reader for ever.

    Raises:
        OSError: there is none, it cannot be read, or it is a FIFO, device, socket or folder.
    """
    _require_regular(Path(path).stat(), path)  # opening alone does something to some devices
    descriptor = os.open(path, os.O_RDONLY | _NO_WAITING | _BYTES)
    return os.fdopen(_checked(descriptor, path), "rb")


def open_part(path: str | Path, anew: bool) -> BufferedWriter:
    """Opens for appending a file of a name that is known beforehand, made where it is absent.

    Args:
        path: of the file; what is not this user's own, see `own_size`, has been removed.
        anew: empty it first.

    Raises:
        OSError: it cannot be opened, or is a link or no file after all.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | _NO_LINKS | _NO_WAITING | _BYTES, 0o666)
    file = os.fdopen(_checked(descriptor, path), "ab")
    if anew:
        file.truncate(0)
    return file


def own_size(path: str | Path) -> int:
    """Bytes of a file that this user has written to a name that is known beforehand; 0 where there is none.

    Anything else that stands there is removed: a link, of either kind, somebody else's file, a FIFO.

    Raises:
        OSError: it cannot be removed.
    """
    try:
        status = Path(path).lstat()
    except FileNotFoundError:
        return 0
    if _is_own(status):
        return status.st_size
    Path(path).unlink()
    return 0


def require_unlinked(folder: str | Path, inside: str | Path) -> None:
    """Raises an OSError where writing to a path in a folder would write through a link, of either kind.

    For what is written by others; `replacing` needs no such care.

    Args:
        folder: links to it, and to folders above it, are nobody else's business.
        inside: relative to it, need not be there.
    """
    path = Path(folder)
    for part in Path(inside).parts:
        path /= part
        try:
            status = path.lstat()
        except FileNotFoundError:
            return
        if stat.S_ISLNK(status.st_mode) or (stat.S_ISREG(status.st_mode) and status.st_nlink > 1):
            raise OSError(errno.ELOOP, "a link, through which nothing is written", str(path))


def file_name(name: str) -> str:
    """A file name, without ending, that is good on every system and another for every `name`.

    Small letters, figures, and ``._-`` within stay as they are. Any other name keeps what it has of them, up to
    LONGEST_NAME letters, and ends in figures of its digest.
    """
    if _PLAIN_NAME.fullmatch(name) and not _MADE_NAME.fullmatch(name) and not _WINDOWS_DEVICE.fullmatch(name):
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    kept = re.sub(r"[^a-z0-9_]+", "-", name.lower())[: LONGEST_NAME - len(digest) - 1].strip("-")
    return f"{kept}-{digest}" if kept else digest


def _opened_beside(path: Path) -> tuple[Path, BufferedRandom]:
    """A new file beside `path`, and open."""
    mine = f".{file_name(path.name)}."
    temporary = path.with_name(f"{mine}{secrets.token_hex(8)}.tmp")
    descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | _NO_LINKS | _BYTES, 0o666)
    file = os.fdopen(descriptor, "w+b")
    _sweep(path.parent, mine, os.fstat(descriptor).st_mtime)
    return temporary, file


def _sweep(folder: Path, mine: str, now: float) -> None:
    """Removes what killed processes of this user left of earlier writes to the same file.

    Args:
        folder: where it lies.
        mine: what the names of its temporary files begin with.
        now: by the clock of the file system.
    """
    left = re.compile(re.escape(mine) + r"[0-9a-f]{16}\.tmp")
    with suppress(OSError):  # another process may sweep too, and the folder may be one that cannot be listed
        for other in folder.iterdir():
            if left.fullmatch(other.name) and _is_own(status := other.lstat()) and now - status.st_mtime > FORGOTTEN:
                other.unlink()


def _require_replaceable(path: Path) -> None:
    """Raises an OSError where something stands that a file must not take the place of, such as /dev/null."""
    # /dev/stdout leads to a file where that is what the output is directed to, and is still no name of it.
    if os.path.realpath(path.parent).startswith(_PROCESSES) or (
        path.is_symlink() and str(path.readlink()).startswith(_PROCESSES)
    ):
        raise OSError(errno.EINVAL, "a stream, no file", str(path))
    try:
        status = path.stat()
    except OSError:
        return  # nothing, or a link to nothing
    _require_regular(status, path)


def _is_own(status: os.stat_result) -> bool:
    """Whether it is a file of this user, under one name only; of a link's own status, no link."""
    owner = os.getuid() if hasattr(os, "getuid") else status.st_uid
    return stat.S_ISREG(status.st_mode) and status.st_uid == owner and status.st_nlink == 1


def _checked(descriptor: int, path: str | Path) -> int:
    """Returns `descriptor` if it is of a regular file; closes it and raises an OSError if not."""
    try:
        _require_regular(os.fstat(descriptor), path)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _require_regular(status: os.stat_result, path: str | Path) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = next((kind for is_kind, kind in _KINDS if is_kind(status.st_mode)), "a device")
        raise OSError(errno.EINVAL, f"{kind}, no file", str(path))
