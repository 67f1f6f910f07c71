"""Checkpoints that are written atomically and verified by their hash.

A process that is killed during ``torch.save`` leaves a file that cannot be read, and a file with a flipped bit loads
without an error. So a checkpoint is written to a temporary file, synced, hashed and renamed, and its hash is checked on
reading.
"""

import hashlib
import json
import pickle
import re
from dataclasses import dataclass
from io import BufferedRandom, BufferedReader
from pathlib import Path
from typing import Any

import torch

from pipelines import names
from pipelines.common.files import open_regular, replacing
from pipelines.errors import UserError

PLACES = ("even.pt", "odd.pt")


@dataclass(frozen=True)
class Saved:
    """A logged checkpoint: its artifact path, the SHA-256 of its file, and the epoch after which it was saved."""

    path: str
    sha256: str
    epoch: int


def place(epoch: int) -> str:
    """Name of the file: two of them alternate, so that one is always complete."""
    return PLACES[epoch % 2]


def tag(newest: Saved, before: Saved | None) -> str:
    """Text of the tag with both checkpoints."""
    return json.dumps(vars(newest) | ({"before": vars(before)} if before else {}))


def from_tag(text: str) -> list[Saved]:
    """Returns the checkpoints in a tag, the newest first; a tag of an older version has the newest only.

    Raises:
        UserError: the text is not one that `tag` made.
    """
    try:
        newest = json.loads(text)
        return [_saved(each) for each in (newest, newest.get("before")) if each is not None]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f"its tag {names.CHECKPOINT!r} is not what was written ({text[:60]!r})") from error


def _saved(fields: dict[str, Any]) -> Saved:
    saved = Saved(str(fields["path"]), str(fields["sha256"]), int(fields["epoch"]))
    paths = [f"{names.CHECKPOINT}/{name}" for name in PLACES]
    if saved.path not in paths or not re.fullmatch("[0-9a-f]{64}", saved.sha256):
        raise ValueError(saved)
    return saved


def save(path: Path, state: dict[str, Any]) -> str:
    """Write `state` (tensors and plain values) to `path` atomically and return the file's SHA-256, hexadecimal."""
    with replacing(path) as file:
        torch.save(state, file)
        file.seek(0)
        return _sha256(file)


def load(path: Path, sha256: str) -> dict[str, Any]:
    """Read a checkpoint; only tensors and plain values are unpickled.

    Raises:
        UserError: the file is not the one that was written (another hash), or holds anything else.
    """
    with open_regular(path) as file:
        found = _sha256(file)
    if found != sha256:
        raise UserError(f"checkpoint {path.name} is damaged (sha256 {found[:12]}, expected {sha256[:12]})")
    try:
        return torch.load(path, weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise UserError(f"checkpoint {path.name} is not one of tensors and plain values alone: not loaded") from error


def _sha256(file: BufferedReader | BufferedRandom) -> str:
    return hashlib.file_digest(file, "sha256").hexdigest()
