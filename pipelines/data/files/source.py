"""Reader of a data set's published files, from a folder, a .zip or a .tar.gz.

Archives are read member by member and never unpacked: nothing is written, whatever their paths and links are.
"""

import gzip
import hashlib
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path, PurePath
from typing import IO, NamedTuple

from pipelines.common.files import open_regular
from pipelines.errors import UserError

BESIDE_BYTES = 1 << 30  # size of other files that an archive may hold


def contents(
    source: Path, wanted: Sequence[str], max_bytes: int, kind: str, strict: bool = False
) -> Iterator[tuple[str, str, bytes]]:
    """Yield name, location and bytes of each of the files in `wanted`, once each, in the order of `source`.

    Args:
        source: folder that holds the files, or archive that holds them at any depth.
        wanted: names of the files, without folders.
        max_bytes: largest size of a file, so that no archive can fill the memory. The other files in a .tar.gz may have
            BESIDE_BYTES, so that no archive takes hours to read.
        kind: kind of the files, for messages.
        strict: refuse the whole archive if any member, wanted or not, is a link or device, or has a path that leads out
            of it (absolute, or with ``..``). Otherwise only links and devices among the wanted ones are refused.

    Raises:
        UserError: neither folder nor archive, broken, a file missing, there twice or too large, or a member refused.
        OSError: `source` or a file in it cannot be read.
    """
    seen = set()
    limit = BESIDE_BYTES + len(wanted) * max_bytes
    try:
        for entry in _files(source) if source.is_dir() else _members(source, limit):
            name, where = PurePath(entry.path).name, f"{source}/{entry.path}"
            if strict:
                _require_inside(entry.path, where)
            if strict or name in wanted:
                _require_regular(entry.regular, where)
            if name in wanted:
                if name in seen:
                    raise UserError(f"{where}: a second {name} in {source}; leave one")
                seen.add(name)
                with entry.open() as stream:
                    yield name, where, _read(stream, max_bytes, kind, where)
    # RuntimeError: raised by zipfile for members that are encrypted, or compressed by an unknown method.
    except (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, RuntimeError) as error:
        raise UserError(f"{source} is not a readable folder, .zip or .tar.gz ({error}); fetch it again") from error
    missing = [name for name in wanted if name not in seen]
    if missing:
        raise UserError(f"{source}: no {', '.join(missing)}; give a folder or archive with all {len(wanted)} {kind}s")


def verified_digest(raw: bytes, algorithm: str, published: str, where: str, allow_unverified: bool) -> str:
    """Returns the digest of a file, hexadecimal, by an algorithm of hashlib.

    Raises:
        UserError: it is not the published one, and `allow_unverified` is not set.
    """
    digest = hashlib.new(algorithm, raw, usedforsecurity=False).hexdigest()
    if digest != published and not allow_unverified:
        raise UserError(
            f"{where}: {algorithm} {digest} is not the published {published}; "
            "take the published file, or accept this one with --allow-unverified true"
        )
    return digest


class _Entry(NamedTuple):
    """A file of a folder or archive: its path in it, whether it is a regular file, and a function that opens it."""

    path: str
    regular: bool
    open: Callable[[], IO[bytes]]


def _files(folder: Path) -> Iterator[_Entry]:
    for path in sorted(folder.iterdir()):
        if not path.is_dir():
            yield _Entry(path.name, True, partial(open_regular, path))


def _members(source: Path, limit: int) -> Iterator[_Entry]:
    open_regular(source).close()  # opening a FIFO or device could block for ever
    if zipfile.is_zipfile(source):
        with zipfile.ZipFile(source) as archive:
            for member in archive.infolist():
                if not member.is_dir():
                    kind = stat.S_IFMT(member.external_attr >> 16)  # 0 if the archive was not made on a Unix
                    yield _Entry(member.filename, kind in (0, stat.S_IFREG), partial(archive.open, member))
    else:
        # tarfile's stubs ask for a stream that can also be written, which is not needed to read.
        with gzip.open(source) as unpacked, tarfile.open(fileobj=_Limited(unpacked, source, limit)) as archive:  # type: ignore[call-overload]
            for member in archive:
                if not member.isdir():
                    yield _Entry(member.name, member.isfile(), partial(archive.extractfile, member))


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


def _require_inside(path: str, where: str) -> None:
    if PurePath(path).is_absolute() or ".." in PurePath(path).parts:
        raise UserError(f"{where} leads out of the archive; take the published archive")


def _require_regular(regular: bool, where: str) -> None:
    if not regular:
        raise UserError(f"{where} is a link, device or FIFO, not a file; give an archive with the files themselves")


def _read(stream: IO[bytes], max_bytes: int, kind: str, where: str) -> bytes:
    raw = stream.read(max_bytes + 1)
    if len(raw) > max_bytes:
        raise UserError(f"{where} is larger than {max_bytes} bytes, so no {kind}; take the published one")
    return raw
