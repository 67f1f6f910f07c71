"""Tables for people to read: drawn with rich, for the width that there is, in one style for both halves.

Importing this module imports nothing slow.
"""

import io
import itertools
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import IO, TYPE_CHECKING, NamedTuple

from pipelines.common import streams

if TYPE_CHECKING:
    from rich.console import Group
    from rich.text import Text

UNBOUNDED = 10_000  # columns of what no terminal receives: all that anybody may have to show
GAP = 2  # columns between two columns of a table
NAMED = 12  # of the columns left out, how many are named at most
MARK = "* "  # before a line that has the best figure

# Within a word a line may end after an underscore, a hyphen or a slash, or after a full stop in a dotted name.
_PARTS = re.compile(r"(?<=\w[_/-])(?=\w)|(?<=[A-Za-z]\.)(?=[A-Za-z])")
# Spaces at which a line ends: a figure, its deviation and what is in brackets after it stay together.
_SPACES = re.compile(r"(?<!±)\s+(?!±|\()")
# A figure's whole number and decimals, those of its deviation, and what follows; each is padded on one side.
_FIGURE = re.compile(r"([+-]?[\d,]+)(\.\d+)?( ± )?((?<=± )[\d,]+)?((?<=\d)\.\d+)?(.*)")
_PADS = (str.rjust, str.ljust, str.ljust, str.rjust, str.ljust, str.ljust)


class Emphasis(Enum):
    """How a cell stands out; the values are rich's styles."""

    NONE = ""
    BEST = "bold"
    DIM = "dim"
    BETTER = "green"
    WORSE = "red"


