"""Labelled 32x32 colour images: read, verified, cached, and served as memory-mapped uint8 arrays.

Two data sets: ``cifar10`` in its official binary version (Krizhevsky 2009, Learning multiple layers of features from
tiny images), and ``sample``, handwritten digits that come with the project's dependencies (see sample.py).

A file of the binary version is 10,000 records of 3,073 bytes: a label (0-9), then the red, green and blue plane of an
image, row by row. Whatever is not that is refused with its file and record, never repaired; records are numbered
from 0, like the rows of an array.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any

import numpy as np

from pipelines.data.files import cache
from pipelines.data.files.download import fetch
from pipelines.data.files.source import contents, verified_digest
from pipelines.data.protocol import CIFAR10, SAMPLE
from pipelines.data.sample import digits
from pipelines.errors import UserError

DATA_DIR = cache.DATA_DIR
META_FILE = cache.META_FILE
URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
MD5 = "c32a1d4ab5d03f1284b67883e8d87530"  # of the archive, as on the data set's page
FOLDER = "cifar-10-batches-bin"  # in the archive

# As Table 1 of the ablation report calls them; officially "plane" is airplane, "car" automobile.
CLASSES = ("plane", "car", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

# SHA-1 of the official files, as MXNet's CIFAR10 publishes them. In the order of the images.
SHA1 = MappingProxyType(
    {
        "data_batch_1.bin": "aadd24acce27caa71bf4b10992e9e7b2d74c2540",
        "data_batch_2.bin": "c0ba65cce70568cd57b4e03e9ac8d2a5367c1795",
        "data_batch_3.bin": "1dd00a74ab1d17a6e7d73e185b69dbf31242f295",
        "data_batch_4.bin": "aab85764eb3584312d3c7f65fd2fd016e36a258e",
        "data_batch_5.bin": "26e2849e66a845b7f1e4614ae70f4889ae604628",
        "test_batch.bin": "67eb016db431130d61cd03c7ad570b013799c88c",
    }
)
PARTS = MappingProxyType({"train": tuple(SHA1)[:-1], "test": tuple(SHA1)[-1:]})

RECORDS = 10_000  # in each file, equally many of each class in each part
SHAPE = (3, 32, 32)  # of an image: channel, row, column
RECORD_BYTES = 1 + 3 * 32 * 32
MAX_FILE_BYTES = 1 << 26  # twice an official file

CACHE_FORMAT = 1  # raised whenever the cached files change their meaning
ARRAYS = ("train_labels", "train_images", "test_labels", "test_images")


@dataclass(frozen=True, eq=False)
class ImageDataset:
    """Images and labels of a training and a test part. The arrays are read-only, memory-mapped where cached.

    Attributes:
        name: ``cifar10`` or ``sample``.
        classes: names of the ten classes, by label.
        train_images: (N, 3, 32, 32) uint8, 0-255; red, green, blue.
        train_labels: (N,) uint8, 0-9.
        test_images, test_labels: the same of the test part.
        mean, deviation: of each channel over the training part's pixels, in units of 255 (0-1).
        digest: SHA-256, hexadecimal, of class names, labels and images: identical data have identical digests.
        counts: of `train` and `test`, the number of `images` in all and of each class; `not_official`, the names of the
            files that are not the official ones.
        verified: whether every file was the official one.
    """

    name: str
    classes: tuple[str, ...]
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]
    digest: str
    counts: dict[str, Any]
    verified: bool = True


def prepare(
    name: str = CIFAR10, data_dir: str | Path = DATA_DIR, source: str | Path = "", allow_unverified: bool = False
) -> ImageDataset:
    """Read the files of data set `name`, verify and cache them in ``data_dir/name``, and load the cache.

    Without `source`, nothing is done again that is done already. Processes that prepare the same folder wait for one
    another.

    Args:
        name: ``cifar10`` or ``sample``; the sample needs neither cache nor source.
        data_dir: folder of the caches.
        source: the folder ``cifar-10-batches-bin`` or the one it lies in, or the .tar.gz (or a .zip) of it; empty: the
            official archive is downloaded into ``data_dir/cifar10/raw``.
        allow_unverified: take files whose digest is not the official one, and record that in the data set.

    Raises:
        UserError: unknown name, source absent, broken or unsafe, a file missing, unverified or not in the format, no
            network, or a data_dir that cannot be written.
    """
    if name == SAMPLE:
        return _sample()
    _require_known(name)

    def build(folder: Path) -> None:
        _build(folder, Path(source) if source else _download(folder / "raw"), allow_unverified)

    return cache.prepare(name, data_dir, _read_cache, build, anew=bool(source))


def load(name: str, data_dir: str | Path = DATA_DIR) -> ImageDataset:
    """Memory-map the prepared data set, checked against its digest.

    Raises:
        UserError: unknown name, not prepared, or changed since it was; names the command that prepares it.
    """
    if name == SAMPLE:
        return _sample()
    _require_known(name)
    return cache.load(name, data_dir, _read_cache)


def is_prepared(name: str, data_dir: str | Path = DATA_DIR) -> bool:
    """Whether `load` would succeed."""
    try:
        load(name, data_dir)
    except UserError:
        return False
    return True


def split(dataset: ImageDataset, validation: int = 0, seed: int = 0) -> dict[str, np.ndarray]:
    """Hold `validation` images of the training part out, of each class in proportion to its size.

    Args:
        dataset: the images.
        validation: how many, 0 <= validation < N; where the classes are of one size and divide it, equally many of
            each.
        seed: fixes the choice, from 0; nothing else does.

    Returns:
        "train" and "validation": ascending int64 indices into the training part, together all of it.

    Raises:
        UserError: `validation` out of its range.
    """
    labels = np.asarray(dataset.train_labels)
    if not 0 <= validation < len(labels):
        raise UserError(f"{validation} validation images of {len(labels)} training images; give 0 to {len(labels) - 1}")
    rng = np.random.default_rng(seed)
    # Each image's place in a random order of its class, 0-1: the images below any limit are a stratified choice.
    place = np.empty(len(labels))
    for label, count in enumerate(np.bincount(labels)):
        place[labels == label] = (rng.permutation(count) + 0.5) / count
    held_out = np.zeros(len(labels), dtype=bool)
    held_out[np.argsort(place, kind="stable")[:validation]] = True
    return {"train": np.flatnonzero(~held_out), "validation": np.flatnonzero(held_out)}


def _sample() -> ImageDataset:
    images, labels = digits()
    images.flags.writeable = labels.flags.writeable = False
    test = len(images) // 5
    arrays = {
        "train_labels": labels[:-test],
        "train_images": images[:-test],
        "test_labels": labels[-test:],
        "test_images": images[-test:],
    }
    classes = tuple("0123456789")
    mean, deviation = _moments([arrays["train_images"]])
    counts = {part: _counts(classes, arrays[f"{part}_labels"]) for part in PARTS} | {"not_official": []}
    digest = _digest(classes, {name: [array] for name, array in arrays.items()})
    return ImageDataset(SAMPLE, classes, mean=mean, deviation=deviation, digest=digest, counts=counts, **arrays)


def _require_known(name: str) -> None:
    if name != CIFAR10:
        raise UserError(f"unknown image dataset {name!r}; choose {CIFAR10} or {SAMPLE}")


def _download(folder: Path) -> Path:
    try:
        return fetch(URL, folder / PurePosixPath(URL).name, MD5, algorithm="md5")
    except UserError as error:
        raise UserError(
            f"{error}; or give the files with --source FOLDER_OR_ARCHIVE, or take --dataset {SAMPLE}, which needs none"
        ) from error


def _build(folder: Path, source: Path, allow_unverified: bool) -> None:
    """Read every file of `source` and write the cache in `folder`."""
    if (source / FOLDER).is_dir():
        source = source / FOLDER
    labels, images, hashes = {}, {}, {}
    for file, where, raw in contents(source, tuple(SHA1), MAX_FILE_BYTES, "CIFAR-10 binary file", strict=True):
        labels[file], images[file] = _parse(raw, where)
        hashes[file] = verified_digest(raw, "sha1", SHA1[file], where, allow_unverified)
    arrays, counts = {}, {}
    for part, files in PARTS.items():
        part_labels = np.concatenate([labels[file] for file in files])
        counts[part] = _counts(CLASSES, part_labels)
        _require_balance(counts[part], f"{source}, {part} part")
        arrays |= {f"{part}_labels": [part_labels], f"{part}_images": [images[file] for file in files]}
    counts["not_official"] = [file for file in SHA1 if hashes[file] != SHA1[file]]
    mean, deviation = _moments(arrays["train_images"])
    meta = {
        "format": CACHE_FORMAT,
        "mean": mean,
        "deviation": deviation,
        "counts": counts,
        "digest": _digest(CLASSES, arrays),
        "files": hashes,
    }
    cache.write(folder, {f"{name}.npy": pieces for name, pieces in arrays.items()}, meta)


def _parse(raw: bytes, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Labels (RECORDS,) and images (RECORDS, 3, 32, 32) of one file, each contiguous."""
    expected = RECORDS * RECORD_BYTES
    if len(raw) < expected:
        number, rest = divmod(len(raw), RECORD_BYTES)
        raise UserError(
            f"{where}, record {number} (from 0): the file ends after {rest} of its {RECORD_BYTES} bytes; "
            f"take the official file of {RECORDS} records"
        )
    if len(raw) > expected:
        raise UserError(
            f"{where}, after record {RECORDS - 1} (from 0): {len(raw) - expected} bytes too many; "
            f"take the official file of {RECORDS} records"
        )
    records = np.frombuffer(raw, np.uint8).reshape(RECORDS, RECORD_BYTES)
    labels, images = records[:, 0].copy(), np.ascontiguousarray(records[:, 1:]).reshape(-1, *SHAPE)
    for number in np.flatnonzero(labels >= len(CLASSES))[:1]:
        raise UserError(
            f"{where}, record {number} (from 0): the label {labels[number]} is not 0-9; take the official file"
        )
    return labels, images


