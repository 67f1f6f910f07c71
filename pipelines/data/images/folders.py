"""Images in a folder for each class, as torchvision's ImageFolder reads them: of a folder, or of an archive of it.

Policy:

- Either there are folders ``train`` (or ``training``) and ``test`` (``testing``) or ``val`` (``valid``,
  ``validation``), with the folders of the classes in them; or the folders of the classes alone.
- With ``test``, what is in ``val`` belongs to the training part, of which experiments hold out images themselves.
  Without, ``val`` is the test part. With neither, or if it has no folders of classes and so no labels, the test part is
  taken from the others, see `tables.split`.
- Folders around all of these are passed through. The classes are in the order of their names, the images of a class in
  the order of their paths; folders in the folder of a class belong to the class.
- Hidden files, and those that systems put into folders, are ignored. Files beside the folders of the classes are left
  out, and counted. Any other file must be an image.
"""

import hashlib
import os
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from pipelines.common.archives import Entry, tree
from pipelines.data.images.dataset import SHAPE
from pipelines.data.images.picture import MAX_BYTES, decode, decoding
from pipelines.data.images.tables import (
    MAX_IMAGES,
    SPLIT,
    ImageFormat,
    ImageTables,
    require_classes,
    split,
    tables,
)
from pipelines.errors import UserError

TRAIN, TEST, VALIDATION = "train", "test", "val"
ROLES = {
    **dict.fromkeys(("train", "training"), TRAIN),
    **dict.fromkeys(("test", "testing"), TEST),
    **dict.fromkeys(("val", "valid", "validation"), VALIDATION),
}  # of folders, by their names in small letters

MAX_UNPACKED = 1 << 38  # bytes of an archive
_IGNORED = {"thumbs.db", "desktop.ini", "__macosx"}
_NAMED = 10  # broken files in a message
_THREADS = 8  # at most: each may hold an image of picture.MAX_PIXELS


Paths = Mapping[str, tuple[str, ...]]  # of files: as they were given, and their folders and name


class Layout(NamedTuple):
    """Which images are of which part and class.

    Attributes:
        classes: names in the order of the labels.
        labels: label of each image by its path, for each part.
        found: sentences.
    """

    classes: tuple[str, ...]
    labels: Mapping[str, Mapping[str, int]]
    found: tuple[str, ...]


class _Part:
    """Images of a part while they are read, in the order of their paths."""

    def __init__(self, labels: Mapping[str, int]):
        self._paths = list(labels)
        self._labels = np.array(list(labels.values()), dtype=np.int64)
        self._digests = [""] * len(labels)
        self.images = np.empty((len(labels), *SHAPE), dtype=np.uint8)

    def put(self, row: int, raw: bytes) -> None:
        """Decode the content of an image's file; raises ValueError as `decode`."""
        self.images[row] = decode(raw)
        self._digests[row] = hashlib.sha256(raw).hexdigest()

    def readable(self) -> tuple[np.ndarray, np.ndarray]:
        """Images and labels without the broken ones."""
        if all(self._digests):
            return self.images, self._labels
        kept = np.array([bool(digest) for digest in self._digests])
        return self.images[kept], self._labels[kept]

    def digest(self) -> str:
        """SHA-256 of what ``sha256sum`` prints of the images, in their order."""
        lines = [f"{digest}  {path}\n" for path, digest in zip(self._paths, self._digests, strict=True) if digest]
        return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def read(source: Path, paths: Sequence[str], how: ImageFormat) -> ImageTables:
    """Read the images of a folder or archive.

    Args:
        source: the folder or archive.
        paths: of all files in it.
        how: the options of reading.

    Returns:
        In `hashes` a digest of each part: the SHA-256 of the lines that ``sha256sum`` prints of its files.

    Raises:
        UserError: there are no folders of classes, or files that are no images and not to be skipped; names up to ten.
        UNREADABLE, OSError: the archive is broken, or something cannot be read.
    """
    layout = arranged(paths, str(source))
    parts = {part: _Part(labels) for part, labels in layout.labels.items()}
    broken = _read_all(source, layout, parts, how)
    said = [*layout.found, *([f"{broken:,} files that are no readable images are left out"] if broken else [])]
    hashes = {name: part.digest() for name, part in parts.items()}
    train, test = parts[TRAIN].readable(), parts[TEST].readable()
    return tables(str(source), layout.classes, train, test, hashes, said)


