"""Checkpoints that are whole or absent, and known by their hash.

A process killed in the middle of ``torch.save`` leaves a file that cannot be read, and a flipped bit one that loads
without a word; so a file is written beside its place, synced, hashed and renamed, and its hash is checked on reading.
"""

import hashlib
import os
from pathlib import Path
from typing import Any

import torch

from pipelines.errors import UserError


def save(path: Path, state: dict[str, Any]) -> str:
    """Write `state` (tensors and plain values) to `path` atomically and return the file's SHA-256, hexadecimal."""
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    sha256 = _sha256(part)
    part.replace(path)
    return sha256


def load(path: Path, sha256: str) -> dict[str, Any]:
    """Read what `save` wrote; only tensors and plain values are ever unpickled.

    Raises:
        UserError: the file is not the one that was written (another hash).
    """
    found = _sha256(path)
    if found != sha256:
        raise UserError(f"checkpoint {path.name} is damaged (sha256 {found[:12]}, expected {sha256[:12]}): start anew")
    return torch.load(path, weights_only=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
