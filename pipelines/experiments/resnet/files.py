"""Files of weights in folders and zip archives, which are not unpacked: chooses them by name, and reads them."""

import os
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePath
from types import MappingProxyType

from pipelines.common.files import open_regular
from pipelines.errors import UserError
from pipelines.experiments.resnet.untrusted import one_line, require_size

SUFFIXES = (".pt", ".pth", ".th", ".bin", ".ckpt", ".tar", ".safetensors")


@dataclass(frozen=True)
class File:
    """A file of weights, in a folder or in an archive.

    Attributes:
        path: path of the file, or of the archive.
        name: file name without folders.
        where: location, for messages.
        read: returns the content.
        beside: functions that read the files in the same folder or archive, by name.
    """

    path: Path
    name: str
    where: str
    read: Callable[[], bytes]
    beside: Mapping[str, Callable[[], bytes]] = field(default_factory=lambda: MappingProxyType({}))


def on_disk(path: Path, where: str = "") -> File:
    """The file at `path`, without the others in its folder; `where` is its location for messages if not the path."""
    return File(path, path.name, where or str(path), partial(_read, path))


def in_folder(model: str, folder: Path, preferred: Sequence[str] = ()) -> File | None:
    """Find the file in `folder` that is named after the model, else one in the zip archives there.

    Args:
        model: key of rows.RESNETS.
        folder: an existing folder.
        preferred: file names; if several files are named after the model and all of them are among these, the first in
            this order is taken.

    Raises:
        UserError: several files are named after the model.
    """
    paths = [path for path in sorted(folder.iterdir()) if path.is_file()]
    beside = {path.name: partial(_read, path) for path in paths}
    files = [File(path, path.name, str(path), beside[path.name], beside) for path in paths]
    if file := _chosen(model, files, folder, preferred):
        return file
    archived = (in_archive(model, path, preferred) for path in paths if path.suffix == ".zip")
    return next(filter(None, archived), None)


def in_archive(model: str, path: Path, preferred: Sequence[str] = ()) -> File | None:
    """Find the file in a zip archive that is named after the model; arguments and errors as of `in_folder`."""
    return _chosen(model, _members(path), path, preferred)


def member_of(path: Path, name: str) -> File:
    """The file of this name in a zip archive, in whatever folder there; whether there is one shows when it is read."""
    return File(path, name, f"{path}/{name}", partial(_read_named, path, name))


def is_archive(path: Path) -> bool:
    """True for a zip archive of files, False for a file of torch.save, whose format is a zip archive too."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return not any(PurePath(member).name == "data.pkl" for member in archive.namelist())


def _members(path: Path) -> list[File]:
    """List the files in a zip archive, which is not unpacked; a link is read as the text of its target."""
    with zipfile.ZipFile(path) as archive:
        members = [member for member in archive.infolist() if not member.is_dir()]
    readers = [partial(_read_member, path, member) for member in members]
    found = [PurePath(member.filename).name for member in members]
    beside = dict(zip(found, readers, strict=True))
    return [
        File(path, name, f"{path}/{one_line(member.filename)}", read, beside)
        for name, member, read in zip(found, members, readers, strict=True)
    ]


def _chosen(model: str, files: Sequence[File], where: Path, preferred: Sequence[str]) -> File | None:
    """Choose the file named after the model; of several, all among the preferred ones, the first of these."""
    named = re.compile(rf"(?<![a-z0-9]){model}(?!\d)", re.IGNORECASE)
    fitting = [
        file
        for file in files
        if named.search(file.name) and PurePath(file.name).suffix.lower() in SUFFIXES and not file.name.startswith(".")
    ]
    if len(fitting) < 2:
        return fitting[0] if fitting else None
    if all(file.name in preferred for file in fitting):
        return min(fitting, key=lambda file: preferred.index(file.name))
    several = ", ".join(one_line(file.name) for file in fitting)
    raise UserError(f"{where}: {several} are all named after {model}; give weights= one of them")


def _read(path: Path) -> bytes:
    with open_regular(path) as file:
        require_size(os.fstat(file.fileno()).st_size, path)
        return file.read()


def _read_member(path: Path, member: zipfile.ZipInfo) -> bytes:
    require_size(member.file_size, f"{path}/{one_line(member.filename)}")
    with zipfile.ZipFile(path) as archive:
        return archive.read(member)  # checks the CRC, and reads no more than the size given


def _read_named(path: Path, name: str) -> bytes:
    for file in _members(path):
        if file.name == name:
            return file.read()
    raise UserError(f"{path}: there is no {name} in it; fetch it again")
