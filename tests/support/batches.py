"""Batch files of CIFAR's Python versions, written as Python 2 and NumPy 1 wrote them."""

import struct
from pathlib import Path

import numpy as np


def python2_pickle(value: object) -> bytes:
    """The pickle of protocol 2 that Python 2 makes of dictionaries, lists, numbers, texts and arrays of bytes."""
    return b"\x80\x02" + b"".join(_parts(value, [0])) + b"."


def _parts(value, memo):
    if isinstance(value, bytes):
        yield (b"U" + bytes([len(value)]) if len(value) < 256 else b"T" + struct.pack("<i", len(value))) + value
        yield _put(memo)
    elif isinstance(value, int):
        yield b"K" + bytes([value]) if 0 <= value < 256 else b"J" + struct.pack("<i", value)
    elif isinstance(value, dict):
        yield b"}" + _put(memo) + b"("
        for key, item in value.items():
            yield from _parts(key, memo)
            yield from _parts(item, memo)
        yield b"u"
    elif isinstance(value, list):
        yield b"]" + _put(memo)
        for start in range(0, len(value), 1000):
            yield b"("
            for item in value[start : start + 1000]:
                yield from _parts(item, memo)
            yield b"e"
    elif isinstance(value, np.ndarray):
        assert value.dtype == np.uint8
        yield b"cnumpy.core.multiarray\n_reconstruct\n" + _put(memo) + b"cnumpy\nndarray\n" + _put(memo)
        yield b"K\x00\x85" + _put(memo) + b"U\x01b\x87" + _put(memo) + b"R" + _put(memo)
        yield b"(K\x01" + b"".join(part for side in value.shape for part in _parts(side, memo))
        yield {1: b"\x85", 2: b"\x86"}[value.ndim] + _put(memo)
        yield b"cnumpy\ndtype\n" + _put(memo) + b"U\x02u1K\x00K\x01\x87" + _put(memo) + b"R" + _put(memo)
        yield b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t" + _put(memo) + b"b\x89"
        yield from _parts(value.tobytes(), memo)
        yield b"t" + _put(memo) + b"b"
    else:
        raise TypeError(value)


def _put(memo):
    memo[0] += 1
    return b"q" + bytes([memo[0]]) if memo[0] < 256 else b"r" + struct.pack("<i", memo[0])


def batch(labels: np.ndarray, images: np.ndarray) -> bytes:
    """A batch file of CIFAR-10's Python version."""
    data = images.reshape(len(images), -1)
    names = [b"name_s_%06d.png" % number for number in range(len(images))]
    fields = {b"batch_label": b"training batch 1 of 5", b"labels": labels.tolist(), b"data": data, b"filenames": names}
    return python2_pickle(fields)


def python_version(binary: Path, folder: Path) -> Path:
    """Writes a folder of the binary version again, as the Python version, as torchvision unpacks it."""
    folder = folder / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    for path in binary.glob("*.bin"):
        records = np.fromfile(path, np.uint8).reshape(-1, 3073)
        (folder / path.stem).write_bytes(batch(records[:, 0], records[:, 1:]))
    (folder / "batches.meta").write_bytes(
        python2_pickle({b"num_cases_per_batch": 10000, b"label_names": [b"airplane"]})
    )
    return folder
