"""Images in the arrays of one .npz, as Keras, MedMNIST and others publish them; nothing in it is unpickled.

Arrays of a part are called ``x_train`` and ``y_train``, ``train_images`` and ``train_labels`` or the like, of images
without parts ``images`` and ``labels`` or ``x`` and ``y``. A validation part is treated as a folder's, see folders.py.
Images are grey (N, H, W), or have 1, 3 or 4 channels, last or, if the last axis has another size, first. Their values
are 0-255, or 0-1 if none is larger and they are no integers. They are brought to 32 x 32 as picture.py says.

Labels are numbers or names, (N,) or (N, 1), or one-hot (N, K); their values in ascending order are the classes, whose
names may stand in an array ``classes``, ``class_names`` or ``label_names``.
"""

import math
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image

from pipelines.common.archives import UNREADABLE, digest
from pipelines.common.files import open_regular
from pipelines.data.images.dataset import SHAPE
from pipelines.data.images.folders import TEST, TRAIN, VALIDATION
from pipelines.data.images.picture import MAX_BYTES, as_array
from pipelines.data.images.tables import MAX_IMAGES, SPLIT, ImageTables, split, tables
from pipelines.errors import UserError

IMAGES, LABELS = ("x", "images", "data"), ("y", "labels", "targets")
CLASSES = ("classes", "class_names", "label_names")
ALL = "all"  # the part of images without parts
PARTS = {TRAIN: ("train",), TEST: ("test",), VALIDATION: ("val", "valid", "validation")}

MAX_LABEL_BYTES = 1 << 28  # of an array of labels or names
_Pair = tuple[np.ndarray, np.ndarray]  # images and labels

_PIECE = 1 << 22  # bytes that are read at a time
_CHANNELS = (1, 3, 4)  # grey, RGB, RGBA


