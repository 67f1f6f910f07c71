"""Functions and classes that a pickle would call if it were loaded, read from its opcodes without running them."""

import io
import pickletools
import re
import struct
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import PurePosixPath

LONGEST = 1 << 23  # bytes of opcodes that are read at most; those of a ResNet are less than 1 << 16
STREAMS = 5  # number of pickles at the beginning of a file of torch.save's older format

# Names that torch.save writes for tensors and their containers. For messages only: torch itself decides what it runs.
_TENSORS = re.compile(
    r"collections\.(OrderedDict|defaultdict|Counter)|_codecs\.encode|__builtin__\.(set|bytearray)|builtins\.(set|bytearray)"
    r"|torch\.(\w*Storage|Size|device|bool|Tensor|b?float\w*|u?int\d+|complex\d+|q\w*int\d+\w*)|torch\.storage\.\w+"
    r"|torch\.nn\.parameter\.(Parameter|Buffer)|torch\._utils\._rebuild_\w+|torch\._tensor\._rebuild_\w+"
    r"|torch\.serialization\._get_layout"
)


def foreign_names(raw: bytes) -> list[str]:
    """Find the functions and classes other than those of tensors that a file of torch.save or pickle names.

    A file can hide them, so an empty result does not prove that it is safe.

    Args:
        raw: content of the file; if it is a zip archive, its checksums must have been verified.

    Returns:
        Dotted names, each once, sorted, as far as the file can be read.
    """
    found = set()
    with suppress(ValueError, LookupError, OverflowError, struct.error):  # the rest of the file is not a pickle
        for name in _names(io.BytesIO(_instructions(raw))):
            found.add(name)
    return sorted(name for name in found if not _TENSORS.fullmatch(name))


def _instructions(raw: bytes) -> bytes:
    if not raw.startswith(b"PK"):
        return raw[:LONGEST]
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        for name in archive.namelist():
            if PurePosixPath(name).name == "data.pkl":
                with archive.open(name) as stream:
                    return stream.read(LONGEST)
    return b""


def _names(stream: io.BytesIO) -> Iterator[str]:
    """Names that the pickles at the beginning of `stream` look up, in the order of their opcodes."""
    for _ in range(STREAMS):
        texts: list[str] = []  # texts pushed so far
        memo: dict[int, str] = {}
        newest = ""  # top of the stack, if it is a text
        for instruction, argument, _ in pickletools.genops(stream):
            name = instruction.name
            if name in ("GLOBAL", "INST") and isinstance(argument, str):
                yield argument.replace(" ", ".", 1)
            elif name == "STACK_GLOBAL":
                yield ".".join(texts[-2:])
            if name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
                memo[len(memo) if argument is None else argument] = newest
                continue
            if "UNICODE" in name and isinstance(argument, str):
                newest = argument
            else:
                newest = memo.get(argument, "") if "GET" in name and isinstance(argument, int) else ""
            if newest:
                texts.append(newest)
