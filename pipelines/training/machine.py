"""What this machine has, and what a run took of it."""

import sys
import timeit

import torch

from pipelines.errors import UserError

_WORTH = 1.2  # times faster that bf16 must be


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
    """`auto` is bf16 where the hardware multiplies matrices faster in it, else fp32.

    That a CPU has the instructions does not tell: measured, AMD's Zen 4 is 2.4 times as fast in bf16, an Intel Xeon
    whose AMX is hidden from a virtual machine half as fast.
    """
    if precision != "auto":
        return precision
    if device == "cpu":
        has_bf16 = torch.cpu.get_capabilities().get("avx512_bf16") or torch.cpu.get_capabilities().get("amx_bf16")
        faster = has_bf16 and _product_time(torch.bfloat16) * _WORTH < _product_time(torch.float32)
    else:
        faster = torch.cuda.is_bf16_supported()
    return "bf16" if faster else "fp32"


def inference_precisions(precision: str, device: str) -> tuple[str, ...]:
    """What to try in turn in an evaluation, the fastest first; `auto` is all that are fast here.

    Raises:
        UserError: int8 is asked for, and is not to be had.
    """
    if precision == "int8" and not has_int8(device):
        raise UserError("precision=int8 needs a CPU with VNNI instructions: give precision=auto")
    if precision != "auto":
        return tuple(dict.fromkeys((precision, "fp32")))
    return tuple(dict.fromkeys(("int8",) * has_int8(device) + (available_precision("auto", device), "fp32")))


def has_int8(device: str) -> bool:
    """Whether `device` is a CPU that multiplies 8-bit integers faster than fp32."""
    has = torch.cpu.get_capabilities().get
    return device == "cpu" and bool(has("avx512_vnni") or has("avx_vnni") or has("amx_int8"))


def _product_time(dtype: torch.dtype) -> float:
    """Seconds of a matrix product, the least of several: what else the machine does only adds."""
    matrix = torch.ones(512, 512, dtype=dtype)
    return min(timeit.repeat(lambda: matrix @ matrix, number=3, repeat=5))


def peak_memory(processes: int = 1) -> float:
    """Peak resident memory in MB of this process and its children, which are counted as large as the largest.

    Args:
        processes: how many there were, this one included.
    """
    import resource  # which Windows has not

    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    other = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return (own + (processes - 1) * other) / unit
