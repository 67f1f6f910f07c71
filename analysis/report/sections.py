"""Sections of a report and what they are made of: tables of comparisons, footnotes, recorded commands."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import pandas as pd

from analysis.errors import AmbiguousError
from analysis.report.parts import Part
from analysis.tables.cells import Cells, brief, cells
from analysis.tables.columns import ROW, p_value, predictions
from analysis.tables.notes import unverified
from analysis.tables.select import departures, is_unverified
from analysis.tables.table import Options
from pipelines import names
from pipelines.common.files import file_name

if TYPE_CHECKING:  # importing matplotlib takes half a second that --help should not
    from matplotlib.figure import Figure as Drawing

COMMANDS = 5  # that a section quotes
COMMAND = f"tags.{names.COMMAND}"
NOT_RECORDED = "not recorded"

T = TypeVar("T")


@dataclass(frozen=True)
class Table:
    """A table with what it is called and its footnotes."""

    caption: str
    cells: Cells
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What it is referred to by."""
        return self.caption

    @property
    def widths(self) -> list[float]:
        """Share of the width for each column of a table of text, proportional to the root of its longest cell."""
        columns = zip(self.cells.header, *self.cells.lines, strict=True)
        needs = [math.sqrt(max(map(len, column))) for column in columns]
        return [need / sum(needs) for need in needs]


@dataclass(frozen=True)
class Figure:
    """A drawing with its caption, which says in numbers what is seen; `name` is that of its file."""

    name: str
    caption: str
    drawing: "Drawing"


@dataclass(frozen=True)
class Section:
    """A part of the report: text, tables and figures.

    `commands` are those that its runs have recorded; where there are no runs, `advice` is one that makes some.
    """

    slug: str
    title: str
    text: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    figures: tuple[Figure, ...] = ()
    commands: tuple[str, ...] = ()
    advice: str = ""


def missing(slug: str, title: str, command: str) -> Section:
    """Section without runs, with the command that makes some."""
    return Section(slug, title, ("No finished runs are on this server yet.",), advice=command)


def section(
    slug: str, title: str, shown: Sequence[Part], compared: Iterable[Table | None], drawn: Iterable[Figure | None]
) -> Section:
    """The section of `shown`, parts on one data set."""
    part = shown[0]
    text: tuple[str, ...] = ()
    if not part.is_published:
        own = part.view.called(part.view.dataset)
        text = (f"The report's figures are of {own}, not of these data: none stands beside these.",)
    return Section(
        file_name(f"{slug}-{part.dataset}"),
        f"{title}: {part.data}",
        text,
        present(compared),
        present(drawn),
        commands(pd.concat([each.rows for each in shown])),
    )


def comparison(
    caption: str,
    part: Part,
    runs: pd.DataFrame,
    metrics: Sequence[str] = (),
    baseline: str = "",
    columns: tuple[str, ...] = (),
) -> Table | None:
    """A comparison of `runs`, some of the part's, in those of `metrics` that they have; None without any.

    With `baseline` also None where nothing is tested: that row has not run, too few have, or with several settings of
    which none is the catalogue's.
    """
    runs = runs.dropna(axis="columns", how="all")
    known = tuple(metric for metric in metrics if f"metrics.{metric}" in runs)
    if runs.empty or (metrics and not known) or (baseline and baseline not in set(runs[ROW])):
        return None
    try:
        table = part.compared(runs, Options(metrics=known, baseline=baseline, columns=columns))
    except AmbiguousError:
        return None
    tests = [p_value(column) for column in (table.against, predictions(table.against))]
    if baseline and table.lines[[test for test in tests if test in table.lines]].isna().all(axis=None):
        return None
    return Table(caption, cells(table), table.notes)


def labelled(part: Part, runs: pd.DataFrame) -> pd.DataFrame:
    """The lines of a comparison of `runs`, some of the part's, with a ``label`` that tells those of one row apart."""
    if runs.empty:
        return pd.DataFrame()
    table = part.compared(runs, Options())
    further = sorted((column for column in table.shown if column != names.ROW), key=lambda each: each != names.STUDY)
    labels = {}
    for row, own in table.lines.groupby(names.ROW):
        telling = _telling(own, further)
        for index, line in own.iterrows():
            settings = [f"{column} {brief(line[column])}" for column in telling if pd.notna(line[column])]
            labels[index] = f"{row} ({', '.join(settings)})" if settings else str(row)
    return table.lines.assign(label=[labels[index] for index in table.lines.index])


def _telling(lines: pd.DataFrame, columns: Sequence[str]) -> list[str]:
    """Columns that tell all `lines` apart: a single one where there is one, else those whose values differ."""
    differing = [column for column in columns if lines[column].nunique(dropna=False) > 1]
    alone = [column for column in differing if lines[column].nunique(dropna=False) == len(lines)]
    return alone[:1] or differing


def notes(part: Part, runs: pd.DataFrame) -> Iterator[str]:
    """Footnotes on settings of `runs`, some of the part's, that are not the catalogue's, and on unverified data."""
    rows = [(str(row), own) for row, own in runs.groupby(ROW)]
    by_row = {
        row: sorted({text for _, run in own.iterrows() for text in departures(run, part.view)}) for row, own in rows
    }
    departing = [f"{row} {', '.join(texts)}" for row, texts in by_row.items() if texts]
    if departing:
        yield f"Settings that are not the catalogue's: {'; '.join(departing)}."
    doubtful = [row for row, own in rows if is_unverified(own)]
    if doubtful:
        yield unverified(doubtful, len(by_row))


def commands(runs: pd.DataFrame) -> tuple[str, ...]:
    """The commands that made `runs`, each once, the most recent first; the last line counts what is not quoted."""
    recorded = runs[COMMAND].dropna() if COMMAND in runs else pd.Series(dtype=str)
    distinct = list(dict.fromkeys(recorded[::-1]))
    quoted = distinct[:COMMANDS]
    if len(distinct) > COMMANDS:
        quoted.append(f"… and {len(distinct) - COMMANDS} more, in the tag {names.COMMAND} of the runs")
    if unrecorded := len(runs) - len(recorded):
        quoted.append(f"{NOT_RECORDED}: {unrecorded} of {len(runs)} runs")
    return tuple(quoted)


def present(found: Iterable[T | None]) -> tuple[T, ...]:
    """Drops those that are None."""
    return tuple(each for each in found if each is not None)
