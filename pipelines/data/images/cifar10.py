"""The data set ``cifar10``, in its official binary version or in the Python version, which torchvision downloads.

Source: Krizhevsky 2009, Learning multiple layers of features from tiny images.

A file of the binary version is 10,000 records of 3,073 bytes: a label (0-9), then the red, green and blue plane of an
image, row by row. A file of the Python version is the same as a pickle, see batch_file.py: both versions give the same
data set, with the same digest. Anything else is refused with its file and record, never repaired; records are numbered
from 0, like the rows of an array.
"""

import hashlib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from pipelines.data.files import cache
from pipelines.data.files.download import fetch
from pipelines.data.files.source import contents, names, verified_digest
from pipelines.data.images import batch_file
from pipelines.data.images.dataset import SHAPE, Counts, ImageDataset, counts_of, read_cache, write_cache
from pipelines.data.protocol import CIFAR10, DATA_DIR
from pipelines.errors import UserError

URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
MD5 = "c32a1d4ab5d03f1284b67883e8d87530"  # of the archive, as on the data set's page

# As Table 1 of the CNN report calls them; officially "plane" is airplane, "car" automobile.
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
# MD5 of the official files of the Python version, as torchvision's CIFAR10 publishes them.
PYTHON_MD5 = MappingProxyType(
    {
        "data_batch_1": "c99cafc152244af753f735de768cd75f",
        "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "data_batch_4": "634d18415352ddfa80567beed471001a",
        "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
        "test_batch": "40351d587109b95175f43aff81a1287e",
    }
)
# Names of the files of CIFAR-100's two versions.
CIFAR100 = (frozenset({"train.bin", "test.bin"}), frozenset({"train", "test", "meta"}))

RECORDS = 10_000  # in each file, equally many of each class in each part
RECORD_BYTES = 1 + 3 * 32 * 32
MAX_FILE_BYTES = 1 << 26  # twice an official file


class Version(NamedTuple):
    """A form in which the data set is published.

    Attributes:
        kind: of its files, for messages.
        algorithm: of the digests, in hashlib.
        digests: published digest of each file, by name, in the order of the images; the last file is the test part.
        parse: returns the labels (RECORDS,) and images (RECORDS, 3, 32, 32) of a file, given its bytes and location.
    """

    kind: str
    algorithm: str
    digests: Mapping[str, str]
    parse: Callable[[bytes, str], tuple[np.ndarray, np.ndarray]]


def prepare(data_dir: str | Path = DATA_DIR, source: str | Path = "", allow_unverified: bool = False) -> ImageDataset:
    """Read the files, verify and cache them in ``data_dir/cifar10``, and load the cache; see `cache.prepare`.

    Args:
        data_dir: folder of the caches.
        source: folder or archive of the binary or the Python version, at any depth; empty: the official archive is
            downloaded into ``data_dir/cifar10/raw``.
        allow_unverified: take files whose digest is not the official one, and record that in the data set.

    Raises:
        UserError: source absent, broken or unsafe, a file missing, unverified or not in the format, no network, or a
            data_dir that cannot be written.
    """
    build = partial(_build, allow_unverified=allow_unverified)
    return cache.prepare(CIFAR10, data_dir, source, _read, build, _download, URL)


def load(data_dir: str | Path = DATA_DIR) -> ImageDataset:
    """Memory-map the prepared data set, checked against its digest.

    Raises:
        UserError: not prepared, or changed since it was; names the command that prepares it.
    """
    return cache.load(CIFAR10, data_dir, _read)


def _read(folder: Path) -> ImageDataset:
    return read_cache(CIFAR10, CLASSES, folder)


def _download(folder: Path) -> Path:
    return fetch(URL, folder / PurePosixPath(URL).name, MD5, algorithm="md5")


def _build(folder: Path, source: Path, allow_unverified: bool) -> None:
    """Read every file of `source` and write the cache in `folder`."""
    version = _version(source)
    labels, images, hashes = {}, {}, {}
    not_official = []
    for file, where, raw in contents(source, tuple(version.digests), MAX_FILE_BYTES, version.kind, strict=True):
        labels[file], images[file] = version.parse(raw, where)
        published = version.digests[file]
        if verified_digest(raw, version.algorithm, published, where, allow_unverified) != published:
            not_official.append(file)
        hashes[file] = hashlib.sha256(raw).hexdigest()
    *train, test = version.digests
    arrays: dict[str, list[np.ndarray]] = {}
    by_part: dict[str, dict[str, int]] = {}
    for part, files in (("train", train), ("test", [test])):
        part_labels = np.concatenate([labels[file] for file in files])
        by_part[part] = counts_of(CLASSES, part_labels)
        _require_balance(by_part[part], f"{source}, {part} part")
        arrays |= {f"{part}_labels": [part_labels], f"{part}_images": [images[file] for file in files]}
    counts = Counts(train=by_part["train"], test=by_part["test"], not_official=sorted(not_official))
    write_cache(folder, CLASSES, arrays, counts, hashes)


def _version(source: Path) -> Version:
    """Returns the version whose files lie in `source`; the binary one if there are both, or none."""
    binary = Version("CIFAR-10 binary file", "sha1", SHA1, _parse)
    python = Version("CIFAR-10 batch file", "md5", PYTHON_MD5, _parse_python)
    if found := names(source, {*SHA1, *PYTHON_MD5}, MAX_FILE_BYTES):
        return binary if found.intersection(SHA1) else python
    if any(files <= names(source, files, MAX_FILE_BYTES) for files in CIFAR100):
        raise UserError(f"{source}: this is CIFAR-100, not CIFAR-10; give the archive or folder of CIFAR-10")
    return binary


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
    _require_labels(labels, where)
    return labels, images


def _parse_python(raw: bytes, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Labels (RECORDS,) and images (RECORDS, 3, 32, 32) of one file of the Python version."""
    batch = batch_file.read(raw, where)
    images, labels = batch_file.images(batch, where), batch_file.labels(batch, b"labels", where)
    if not len(images) == len(labels) == RECORDS:
        raise UserError(
            f"{where}: {len(images)} images and {len(labels)} labels; take the official file of {RECORDS} of each"
        )
    _require_labels(labels, where)
    return labels.astype(np.uint8), images


def _require_labels(labels: np.ndarray, where: str) -> None:
    for number in np.flatnonzero(labels >= len(CLASSES))[:1]:
        raise UserError(
            f"{where}, record {number} (from 0): the label {labels[number]} is not 0-9; take the official file"
        )


def _require_balance(counts: Mapping[str, int], where: str) -> None:
    expected = counts["images"] // len(CLASSES)
    for label, name in enumerate(CLASSES):
        if counts[name] != expected:
            raise UserError(
                f"{where}: {counts[name]} images of class {label} ({name}), not {expected}; take the official files"
            )
