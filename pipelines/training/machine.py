"""Devices and precisions of this machine, and the memory that a run has used."""

import sys
import timeit
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from pipelines.errors import UserError

_SPEEDUP = 1.2  # least ratio of speeds for which bf16 is chosen


def available_device(device: str) -> str:
    """Resolve `auto` to a GPU if there is one, else the CPU.

    Raises:
        UserError: there is no such device.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"device={device} is not available on this machine: give device=auto or device=cpu") from error
    return device


def available_precision(precision: str, device: str) -> str:
    """Resolve `auto` to bf16 if the hardware multiplies matrices faster in it, else to fp32.

    The instructions of a CPU do not decide: measured, AMD's Zen 4 is 2.4 times as fast in bf16, but an Intel Xeon whose
    AMX is hidden from a virtual machine is half as fast.
    """
    if precision != "auto":
        return precision
    if device == "cpu":
        has_bf16 = torch.cpu.get_capabilities().get("avx512_bf16") or torch.cpu.get_capabilities().get("amx_bf16")
        faster = has_bf16 and _product_time(torch.bfloat16) * _SPEEDUP < _product_time(torch.float32)
    else:
        faster = torch.cuda.is_bf16_supported()
    return "bf16" if faster else "fp32"


@contextmanager
def all_cores(threads: int) -> Iterator[None]:
    """Let torch compute with so many threads in the block, where the other processes of a run wait."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def inference_precisions(precision: str, device: str) -> tuple[str, ...]:
    """Resolve a precision to those to try in turn in an evaluation, fastest first; `auto` to all that are fast here.

    Raises:
        UserError: int8 is requested, and is not available.
    """
    if precision == "int8" and not has_int8(device):
        raise UserError("precision=int8 needs a CPU with VNNI instructions: give precision=auto")
    if precision != "auto":
        return tuple(dict.fromkeys((precision, "fp32")))
    return tuple(dict.fromkeys(("int8",) * has_int8(device) + (available_precision("auto", device), "fp32")))


def has_int8(device: str) -> bool:
    """Returns whether `device` is a CPU that multiplies 8-bit integers faster than fp32."""
    has = torch.cpu.get_capabilities().get
    return device == "cpu" and bool(has("avx512_vnni") or has("avx_vnni") or has("amx_int8"))


def _product_time(dtype: torch.dtype) -> float:
    """Time of a matrix product in seconds, the least of several, since other load on the machine only adds to it."""
    matrix = torch.ones(512, 512, dtype=dtype)
    return min(timeit.repeat(lambda: matrix @ matrix, number=3, repeat=5))


def gpu_of(model: nn.Module) -> str:
    """Returns the name of the GPU that has the weights of `model`, such as ``NVIDIA H200``; "" if none has."""
    device = next(model.parameters()).device
    return torch.cuda.get_device_name(device) if device.type == "cuda" else ""


def peak_memory() -> float:
    """Peak resident memory of this process, MB."""
    import resource  # not available on Windows

    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