def arranged(paths: Sequence[str], where: str) -> Layout:
    """Find the parts and classes from the paths of all files.

    Raises:
        UserError: there are no folders of classes, or those of the test part are others.
    """
    given = {path: _parts(path) for path in sorted(paths)}
    inside = {path: parts for path, parts in given.items() if not any(map(_is_ignored, parts))}
    if not inside:
        raise UserError(f"{where}: no files; give a folder or archive with a folder of images for each class")
    inner = _inmost(inside)
    around = len(inside) - len(inner)
    tops = _folders(inner)
    roles = {top: ROLES[top.lower()] for top in tops if top.lower() in ROLES}
    if roles and len(roles) == len(tops) and TRAIN not in roles.values():
        raise UserError(f"{where}: {', '.join(tops)}, but no folder {TRAIN}; add it")
    if TRAIN not in roles.values():
        by_class, beside = _by_class(inner)
        _require_folders(by_class, where)
        return _with_split(by_class, [], around + beside, where)
    for role, count in Counter(roles.values()).items():
        if count > 1:
            same = ", ".join(top for top in tops if roles.get(top) == role)
            raise UserError(f"{where}: several folders for one part: {same}; leave one")
    return _divided(inner, roles, around, where)


def _divided(inner: Paths, roles: Mapping[str, str], around: int, where: str) -> Layout:
    """The layout of folders of parts, by their roles."""
    beside = around + sum(len(parts) == 1 or parts[0] not in roles for parts in inner.values())
    by_role: dict[str, dict[str, str]] = {}
    folder = {role: top for top, role in roles.items()}
    said = []
    for top, role in roles.items():
        by_class, loose = _by_class({path: parts[1:] for path, parts in inner.items() if parts[0] == top and parts[1:]})
        if by_class or role == TRAIN:
            by_role[role] = by_class
            beside += loose
        else:
            said.append(f"{top} has no folders of classes, so its {loose:,} files have no labels: they are left out")
    train = by_role.pop(TRAIN)
    _require_folders(train, f"{where}/{folder[TRAIN]}")
    known = set(train.values())
    if others := sorted({name for by_class in by_role.values() for name in by_class.values()} - known):
        listed = ", ".join(others[:5]) + (" and more" if len(others) > 5 else "")
        raise UserError(f"{where}: classes without a folder in {folder[TRAIN]}: {listed}; add or remove them")
    if not by_role:
        return _with_split(train, said, beside, where)
    if TEST not in by_role:
        said.append(f"there is no test part: {folder[VALIDATION]} is taken for it")
        by_role[TEST] = by_role[VALIDATION]
    elif VALIDATION in by_role:
        said.append(f"the images in {folder[VALIDATION]} are taken for training ones; experiments hold out their own")
        train = train | by_role[VALIDATION]
    return _layout({TRAIN: train, TEST: by_role[TEST]}, said, beside, where)


def _with_split(by_class: Mapping[str, str], said: Sequence[str], beside: int, where: str) -> Layout:
    names = sorted(set(by_class.values()))
    label = {name: number for number, name in enumerate(names)}
    chosen = split(np.array([label[name] for name in by_class.values()]), names, where)
    train, test = (
        {path: name for (path, name), is_test in zip(by_class.items(), chosen, strict=True) if is_test == wanted}
        for wanted in (False, True)
    )
    return _layout({TRAIN: train, TEST: test}, [*said, f"there is no test part: {SPLIT}"], beside, where)


