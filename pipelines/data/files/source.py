"""Reader of a data set's published files, from a folder, a .zip or a .tar.gz."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath
from typing import IO

from pipelines.common.archives import UNREADABLE, entries
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
        for entry in entries(source, limit):
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
    except UNREADABLE as error:
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