class Align(Enum):
    """How the cells of a column stand below each other; DECIMAL is for figures such as ``0.23`` and ``12.1 ± 0.3``."""

    LEFT = "left"
    RIGHT = "right"
    DECIMAL = "decimal"


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        title: broken into lines where that saves width, after a word or its parts.
        align: of the cells; the title of figures stands to the right.
        rank: 0 for a column that is always shown. Of the others, where the width does not suffice, first those whose
            cells are all alike give way, then the one of the highest rank, and of one rank the last.
        wraps: whether cells are broken into lines before another column gives way.
    """

    title: str
    align: Align = Align.LEFT
    rank: int = 0
    wraps: bool = False


@dataclass(frozen=True)
class Cell:
    """A text of visible characters in one line, and how it stands out; a line that has the BEST is marked besides."""

    text: str
    emphasis: Emphasis = Emphasis.NONE


@dataclass(frozen=True)
class Table:
    """A table for people to read.

    Attributes:
        columns: from left to right.
        lines: from top to bottom, each a cell for each column.
        title: above the table.
        notes: below it.
        elsewhere: what shows the columns that are left out, such as ``a wider terminal or --format markdown``.
    """

    columns: Sequence[Column]
    lines: Sequence[Sequence[Cell]]
    title: str = ""
    notes: Sequence[str] = ()
    elsewhere: str = "a wider terminal"


@dataclass(frozen=True)
class Screen:
    """What text is shown on: its width in columns, and whether it has bold and dim letters, and colours."""

    width: int = UNBOUNDED
    styled: bool = False
    coloured: bool = False


def screen(stream: IO[str] | None = None) -> Screen:
    """Returns what `stream`, by default standard output, can show: NO_COLOR, FORCE_COLOR and TERM count too, and of a
    terminal COLUMNS; what is none is UNBOUNDED columns wide."""
    from rich.console import Console

    console = Console(file=stream or sys.stdout)
    styled = console.is_terminal and not console.is_dumb_terminal
    return Screen(console.width if console.file.isatty() else UNBOUNDED, styled, styled and not console.no_color)


def draw(tables: Iterable[Table], screen: Screen) -> str:
    """The tables as text, the last line ended, with an empty line between two tables."""
    from rich.console import Console

    def text(table: Table) -> str:
        # Of a console that has a height too, rich asks neither a terminal nor the environment for a size.
        console = Console(
            file=io.StringIO(),
            width=screen.width,
            height=1,
            force_terminal=screen.styled,
            color_system="standard" if screen.styled else None,
            no_color=not screen.coloured,
            legacy_windows=False,
        )
        with console.capture() as captured:
            console.print(drawn(table, screen.width))
        return "".join(f"{line.rstrip()}\n" for line in captured.get().splitlines())

    return "\n".join(map(text, tables))


def drawn(table: Table, width: int) -> "Group":
    """The table, its title and its notes, for rich to show on a console of `width` columns."""
    from rich.box import SIMPLE_HEAD, Box
    from rich.console import Group
    from rich.table import Table as Grid
    from rich.text import Text

    best = [any(cell.emphasis is Emphasis.BEST for cell in line) for line in table.lines]
    gutter = len(MARK) if any(best) else 0
    layout = _layout(table, width - gutter)
    plain = Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)
    grid = Grid(
        box=SIMPLE_HEAD if streams.can_print("─") else plain,
        show_edge=False,
        pad_edge=False,
        padding=(0, GAP - 1, 0, 0),
        header_style="bold",
    )
    indents = {at: " " * gutter if at == min(layout.shown) else "" for at in layout.shown}
    for at, room in layout.shown.items():
        column = layout.texts[at].column
        title = _filled(_title(column.title, room), room, column.align, indents[at])
        grid.add_column(Text(title), width=room + len(indents[at]), no_wrap=True)
    lines = []
    for number in range(len(table.lines)):
        filled = {
            at: _filled(wrapped(layout.texts[at].cells[number], room), room, layout.texts[at].column.align, indents[at])
            for at, room in layout.shown.items()
        }
        if best[number]:
            filled[min(layout.shown)] = MARK + filled[min(layout.shown)].removeprefix(" " * gutter)
        lines.append(filled)
    # An empty line sets apart what takes several from what stands above and below it.
    tall = [any("\n" in text for text in filled.values()) for filled in lines]
    gaps = ["\n" if any(pair) else "" for pair in itertools.pairwise(tall)] + [""]
    for filled, line, gap in zip(lines, table.lines, gaps, strict=False):
        grid.add_row(*(Text(text + gap, line[at].emphasis.value) for at, text in filled.items()))
    heading = [_paragraph(table.title, width, "bold")] if table.title else []
    notes = [*_left_out(table, layout), *table.notes]
    return Group(*heading, *([grid] if layout.shown else []), *(_paragraph(note, width, "dim", "- ") for note in notes))


def wrapped(text: str, width: int) -> list[str]:
    """`text` in lines of at most `width` columns, broken at _SPACES, or at others where it must be; a longer word after
    its parts, see _PARTS, and a part that is longer still anywhere."""
    from rich.cells import cell_len, chop_cells

    if cell_len(text) <= width:
        return [text]
    lines: list[str] = []
    groups = ([group] if cell_len(group) <= width else group.split() for group in _SPACES.split(text.strip()))
    for word in (word for group in groups for word in group):
        whole = cell_len(word) <= width
        parts = [word] if whole else [each for part in _PARTS.split(word) for each in chop_cells(part, width)]
        for number, part in enumerate(parts):
            longer = f"{lines[-1]}{'' if number else ' '}{part}" if lines else part
            if lines and cell_len(longer) <= width:
                lines[-1] = longer
            else:
                lines.append(part)
    return lines


class _Texts(NamedTuple):
    """A column's texts and its widths: all in one line, each cell in one line, what it needs to be shown, the least."""

    column: Column
    cells: Sequence[str]
    natural: int
    unbroken: int
    least: int
    smallest: int

    @classmethod
    def of(cls, column: Column, cells: Sequence[str]) -> "_Texts":
        from rich.cells import cell_len

        aligned = _aligned(cells) if column.align is Align.DECIMAL else cells
        title, longest = _longest_part(column.title), max(map(cell_len, aligned), default=0)
        smallest = max([title, *map(_longest_part, aligned)])
        natural, unbroken = max(cell_len(column.title), longest), max(title, longest)
        return cls(column, aligned, natural, unbroken, smallest if column.wraps else unbroken, smallest)

    @property
    def alike(self) -> bool:
        """Whether it says the same of several lines."""
        return len(self.cells) > 1 and len(set(self.cells)) == 1


class _Layout(NamedTuple):
    """Columns by number: the texts of all, the widths of those shown, those whose cells are alike, those left out."""

    texts: Sequence[_Texts]
    shown: dict[int, int]
    alike: Sequence[int]
    left_out: Sequence[int]


