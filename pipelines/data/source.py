"""The one reader of the files that a data set is published as: from a folder, a .zip or a .tar.gz.

Archives are read member by member and never unpacked: nothing is written, wherever their paths and links point.
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
from typing import BinaryIO, NamedTuple

from pipelines.errors import UserError


def contents(
    source: Path, wanted: Sequence[str], max_bytes: int, kind: str, strict: bool = False
) -> Iterator[tuple[str, str, bytes]]:
    """Name, location and bytes of each of the files in `wanted`, once each, in the order of `source`.

    Args:
        source: folder that holds the files, or archive that holds them at any depth.
        wanted: names of the files, without folders.
        max_bytes: size beyond which a file is refused: no archive may fill the memory.
        kind: what each of the files is, for the messages.
        strict: refuse the whole archive if any member, wanted or not, is a link or device, or has a path that leads out
            of it (absolute, or with ``..``). Otherwise only links and devices among the wanted ones are refused.

    Raises:
        UserError: neither folder nor archive, broken, a file absent, there twice or too large, or a member refused.
        OSError: `source` or a file in it cannot be read.
    """
    seen = set()
    try:
        for entry in _entries(source):
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
    # RuntimeError: zipfile's way to say encrypted, or compressed by an unknown method.
    except (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, RuntimeError) as error:
        raise UserError(f"{source} is not a readable folder, .zip or .tar.gz ({error}); fetch it again") from error
    missing = [name for name in wanted if name not in seen]
    if missing:
        raise UserError(f"{source}: no {', '.join(missing)}; give a folder or archive with all {len(wanted)} {kind}s")


def verified_digest(raw: bytes, algorithm: str, published: str, where: str, allow_unverified: bool) -> str:
    """Digest of a file, hexadecimal, by an algorithm of hashlib.

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
    """A file of a folder or archive: its path in it, whether it is a file and no link or device, and how to open it."""

    path: str
    regular: bool
    open: Callable[[], BinaryIO]


def _entries(source: Path) -> Iterator[_Entry]:
    if source.is_dir():
        for path in sorted(source.iterdir()):
            yield _Entry(path.name, True, partial(path.open, "rb"))
    elif zipfile.is_zipfile(source):
        with zipfile.ZipFile(source) as archive:
            for member in archive.infolist():
                if not member.is_dir():
                    is_link = stat.S_ISLNK(member.external_attr >> 16)
                    yield _Entry(member.filename, not is_link, partial(archive.open, member))
    else:
        with tarfile.open(source, "r:gz") as archive:
            for member in archive:
                if not member.isdir():
                    yield _Entry(member.name, member.isfile(), partial(archive.extractfile, member))


def _require_inside(path: str, where: str) -> None:
    if PurePath(path).is_absolute() or ".." in PurePath(path).parts:
        raise UserError(f"{where} leads out of the archive; take the published archive")


def _require_regular(regular: bool, where: str) -> None:
    if not regular:
        raise UserError(f"{where} is a link or device, not a file; give an archive with the files themselves")


def _read(stream: BinaryIO, max_bytes: int, kind: str, where: str) -> bytes:
    raw = stream.read(max_bytes + 1)
    if len(raw) > max_bytes:
        raise UserError(f"{where} is larger than {max_bytes} bytes, so no {kind}; take the published one")
    return raw
