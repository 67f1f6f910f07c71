"""Comparison tables as a terminal shows them: the main metric first, the best line marked, differences coloured."""

from analysis.escapes import plain
from analysis.stats import MISSING, number
from analysis.tables.best import best, sentence
from analysis.tables.cells import Figures, Kind, Line, figures, settings
from analysis.tables.columns import COUNT
from analysis.tables.table import Table
from pipelines import names
from pipelines.common.screen import MARK, Align, Cell, Column, Emphasis
from pipelines.common.screen import Table as Drawn

ELSEWHERE = "a wider terminal, fewer --metrics, or --format markdown"

# How soon a column gives way where the terminal is narrow, the highest first.
NEEDED, COMPARED, TIME, SETTING, TEST, FURTHER, INTERVAL, THEIRS = range(1, 9)

# Of the columns of the main metric.
_RANKS = {
    Kind.OURS: 0,
    Kind.INTERVAL: INTERVAL,
    Kind.PUBLISHED: COMPARED,
    Kind.DIFFERENCE: COMPARED,
    Kind.AGAINST: NEEDED,
    Kind.PROBABILITY: NEEDED,
    Kind.METHOD: TEST,
    Kind.REACH: INTERVAL,
    Kind.PREDICTIONS: NEEDED,
}
_GAPS = (Kind.DIFFERENCE, Kind.AGAINST)
_TEXTS = (Kind.INTERVAL, Kind.METHOD, Kind.PROBABILITY, Kind.REACH, Kind.PREDICTIONS)


def drawn(table: Table) -> Drawn:
    """The table for a screen: its settings, the main metric with all that is said of it, then the other metrics."""
    main = [column for column in figures(table) if column.metric == table.view.main]
    others = [column for column in figures(table) if column.metric != table.view.main]
    others.sort(key=lambda column: table.view.metrics.index(column.metric))
    ours, said = main[:1], main[1:]
    first = names.ROW if names.ROW in table.shown else next(iter(table.shown), "")
    ranks = {label: NEEDED if label in table.needed else SETTING for label in table.shown} | {first: 0}
    columns = [
        *(Column(plain(label), rank=ranks[label], wraps=label != first) for label in table.shown),
        *(_column(table, column) for column in ours),
        Column(COUNT, Align.RIGHT, COMPARED),
        *(_column(table, column) for column in (*said, *others)),
    ]
    leading = best(table, table.view.main) if table.view.main else ()
    lines = []
    for at, line in enumerate(table.lines.to_dict("records")):
        own = Emphasis.BEST if at in leading else Emphasis.NONE
        told = zip(table.shown, settings(table, line), strict=True)
        lines.append(
            [
                *(Cell(plain(text), own if label == first else Emphasis.NONE) for label, text in told),
                *(Cell(column.text(line), own) for column in ours),
                Cell(str(line[COUNT])),
                *(_cell(table, column, line) for column in (*said, *others)),
            ]
        )
    notes = [plain(note) for note in table.notes]
    if leading:
        kind = "lowest" if table.view.lowest else "highest"
        notes.insert(0, f"{MARK.strip()}: the {kind} {plain(table.view.main)}{sentence(table)}.")
    return Drawn(columns, lines, plain(table.title), notes, ELSEWHERE)


def _column(table: Table, column: Figures) -> Column:
    align = (
        Align.RIGHT
        if column.kind in (Kind.INTERVAL, Kind.METHOD, Kind.PROBABILITY, Kind.REACH, Kind.PREDICTIONS)
        else Align.DECIMAL
    )
    if column.metric == table.view.main:
        return Column(plain(_title(table, column)), align, _RANKS[column.kind])
    if column.kind is Kind.PUBLISHED:
        return Column(plain(f"{column.metric} published"), align, THEIRS)
    return Column(plain(column.title), align, TIME if column.metric == names.TRAINING_TIME else FURTHER)


def _title(table: Table, column: Figures) -> str:
    """Title of a column beside the main metric's, which it need not name."""
    short = {Kind.INTERVAL: "95 %", Kind.PUBLISHED: "published", Kind.DIFFERENCE: "difference"}
    against = table.against.removeprefix(f"{column.metric}.").replace("minus.", "minus ", 1)
    return against if column.kind is Kind.AGAINST else short.get(column.kind, column.title)


def _cell(table: Table, column: Figures, line: Line) -> Cell:
    text = column.text(line)
    if text == MISSING:
        return Cell(text, Emphasis.DIM)
    shown = number(text)
    if column.kind not in _GAPS or table.view.lowest is None or not shown:
        return Cell(text)
    return Cell(text, Emphasis.BETTER if (shown < 0) == table.view.lowest else Emphasis.WORSE)
