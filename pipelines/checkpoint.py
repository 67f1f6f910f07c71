"""Checkpoints that are whole or absent, and known by their hash.

A process killed in the middle of ``torch.save`` leaves a file that cannot be read, and a flipped bit one that loads
without a word; so a file is written beside its place, synced, hashed and renamed, and its hash is checked on reading.
"""

import hashlib
from pathlib import Path
from typing import Any, BinaryIO

import torch

from pipelines.errors import UserError
from pipelines.files import open_regular, replacing


def save(path: Path, state: dict[str, Any]) -> str:
    """Write `state` (tensors and plain values) to `path` atomically and return the file's SHA-256, hexadecimal."""
    with replacing(path) as file:
        torch.save(state, file)
        file.seek(0)
        return _sha256(file)


def load(path: Path, sha256: str) -> dict[str, Any]:
    """Read what `save` wrote; only tensors and plain values are ever unpickled.

    Raises:
        UserError: the file is not the one that was written (another hash).
    """
    with open_regular(path) as file:
        found = _sha256(file)
    if found != sha256:
        raise UserError(f"checkpoint {path.name} is damaged (sha256 {found[:12]}, expected {sha256[:12]}): start anew")
    return torch.load(path, weights_only=True)


def _sha256(file: BinaryIO) -> str:
    return hashlib.file_digest(file, "sha256").hexdigest()
