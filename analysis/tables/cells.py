"""Cells of a table as readers see them: figures with the digits that mean something, long values by their beginning."""

import hashlib
import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from typing import Any, NamedTuple

import pandas as pd

from analysis.stats import MISSING, Summary, as_printed, fixed, probability
from analysis.tables.best import best as best_lines
from analysis.tables.columns import COUNT, difference, high, low, method, p_value, predictions, published
from analysis.tables.table import Table
from pipelines import names

LONGEST = 80  # letters of a value that readers are shown whole

Line = Mapping[Hashable, Any] | pd.Series  # of Table.lines: by the name of the column, text or a figure


@dataclass(frozen=True)
class Cells:
    """A table's rounded text: `header` and `lines`, whose last `numeric` columns are figures.

    `best` are the positions, by line and column, of the best figures of their columns; `follows` those of columns that
    follow from the row, which narrow paper does without.
    """

    header: tuple[str, ...]
    lines: Sequence[tuple[str, ...]]
    numeric: int
    best: frozenset[tuple[int, int]] = frozenset()
    follows: frozenset[int] = frozenset()


class Kind(Enum):
    """What a column of figures says of a metric."""

    OURS = auto()
    INTERVAL = auto()
    PUBLISHED = auto()
    DIFFERENCE = auto()
    AGAINST = auto()
    PROBABILITY = auto()
    METHOD = auto()
    REACH = auto()
    PREDICTIONS = auto()


class Figures(NamedTuple):
    """A column of figures of `metric`, each written by `cell` from a line."""

    title: str
    metric: str
    kind: Kind
    cell: Callable[[Line, str], str]

    def text(self, line: Line) -> str:
        """The figure of a line of Table.lines."""
        return self.cell(line, self.metric)


def cells(table: Table) -> Cells:
    """The table's figures with the digits that their spread supports."""
    columns = figures(table)
    rows = [
        (*settings(table, line), str(line[COUNT]), *(column.text(line) for column in columns))
        for line in table.lines.to_dict("records")
    ]
    leading = len(table.shown) + 1
    best = {(line, leading + at) for at, column in enumerate(columns) for line in _best(table, column)}
    header = (*table.shown, COUNT, *(column.title for column in columns))
    told = {names.ROW, *table.needed} if names.ROW in table.shown else set(table.shown)
    follows = frozenset(at for at, label in enumerate(table.shown) if label not in told)
    return Cells(header, rows, 1 + len(columns), frozenset(best), follows)


def figures(table: Table) -> list[Figures]:
    """The columns of figures: ours, their interval, the published ones, the differences and their test."""
    view, lines = table.view, table.lines
    printed = [metric for metric in view.published if lines[published(metric)].notna().any()]
    gaps = [column for column in (difference(view.main), table.against) if column in lines]
    gaps = [column for column in gaps if lines[column].notna().any()]
    columns = []
    for metric in view.metrics:
        columns.append(Figures(f"metrics.{metric}" if metric == COUNT else metric, metric, Kind.OURS, _ours))
        if metric == view.main and lines[low(metric)].notna().any():
            columns.append(Figures("95 %" if view.beside else f"{metric} 95 %", metric, Kind.INTERVAL, _reach))
    columns += [
        Figures("published" if view.beside else f"{metric} published", metric, Kind.PUBLISHED, _published)
        for metric in printed
    ]
    for column in gaps:
        kind = Kind.AGAINST if column == table.against else Kind.DIFFERENCE
        columns.append(Figures(column, view.main, kind, partial(_gap, column=column)))
    if table.against in gaps:
        columns.append(Figures("p", view.main, Kind.PROBABILITY, partial(_probability, against=table.against)))
        columns.append(Figures("test", view.main, Kind.METHOD, partial(_method, against=table.against)))
        predicted = predictions(table.against)
        if p_value(predicted) in lines:
            columns.append(Figures("difference 95 %", view.main, Kind.REACH, partial(_gap_reach, column=table.against)))
            tested = partial(_probability, against=predicted)
            columns.append(Figures("predictions p", view.main, Kind.PREDICTIONS, tested))
    if view.beside:
        columns.sort(key=lambda column: view.metrics.index(column.metric))
    return columns


def _best(table: Table, column: Figures) -> frozenset[int]:
    if column.kind not in (Kind.OURS, Kind.PUBLISHED):
        return frozenset()
    return best_lines(table, column.metric, published(column.metric) if column.kind is Kind.PUBLISHED else "")


def settings(table: Table, line: Line) -> list[str]:
    """The leading cells of a line, those that tell it from others."""
    return [MISSING if pd.isna(line[label]) else brief(line[label]) for label in table.shown]


def summary(line: Line, metric: str) -> Summary:
    """Our mean of `metric` in a line of Table.lines."""
    return Summary(line[f"{metric}.mean"], line[f"{metric}.std"], line[f"{metric}.n"])


def brief(value: object) -> str:
    """A value for readers: a long number to 4 significant digits, a long digest by its first 12, a long text
    `shortened`."""
    text = str(value)
    if re.fullmatch(r"[0-9a-f]{32,}", text):
        return text[:12]
    return f"{float(text):.4g}" if re.fullmatch(r"-?\d+\.\d{6,}(e-?\d+)?", text) else shortened(text)


def shortened(text: str) -> str:
    """A text of over LONGEST letters by its beginning, its length and a digest, which tells it from others like it."""
    if len(text) <= LONGEST:
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:6]
    return f"{text[: LONGEST // 2]}… ({len(text):,} letters, {digest})"


def _ours(line: Line, metric: str) -> str:
    n = line[f"{metric}.n"]
    return f"{summary(line, metric)} (n={n})" if 0 < n < line[COUNT] else str(summary(line, metric))


def _reach(line: Line, metric: str) -> str:
    ends = (fixed(line[end], summary(line, metric).places) for end in (low(metric), high(metric)))
    return " … ".join(ends) if line[f"{metric}.n"] > 1 else MISSING


def _published(line: Line, metric: str) -> str:
    return as_printed(line[published(metric)])


def _gap(line: Line, metric: str, column: str) -> str:
    return fixed(line[column], summary(line, metric).places, sign="+")


def _gap_reach(line: Line, metric: str, column: str) -> str:
    ends = [fixed(line[end], summary(line, metric).places, sign="+") for end in (low(column), high(column))]
    return MISSING if MISSING in ends else " … ".join(ends)


def _probability(line: Line, metric: str, against: str) -> str:
    return probability(line[p_value(against)])


def _method(line: Line, metric: str, against: str) -> str:
    return line[method(against)] or MISSING
