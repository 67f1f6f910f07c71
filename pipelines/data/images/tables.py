"""Images of a user's own as labelled 32 x 32 arrays, whatever they were read from."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pipelines.data.images.dataset import Counts, counts_of
from pipelines.errors import UserError

FEWEST, MOST = 2, 1_000  # classes
MAX_IMAGES = 500_000  # 1.5 GB
SPLIT = "a tenth of each class, chosen at random (seed 0), is the test part"
_TENTH = 10
_RESERVED = "images"  # the total, among the counts of the classes


@dataclass(frozen=True, kw_only=True)
class ImageFormat:
    """How images of a user's own are read.

    Attributes:
        skip_broken: leave out files that are no readable images, and count them; otherwise they are refused.
    """

    skip_broken: bool = False


@dataclass(frozen=True, eq=False)
class ImageTables:
    """Images and labels of a training and a test part, as `dataset.write_cache` takes them.

    Attributes:
        classes: names of the 2 to 1,000 classes, by label.
        train_images: (N, 3, 32, 32) uint8, 0-255; red, green, blue.
        train_labels: (N,) uint8, or uint16 if there are more than 256 classes.
        test_images, test_labels: the same for the test part.
        hashes: SHA-256 of each file that was read; of a folder of images one for each part, see folders.py.
        found: sentences that say what was found and what was made of it.
    """

    classes: tuple[str, ...]
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    hashes: Mapping[str, str]
    found: tuple[str, ...]

    @property
    def arrays(self) -> dict[str, list[np.ndarray]]:
        """Returns the arrays by name, each in one piece."""
        return {
            "train_labels": [self.train_labels],
            "train_images": [self.train_images],
            "test_labels": [self.test_labels],
            "test_images": [self.test_images],
        }

    @cached_property
    def counts(self) -> Counts:
        """Number of images in all and of each class, by part."""
        return Counts(
            train=counts_of(self.classes, self.train_labels),
            test=counts_of(self.classes, self.test_labels),
            not_official=[],
        )


def tables(
    where: str,
    classes: Sequence[str],
    train: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
    hashes: Mapping[str, str],
    found: Sequence[str],
) -> ImageTables:
    """Check and count what was read.

    Args:
        where: location of the data, for messages.
        classes: names by label.
        train: images (N, 3, 32, 32) uint8 and labels (N,), of any type of integers, of the training part.
        test: of the test part.
        hashes: see `ImageTables`.
        found: sentences so far; those on the counts are added.

    Raises:
        UserError: too few or too many classes, or a class without training images.
    """
    require_classes(where, classes)
    by_class = np.bincount(train[1], minlength=len(classes))
    if not by_class.all():
        absent = _some([classes[label] for label in np.flatnonzero(by_class == 0).tolist()])
        raise UserError(f"{where}: no training images of {absent}; add some, or remove the class")
    if not len(test[1]):
        raise UserError(f"{where}: no test images; give some, or none at all, so that a part of the others is taken")
    kind = np.uint8 if len(classes) <= 1 << 8 else np.uint16
    said = list(found)
    untested = np.bincount(test[1], minlength=len(classes)) == 0
    if untested.any():
        said.append(f"no test images of {_some([classes[label] for label in np.flatnonzero(untested).tolist()])}")
    if repeated := repeats(train[0], test[0]):
        said.append(f"{repeated:,} of the {len(test[0]):,} test images are in the training part too, pixel by pixel")
    return ImageTables(
        tuple(classes), train[0], train[1].astype(kind), test[0], test[1].astype(kind), hashes, tuple(said)
    )


def require_classes(where: str, classes: Sequence[str]) -> None:
    """Raise UserError if there are too few or too many classes, or one is called like another one or their total."""
    if not FEWEST <= len(classes) <= MOST:
        raise UserError(f"{where}: {len(classes):,} classes, not {FEWEST} to {MOST:,}; give images of as many")
    if len(set(classes)) < len(classes):
        raise UserError(f"{where}: two classes have the same name; rename one")
    if _RESERVED in classes:
        raise UserError(f"{where}: a class is called {_RESERVED!r}, as their total is; rename it")


def split(labels: np.ndarray, names: Sequence[str], where: str) -> np.ndarray:
    """Choose the test part of images without one: a tenth of each class, rounded, but at least one.

    Args:
        labels: (N,) integers.
        names: of the classes, for messages.
        where: location of the data, for messages.

    Returns:
        Which of the images are the test part, (N,) bool.

    Raises:
        UserError: a class has a single image.
    """
    rng = np.random.default_rng(0)
    test = np.zeros(len(labels), dtype=bool)
    for label, name in enumerate(names):
        members = np.flatnonzero(labels == label)
        if len(members) < 2:
            raise UserError(f"{where}: {len(members)} image of class {name}; a training and a test part need two")
        test[rng.permutation(members)[: max(1, round(len(members) / _TENTH))]] = True
    return test


def repeats(train: np.ndarray, test: np.ndarray) -> int:
    """Number of test images (M, 3, 32, 32) that are also among the training images (N, 3, 32, 32)."""
    known = {_digest(image) for image in train}
    return sum(_digest(image) in known for image in test)


def _digest(image: np.ndarray) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16).digest()


def _some(names: Sequence[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more classes" if len(names) > most else "")
