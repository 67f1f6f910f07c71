"""CIFAR-100 with its 100 fine classes, in its binary or its Python version; both give the same images.

Source: Krizhevsky 2009, Learning multiple layers of features from tiny images.

A file of the binary version is records of 3,074 bytes: the coarse label, the fine label (0-99), then the planes of an
image as in CIFAR-10; ``fine_label_names.txt`` names the classes. The Python version is read as batch_file.py says.
"""

import hashlib
from collections.abc import Collection
from pathlib import Path
from types import MappingProxyType

import numpy as np

from pipelines.data.files.source import contents, names
from pipelines.data.images import batch_file
from pipelines.data.images.dataset import SHAPE
from pipelines.data.images.tables import ImageTables, tables
from pipelines.errors import UserError

BINARY = {"train": "train.bin", "test": "test.bin"}
BINARY_NAMES = "fine_label_names.txt"
PYTHON = {"train": "train", "test": "test"}
PYTHON_NAMES = "meta"
FINE = 100  # classes

# MD5 of the official files of the Python version, as torchvision's CIFAR100 publishes them.
PYTHON_MD5 = MappingProxyType(
    {
        "train": "16019d7e3df5f24257cddd939b257f8d",
        "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
        "meta": "7973b15100ade9c7d40fb424638fde48",
    }
)

RECORD_BYTES = 2 + 3 * 32 * 32
MAX_FILE_BYTES = 1 << 28  # almost twice the largest official file


def is_among(files: Collection[str]) -> bool:
    """Returns whether the files of one of the versions are among these names."""
    return any(set(version) <= set(files) for version in _versions())


def read(source: Path) -> ImageTables:
    """Read the version whose files lie in a folder or archive, the binary one if there are both.

    Raises:
        UserError: a file is missing, or not in the format.
        OSError: something cannot be read.
    """
    binary, python = _versions()
    is_binary = set(binary) <= names(source, binary, MAX_FILE_BYTES)
    files = {
        file: (where, raw)
        for file, where, raw in contents(source, binary if is_binary else python, MAX_FILE_BYTES, "CIFAR-100 file")
    }
    hashes = {file: hashlib.sha256(raw).hexdigest() for file, (_, raw) in files.items()}
    if is_binary:
        classes = files[BINARY_NAMES][1].decode("utf-8", "replace").split()
        train, test = (_parse(files[BINARY[part]][1], files[BINARY[part]][0]) for part in BINARY)
        said = "CIFAR-100 in its binary version, of which no digests are published"
    else:
        classes = _class_names(*files[PYTHON_NAMES])
        train, test = (_parse_python(files[PYTHON[part]][1], files[PYTHON[part]][0]) for part in PYTHON)
        official = all(_md5(files[file][1]) == md5 for file, md5 in PYTHON_MD5.items())
        said = f"CIFAR-100 in its Python version, {'the official files' if official else 'NOT the official files'}"
    if len(classes) != FINE:
        raise UserError(f"{source}: {len(classes)} names of classes, not {FINE}; take the official file")
    return tables(str(source), classes, train, test, hashes, [f"{said}; its {FINE} fine classes"])


def _versions() -> tuple[tuple[str, ...], tuple[str, ...]]:
    return (*BINARY.values(), BINARY_NAMES), (*PYTHON.values(), PYTHON_NAMES)


def _parse(raw: bytes, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, 3, 32, 32) and fine labels (N,) of a file of the binary version."""
    count, rest = divmod(len(raw), RECORD_BYTES)
    if rest or not count:
        raise UserError(f"{where}: {len(raw)} bytes are no records of {RECORD_BYTES}; take the official file")
    records = np.frombuffer(raw, np.uint8).reshape(count, RECORD_BYTES)
    _require_labels(records[:, 1], where)
    return np.ascontiguousarray(records[:, 2:]).reshape(-1, *SHAPE), records[:, 1].copy()


def _parse_python(raw: bytes, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, 3, 32, 32) and fine labels (N,) of a file of the Python version."""
    batch = batch_file.read(raw, where)
    images, labels = batch_file.images(batch, where), batch_file.labels(batch, b"fine_labels", where)
    if len(images) != len(labels):
        raise UserError(f"{where}: {len(images)} images and {len(labels)} labels; take the official file")
    _require_labels(labels, where)
    return images, labels


def _class_names(where: str, raw: bytes) -> list[str]:
    found = batch_file.read(raw, where).get(b"fine_label_names")
    if not isinstance(found, list) or not all(isinstance(name, bytes) for name in found):
        raise UserError(f"{where}: b'fine_label_names' is no list of names; take the official file")
    return [name.decode("utf-8", "replace") for name in found]


def _require_labels(labels: np.ndarray, where: str) -> None:
    for number in np.flatnonzero(labels >= FINE)[:1]:
        raise UserError(f"{where}, record {number} (from 0): the label {labels[number]} is not 0-{FINE - 1}")


def _md5(raw: bytes) -> str:
    return hashlib.md5(raw, usedforsecurity=False).hexdigest()