def _layout(names: Mapping[str, Mapping[str, str]], said: Sequence[str], beside: int, where: str) -> Layout:
    classes = tuple(sorted(set(names[TRAIN].values())))
    require_classes(where, classes)
    if (count := sum(map(len, names.values()))) > MAX_IMAGES:
        raise UserError(f"{where}: {count:,} images, more than {MAX_IMAGES:,}; give a part of them")
    label = {name: number for number, name in enumerate(classes)}
    labels = {part: {path: label[name] for path, name in of_part.items()} for part, of_part in names.items()}
    counted = [f"{beside:,} files beside the folders of the classes are left out"] if beside else []
    return Layout(classes, labels, (f"a folder of images for each of {len(classes):,} classes", *said, *counted))


def _by_class(inner: Paths) -> tuple[dict[str, str], int]:
    """Class of each image by its path, sorted by class and path; and the number of files that are in no folder."""
    found = sorted((parts[0], path) for path, parts in inner.items() if len(parts) > 1)
    return {path: name for name, path in found}, len(inner) - len(found)


def _require_folders(by_class: Mapping[str, str], where: str) -> None:
    if not by_class:
        raise UserError(f"{where}: no folders in it; give a folder or archive with a folder of images for each class")


def _parts(path: str) -> tuple[str, ...]:
    return PurePosixPath(path.lstrip("/")).parts


def _is_ignored(part: str) -> bool:
    return part.startswith(".") or part.lower() in _IGNORED


def _folders(inner: Paths) -> list[str]:
    return sorted({parts[0] for parts in inner.values() if len(parts) > 1})


def _inmost(inner: Paths) -> Paths:
    """The files in a folder that is alone in its folder, and so on: there are at least two classes."""
    while len(_folders(inner)) == 1:
        deeper = {path: parts[1:] for path, parts in inner.items() if len(parts) > 1}
        if not _folders(deeper):
            break
        inner = deeper
    return inner


# Reading.


def _read_all(source: Path, layout: Layout, parts: Mapping[str, _Part], how: ImageFormat) -> int:
    """Read and decode all images of the layout, several at a time; returns the number of broken ones.

    Files are read one after the other, as those of an archive must be; a few wait to be decoded, so that memory is
    bounded.
    """
    place = {path: (parts[part], row) for part, labels in layout.labels.items() for row, path in enumerate(labels)}
    threads = min(os.cpu_count() or 1, _THREADS)
    waiting: deque[Future[str]] = deque()
    faults: list[str] = []

    def finish(most: int) -> None:
        while len(waiting) > most:
            if fault := waiting.popleft().result():
                faults.append(fault)
        if faults and not how.skip_broken and (len(faults) >= _NAMED or most == 0):
            raise _refusal(faults, len(faults) >= _NAMED)

    with decoding(), ThreadPoolExecutor(threads) as pool:
        for entry in tree(source, MAX_UNPACKED):
            if entry.path in place:
                part, row = place.pop(entry.path)
                waiting.append(pool.submit(_decode, entry.path, _content(entry), part, row))
                finish(2 * threads)
        finish(0)
    return len(faults)


def _content(entry: Entry) -> bytes | None:
    """Content of a file, up to one byte more than is accepted; None if it is no regular one."""
    if not entry.regular:
        return None
    with entry.open() as stream:
        return stream.read(MAX_BYTES + 1)


def _decode(path: str, raw: bytes | None, part: _Part, row: int) -> str:
    """Put an image in its row; returns what is wrong with it, or ""."""
    if raw is None:
        return f"{path} (a link or device)"
    try:
        part.put(row, raw)
    except ValueError as error:
        return f"{path} ({error})"
    return ""


def _refusal(faults: Sequence[str], more: bool) -> UserError:
    count = f"{len(faults)} files or more are" if more else f"{len(faults)} of the files are"
    return UserError(
        f"{count} no readable images: {', '.join(faults)}; correct or remove them, or leave out all such files with "
        "--skip-broken true"
    )
