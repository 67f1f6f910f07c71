"""Text of a table: its encoding is found out while it is read, in blocks of whole lines."""

import codecs
import hashlib
import io
from collections.abc import Iterator
from typing import IO

from pipelines.common.archives import UNREADABLE
from pipelines.data.energy.reader.faults import quoted
from pipelines.data.energy.reader.sources import MAX_BYTES
from pipelines.errors import UserError

BLOCK_BYTES = 1 << 22
MAX_LINE = 1 << 20  # characters

_UTF16 = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_WINDOWS = "Windows-1252, the larger form of Latin-1"


class Text:
    """A stream of bytes, read once as text.

    It is UTF-8, or UTF-16 with a mark at its start or Latin letters; or, where a byte cannot be UTF-8, Windows-1252.

    Attributes:
        encoding: as found so far.
    """

    def __init__(self, stream: IO[bytes], where: str):
        self.encoding = ""
        self._stream, self._where = stream, where
        self._digest = hashlib.sha256()
        self._decoder: codecs.IncrementalDecoder | None = None  # none as long as the text is UTF-8
        self._pending, self._plain = b"", True
        self._line = 1  # of the first character that was not given out yet

    @property
    def digest(self) -> str:
        """SHA-256, hexadecimal, of the bytes read so far."""
        return self._digest.hexdigest()

    def blocks(self) -> Iterator[tuple[int, str]]:
        r"""Yield consecutive blocks of whole lines, which end in \n, each with the number of its first line.

        Raises:
            UserError: no text, too long, or packed and broken.
        """
        newlines = io.IncrementalNewlineDecoder(None, translate=True)
        rest, size = "", 0
        while data := self._read():
            self._digest.update(data)
            size += len(data)
            if size > MAX_BYTES:
                raise UserError(f"{self._where} is larger than {MAX_BYTES >> 30} GiB; give it in parts")
            rest += newlines.decode(self._decode(data, final=False))
            whole, newline, rest = rest.rpartition("\n")
            if len(rest) > MAX_LINE:
                raise UserError(f"{self._where} has lines of more than {MAX_LINE:,} characters, so it is no table")
            if newline:
                yield self._block(whole + newline)
        rest += newlines.decode(self._decode(b"", final=True), final=True)
        if rest:
            yield self._block(rest if rest.endswith("\n") else rest + "\n")

    def _read(self) -> bytes:
        try:
            return self._stream.read(BLOCK_BYTES)
        except UNREADABLE as error:
            raise UserError(f"{self._where} cannot be unpacked ({error}); fetch it again") from error

    def _block(self, text: str) -> tuple[int, str]:
        first = self._line
        self._line += text.count("\n")
        if "\0" in text:
            line = first + text.count("\n", 0, text.index("\0"))
            raise UserError(f"{self._where}, line {line}: a zero byte, so it is no table in text; save it as CSV")
        return first, text

    def _decode(self, data: bytes, final: bool) -> str:
        if not self.encoding:
            data = self._begin(data)
        if self._decoder is None:
            data, self._pending = self._pending + data, b""
            try:
                text, used = codecs.utf_8_decode(data, "strict", final)
            except UnicodeDecodeError as error:
                if not (self._plain and data[: error.start].isascii()):
                    raise self._mixed(data, error.start) from error
                self._decoder, self.encoding = codecs.getincrementaldecoder("cp1252")(), _WINDOWS
            else:
                self._plain = self._plain and text.isascii()
                self._pending = data[used:]
                return text
        try:
            return self._decoder.decode(data, final)
        except UnicodeDecodeError as error:
            raise UserError(
                f"{self._where}: byte 0x{error.object[error.start]:02x} is not {self.encoding}, so it is no table in "
                "text, or a damaged one; save it as UTF-8"
            ) from error

    def _begin(self, data: bytes) -> bytes:
        """Find out the encoding by the first bytes; returns them without its mark."""
        self.encoding = "UTF-8"
        if data.startswith(codecs.BOM_UTF8):
            return data.removeprefix(codecs.BOM_UTF8)
        for mark, codec in _UTF16.items():
            # Without the mark: every other byte of digits is zero.
            zeros = data[1:1000:2] if codec == "utf-16-le" else data[:1000:2]
            if data.startswith(mark) or zeros.count(0) > 0.9 * len(zeros) > 0:
                self._decoder, self.encoding = codecs.getincrementaldecoder(codec)(), "UTF-16"
                return data.removeprefix(mark)
        return data

    def _mixed(self, data: bytes, start: int) -> UserError:
        line = self._line + data.count(b"\n", 0, start)
        beside = data[max(0, start - 10) : start + 10].decode("utf-8", "replace")
        return UserError(
            f"{self._where}, line {line}: byte 0x{data[start]:02x} is not UTF-8, in {quoted(beside)}, and others "
            "are; save the file as UTF-8"
        )
