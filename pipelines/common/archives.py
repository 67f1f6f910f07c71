"""Files of a folder, a .zip or a .tar.gz, and their digests.

Archives are read member by member and never unpacked: nothing is written, whatever their paths and links are. Shared by
both halves, so it needs neither torch nor mlflow.
"""

import gzip
import hashlib
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import IO, NamedTuple

from pipelines.common.files import open_regular
from pipelines.errors import UserError

# Raised for a file that is no archive or broken; RuntimeError for members that are encrypted, or compressed by a method
# that is unknown.
UNREADABLE = (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, RuntimeError)

_UNPACKED = 1 << 36  # bytes of an archive that `digests` reads


class Entry(NamedTuple):
    """A file of a folder or archive: its path in it, whether it is a regular file, and a function that opens it."""

    path: str
    regular: bool
    open: Callable[[], IO[bytes]]


def entries(source: Path, limit: int) -> Iterator[Entry]:
    """Yield the files in a folder, without those in folders in it, or the files of an archive at any depth.

    Args:
        source: the folder or archive.
        limit: bytes that are read of a .tar.gz, unpacked, so that no archive takes hours to read.

    Raises:
        UserError: the archive is larger than `limit`.
        UNREADABLE: it is no archive, or broken.
        OSError: it cannot be read.
    """
    return _files(source) if source.is_dir() else _members(source, limit)


def digests(path: Path) -> dict[str, str]:
    """Returns the SHA-256, hexadecimal, of a file, of the members too if it is an archive, or of all files in a folder.

    Returns:
        Digest by path, of an archive's members and a folder's files relative to it.

    Raises:
        OSError: a file cannot be read.
    """
    if path.is_dir():
        files = sorted(each for each in path.rglob("*") if each.is_file() and not each.is_symlink())
        return {each.relative_to(path).as_posix(): digest(each) for each in files}
    found = {path.name: digest(path)}
    with suppress(*UNREADABLE, UserError):  # most files are no archives
        found |= {entry.path: _sha256(entry.open()) for entry in _members(path, _UNPACKED) if entry.regular}
    return found


def digest(path: Path) -> str:
    """Returns the SHA-256, hexadecimal, of a file; raises OSError if it cannot be read."""
    return _sha256(open_regular(path))


def _sha256(stream: IO[bytes]) -> str:
    with stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]  # it only reads


def _files(folder: Path) -> Iterator[Entry]:
    for path in sorted(folder.iterdir()):
        if not path.is_dir():
            yield Entry(path.name, True, partial(open_regular, path))


def _members(source: Path, limit: int) -> Iterator[Entry]:
    open_regular(source).close()  # opening a FIFO or device could block for ever
    if zipfile.is_zipfile(source):
        with zipfile.ZipFile(source) as archive:
            for member in archive.infolist():
                if not member.is_dir():
                    kind = stat.S_IFMT(member.external_attr >> 16)  # 0 if the archive was not made on a Unix
                    yield Entry(member.filename, kind in (0, stat.S_IFREG), partial(archive.open, member))
    else:
        # tarfile's stubs ask for a stream that can also be written, which is not needed to read.
        with gzip.open(source) as unpacked, tarfile.open(fileobj=_Limited(unpacked, source, limit)) as archive:  # type: ignore[call-overload]
            for member in archive:
                if not member.isdir():
                    yield Entry(member.name, member.isfile(), partial(archive.extractfile, member))


class _Limited:
    """A stream that is neither read nor skipped beyond a limit, whatever sizes its headers give."""

    def __init__(self, stream: gzip.GzipFile, source: Path, limit: int):
        self._stream, self._source, self._limit = stream, source, limit
        self.tell = stream.tell

    def read(self, size: int) -> bytes:
        self._require(self.tell() + size)
        return self._stream.read(size)

    def seek(self, place: int) -> int:
        self._require(place)
        return self._stream.seek(place)

    def _require(self, place: int) -> None:
        if place > self._limit:
            size = f"{self._limit >> 20} MiB"
            raise UserError(f"{self._source} unpacks to more than {size}, so it is not the published one; take that")
