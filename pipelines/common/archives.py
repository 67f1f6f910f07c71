"""Files of folders and archives, and their digests.

Archives are told by their content, whatever their names are: .zip, .tar, either of them or a single file compressed by
gzip, bzip2 or xz. They are read member by member and never unpacked: nothing is written, whatever their paths and links
are. Shared by both halves, so it needs neither torch nor mlflow.
"""

import bz2
import gzip
import hashlib
import io
import lzma
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path, PurePath
from typing import IO, NamedTuple, cast

from pipelines.common.files import open_regular
from pipelines.errors import UserError

KINDS = ".zip, .tar, .tar.gz, .tar.bz2 or .tar.xz"  # for messages

# Raised for a file that is no archive or broken; RuntimeError for members that are encrypted, or compressed by a method
# that is unknown.
UNREADABLE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    gzip.BadGzipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    RuntimeError,
)

FOLDERS, ARCHIVES = 4, 3  # levels of folders, and of archives in one another, that are looked through
MAX_FILES = 200_000  # in folders: somebody's whole home is not meant
MAX_INNER_ZIP = 1 << 28  # bytes of a .zip within an archive: it is read from its end, so it must lie in memory
_MAX_DICTIONARY = 1 << 28  # bytes of memory that reading an .xz may need; the largest preset needs a quarter of them
_UNPACKED = 1 << 36  # bytes of an archive that `digests` reads

_ZIP = (b"PK\x03\x04", b"PK\x05\x06")  # the latter is an empty one
_COMPRESSED: tuple[tuple[bytes, Callable[[IO[bytes]], IO[bytes]]], ...] = (
    (b"\x1f\x8b", lambda stream: cast(IO[bytes], gzip.GzipFile(fileobj=stream))),
    (b"BZh", bz2.BZ2File),
    (b"\xfd7zXZ\x00", lzma.LZMAFile),
)


class Entry(NamedTuple):
    """A file of a folder or archive.

    Attributes:
        place: path of the folder or archive; of an archive within another one, the path of that one comes first.
        path: path of the file in it.
        regular: whether it is a regular file.
        open: opens it; for a member of an archive, until the next one is asked for.
    """

    place: str
    path: str
    regular: bool
    open: Callable[[], IO[bytes]]

    @property
    def name(self) -> str:
        """Returns its name without folders."""
        return PurePath(self.path).name

    @property
    def where(self) -> str:
        """Returns its whole path, for messages."""
        return f"{self.place}/{self.path}"


Level = Callable[[], Iterator[Entry]]  # gives the files of a level, as often as it is called


def levels(source: Path, limit: int) -> Iterator[Level]:
    """Yield the files that lie in a folder or archive, from the outside to the inside.

    First come the files of the folder, then those of the folders in it, then those of the folders in these, and so on;
    links to folders are not followed. Then come the members of all the archives among these files, then those of the
    archives among the members, and so on. All members of an archive are one level.

    Args:
        source: the folder or archive.
        limit: bytes that are read of an archive, unpacked, so that none takes hours to read.

    Raises:
        UserError: an archive is larger than `limit`, or there are more than MAX_FILES. This and the others are raised
            where a level is read.
        UNREADABLE: the source is no archive, or an archive is broken.
        OSError: something cannot be read.
    """
    level: Level
    if source.is_dir():
        found: list[Entry] = []
        for files in _folders(source):
            yield partial(iter, files)
            found += [entry for entry in files if Path(entry.where).is_file()]
        level = partial(_inner, partial(iter, found), limit)
    else:
        level = partial(_members, partial(open_regular, source), str(source), limit)
    yield level
    for _ in range(1, ARCHIVES):
        level = partial(_inner, level, limit)
        yield level


def is_archive(entry: Entry) -> bool:
    """Returns whether a file is an archive or compressed by itself; raises OSError if it cannot be read."""
    if not entry.regular:
        return False
    with entry.open() as stream:
        head = stream.read(tarfile.BLOCKSIZE)
    return head.startswith((*_ZIP, *(magic for magic, _ in _COMPRESSED))) or _is_tar(head)


def members(entry: Entry, limit: int) -> Iterator[Entry]:
    """Yield the members of a file that is an archive, of one that is compressed the one in it; raises as `levels`."""
    return _members(entry.open, entry.where, limit)


def tree(source: Path, limit: int) -> Iterator[Entry]:
    """Yield the files at any depth of a folder, linked folders included, or the members of an archive.

    Their paths begin in the source, sorted if it is a folder. Raises as `levels`.
    """
    return _tree(source, source, "", ()) if source.is_dir() else next(levels(source, limit))()


def outermost(source: Path, limit: int) -> Iterator[str]:
    """Yield what a person sees in a folder, or the paths of an archive's members; raises as `levels`."""
    if source.is_dir():
        for path in sorted(source.iterdir()):
            yield f"{path.name}/" if path.is_dir() else path.name
    else:
        yield from (entry.path for entry in next(levels(source, limit))())


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
        found |= {entry.path: _sha256(entry.open()) for entry in next(levels(path, _UNPACKED))() if entry.regular}
    return found


def digest(path: Path) -> str:
    """Returns the SHA-256, hexadecimal, of a file; raises OSError if it cannot be read."""
    return _sha256(open_regular(path))


def _sha256(stream: IO[bytes]) -> str:
    with stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]  # it only reads


