"""Weights of a model with the form of its network, and how they are handed to the process of a row."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import safetensors.torch
from torch import Tensor

from pipelines.errors import UserError


@dataclass(frozen=True)
class Weights:
    """Weights of a model, with the form of its network and the normalisation of its input.

    Attributes:
        state: the complete state dict for the model's load_state_dict; float32, on the CPU.
        sha256: SHA-256 of the file.
        origin: description of the source.
        stem: "pool" or "plain".
        shortcut: "A" or "B".
        mean, deviation: mean and std by which the red, green and blue pixels are normalised, in units of 0-1.
        published: test accuracy that the source gives, in percent, or None.
        dialect: naming and wrapping of the tensors in the file.
        verified: True if the digest agrees with the one published by the source or kept in the registry, False if these
            have none, None for weights from no known source.
        notes: messages for the user on how the weights were chosen, each one line.
    """

    state: Mapping[str, Tensor]
    sha256: str
    origin: str
    stem: str
    shortcut: str
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]
    published: float | None
    dialect: str
    verified: bool | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Handed:
    """Weights for another process, with the tensors in a file.

    Attributes:
        weights: everything but the tensors.
        path: safetensors file with the tensors.
        sha256: SHA-256 of that file, hexadecimal.
    """

    weights: Weights
    path: Path
    sha256: str


def handed_over(weights: Weights, path: Path) -> Handed:
    """Write the tensors of `weights` to `path`, for `received` in another process."""
    raw = safetensors.torch.save({name: tensor.contiguous() for name, tensor in weights.state.items()})
    path.write_bytes(raw)
    return Handed(replace(weights, state={}), path, hashlib.sha256(raw).hexdigest())


def received(handed: Handed) -> Weights:
    """Load the weights that `handed_over` wrote.

    Raises:
        UserError: the file has changed since it was written.
    """
    raw = handed.path.read_bytes()
    if hashlib.sha256(raw).hexdigest() != handed.sha256:
        raise UserError(f"{handed.path} is not as this launch wrote it: start anew")
    return replace(handed.weights, state=safetensors.torch.load(raw))
