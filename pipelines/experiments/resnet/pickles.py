"""What a pickle would call if it were loaded, read from its instructions without running any of them."""

import io
import pickletools
import re
import struct
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import PurePosixPath

LONGEST = 1 << 23  # bytes of instructions that are looked at; a ResNet's are below 1 << 16
STREAMS = 5  # pickles in a row that torch.save's older format begins with

# What torch.save writes of tensors and their containers. For messages only: torch decides for itself what it runs.
_TENSORS = re.compile(
    r"collections\.(OrderedDict|defaultdict|Counter)|_codecs\.encode|__builtin__\.(set|bytearray)|builtins\.(set|bytearray)"
    r"|torch\.(\w*Storage|Size|device|bool|Tensor|b?float\w*|u?int\d+|complex\d+|q\w*int\d+\w*)|torch\.storage\.\w+"
    r"|torch\.nn\.parameter\.(Parameter|Buffer)|torch\._utils\._rebuild_\w+|torch\._tensor\._rebuild_\w+"
    r"|torch\.serialization\._get_layout"
)


def foreign_names(raw: bytes) -> list[str]:
    """Dotted names of the functions and classes that a file of torch.save or pickle calls for besides tensors.

    Each once, sorted, as far as the file can be read. It may hide them: that none is found proves nothing.

    Args:
        raw: the file; of a zip archive, one whose checksums hold.
    """
    found = set()
    with suppress(ValueError, LookupError, OverflowError, struct.error):  # the rest of it is no pickle
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
    """What the instructions of the pickles that `stream` begins with look up, in their order."""
    for _ in range(STREAMS):
        texts: list[str] = []  # pushed so far
        memo: dict[int, str] = {}
        newest = ""  # the text that lies on top, if it is one
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