def _folders(source: Path) -> Iterator[list[Entry]]:
    """Yield the files of a folder, then those of the folders in it, and so on."""
    folders, count = [source], 0
    for _ in range(FOLDERS):
        inside = [sorted(folder.iterdir()) for folder in folders]
        count += sum(map(len, inside))
        if count > MAX_FILES:
            raise UserError(f"{source} holds more than {MAX_FILES:,} files; give the folder or archive that is meant")
        yield [
            Entry(str(folder), path.name, True, partial(open_regular, path))
            for folder, paths in zip(folders, inside, strict=True)
            for path in paths
            if not path.is_dir()
        ]
        folders = [path for paths in inside for path in paths if path.is_dir() and not path.is_symlink()]


def _tree(source: Path, folder: Path, prefix: str, above: tuple[Path, ...]) -> Iterator[Entry]:
    real = folder.resolve()
    if real in above:  # a link that leads back
        return
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            yield from _tree(source, path, f"{prefix}{path.name}/", (*above, real))
        else:
            yield Entry(str(source), prefix + path.name, path.is_file(), partial(open_regular, path))


def _inner(level: Level, limit: int) -> Iterator[Entry]:
    """Yield the members of the archives among the files of a level."""
    for entry in level():
        if is_archive(entry):
            yield from members(entry, limit)


def _is_tar(head: bytes) -> bool:
    """Returns whether the first block of a file is a member's header, which holds its own checksum."""
    try:
        tarfile.TarInfo.frombuf(head, tarfile.ENCODING, "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def _members(opened: Callable[[], IO[bytes]], place: str, limit: int) -> Iterator[Entry]:
    """Yield the members of one archive; a single file that is compressed is its only member."""
    with opened() as stream:
        head = _head(stream)
        if head.startswith(_ZIP):
            yield from _zipped(stream, place)
            return
        for magic, unpacking in _COMPRESSED:
            if head.startswith(magic):
                _require_little_memory(head)
                unpacked = unpacking(stream)
                if not _is_tar(_head(_limited(unpacked, place, limit))):
                    yield Entry(place, PurePath(place).stem, True, partial(_limited, unpacked, place, limit))
                    return
                break
        else:
            unpacked = stream
        with tarfile.open(fileobj=_limited(unpacked, place, limit), mode="r:") as archive:
            for member in archive:
                if not member.isdir():
                    opened_member = cast(Callable[[], IO[bytes]], partial(archive.extractfile, member))
                    yield Entry(place, member.name, member.isfile(), opened_member)


def _head(stream: IO[bytes]) -> bytes:
    head = stream.read(tarfile.BLOCKSIZE)
    stream.seek(0)
    return head


def _require_little_memory(head: bytes) -> None:
    """Read the header of an .xz, which says how much memory the rest needs; other formats need little."""
    if head.startswith(_COMPRESSED[-1][0]):
        lzma.LZMADecompressor(memlimit=_MAX_DICTIONARY).decompress(head, max_length=1)


def _zipped(stream: IO[bytes], place: str) -> Iterator[Entry]:
    if not _is_on_disk(stream):
        raw = stream.read(MAX_INNER_ZIP + 1)
        if len(raw) > MAX_INNER_ZIP:
            raise UserError(f"{place} is a .zip of more than {MAX_INNER_ZIP >> 20} MiB within an archive; unpack it")
        stream = io.BytesIO(raw)
    with zipfile.ZipFile(stream) as archive:
        for member in archive.infolist():
            if not member.is_dir():
                kind = stat.S_IFMT(member.external_attr >> 16)  # 0 if the archive was not made on a Unix
                yield Entry(place, member.filename, kind in (0, stat.S_IFREG), partial(archive.open, member))


def _is_on_disk(stream: IO[bytes]) -> bool:
    return isinstance(stream, io.BufferedReader) and isinstance(stream.raw, io.FileIO)


def _limited(stream: IO[bytes], place: str, limit: int) -> IO[bytes]:
    return cast(IO[bytes], _Limited(stream, place, limit))


class _Limited(io.RawIOBase):
    """A stream from its beginning, neither read nor skipped beyond a limit, whatever sizes its headers give."""

    def __init__(self, stream: IO[bytes], place: str, limit: int):
        self._stream, self._place, self._limit = stream, place, limit
        stream.seek(0)

    def read(self, size: int = -1) -> bytes:
        """Read up to `size` bytes; all that the limit allows if it is negative."""
        if size < 0:
            size = self._limit - self.tell()
        self._require(self.tell() + size)
        try:
            return self._stream.read(size)
        except OSError as error:
            if error.errno is None:  # how bz2 says that its stream is broken
                raise tarfile.ReadError(str(error)) from error
            raise

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        """Read into a buffer, as hashlib does."""
        view = memoryview(buffer)
        piece = self.read(len(view))
        view[: len(piece)] = piece
        return len(piece)

    def seek(self, place: int, whence: int = os.SEEK_SET) -> int:
        """Go to the byte `place`."""
        self._require(place)
        return self._stream.seek(place, whence)

    def tell(self) -> int:
        """Return the number of bytes before the next one."""
        return self._stream.tell()

    def seekable(self) -> bool:
        """Return True."""
        return True

    def readable(self) -> bool:
        """Return True."""
        return True

    def _require(self, place: int) -> None:
        if place > self._limit:
            size = f"{self._limit >> 20} MiB"
            raise UserError(f"{self._place} unpacks to more than {size}, so it is not the published one; take that")
