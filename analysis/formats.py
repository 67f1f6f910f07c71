"""Comparison tables as text: rounded for readers, at full precision for programs."""

import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from analysis import escapes
from analysis.errors import unwritable
from analysis.escapes import Csv, plain, tex
from analysis.tables.cells import cells
from analysis.tables.order import is_missing
from analysis.tables.table import Table
from pipelines.common import files

if TYPE_CHECKING:  # only what renders a template needs them
    import jinja2
    import markupsafe

NARROW = 10  # letters of a column title that stay on one line in LaTeX


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
    return _rendered("comparison.tex", tables)


def to_html(tables: Sequence[Table]) -> str:
    """A page of its own, without scripts or anything fetched."""
    return _rendered("comparison.html", tables)


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


def tex_coded(text: str) -> str:
    """`text` as LaTeX, in which what stands between backticks is code."""
    return re.sub(r"`([^`]+)`", r"\\texttt{\1}", tex(text))


def stacked(text: str) -> str:
    """A long column title in lines broken after its words, in LaTeX."""
    words = [tex(word.strip()) for word in re.split(r"(?<=[_. ])", text)]
    if len(text) <= NARROW or len(words) == 1:
        return tex(text)
    lines = r"\\".join(words)
    return rf"\begin{{tabular}}[b]{{@{{}}r@{{}}}}{lines}\end{{tabular}}"


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
    """One of the project's templates. HTML is escaped by itself, the rest is not: LaTeX has the filter ``tex``, and
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
    made.filters |= {"tex": tex, "stacked": stacked, "coded": coded, "tex_coded": tex_coded}
    made.filters |= {"text": escapes.markdown, "prose": escapes.prose, "code": escapes.code}
    made.globals["markdown"] = markdown
    return made.get_template(name)


def _seen(value: object) -> object:
    """Text of ours or others' as HTML can show it; what is HTML already stays."""
    return plain(value) if type(value) is str else value


def _rendered(name: str, tables: Sequence[Table]) -> str:
    blocks = [{"caption": table.title, "cells": cells(table), "notes": table.notes} for table in tables]
    return template(name).render(blocks=blocks)


def _records(tables: Sequence[Table]) -> list[dict[str, object]]:
    lines = (line for table in tables for line in table.lines.to_dict("records"))
    return [{str(column): value for column, value in line.items()} for line in lines]
