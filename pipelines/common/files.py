"""Files in folders that other users can write to: replaced atomically, never through a link; read only if regular.

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

FORGOTTEN = 3600  # seconds without a write after which a temporary file counts as left by a killed process
LONGEST_NAME = 100  # characters: file systems allow 255 bytes, and callers add endings

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
    """Opens a new file for writing and reading, which replaces `path` once it is complete and on the disk.

    A failure leaves `path` as it was. Until then the file is beside it, under a random name that no other user can have
    created before. If `path` is a link, the link is replaced, and its target stays as it is.

    Raises:
        OSError: the folder cannot be written, or `path` is, or links to, something else than a regular file.
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
    """Brings a file, or the names in a folder, to the disk, if the system supports it."""
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def open_regular(path: str | Path) -> BufferedReader:
    """Opens a regular file for reading; a FIFO or device could block its reader for ever.

    Raises:
        OSError: there is none, it cannot be read, or it is a FIFO, device, socket or folder.
    """
    _require_regular(Path(path).stat(), path)  # first, since opening alone has effects on some devices
    descriptor = os.open(path, os.O_RDONLY | _NO_WAITING | _BYTES)
    return os.fdopen(_checked(descriptor, path), "rb")


def open_part(path: str | Path, anew: bool) -> BufferedWriter:
    """Opens a file of a predictable name for appending; creates it if it does not exist.

    Args:
        path: of the file; call `own_size` first, which removes what is not this user's own.
        anew: empty it first.

    Raises:
        OSError: it cannot be opened, or is a link or no regular file.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | _NO_LINKS | _NO_WAITING | _BYTES, 0o666)
    file = os.fdopen(_checked(descriptor, path), "ab")
    if anew:
        file.truncate(0)
    return file


def own_size(path: str | Path) -> int:
    """Returns the size in bytes of this user's own file of a predictable name; 0 if there is none.

    Anything else at that path is removed: a symbolic or hard link, another user's file, a FIFO.

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
    """Raises an OSError if writing to a path in a folder would write through a symbolic or hard link.

    For files that other code writes; `replacing` is safe without it.

    Args:
        folder: links to it, or to folders above it, are allowed.
        inside: path relative to `folder`; need not exist.
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
    """Returns a file name, without ending, that is valid on every system and different for every `name`.

    A name of lower-case letters, digits, and ``._-`` inside stays as it is. Any other keeps such characters, up to
    LONGEST_NAME, and ends in digits of its digest.
    """
    if _PLAIN_NAME.fullmatch(name) and not _MADE_NAME.fullmatch(name) and not _WINDOWS_DEVICE.fullmatch(name):
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    kept = re.sub(r"[^a-z0-9_]+", "-", name.lower())[: LONGEST_NAME - len(digest) - 1].strip("-")
    return f"{kept}-{digest}" if kept else digest


def _opened_beside(path: Path) -> tuple[Path, BufferedRandom]:
    """Creates a new file beside `path`; returns its path, and the file open for writing and reading."""
    mine = f".{file_name(path.name)}."
    temporary = path.with_name(f"{mine}{secrets.token_hex(8)}.tmp")
    descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | _NO_LINKS | _BYTES, 0o666)
    file = os.fdopen(descriptor, "w+b")
    _sweep(path.parent, mine, os.fstat(descriptor).st_mtime)
    return temporary, file


def _sweep(folder: Path, mine: str, now: float) -> None:
    """Removes temporary files that killed processes of this user left when they wrote the same file.

    Args:
        folder: of the file.
        mine: prefix of the names of its temporary files.
        now: by the clock of the file system.
    """
    left = re.compile(re.escape(mine) + r"[0-9a-f]{16}\.tmp")
    with suppress(OSError):  # another process may remove them too, and the folder may be one that cannot be listed
        for other in folder.iterdir():
            if left.fullmatch(other.name) and _is_own(status := other.lstat()) and now - status.st_mtime > FORGOTTEN:
                other.unlink()


def _require_replaceable(path: Path) -> None:
    """Raises an OSError if `path` must not be replaced by a file, such as /dev/null."""
    # /dev/stdout links to a regular file if the output is redirected to one; replacing it would be wrong all the same.
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
    """Returns whether a status, of `lstat`, is that of a regular file of this user that has no other name."""
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
