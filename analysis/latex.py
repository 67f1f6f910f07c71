"""Tables and texts as LaTeX, for the templates."""

import re
import textwrap
from collections.abc import Sequence

from analysis.escapes import plain, tex
from analysis.tables.cells import Cells
from analysis.tables.columns import COUNT
from analysis.titles import title

WIDTH = 12  # letters of a line of a column's title
# Of a table of figures, in points: a letter and the space between two columns in 10 point type, and the most that may
# stand beside each other. A page of the class article has 345; smaller type than four fifths of it is not read.
LETTER, GAP, WIDEST = 4.6, 8, 430
MOST_LINES = 45  # of the strips of a table that are one below the other on a page
# Columns that say more of the metric before them.
_MORE = re.compile(r"published|95 %|p|test|predictions p|difference 95 %")
_MINUS = re.compile(r"(?<![\w.)])(?<!\{\})-(?=\d)")


def words(text: object) -> str:
    """`text` as LaTeX, with a minus before a negative figure; what stands between backticks is code."""
    parts = tex(text).split("`")
    if len(parts) % 2 == 0:  # a backtick of no pair
        parts[-2:] = ["`".join(parts[-2:])]
    return "".join(rf"\texttt{{{part}}}" if at % 2 else _MINUS.sub("$-$", part) for at, part in enumerate(parts))


def strips(cells: Cells) -> list[list[int]]:
    """Columns of a table of figures that fit beside each other: the leading ones each time, and the figures in turn.

    There are as few strips as can be, of widths that are alike. All columns of a metric are in one.
    """
    shown = _shown(cells)
    leading = [at for at in shown if at < len(cells.header) - cells.numeric]
    room = WIDEST - _points(cells, leading)
    metrics = _by_metric(cells, shown[len(leading) :])
    # The best strips of the metrics before each, by their number and then by the sum of their squared widths.
    best: list[tuple[int, float, list[list[int]]]] = [(0, 0.0, [])]
    for end in range(1, len(metrics) + 1):
        ways = []
        for start in range(end):
            count, squares, before = best[start]
            strip = [at for metric in metrics[start:end] for at in metric]
            width = _points(cells, strip)
            if width <= room or end - start == 1:
                ways.append((count + 1, squares + width**2, [*before, leading + strip]))
        best.append(min(ways))
    return best[-1][-1]


def is_tall(cells: Cells) -> bool:
    """Tells whether the strips of a table are too many for one page."""
    return len(strips(cells)) * (len(cells.lines) + 4) > MOST_LINES


def rows(cells: Cells, strip: Sequence[int] | None = None) -> list[str]:
    """The lines of a table, or of a strip of it, the best figures in bold."""
    return [
        " & ".join(_cell(texts[column], (line, column) in cells.best) for column in strip or _shown(cells))
        for line, texts in enumerate(cells.lines)
    ]


def heading(cells: Cells, strip: Sequence[int] | None = None) -> str:
    """The titles of a table's columns in words, in a strip of a table of figures in several short lines."""
    if not strip:
        return " & ".join(words(title(each)) for each in cells.header)
    # Beside its metric, "ours minus published" will do.
    metrics: dict[int, str] = {}
    for group in _by_metric(cells, strip):
        metric, *others = [at for at in group if cells.header[at] != COUNT] or group
        metrics |= dict.fromkeys(others, f"{title(cells.header[metric])}, ")
    titles = [title(cells.header[at]).removeprefix(metrics.get(at, "")) for at in strip]
    return " & ".join(_stacked(text, side) for text, side in zip(titles, _sides(cells, strip), strict=True))


def alignment(cells: Cells, strip: Sequence[int]) -> str:
    """The columns of a strip of a table of figures, to the left or to the right."""
    return "".join(_sides(cells, strip))


def remarks(cells: Cells) -> list[str]:
    """Footnotes on what is bold, and on the columns that paper does without."""
    bold = ["In bold: the best of a column."] if cells.best else []
    hidden = ", ".join(title(cells.header[at]) for at in sorted(cells.follows))
    return bold + ([f"Not shown, since they follow from the row: {hidden}."] if hidden else [])


def _sides(cells: Cells, strip: Sequence[int]) -> list[str]:
    return ["l" if at < len(cells.header) - cells.numeric else "r" for at in strip]


def _by_metric(cells: Cells, columns: Sequence[int]) -> list[list[int]]:
    """Columns, those of a metric together; the number of runs is with the metric after it."""
    metrics: list[list[int]] = []
    metric = ""
    for at in columns:
        name = cells.header[at]
        if metrics and (_MORE.fullmatch(name) or name.startswith((f"{metric}.", f"{metric} ")) or metric == COUNT):
            metrics[-1].append(at)
            metric = name if metric == COUNT else metric
        else:
            metrics.append([at])
            metric = name
    return metrics


def _points(cells: Cells, columns: Sequence[int]) -> float:
    """The width of columns beside each other, about."""
    texts = [[*_lines(title(cells.header[at])), *(line[at] for line in cells.lines)] for at in columns]
    return sum(LETTER * max(map(len, column)) + GAP for column in texts)


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
    lines = _lines(text)
    if len(lines) < 2:
        return words(text)
    stack = r"\\".join(map(words, lines))
    return rf"\begin{{tabular}}[b]{{@{{}}{side}@{{}}}}{stack}\end{{tabular}}"


def _lines(text: str) -> list[str]:
    """A column's title in short lines."""
    return textwrap.wrap(plain(text), WIDTH, break_long_words=False, break_on_hyphens=False)