@dataclass(frozen=True)
class _Array:
    """An array in the archive: its member, type and shape."""

    archive: zipfile.ZipFile
    member: str
    dtype: np.dtype
    shape: tuple[int, ...]

    @property
    def where(self) -> str:
        return f"{self.archive.filename}/{self.member.removesuffix('.npy')}"

    @property
    def row_bytes(self) -> int:
        return math.prod(self.shape[1:]) * self.dtype.itemsize

    def pieces(self) -> Iterator[np.ndarray]:
        """Yield its rows piece by piece; raises UserError if they end too early."""
        rows = max(1, _PIECE // max(1, self.row_bytes))
        with self.archive.open(self.member) as stream:
            _header(stream, self.where)
            for start in range(0, self.shape[0], rows):
                count = min(rows, self.shape[0] - start)
                raw = stream.read(count * self.row_bytes)
                if len(raw) < count * self.row_bytes:
                    raise UserError(f"{self.where} ends after less than its {self.shape[0]:,} rows; save it again")
                yield np.frombuffer(raw, self.dtype).reshape(count, *self.shape[1:])
            stream.read(1)  # where it ends, its checksum is verified

    def whole(self) -> np.ndarray:
        """Returns the array, of labels or names; raises UserError if it is too large."""
        if not self.shape or self.shape[0] * self.row_bytes > MAX_LABEL_BYTES:
            raise UserError(f"{self.where} has the shape {self.shape}, so no labels; give one for each image")
        return np.concatenate([*self.pieces(), np.empty((0, *self.shape[1:]), self.dtype)])


def is_npz(source: Path) -> bool:
    """Returns whether a file is a .zip of nothing but arrays; raises OSError if it cannot be read."""
    with open_regular(source) as stream:
        if not zipfile.is_zipfile(stream):
            return False
        with zipfile.ZipFile(stream) as archive:
            names = archive.namelist()
    return bool(names) and all(name.endswith(".npy") for name in names)


def read(source: Path) -> ImageTables:
    """Read the images of a .npz.

    Raises:
        UserError: an array is missing, or one has another form than is said above; names it.
        OSError: the file cannot be read.
    """
    where = str(source)
    try:
        with open_regular(source) as stream, zipfile.ZipFile(stream) as archive:
            archive.filename = where  # as zipfile leaves it None for a stream
            arrays = {name.removesuffix(".npy").lower(): _array(archive, name) for name in archive.namelist()}
            return _tables(arrays, where, {source.name: digest(source)})
    except (*UNREADABLE, ValueError) as error:
        raise UserError(f"{where} is not a readable .npz ({error}); save it again") from error


def _array(archive: zipfile.ZipFile, member: str) -> _Array:
    where = f"{archive.filename}/{member.removesuffix('.npy')}"
    with archive.open(member) as stream:
        shape, in_columns, dtype = _header(stream, where)
    if dtype.hasobject:
        raise UserError(f"{where} holds Python objects, which are not read; save it as an array of numbers or text")
    if in_columns and len(shape) > 1:
        raise UserError(f"{where} is saved in Fortran's order; save numpy.ascontiguousarray of it")
    return _Array(archive, member, dtype, shape)


def _header(stream: IO[bytes], where: str) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, whether columns come first, and type of the array that a stream begins with."""
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    try:
        return readers[np.lib.format.read_magic(stream)](stream)
    except (ValueError, KeyError) as error:
        raise UserError(f"{where} is no array ({' '.join(str(error).split())[:80]}); save it again") from error


def _tables(arrays: Mapping[str, _Array], where: str, hashes: Mapping[str, str]) -> ImageTables:
    given = _parts(arrays, where)
    labels, said = _labels({part: pair[1] for part, pair in given.items()})
    if not all(len(labels[part]) == pair[0].shape[0] for part, pair in given.items()):
        lengths = ", ".join(f"{pair[0].shape[0]:,} and {len(labels[part]):,} ({part})" for part, pair in given.items())
        raise UserError(f"{where}: not as many images as labels: {lengths}; give one label for each image")
    values = np.unique(np.concatenate([labels[part] for part in given if part in (TRAIN, ALL)]))
    for part, each in labels.items():
        if others := np.setdiff1d(each, values)[:5].tolist():
            raise UserError(f"{where}: labels {others} of the part {part} are of no training image; leave them out")
    classes = _names(arrays, values, where)
    factor, range_said = _factor([pair[0] for pair in given.values()])
    parts = {part: (_images(pair[0], factor), np.searchsorted(values, labels[part])) for part, pair in given.items()}
    train, test, more = _divided(parts, classes, where)
    count = f"arrays of {len(values):,} classes, {', '.join(f'{part} {pair[0].shape}' for part, pair in given.items())}"
    return tables(where, classes, train, test, hashes, [count, range_said, *said, *more])


def _parts(arrays: Mapping[str, _Array], where: str) -> dict[str, tuple[_Array, _Array]]:
    """Images and labels of each part that has both."""
    found = {}
    for part, words in PARTS.items():
        images, labels = (
            _first(arrays, [f"{kind}_{word}" for word in words for kind in kinds])
            or _first(arrays, [f"{word}_{kind}" for word in words for kind in kinds])
            for kinds in (IMAGES, LABELS)
        )
        if images and labels:
            found[part] = (images, labels)
    if TRAIN in found:
        return found
    images, labels = _first(arrays, IMAGES), _first(arrays, LABELS)
    if images and labels:
        return {ALL: (images, labels)}
    raise UserError(
        f"{where}: no images and labels among {', '.join(sorted(arrays)[:10])}; "
        "call them x_train, y_train, x_test and y_test, or images and labels"
    )


def _first(arrays: Mapping[str, _Array], names: Sequence[str]) -> _Array | None:
    return next((arrays[name] for name in names if name in arrays), None)


def _labels(given: Mapping[str, _Array]) -> tuple[dict[str, np.ndarray], list[str]]:
    """Label of each image, (N,) integers or text, of each part; and what was made of them."""
    labels, said = {}, []
    for part, array in given.items():
        values = array.whole()
        if values.ndim == 2 and values.shape[1] == 1:
            values = values[:, 0]
        if values.ndim == 2 and np.isin(values, (0, 1)).all() and (values.sum(axis=1) == 1).all():
            values = values.argmax(axis=1)
            said.append(f"labels of the part {part} are one-hot")
        if values.dtype.kind == "f" and np.array_equal(values, np.rint(values)):
            values = values.astype(np.int64)
        if values.ndim != 1 or values.dtype.kind not in "biuU":
            raise UserError(
                f"{array.where} has the shape {values.shape} and type {values.dtype}; give a number or name"
            )
        labels[part] = values
    return labels, said


def _names(arrays: Mapping[str, _Array], values: np.ndarray, where: str) -> list[str]:
    """Names of the classes with these values of the labels, in their order."""
    for name in CLASSES:
        if name in arrays and values.dtype.kind != "U":
            names = arrays[name].whole()
            if names.ndim != 1 or names.dtype.kind != "U" or values.min() < 0 or values.max() >= len(names):
                raise UserError(f"{arrays[name].where}: no names of the labels {values.min()} to {values.max()}")
            return names[values.astype(np.int64)].tolist()
    return [str(value) for value in values.tolist()]


def _factor(given: list[_Array]) -> tuple[float, str]:
    """Number by which the values are multiplied to be 0-255; and a sentence that says so."""
    for array in given:
        _size(array)
        if array.dtype != given[0].dtype:
            both = f"{given[0].dtype} and {array.dtype}"
            raise UserError(f"{given[0].where} and {array.where} are of the types {both}; save them as one")
    if given[0].dtype == np.uint8:
        return 1, "values of 0-255"
    highest = 0.0
    for array in given:
        for piece in array.pieces():
            low, high = float(piece.min()), float(piece.max())
            if not (low >= 0 and high <= 255):  # false for NaN too
                raise UserError(f"{array.where} has values of {low:g} to {high:g}; give 0-255 or 0-1")
            highest = max(highest, high)
    if highest <= 1 and given[0].dtype.kind in "fb":
        return 255, "values of 0-1, multiplied by 255 and rounded"
    return 1, "values of 0-255, rounded"


def _size(array: _Array) -> tuple[int, int, int, bool]:
    """Rows, columns and channels of the images of an array, and whether the channels come first."""
    shape = array.shape
    if len(shape) == 3:
        shape = (*shape, 1)
    first = len(shape) == 4 and shape[3] not in _CHANNELS
    if first:
        shape = (shape[0], shape[2], shape[3], shape[1])
    sound = len(shape) == 4 and shape[3] in _CHANNELS and 0 < array.row_bytes <= MAX_BYTES
    if not sound or not 0 < shape[0] <= MAX_IMAGES or array.dtype.kind not in "biuf":
        raise UserError(
            f"{array.where} has the shape {array.shape} and type {array.dtype}, so no images; give up to "
            f"{MAX_IMAGES:,}, (N, H, W), (N, H, W, C) or (N, C, H, W) with 1, 3 or 4 channels"
        )
    return shape[1], shape[2], shape[3], first


def _images(array: _Array, factor: float) -> np.ndarray:
    """Images (N, 3, 32, 32) uint8 of an array."""
    height, width, channels, first = _size(array)
    images = np.empty((array.shape[0], *SHAPE), dtype=np.uint8)
    done = 0
    for piece in array.pieces():
        values = piece if piece.dtype == np.uint8 else np.rint(piece.astype(np.float64) * factor).astype(np.uint8)
        if first:
            values = values.reshape(len(piece), channels, height, width)
        else:
            values = values.reshape(len(piece), height, width, channels).transpose(0, 3, 1, 2)
        if channels == 4 or (height, width) != SHAPE[1:]:
            values = np.stack([_scaled(each) for each in values])
        images[done : done + len(piece)] = values
        done += len(piece)
    return images


def _scaled(pixels: np.ndarray) -> np.ndarray:
    """Image (3, 32, 32) of one (C, H, W)."""
    return as_array(Image.fromarray(np.ascontiguousarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))))


def _divided(parts: Mapping[str, _Pair], classes: list[str], where: str) -> tuple[_Pair, _Pair, list[str]]:
    """The training and the test part of those that are there; and what was made of them."""
    if ALL in parts or parts.keys() == {TRAIN}:
        (images, labels) = parts.get(ALL) or parts[TRAIN]
        test = split(labels, classes, where)
        return (images[~test], labels[~test]), (images[test], labels[test]), [f"there is no test part: {SPLIT}"]
    if TEST not in parts:
        return parts[TRAIN], parts[VALIDATION], ["there is no test part: the validation part is taken for it"]
    if VALIDATION not in parts:
        return parts[TRAIN], parts[TEST], []
    joined = [np.concatenate(pair) for pair in zip(parts[TRAIN], parts[VALIDATION], strict=True)]
    said = "the validation part is taken for training images; experiments hold out their own"
    return (joined[0], joined[1]), parts[TEST], [said]
