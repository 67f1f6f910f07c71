"""Reader of a data set's published files, from a folder or an archive, however deep they lie in it."""

import hashlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path, PurePath
from typing import IO

from pipelines.common.archives import KINDS, UNREADABLE, levels, outermost
from pipelines.errors import UserError

BESIDE_BYTES = 1 << 30  # size of other files that an archive may hold
_NAMED = 6  # files that a message names


def contents(
    source: Path, wanted: Sequence[str], max_bytes: int, kind: str, strict: bool = False
) -> Iterator[tuple[str, str, bytes]]:
    """Yield name, location and bytes of each of the files in `wanted`, once each, in the order of `source`.

    They are taken from the outermost level of folders and archives that has any of them, see `archives.levels`.

    Args:
        source: folder or archive that holds the files at any depth.
        wanted: names of the files, without folders.
        max_bytes: largest size of a file, so that no archive can fill the memory. The other files in an archive may
            have BESIDE_BYTES, so that none takes hours to read.
        kind: kind of the files, for messages.
        strict: refuse the whole archive if any member, wanted or not, is a link or device, or has a path that leads out
            of it (absolute, or with ``..``). Otherwise only links and devices among the wanted ones are refused.

    Raises:
        UserError: neither folder nor archive, broken, a file missing, there twice or too large, or a member refused.
        OSError: `source` or a file in it cannot be read.
    """
    seen: set[str] = set()
    with _unreadable(source):
        for level in levels(source, _limit(wanted, max_bytes)):
            for entry in level():
                if strict and not Path(entry.place).is_dir():
                    _require_inside(entry.path, entry.where)
                    _require_regular(entry.regular, entry.where)
                if entry.name in wanted:
                    _require_regular(entry.regular, entry.where)
                    if entry.name in seen:
                        raise UserError(f"{entry.where}: a second {entry.name} in {source}; leave one")
                    seen.add(entry.name)
                    with entry.open() as stream:
                        yield entry.name, entry.where, _read(stream, max_bytes, kind, entry.where)
            if seen:
                break
    _require_all(source, wanted, seen, kind)


def names(source: Path, known: Collection[str], max_bytes: int) -> set[str]:
    """Find which of the `known` files the outermost level has that has any of them; see `contents`.

    Raises:
        UserError: neither folder nor archive, or broken.
        OSError: `source` or a file in it cannot be read.
    """
    with _unreadable(source):
        for level in levels(source, _limit(known, max_bytes)):
            if found := {entry.name for entry in level()}.intersection(known):
                return found
    return set()


def _limit(wanted: Collection[str], max_bytes: int) -> int:
    return BESIDE_BYTES + len(wanted) * max_bytes


@contextmanager
def _unreadable(source: Path) -> Iterator[None]:
    try:
        yield
    except UNREADABLE as error:
        raise UserError(f"{source} is not a readable folder or archive: {KINDS} ({error}); fetch it again") from error


def _require_all(source: Path, wanted: Sequence[str], seen: Collection[str], kind: str) -> None:
    if missing := [name for name in wanted if name not in seen]:
        there = "" if seen else f" among {_listed(source)}"
        raise UserError(
            f"{source}: no {', '.join(missing)}{there}; give a folder or archive with all {len(wanted)} {kind}s"
        )


def _listed(source: Path) -> str:
    """What lies in a folder or archive, for messages."""
    first = list(islice(outermost(source, BESIDE_BYTES), _NAMED + 1))
    if not first:
        return "no files at all"
    return ", ".join(first[:_NAMED]) + (" and more" if len(first) > _NAMED else "")


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
