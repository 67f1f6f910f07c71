"""Tables and texts as LaTeX, for the templates."""

import re
import textwrap
from collections.abc import Sequence

from analysis.escapes import plain, tex
from analysis.tables.cells import Cells
from analysis.titles import title

WIDTH = 12  # letters of a line of a column's title
_MINUS = re.compile(r"(?<![\w.)])(?<!\{\})-(?=\d)")


def words(text: object) -> str:
    """`text` as LaTeX, with a minus before a negative figure; what stands between backticks is code."""
    parts = tex(text).split("`")
    if len(parts) % 2 == 0:  # a backtick of no pair
        parts[-2:] = ["`".join(parts[-2:])]
    return "".join(rf"\texttt{{{part}}}" if at % 2 else _MINUS.sub("$-$", part) for at, part in enumerate(parts))


def rows(cells: Cells) -> list[str]:
    """The lines of a table, the best figures in bold."""
    return [
        " & ".join(_cell(texts[column], (line, column) in cells.best) for column in _shown(cells))
        for line, texts in enumerate(cells.lines)
    ]


def heading(cells: Cells) -> str:
    """The titles of a table's columns in words, in a table of figures in several short lines."""
    if not cells.numeric:
        return " & ".join(words(title(each)) for each in cells.header)
    leading = len(cells.header) - cells.numeric
    return " & ".join(_stacked(title(cells.header[at]), "l" if at < leading else "r") for at in _shown(cells))


def alignment(cells: Cells) -> str:
    """The columns of a table of figures, to the left or to the right."""
    leading = len(cells.header) - cells.numeric
    return "".join("l" if at < leading else "r" for at in _shown(cells))


def remarks(cells: Cells) -> list[str]:
    """Footnotes on what is bold, and on the columns that paper does without."""
    bold = ["In bold: the best of a column."] if cells.best else []
    hidden = ", ".join(title(cells.header[at]) for at in sorted(cells.follows))
    return bold + ([f"Not shown, since they follow from the row: {hidden}."] if hidden else [])


def _shown(cells: Cells) -> list[int]:
    return [at for at in range(len(cells.header)) if at not in cells.follows]


class Labels:
    """Makes labels, each of which a document has once."""

    def __init__(self) -> None:
        self._given: set[str] = set()

    def __call__(self, kind: str, name: str) -> str:
        """The label of a thing of this kind: ``tab``, ``fig`` or ``sec``."""
        slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60].strip("-")
        label, number = f"{kind}:{slug}", 1
        while label in self._given:
            number += 1
            label = f"{kind}:{slug}-{number}"
        self._given.add(label)
        return label


def _cell(text: str, is_best: bool) -> str:
    return rf"\textbf{{{words(text)}}}" if is_best else words(text)


def _stacked(text: str, side: str) -> str:
    lines: Sequence[str] = textwrap.wrap(plain(text), WIDTH, break_long_words=False, break_on_hyphens=False)
    if len(lines) < 2:
        return words(text)
    stack = r"\\".join(map(words, lines))
    return rf"\begin{{tabular}}[b]{{@{{}}{side}@{{}}}}{stack}\end{{tabular}}"
