"""Comparison tables as text: rounded for readers, at full precision for programs."""

import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from analysis import escapes, latex, titles
from analysis.errors import unwritable
from analysis.escapes import Csv, plain
from analysis.tables.cells import Kind, cells, figures
from analysis.tables.order import is_missing
from analysis.tables.table import Table
from pipelines.common import files

if TYPE_CHECKING:  # only what renders a template needs them
    import jinja2
    import markupsafe


def to_markdown(tables: Sequence[Table]) -> str:
    """Rounded figures with footnotes; each table under its title where there are several."""
    parts = []
    for table in tables:
        heading = f"## {escapes.markdown(table.title)}\n\n" if len(tables) > 1 else ""
        notes = "".join(f"\n- {escapes.markdown(note)}" for note in table.notes)
        rounded = cells(table)
        parts.append(f"{heading}{markdown(rounded.header, rounded.lines, rounded.numeric)}\n{notes}\n")
    return "\n".join(parts)


def to_latex(tables: Sequence[Table]) -> str:
    """Floats with booktabs rules, no wider than the line; they need the packages booktabs and graphicx."""
    blocks = [
        {"name": table.title, "caption": _caption(table), "cells": rounded, "notes": table.notes}
        for table, rounded in zip(tables, map(cells, tables), strict=True)
    ]
    return template("comparison.tex").render(blocks=blocks)


def to_html(tables: Sequence[Table]) -> str:
    """A page of its own, without scripts or anything fetched."""
    blocks = [{"caption": table.title, "cells": cells(table), "notes": table.notes} for table in tables]
    return template("comparison.html").render(blocks=blocks)


def to_csv(tables: Sequence[Table]) -> str:
    """All lines at full precision under one header; what a spreadsheet would compute is text, see escapes.cell."""
    frame, file = pd.DataFrame(_records(tables)), io.StringIO()
    lines = Csv(file)
    lines.line(frame)
    for values in frame.itertuples(index=False, name=None):
        lines.line("" if is_missing(value) else value for value in values)
    return file.getvalue()


def to_json(tables: Sequence[Table]) -> str:
    """All lines at full precision as a list of objects; what is missing is null."""
    records = [{key: None if is_missing(value) else value for key, value in line.items()} for line in _records(tables)]
    return json.dumps(records, indent=2, ensure_ascii=False) + "\n"


FORMATS: Mapping[str, Callable[[Sequence[Table]], str]] = {
    "markdown": to_markdown,
    "csv": to_csv,
    "json": to_json,
    "latex": to_latex,
    "html": to_html,
}


def markdown(
    header: Sequence[str],
    lines: Sequence[Sequence[str]],
    numeric: int = 0,
    escape: Callable[[str], str] = escapes.markdown,
) -> str:
    """A markdown table, with its last `numeric` columns to the right; `escape` is plain where cells are markdown."""
    rule = ["---"] * (len(header) - numeric) + ["---:"] * numeric
    escaped = [[escape(each).replace("|", "\\|") for each in line] for line in (header, *lines)]
    return "\n".join(f"| {' | '.join(line)} |" for line in (escaped[0], rule, *escaped[1:]))


def coded(text: str) -> "markupsafe.Markup":
    """`text` as HTML, in which what stands between backticks is code."""
    import markupsafe

    return markupsafe.Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(markupsafe.escape(plain(text)))))


def write(path: Path, text: str) -> None:
    """Writes `text` to `path` whole or not at all, making its folder where needed.

    Raises:
        InputError: the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_text(path, text)
    except OSError as error:
        raise unwritable(path, error) from error


def template(name: str) -> "jinja2.Template":
    """One of the project's templates. HTML is escaped by itself, the rest is not: LaTeX has filters of its own, and
    ``<% %>`` and ``<< >>`` for jinja's usual braces, which are TeX's; markdown has ``text``, ``prose`` and ``code``."""
    import jinja2

    environment = partial(
        jinja2.Environment,
        loader=jinja2.PackageLoader("analysis"),
        autoescape=jinja2.select_autoescape(["html"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_seen if name.endswith(".html") else None,
    )
    if name.endswith(".tex"):
        made = environment(
            block_start_string="<%",
            block_end_string="%>",
            variable_start_string="<<",
            variable_end_string=">>",
            comment_start_string="<#",
            comment_end_string="#>",
        )
    else:
        made = environment()
    made.filters |= {each.__name__: each for each in _LATEX}
    made.filters |= {"coded": coded, "tex": escapes.tex, "text": escapes.markdown}
    made.filters |= {"prose": escapes.prose, "code": escapes.code}
    made.globals |= {"markdown": markdown, "label": latex.Labels()}
    return made.get_template(name)


_LATEX = (
    latex.words,
    latex.strips,
    latex.is_tall,
    latex.rows,
    latex.heading,
    latex.alignment,
    latex.remarks,
    titles.in_words,
)


def _seen(value: object) -> object:
    """Text of ours or others' as HTML can show it; what is HTML already stays."""
    return plain(value) if type(value) is str else value


def _caption(table: Table) -> str:
    """What a table shows, for where it stands alone."""
    data = f" on {table.view.called(table.dataset)}" if table.dataset else ""
    shown = {column.kind for column in figures(table)}
    spread = any(table.lines[f"{metric}.std"].notna().any() for metric in table.view.metrics)
    beside = ", beside the published figures" if Kind.PUBLISHED in shown else ""
    against = f"; {table.against.partition('.minus.')[2]} is what the others are compared to" if table.against else ""
    means = ": means ± standard deviations" if spread else ""
    return f"Runs of {table.entry}{data}{means}{beside}{against}."


def _records(tables: Sequence[Table]) -> list[dict[str, object]]:
    lines = (line for table in tables for line in table.lines.to_dict("records"))
    return [{str(column): value for column, value in line.items()} for line in lines]
