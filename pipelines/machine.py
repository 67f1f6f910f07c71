"""What this machine has, and what a run took of it."""

import resource
import sys

import torch

from pipelines.errors import UserError


def available_device(device: str) -> str:
    """`auto` is a GPU if there is one.

    Raises:
        UserError: there is no such device.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"device={device} is not to be had here: give device=auto or device=cpu") from error
    return device


def available_precision(precision: str, device: str) -> str:
    """`auto` is bf16 where the hardware computes in it, else fp32."""
    if precision != "auto":
        return precision
    if device == "cpu":
        capabilities = torch.cpu.get_capabilities()
        has_bf16 = capabilities.get("avx512_bf16") or capabilities.get("amx_bf16")
    else:
        has_bf16 = torch.cuda.is_bf16_supported()
    return "bf16" if has_bf16 else "fp32"


def peak_memory(processes: int = 1) -> float:
    """Peak resident memory in MB of this process and its children, which are counted as large as the largest.

    Args:
        processes: how many there were, this one included.
    """
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    other = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return (own + (processes - 1) * other) / unit