def _layout(table: Table, width: int) -> _Layout:
    """What is shown on `width` columns."""
    cells = [[line[at].text for line in table.lines] for at in range(len(table.columns))]
    roomy = [_Texts.of(column, own) for column, own in zip(table.columns, cells, strict=True)]
    # Figures of columns that may give way rather give up the order of their decimal points.
    tight = [
        _Texts.of(replace(column, align=Align.RIGHT), own) if column.rank and column.align is Align.DECIMAL else texts
        for column, own, texts in zip(table.columns, cells, roomy, strict=True)
    ]
    shown = list(range(len(table.columns)))
    alike: list[int] = []
    left_out: list[int] = []

    def room() -> int:
        return width - GAP * (len(shown) - 1)

    def is_too_narrow(texts: Sequence[_Texts]) -> bool:
        return sum(texts[at].least for at in shown) > room()

    if is_too_narrow(roomy):
        alike = [at for at in shown if table.columns[at].rank and roomy[at].alike]
        shown = [at for at in shown if at not in alike]
    while is_too_narrow(tight) and (giving := [at for at in shown if table.columns[at].rank]):
        left_out.append(max(giving, key=lambda at: (table.columns[at].rank, at)))
        shown.remove(left_out[-1])
    texts = tight if is_too_narrow(roomy) else roomy
    return _Layout(texts, _widths({at: texts[at] for at in shown}, room()), alike, sorted(left_out))


def _widths(texts: Mapping[int, _Texts], room: int) -> dict[int, int]:
    """Widths of columns that together have `room`: the widest loses first, none more than its texts need unless all
    have come to that."""
    widths = {at: own.natural for at, own in texts.items()}
    floors = (
        {at: own.unbroken for at, own in texts.items()},
        {at: own.least for at, own in texts.items()},
        {at: own.smallest for at, own in texts.items()},
        dict.fromkeys(texts, 1),
    )
    for floor in floors:
        while sum(widths.values()) > room and (wide := [at for at in texts if widths[at] > floor[at]]):
            widths[max(wide, key=widths.__getitem__)] -= 1
    return {at: _reach(own, widths[at]) for at, own in texts.items()}


def _reach(texts: _Texts, width: int) -> int:
    """Columns that the texts take once they are wrapped at `width`."""
    from rich.cells import cell_len

    lines = [_title(texts.column.title, width), *(wrapped(cell, width) for cell in texts.cells)]
    return max(cell_len(line) for text in lines for line in text)


def _title(text: str, width: int) -> list[str]:
    """`text` in as few lines as `width` allows, between words if that is possible, and as narrow as then may be."""
    ways = [wrapped(text, each) for each in range(min(width, _longest_part(text)), width + 1)]
    return min(ways, key=lambda lines: (len(lines), " ".join(lines) != text))


def _longest_part(text: str) -> int:
    from rich.cells import cell_len

    return max((cell_len(part) for word in text.split() for part in _PARTS.split(word)), default=0)


def _aligned(cells: Sequence[str]) -> list[str]:
    """Figures padded so that their decimal points stand below each other, and those of their deviations; what is no
    figure ends where the whole numbers do, or where the column does if it is longer."""
    found = [_FIGURE.fullmatch(cell) for cell in cells]
    figures = [match.groups(default="") for match in found if match]
    widths = [max(map(len, parts)) for parts in zip(*figures, strict=True)] or [0]
    padded = []
    for cell, match in zip(cells, found, strict=True):
        parts = match.groups(default="") if match else (cell,)
        line = "".join(pad(part, width) for pad, part, width in zip(_PADS, parts, widths, strict=False))
        padded.append(line.ljust(sum(widths)) if match or len(cell) <= widths[0] else line.rjust(sum(widths)))
    return padded


def _filled(lines: Sequence[str], width: int, align: Align, indent: str) -> str:
    """Lines padded to `width`, after `indent`; those of DECIMAL cells are padded on the right already."""
    from rich.cells import cell_len

    pads = [" " * (width - cell_len(line)) for line in lines]
    left = align is Align.LEFT
    return "\n".join(indent + (line + pad if left else pad + line) for line, pad in zip(lines, pads, strict=True))


def _paragraph(text: str, width: int, style: str, mark: str = "") -> "Text":
    from rich.text import Text

    return Text(mark + f"\n{' ' * len(mark)}".join(wrapped(text, max(width - len(mark), 1))), style)


def _left_out(table: Table, layout: _Layout) -> list[str]:
    """Notes on the columns that are not shown."""
    alike = ", ".join(f"{table.columns[at].title} {table.lines[0][at].text}" for at in layout.alike)
    titles = [table.columns[at].title for at in layout.left_out]
    more = [f"{len(titles) - NAMED} more"] if len(titles) > NAMED else []
    left_out = ", ".join([*titles[:NAMED], *more])
    notes = [f"All lines: {alike}."] if alike else []
    return [*notes, f"Not shown at this width: {left_out}. To see them: {table.elsewhere}."] if left_out else notes
