"""Labelled 32x32 colour images as uint8 arrays: the form of all data sets of that kind."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, TypedDict

import numpy as np

from pipelines.common.origins import Origin
from pipelines.data.files import cache
from pipelines.errors import UserError

Part = Literal["train", "test"]
PARTS: tuple[Part, ...] = ("train", "test")
SHAPE = (3, 32, 32)  # of an image: channel, row, column

NO_FACTS: Mapping[str, Any] = MappingProxyType({})
CACHE_FORMAT = 1  # raised whenever the cached files change their meaning
ARRAYS = ("train_labels", "train_images", "test_labels", "test_images")

Channels = tuple[float, float, float]  # a number for each of red, green and blue


class Counts(TypedDict):
    """Number of `images` in all and of each class, by part; and the names of files that are not the official ones."""

    train: dict[str, int]
    test: dict[str, int]
    not_official: list[str]


@dataclass(frozen=True, eq=False)
class ImageDataset:
    """Images and labels of a training and a test part. The arrays are read-only, memory-mapped where cached.

    Attributes:
        name: name of the data set, as in datasets.py.
        classes: names of the classes, by label: ten, or of a user's own images 2 to 1,000.
        train_images: (N, 3, 32, 32) uint8, 0-255; red, green, blue.
        train_labels: (N,) uint8, or uint16 where there are more than 256 classes.
        test_images, test_labels: the same for the test part.
        mean, deviation: mean and standard deviation of each channel over the training part's pixels, divided by 255
            (0-1).
        digest: SHA-256, hexadecimal, of class names, labels and images: identical data have identical digests.
        counts: see `Counts`.
        verified: whether every file was the official one; None for data that nobody published.
        origin: the files.
        found: sentences on what was found out, and done, when the files were read.
    """

    name: str
    classes: tuple[str, ...]
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    mean: Channels
    deviation: Channels
    digest: str
    counts: Counts
    verified: bool | None = True
    origin: Origin = field(default_factory=Origin)
    found: tuple[str, ...] = ()

    @property
    def item_shape(self) -> tuple[int, ...]:
        """Shape of an image."""
        return SHAPE

    @property
    def train_size(self) -> int:
        """Number of images of the training part, with nothing held out."""
        return len(self.train_images)


def hold_out(dataset: ImageDataset, validation: int = 0, seed: int = 0) -> dict[str, np.ndarray]:
    """Split the training part: hold out `validation` images, of each class in proportion to its size.

    Args:
        dataset: the images.
        validation: number of images, 0 <= validation < N; if the classes are of one size and their number divides it,
            equally many of each.
        seed: at least 0; the choice depends on nothing else.

    Returns:
        "train" and "validation": ascending int64 indices into the training part, together all of it.

    Raises:
        UserError: `validation` out of its range.
    """
    labels = np.asarray(dataset.train_labels)
    if not 0 <= validation < len(labels):
        raise UserError(f"{validation} validation images of {len(labels)} training images; give 0 to {len(labels) - 1}")
    rng = np.random.default_rng(seed)
    # Position of each image in a random order of its class, 0-1: the images below any limit are a stratified choice.
    place = np.empty(len(labels))
    for label, count in enumerate(np.bincount(labels)):
        place[labels == label] = (rng.permutation(count) + 0.5) / count
    held_out = np.zeros(len(labels), dtype=bool)
    held_out[np.argsort(place, kind="stable")[:validation]] = True
    return {"train": np.flatnonzero(~held_out), "validation": np.flatnonzero(held_out)}


def counts_of(classes: Sequence[str], labels: np.ndarray) -> dict[str, int]:
    """Returns the number of images in all and of each class."""
    by_class = np.bincount(labels, minlength=len(classes)).tolist()
    return {"images": len(labels), **dict(zip(classes, by_class, strict=True))}


def moments(images: Iterable[np.ndarray]) -> tuple[Channels, Channels]:
    """Mean and standard deviation of each channel, divided by 255, from the histograms of its 256 values.

    Args:
        images: the images in consecutive pieces (., 3, 32, 32) uint8.
    """
    histogram = np.zeros((SHAPE[0], 256), dtype=np.int64)
    for piece in images:
        histogram += np.stack([np.bincount(piece[:, channel].ravel(), minlength=256) for channel in range(SHAPE[0])])
    share = histogram / histogram.sum(axis=1, keepdims=True)
    values = np.arange(256) / 255
    mean = share @ values
    variance = (share * (values - mean[:, np.newaxis]) ** 2).sum(axis=1)
    return tuple(mean.tolist()), tuple(np.sqrt(variance).tolist())


def digest_of(classes: Sequence[str], arrays: Mapping[str, Sequence[np.ndarray]]) -> str:
    """SHA-256 of the classes' names and of type, shape and content of the `ARRAYS`, each in consecutive pieces."""
    all_pieces = [arrays[name] for name in ARRAYS]
    types = [[pieces[0].dtype.str, sum(map(len, pieces)), *pieces[0].shape[1:]] for pieces in all_pieces]
    digest = hashlib.sha256(json.dumps([list(classes), types]).encode())
    for pieces in all_pieces:
        for piece in pieces:
            digest.update(np.ascontiguousarray(piece).data)
    return digest.hexdigest()


def write_cache(
    folder: Path,
    classes: Sequence[str],
    arrays: Mapping[str, Sequence[np.ndarray]],
    counts: Counts,
    hashes: Mapping[str, str],
    facts: Mapping[str, Any] = NO_FACTS,
) -> None:
    """Write the `ARRAYS`, each in consecutive pieces, and their meta data to the cache in `folder`.

    Args:
        folder: of the cache.
        classes: names of the classes, by label.
        arrays: by name.
        counts: see `Counts`.
        hashes: SHA-256 of each file that they were read from, by its name.
        facts: plain data that are kept beside: `verified` and `found`, see `ImageDataset`, and others.
    """
    mean, deviation = moments(arrays["train_images"])
    meta = {
        "format": CACHE_FORMAT,
        "classes": list(classes),
        "mean": mean,
        "deviation": deviation,
        "counts": counts,
        "digest": digest_of(classes, arrays),
        "files": hashes,
        **facts,
    }
    cache.write(folder, {f"{name}.npy": pieces for name, pieces in arrays.items()}, meta)


def read_cache(name: str, classes: tuple[str, ...] | None, folder: Path) -> ImageDataset:
    """Map the cache of data set `name`; raises ValueError, KeyError or TypeError if it is damaged.

    Args:
        name: of the data set.
        classes: names of the classes; None: those that the cache was written with.
        folder: of the cache.
    """
    meta = cache.read_meta(folder, CACHE_FORMAT, {"mean": list, "deviation": list, "counts": dict, "digest": str})
    if classes is None:
        classes = tuple(str(each) for each in meta["classes"])
    arrays = {array: cache.map_array(folder / f"{array}.npy") for array in ARRAYS}
    if digest_of(classes, {array: [mapped] for array, mapped in arrays.items()}) != meta["digest"]:
        raise ValueError("the digest differs")
    return ImageDataset(
        name,
        classes,
        mean=tuple(meta["mean"]),
        deviation=tuple(meta["deviation"]),
        digest=meta["digest"],
        counts=meta["counts"],
        verified=meta.get("verified", not meta["counts"]["not_official"]),
        origin=cache.origin(meta),
        found=tuple(meta.get("found", ())),
        **arrays,
    )
