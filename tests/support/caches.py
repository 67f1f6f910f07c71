"""Small data to prepare, and ways of damaging the caches made from them."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from pipelines.data.images import cifar10


def small_cifar10(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with all six files of CIFAR-10, of 20 black images each."""
    monkeypatch.setattr(cifar10, "RECORDS", 20)
    images = folder / "cifar-10-batches-bin"
    images.mkdir()
    for file in cifar10.SHA1:
        (images / file).write_bytes(b"".join(bytes([number % 10]) + bytes(3072) for number in range(20)))
    return images


def patch(path: Path, offset: int, value: int) -> None:
    """Replaces the byte at `offset` of a file."""
    content = bytearray(path.read_bytes())
    content[offset] = value
    path.write_bytes(content)


def cut(path: Path) -> None:
    """Removes the last 100 bytes."""
    os.truncate(path, path.stat().st_size - 100)


def flip(path: Path) -> None:
    """Flips one bit near the end."""
    patch(path, -10, path.read_bytes()[-10] ^ 1)


def fewer(path: Path) -> None:
    """Removes the last entry of an array."""
    np.save(path, np.load(path)[:-1])


def other_version(path: Path) -> None:
    """Gives a meta file another version of the format."""
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 0}))
