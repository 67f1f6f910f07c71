"""The report: one page on all runs, their results, their cost, and the published figures beside them.

`gather` reads the tracking server into plain data, `write` renders that as HTML, markdown and LaTeX. Every data set
stands by itself: no table, figure or sentence compares runs on one with runs, or published figures, on another.
"""

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
from matplotlib import rc_context

from analysis import formats
from analysis.errors import unwritable
from analysis.report import costs, left_out, provenance, studies, verdicts
from analysis.report.artifacts import Artifacts
from analysis.report.choice import EVERYTHING, Choice
from analysis.report.contents import Contents
from analysis.report.flaws import Flaw
from analysis.report.parts import Part, apart, own_rows
from analysis.report.sections import Figure, Section, Table, labelled, notes
from analysis.stats import as_printed
from analysis.tables.cells import Cells, summary
from analysis.tables.columns import ROW, published
from pipelines import names
from pipelines.common.files import file_name, replacing

PAGE, MARKDOWN, PAPER = "report.html", "report.md", "report.tex"
FIGURES = "figures"
BEST = 5  # rows of a headline


@dataclass(frozen=True)
class Leading:
    """The best rows of a part, as a table and as a picture."""

    table: Table
    figure: Figure


@dataclass(frozen=True)
class Report:
    """Everything on the page; `made` is when, UTC."""

    made: datetime
    server: str
    runs: int
    lead: tuple[str, ...]
    headline: tuple[Leading, ...]
    sections: tuple[Section, ...]
    flaws: tuple[tuple[Flaw, str], ...]


def gather(found: pd.DataFrame, contents: Contents, choice: Choice = EVERYTHING) -> Report:
    """Reads what the report needs beyond the runs: curves, artifacts, studies.

    Args:
        found: all finished runs as of frames.find.
        contents: what the report is about.
        choice: which runs it covers, see Choice.require_known.
    """
    from analysis.server import uri  # here, since importing mlflow takes seconds

    runs, contents = choice.covered(found), choice.narrowed(contents)
    parts, artifacts = apart(runs, contents.views), Artifacts()
    sections = (
        *_chapters(parts, contents, artifacts, choice),
        costs.section(parts, contents.costs),
        studies.section(parts, artifacts, choice),
        *([verdicts.section(parts, contents.statements)] if contents.statements else []),
        provenance.section(parts),
        left_out.section(runs, parts, contents.views, artifacts, choice.sentences(found)),
    )
    own = own_rows(parts)
    flaws = tuple((flaw, flaw.change(own)) for flaw in contents.flaws)
    leading = tuple(headline(parts))
    return Report(datetime.now(UTC), uri(), len(runs), _lead(parts, contents), leading, sections, flaws)


def write(report: Report, folder: Path) -> list[Path]:
    """Writes the page, the markdown and the LaTeX, the figures as files beside them; returns all paths.

    Raises:
        InputError: a file cannot be written.
    """
    drawn = [leading.figure for leading in report.headline]
    drawn += [figure for section in report.sections for figure in section.figures]
    written = [path for figure in drawn for path in _save(figure, folder / FIGURES)]
    pictures = {figure.name: _inline(figure) for figure in drawn}
    for name in (PAGE, MARKDOWN, PAPER):
        text = formats.template(name).render(report=report, pictures=pictures, folder=FIGURES)
        formats.write(folder / name, text)
        written.append(folder / name)
    return written


def _save(figure: Figure, folder: Path) -> Iterator[Path]:
    """The figure as pixels and as vectors."""
    for suffix, metadata in (("png", None), ("pdf", {"CreationDate": None})):
        path = folder / f"{figure.name}.{suffix}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with replacing(path) as file:
                figure.drawing.savefig(file, format=suffix, dpi=160, metadata=metadata)
        except OSError as error:
            raise unwritable(path, error) from error
        yield path


def _inline(figure: Figure) -> str:
    """The figure as a data URL: an image of its own cannot clash with the names inside another."""
    drawn = io.BytesIO()
    with rc_context({"svg.hashsalt": figure.name}):
        figure.drawing.savefig(drawn, format="svg", metadata={"Date": None})
    return f"data:image/svg+xml;base64,{base64.b64encode(drawn.getvalue()).decode()}"


def _chapters(parts: Sequence[Part], contents: Contents, artifacts: Artifacts, choice: Choice) -> Iterator[Section]:
    """Sections on the entries; without runs only where no choice may have left them out."""
    for chapter in contents.chapters:
        own = [part for part in parts if part.entry in chapter.entries]
        if own or not choice.narrows:
            yield from chapter.sections(own, artifacts)


def _lead(parts: Sequence[Part], contents: Contents) -> tuple[str, ...]:
    """Opening sentences: what the page is about, and on which data."""
    own = ", ".join(dict.fromkeys(view.called(view.dataset) for view in contents.views.values()))
    data = ", ".join(dict.fromkeys(part.data for part in parts)) or "no data yet"
    beside = (
        f"A published figure stands beside runs on its own data ({own}) only."
        if any(part.is_published for part in parts)
        else f"The course reports' figures are of {own}: none of them stands beside these runs."
    )
    return (
        f"{contents.about} Runs on: {data}. Each data set stands by itself. {beside}",
        "± is the standard deviation over seeds, where several ran.",
    )


def headline(parts: Sequence[Part]) -> Iterator[Leading]:
    """The best rows of each entry on each data set, with the published figures where these are of the same data."""
    from analysis.report import figures  # here, since importing matplotlib takes half a second that --help should not

    for part in parts:
        metric = part.view.main
        lines, mean = labelled(part, part.runs), f"{metric}.mean"
        if lines.empty or lines[mean].isna().all():
            continue
        known = lines.dropna(subset=[mean])
        ranked = _ranked(known, part)
        figures_there = [as_printed(line[published(metric)]) for _, line in ranked.iterrows()]
        shown = [
            (line["label"], str(summary(line, metric)), *([figure] if part.is_published else []), str(line["n"]))
            for (_, line), figure in zip(ranked.iterrows(), figures_there, strict=True)
        ]
        count = f"best {BEST} of {len(known)} rows" if len(known) > BEST else "row"
        count += ", and the best published" if len(ranked) > BEST else ""
        header = (count, "ours", *(["published"] if part.is_published else []), "runs")
        leading = frozenset((line, 1) for line, is_best in enumerate(ranked[mean] == ranked[mean].iloc[0]) if is_best)
        footnotes = tuple(notes(part, part.runs[part.runs[ROW].isin(ranked[names.ROW])]))
        cells = Cells(header, shown, len(header) - 1, leading)
        title = part.view.headline.format(data=part.data)
        drawn = {line["label"]: (summary(line, metric), line[published(metric)]) for _, line in ranked.iterrows()}
        name = file_name(f"best-{part.entry}-{part.dataset}")
        figure = figures.leading(drawn, name, title, bool(part.view.lowest), len(known))
        yield Leading(Table(title, cells, footnotes), figure)


def _ranked(lines: pd.DataFrame, part: Part) -> pd.DataFrame:
    """The BEST of the lines, and where none of them was published, the one with the best published figure too."""
    metric, lowest = part.view.main, bool(part.view.lowest)
    order = lines.sort_values(f"{metric}.mean", ascending=lowest)
    theirs = order.dropna(subset=[published(metric)]).sort_values(published(metric), ascending=lowest)
    if not part.is_published or order.head(BEST)[published(metric)].notna().any():
        return order.head(BEST)
    return pd.concat([order.head(BEST), theirs.head(1)])
