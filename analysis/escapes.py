"""Escaping of names for formats that would interpret them: each function is for one format."""

import csv
import re
import unicodedata
from collections.abc import Iterable
from typing import IO

# Categories of invisible characters, and of those that change the direction of text; except those that join letters.
_UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_JOINERS = "\u200c\u200d"

# What CommonMark or GitHub takes for code, emphasis, links, images, formulas, HTML and entities.
_MARKDOWN = re.compile(r"[\\`*\[\]$]|<(?=[A-Za-z/!?])|&(?=#?\w+;)|~(?=~)|(?<![^\W_])_|_(?![^\W_])")
_CODE = re.compile(r"(?<!`)`[^`]+`(?!`)")

# TeX's own characters, and those of our notes that pdflatex has no input for. Brackets and asterisks because of what
# they do after the end of a table's line.
_TEX = (
    {character: rf"\{character}" for character in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "|": r"\textbar{}"}
    | {character: f"{{{character}}}" for character in "[]*"}
    | {
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "Σ": r"$\Sigma$",
        "σ": r"$\sigma$",
        "β": r"$\beta$",
        "γ": r"$\gamma$",
        "±": r"$\pm$",
        "−": "$-$",
    }
    | {"×": r"$\times$", "≤": r"$\leq$", "≥": r"$\geq$", "∞": r"$\infty$", "→": r"$\rightarrow$", "′": "$'$"}
)
_TYPESET = "–—…“”‘’·•€"  # beyond Latin letters

_FORMULA = tuple("=+-@\t\r＝＋－＠")
_NUMBER = re.compile(r"[+-]?((\d+\.?\d*|\.\d+)(e[+-]?\d+)?|nan|inf(inity)?)", re.IGNORECASE)


def plain(text: object) -> str:
    """`text` in one line, what cannot be seen in it written as an escape such as ``\\x1b``."""
    line = " ".join(str(text).split())
    return "".join(
        each.encode("unicode_escape").decode()
        if unicodedata.category(each) in _UNSEEN and each not in _JOINERS
        else each
        for each in line
    )


def markdown(text: object) -> str:
    """`text` as markdown shows it literally, in a line; in a cell of a table its bars are to be escaped besides."""
    return _escaped(plain(text))


def prose(text: object) -> str:
    """As `markdown`, but for what stands between single backticks: that is code, which nothing in it can end."""
    line, parts, end = plain(text), [], 0
    for found in _CODE.finditer(line):
        parts += [_escaped(line[end : found.start()]), found[0]]
        end = found.end()
    return "".join([*parts, _escaped(line[end:])])


def code(text: object) -> str:
    """`text` as code in markdown, between more backticks than it has side by side."""
    line = plain(text)
    fence = "`" * (1 + max(map(len, re.findall("`+", line)), default=0))
    return f"{fence}{line}{fence}" if len(fence) == 1 else f"{fence} {line} {fence}"


def tex(text: object) -> str:
    """`text` as pdflatex prints it literally; a question mark for what its fonts do not have."""
    known = (_TEX.get(each) or (each if ord(each) < 0x180 or each in _TYPESET else "?") for each in plain(text))
    return "".join(known).replace("--", "-{}-")


def cell(value: object) -> object:
    """A value as a cell of CSV: text that a spreadsheet would compute stands after an apostrophe."""
    if isinstance(value, str) and value.startswith(_FORMULA) and not _NUMBER.fullmatch(value):
        return f"'{value}"
    return value


class Csv:
    """Writes lines of CSV to `file`; text that a spreadsheet would compute, see `cell`, also in the header."""

    def __init__(self, file: IO[str]):
        self._file = file
        # Only what is in the writer's own line end is sure to be quoted.
        self._writer = csv.writer(self, lineterminator="\r\n")

    def line(self, values: Iterable[object]) -> None:
        """Writes a line."""
        self._writer.writerow(map(cell, values))

    def write(self, line: str) -> None:
        """Takes a line from the writer."""
        self._file.write(line.removesuffix("\r\n") + "\n")


def _escaped(line: str) -> str:
    return _MARKDOWN.sub(r"\\\g<0>", line)
