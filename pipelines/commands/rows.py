"""The command `rows`: lists the rows that there are, with their settings and published figures. Torch-free."""

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click

from pipelines.commands.options import AUTO, JSON, MARKDOWN, TERMINAL, RowsOptions
from pipelines.common import screen
from pipelines.common.command import hint
from pipelines.common.screen import Align, Cell, Column
from pipelines.common.words import short
from pipelines.data.protocol import DATA_DIR
from pipelines.errors import UserError
from pipelines.experiments.base import published_figure
from pipelines.experiments.catalogue import Catalogue
from pipelines.experiments.index import ENTRIES, catalogue_of, options_of
from pipelines.experiments.own_rows import OwnRow, OwnRows, read

_MISSING = "–"


@dataclass(frozen=True)
class _Listed:
    """A row in a list.

    Attributes:
        row: its name.
        like: the row that it is like, if it is the user's own, else "".
        settings: all that is known of it without data.
        published: the figure that a course report printed for it, None where it printed none.
    """

    row: str
    like: str
    settings: Mapping[str, Any]
    published: float | None


@dataclass(frozen=True)
class _Section:
    """The rows of one experiment, and the file that some of them are from, "" if none is."""

    entry: str
    catalogue: Catalogue
    rows: Sequence[_Listed]
    groups: Mapping[str, Sequence[str]]
    file: str


def run(options: RowsOptions) -> None:
    """List the rows on standard output.

    Raises:
        UserError: the file of rows cannot be read, or has faults; or the rows of the experiment cannot be listed.
    """
    own = read(options.rows).of if options.rows else {}
    sections = [
        _section(entry, catalogue, own.get(entry, OwnRows()), options.rows)
        for entry in (ENTRIES if options.entry == "all" else [options.entry])
        if (catalogue := catalogue_of(entry))
    ]
    if not sections:
        raise UserError(f"entry={options.entry}: its module rows has no CATALOGUE, by which rows are listed")
    form = options.format
    if form == AUTO:
        form = TERMINAL if sys.stdout.isatty() else MARKDOWN
    click.echo({TERMINAL: _terminal, MARKDOWN: _markdown, JSON: _json}[form](sections), nl=False)


def _section(entry: str, catalogue: Catalogue, own: OwnRows, file: str) -> _Section:
    rows = [_of_catalogue(name, row, catalogue) for name, row in catalogue.rows.items()]
    rows += [_of_user(row, catalogue) for row in own.rows.values()]
    return _Section(entry, catalogue, rows, {**catalogue.groups, **own.groups}, file if own.rows else "")


def _of_catalogue(name: str, row: object, catalogue: Catalogue) -> _Listed:
    attributes = {each: getattr(row, each) for each in (*catalogue.shown, catalogue.about) if hasattr(row, each)}
    settings = catalogue.settings(name, catalogue.published_on, DATA_DIR).params() if catalogue.settings else attributes
    return _Listed(name, "", _lists(settings), published_figure(row, catalogue.main))


def _of_user(row: OwnRow, catalogue: Catalogue) -> _Listed:
    assert catalogue.settings is not None  # of an experiment that takes such rows
    of = catalogue.settings
    settings = row.settings(lambda like: of(like, catalogue.published_on, DATA_DIR))
    return _Listed(row.name, row.like, settings.params(), None)


def _lists(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in settings.items()}


def _columns(section: _Section) -> list[tuple[Column, Sequence[str]]]:
    """The columns of a table with their cells."""
    catalogue, rows = section.catalogue, section.rows
    columns: list[tuple[Column, Sequence[str]]] = [(Column("row"), [each.row for each in rows])]
    if any(each.like for each in rows):
        columns.append((Column("like"), [each.like or _MISSING for each in rows]))
    for rank, name in enumerate(catalogue.shown):
        cells = [_text(each.settings.get(name)) for each in rows]
        columns.append((Column(name, Align.LEFT if name == catalogue.shown[0] else Align.RIGHT, rank=rank), cells))
    figures = ["" if each.published is None else f"{each.published:g}" for each in rows]
    if any(figures):
        columns.append((Column(f"{catalogue.main} published", Align.DECIMAL), [each or _MISSING for each in figures]))
    return columns


def _text(value: object) -> str:
    return _MISSING if value is None else short(value) or "none"


def _notes(section: _Section) -> list[str]:
    catalogue = section.catalogue
    described = [each for each in section.rows if catalogue.about in each.settings]
    notes = [f"{each.row}: {each.settings[catalogue.about]}" for each in described]
    notes += [f"{name} stands for {', '.join(members)}" for name, members in section.groups.items()]
    if catalogue.settings:
        notes.append(f"Settings as on {catalogue.published_on}: some follow from the size of the data.")
    (option,) = {"models", "variants"} & set(options_of(section.entry).names())
    file = f" --rows {shlex.quote(section.file)}" if section.file else ""
    return [*notes, f"To run some: {hint(f'python -m pipelines {section.entry}{file} --{option} NAME,NAME')}"]


def _title(section: _Section) -> str:
    return f"{section.entry}: {len(section.rows)} rows"


def _terminal(sections: Sequence[_Section]) -> str:
    tables = []
    for section in sections:
        columns = _columns(section)
        lines = [[Cell(text) for text in line] for line in zip(*(cells for _, cells in columns), strict=True)]
        table = screen.Table(
            [column for column, _ in columns],
            lines,
            title=_title(section),
            notes=_notes(section),
            elsewhere="a wider terminal or --format json",
        )
        tables.append(table)
    return screen.draw(tables, screen.screen())


def _markdown(sections: Sequence[_Section]) -> str:
    blocks = []
    for section in sections:
        columns = _columns(section)
        lines = zip(*(cells for _, cells in columns), strict=True)
        rules = ["---" if column.align is Align.LEFT else "---:" for column, _ in columns]
        table = [[column.title for column, _ in columns], rules, *lines]
        text = "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in table)
        notes = "".join(f"- {note}\n" for note in _notes(section))
        blocks.append(f"**{_title(section)}**\n\n{text}\n\n{notes}")
    return "\n".join(blocks)


def _json(sections: Sequence[_Section]) -> str:
    records = [
        {
            "entry": section.entry,
            "row": each.row,
            "like": each.like or None,
            "groups": [name for name, members in section.groups.items() if each.row in members],
            "metric": section.catalogue.main,
            "published": each.published,
            "settings": each.settings,
        }
        for section in sections
        for each in section.rows
    ]
    return json.dumps(records, indent=2, ensure_ascii=False) + "\n"
