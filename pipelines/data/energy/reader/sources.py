"""The tables of a file, folder or archive, as streams."""

import io
from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePath
from typing import IO, NamedTuple

from pipelines.common.archives import KINDS, UNREADABLE, Entry, is_archive, levels, members
from pipelines.common.files import open_regular
from pipelines.errors import UserError

SUFFIXES = (".csv", ".txt", ".tsv", ".tab", ".dat", ".asc")
MAX_BYTES = 1 << 33  # of a table, unpacked: 200 million rows
_MAX_ARCHIVE = 1 << 36  # bytes, unpacked

_COMPRESSED = (".gz", ".bz2", ".xz")
# What people give for a table, by its first bytes.
_OTHERS = {
    b"PAR1": ("a Parquet file", "write it as CSV"),
    b"\xd0\xcf\x11\xe0": ("a file of Excel", "save its sheet as CSV"),
    b"%PDF": ("a PDF", "take the table as CSV"),
    b"SQLite format 3": ("a database", "export the table as CSV"),
    b"\x89HDF": ("a file of HDF5", "write it as CSV"),
    b"7z\xbc\xaf\x27\x1c": ("a 7z archive", f"pack it as {KINDS}"),
}
_SHEET = "[Content_Types].xml"  # a member of every .xlsx


class Stream(NamedTuple):
    """One table: its path in the source, how messages name it, and its bytes, unpacked."""

    path: str
    where: str
    bytes: IO[bytes]

    @property
    def name(self) -> str:
        """The file's name without folders and endings."""
        name = PurePath(self.path).name
        while PurePath(name).suffix.lower() in SUFFIXES:
            name = PurePath(name).stem
        return name


def streams(source: Path) -> Iterator[Stream | str]:
    """Yield the tables of a file, a folder or an archive, and the paths of files beside them that are none.

    A table in a folder or archive has an ending of `SUFFIXES`, or is such a file compressed by itself. They are taken
    from the outermost level that has any, see `archives.levels`.

    Raises:
        UserError: there is none, or it is something else.
        OSError: it cannot be read.
    """
    try:
        alone = Entry(str(source.parent), source.name, True, partial(open_regular, source))
        if not source.is_dir() and not is_archive(alone):
            yield from _opened(alone, source.name, source.name)
        else:
            yield from _several(source)
    except UNREADABLE as error:
        raise UserError(
            f"{source} is not a readable table, folder or archive: {KINDS} ({error}); fetch it again"
        ) from error


def _several(source: Path) -> Iterator[Stream | str]:
    seen: list[str] = []
    for level in levels(source, _MAX_ARCHIVE):
        found, others = False, []
        for entry in level():
            path = entry.where[len(str(source)) + 1 :]
            if entry.path == _SHEET:
                raise UserError(f"{entry.place} is a file of Excel, no table; save its sheet as CSV")
            if any(part.startswith((".", "__MACOSX")) for part in PurePath(path).parts):
                continue
            if entry.regular and _is_table(entry.name):
                found = True
                yield from _opened(entry, path, f"{source.name}/{path}")
            elif entry.regular and _is_compressed_table(entry.name):
                found = True
                for member in members(entry, _MAX_ARCHIVE):
                    yield from _opened(member, path, f"{source.name}/{path}")
            else:
                others.append(path)
        if found:
            yield from others
            return
        seen += others
    there = f"only {', '.join(seen[:5])}" + (", …" if seen[5:] else "") if seen else "no file is in it"
    raise UserError(f"{source}: no table, {there}; tables end in {', '.join(SUFFIXES)}")


def _opened(entry: Entry, path: str, where: str) -> Iterator[Stream]:
    """Open a table; refuses what is known to be something else."""
    with entry.open() as raw, io.BufferedReader(raw) as stream:  # type: ignore[type-var]  # all that is needed
        start = stream.peek(16)
        for magic, (what, remedy) in _OTHERS.items():
            if start.startswith(magic):
                raise UserError(f"{where} is {what}, no table; {remedy}")
        yield Stream(_bare(path), where, stream)


def _is_table(name: str) -> bool:
    return PurePath(name).suffix.lower() in SUFFIXES


def _is_compressed_table(name: str) -> bool:
    return name != _bare(name) and _is_table(_bare(name))


def _bare(path: str) -> str:
    """A path without the ending of what compressed the file."""
    return path.removesuffix(PurePath(path).suffix) if PurePath(path).suffix.lower() in _COMPRESSED else path
