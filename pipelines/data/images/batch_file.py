"""A batch file of the Python versions of CIFAR-10 and CIFAR-100: a pickle that Python 2 wrote, read without running it.

Such a file is a dictionary with images ``b"data"``, (N, 3072) uint8, a row the red, green and blue plane of an image;
lists of labels; and texts. All that its pickle may call are the functions by which NumPy stored an array, and in their
place stand classes of this module that only keep what they are given. Anything else is refused.
"""

import io
import pickle
import pickletools
import warnings
from typing import Any

import numpy as np

from pipelines.data.images.dataset import SHAPE
from pipelines.errors import UserError

PIXELS = SHAPE[0] * SHAPE[1] * SHAPE[2]

_NDARRAY = "numpy.ndarray"  # stands for the class, which only `_reconstruct` gets
# What reading a broken or foreign pickle raises.
_FAULTS = (
    pickle.UnpicklingError, ArithmeticError, AttributeError, EOFError, LookupError, MemoryError, TypeError, ValueError
)  # fmt: skip


class _Dtype:
    """The type of an array: `dtype("u1", 0, 1)`, then details of its byte order."""

    __slots__ = ("name",)

    def __init__(self, name: Any, align: Any = 0, copy: Any = 0):
        self.name = name

    def __setstate__(self, state: Any) -> None:
        """Ignore the byte order: only bytes are accepted."""


class _Array:
    """An array as NumPy stores it: `_reconstruct(ndarray, (0,), b"b")`, then its shape, type and bytes."""

    __slots__ = ("raw", "shape", "type")

    def __init__(self, kind: Any, shape: Any, letter: Any):
        if kind != _NDARRAY:
            raise pickle.UnpicklingError("an array of another class")
        self.shape, self.type, self.raw = shape, None, b""

    def __setstate__(self, state: Any) -> None:
        """Keep what is to be checked: no memory is taken for a shape."""
        _, self.shape, self.type, _, self.raw = state


_NAMES = {
    (f"numpy.{core}.multiarray", "_reconstruct"): _Array
    for core in ("core", "_core")
} | {("numpy", "ndarray"): _NDARRAY, ("numpy", "dtype"): _Dtype}  # fmt: skip


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Returns what stands for a function or class; raises UnpicklingError for any but NumPy's."""
        if (module, name) not in _NAMES:
            raise pickle.UnpicklingError(f"it would call {module}.{name}"[:80])
        return _NAMES[module, name]


def read(raw: bytes, where: str) -> dict[bytes, Any]:
    """Read the dictionary of a batch file, arrays of bytes as `np.ndarray`.

    Raises:
        UserError: it is not such a file, or holds anything but dictionaries, lists, numbers, texts and arrays of bytes.
    """
    try:
        _require_memory(raw)
        found = _Unpickler(io.BytesIO(raw), encoding="bytes").load()
        if not isinstance(found, dict):
            raise pickle.UnpicklingError("no dictionary")
        return {key: _array(value) if isinstance(value, _Array) else value for key, value in found.items()}
    except _FAULTS as error:
        reason = " ".join(str(error).split())[:100] or type(error).__name__
        raise UserError(f"{where} is no batch file of CIFAR ({reason}); nothing in it was run") from error


def images(batch: dict[bytes, Any], where: str) -> np.ndarray:
    """Images (N, 3, 32, 32) uint8 of a batch file; raises UserError if it has none."""
    data = batch.get(b"data")
    if not isinstance(data, np.ndarray) or data.ndim != 2 or data.shape[1] != PIXELS:
        raise UserError(f"{where}: b'data' is no array (N, {PIXELS}) of bytes; take the official file")
    return data.reshape(-1, *SHAPE)


def labels(batch: dict[bytes, Any], key: bytes, where: str) -> np.ndarray:
    """The list of labels `key`, (N,) int64, of a batch file; raises UserError if there is none."""
    found = batch.get(key)
    if not isinstance(found, list) or not all(type(each) is int and 0 <= each < 1 << 16 for each in found):
        raise UserError(f"{where}: {key!r} is no list of labels; take the official file")
    return np.array(found, dtype=np.int64)


def _require_memory(raw: bytes) -> None:
    """Raise if an instruction gives a length beyond the file, or a number of the memo that none before it leads to.

    The unpickler would take memory for either first.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd escapes in names
        for count, (instruction, argument, _) in enumerate(pickletools.genops(raw)):
            if instruction.name in ("PUT", "BINPUT", "LONG_BINPUT") and isinstance(argument, int) and argument > count:
                raise pickle.UnpicklingError("its memo has gaps")


def _array(stored: _Array) -> np.ndarray:
    raw = stored.raw
    if getattr(stored.type, "name", None) not in (b"u1", "u1") or not isinstance(raw, bytes):
        raise pickle.UnpicklingError("an array of something else than bytes")
    if not isinstance(stored.shape, tuple) or any(type(each) is not int or each < 0 for each in stored.shape):
        raise pickle.UnpicklingError("an array without a shape")
    return np.frombuffer(raw, np.uint8).reshape(stored.shape)