def _counts(classes: Sequence[str], labels: np.ndarray) -> dict[str, int]:
    """Number of images in all and by class."""
    by_class = np.bincount(labels, minlength=len(classes)).tolist()
    return {"images": len(labels), **dict(zip(classes, by_class, strict=True))}


def _require_balance(counts: Mapping[str, int], where: str) -> None:
    expected = counts["images"] // len(CLASSES)
    for label, name in enumerate(CLASSES):
        if counts[name] != expected:
            raise UserError(
                f"{where}: {counts[name]} images of class {label} ({name}), not {expected}; take the official files"
            )


def _moments(images: Iterable[np.ndarray]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel, in units of 255, from the histograms of its 256 values.

    Args:
        images: pieces (., 3, 32, 32) uint8 of the images.
    """
    histogram = sum(
        np.stack([np.bincount(piece[:, channel].ravel(), minlength=256) for channel in range(SHAPE[0])])
        for piece in images
    )
    share = histogram / histogram.sum(axis=1, keepdims=True)
    values = np.arange(256) / 255
    mean = share @ values
    variance = (share * (values - mean[:, np.newaxis]) ** 2).sum(axis=1)
    return tuple(mean.tolist()), tuple(np.sqrt(variance).tolist())


def _digest(classes: Sequence[str], arrays: Mapping[str, Sequence[np.ndarray]]) -> str:
    """SHA-256 of the classes' names and of type, shape and content of the `ARRAYS`, each in consecutive pieces."""
    all_pieces = [arrays[name] for name in ARRAYS]
    types = [[pieces[0].dtype.str, sum(map(len, pieces)), *pieces[0].shape[1:]] for pieces in all_pieces]
    digest = hashlib.sha256(json.dumps([list(classes), types]).encode())
    for pieces in all_pieces:
        for piece in pieces:
            digest.update(np.ascontiguousarray(piece))
    return digest.hexdigest()


def _read_cache(folder: Path) -> ImageDataset:
    """Map the cache; ValueError, KeyError or TypeError where it is not as it was written."""
    meta = cache.read_meta(folder, CACHE_FORMAT, {"mean": list, "deviation": list, "counts": dict, "digest": str})
    arrays = {name: cache.map_array(folder / f"{name}.npy") for name in ARRAYS}
    if _digest(CLASSES, {name: [array] for name, array in arrays.items()}) != meta["digest"]:
        raise ValueError("the digest differs")
    return ImageDataset(
        CIFAR10,
        CLASSES,
        mean=tuple(meta["mean"]),
        deviation=tuple(meta["deviation"]),
        digest=meta["digest"],
        counts=meta["counts"],
        verified=not meta["counts"]["not_official"],
        **arrays,
    )
