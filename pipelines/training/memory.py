"""Out-of-memory errors: their detection, and repeating the work in smaller parts."""

from collections.abc import Callable
from typing import TypeVar

import torch

Result = TypeVar("Result")

# CPU, CUDA, cuBLAS, cuDNN, oneDNN, NumPy and C++ have different messages, and some of these do not mention memory: no
# engine, handle or primitive is found if there is no memory for it.
_WORDINGS = (
    "out of memory",
    "out_of_memory",
    "not enough memory",
    "allocate memory",
    "unable to allocate",
    "alloc_failed",
    "allocation_failed",
    "bad_alloc",
    "bad allocation",
    "could not create a primitive",
    "could not create a memory",
    "unable to find an engine to execute",
    "unable to find a valid cudnn algorithm",
    "cublas_status_not_initialized",
)


def out_of_memory(error: Exception) -> bool:
    """Returns whether `error` says that memory ran out, in any of the known wordings."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(wording in text for wording in _WORDINGS)


def within_memory(
    work: Callable[[int], Result], size: int, on_shrink: Callable[[int], None] = lambda size: None
) -> Result:
    """Returns the result of `work(size)`; whenever it runs out of memory, the size is halved and the work repeated.

    Args:
        work: function of the number of items at a time, whose result does not depend on it.
        size: to begin with, at least 1.
        on_shrink: called with each smaller size.

    Raises:
        RuntimeError: memory runs out with one item at a time.
    """
    while True:
        try:
            return work(size)
        except Exception as error:
            if not out_of_memory(error):
                raise
            if size <= 1:
                reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
                raise RuntimeError(
                    f"memory ran out even with one item at a time ({reason}): run fewer jobs side by side, "
                    "or take a smaller network"
                ) from None
        # Only after the exception has been freed: its frames hold the tensors that memory ran out for.
        torch.cuda.empty_cache()
        size = max(1, size // 2)
        on_shrink(size)
