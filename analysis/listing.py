"""Lists of runs as text: for readers, or with whole ids and at full precision for programs."""

import io
import json
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from analysis import escapes
from analysis.escapes import Csv, plain
from analysis.formats import markdown
from analysis.listed import Listed, Listing
from analysis.stats import MISSING
from analysis.watch.page import duration
from pipelines.common.run_ids import SHORT
from pipelines.common.screen import Align, Cell, Column, Table, draw, screen


def to_terminal(listing: Listing) -> str:
    """A table for the width of the terminal, with its notes."""
    columns, lines = _cells(listing)
    table = Table(
        [column for column, _ in columns],
        [[Cell(plain(text)) for text in line] for line in lines],
        notes=listing.notes,
        elsewhere="a wider terminal or --format markdown",
    )
    return draw([table], screen())


def to_markdown(listing: Listing) -> str:
    """A table, with its notes."""
    columns, lines = _cells(listing)
    notes = "".join(f"\n- {escapes.markdown(note)}" for note in listing.notes)
    table = markdown([column.title for column, _ in columns], lines, numeric=1)
    return f"{table}\n{notes and notes + chr(10)}"


def to_csv(listing: Listing) -> str:
    """A line for each run, with its whole id and at full precision."""
    file = io.StringIO()
    lines, records = Csv(file), list(map(_record, listing.runs))
    lines.line(_record(listing.runs[0]))
    for record in records:
        lines.line("" if value is None else value for value in record.values())
    return file.getvalue()


def to_json(listing: Listing) -> str:
    """An object for each run, with its whole id, the files of its data and their digests; what is missing is null."""
    files = [{name: each for part in run.parts for name, each in part.files.items()} for run in listing.runs]
    records = [_record(run) | {"files": own} for run, own in zip(listing.runs, files, strict=True)]
    return json.dumps(records, indent=2, ensure_ascii=False) + "\n"


def to_reader(listing: Listing) -> str:
    """`to_terminal` where standard output is one, else `to_markdown`."""
    return to_terminal(listing) if sys.stdout.isatty() else to_markdown(listing)


FORMATS: Mapping[str, Callable[[Listing], str]] = {
    "auto": to_reader,
    "terminal": to_terminal,
    "markdown": to_markdown,
    "csv": to_csv,
    "json": to_json,
}


def _cells(listing: Listing) -> tuple[list[tuple[Column, Callable[[Listed], str]]], list[list[str]]]:
    """The columns, and of each run the texts in them."""
    shown: list[tuple[Column, Callable[[Listed], str]]] = [
        (Column("name", wraps=True), lambda run: run.name or MISSING),
        (Column("id"), lambda run: run.run_id[:SHORT]),
        (Column("status", rank=1), lambda run: run.status),
        (Column("entry", rank=2), lambda run: run.entry or MISSING),
        (Column("data set", wraps=True), lambda run: ", ".join(run.datasets) or MISSING),
        (Column("started", rank=1), _started),
        (Column("took", Align.RIGHT, rank=3), lambda run: duration(run.duration_s) if run.duration_s else MISSING),
        (Column("main metric", Align.RIGHT), _main),
    ]
    if listing.parts:
        shown.insert(5, (Column("parts", wraps=True), lambda run: ", ".join(run.contexts) or MISSING))
    return shown, [[text(run) for _, text in shown] for run in listing.runs]


def _started(run: Listed) -> str:
    return f"{run.started.astimezone():%Y-%m-%d %H:%M}" if run.started else MISSING


def _main(run: Listed) -> str:
    return MISSING if run.value is None else f"{run.metric} {run.value:.4g}"


def _record(run: Listed) -> dict[str, object]:
    return {
        "run_id": run.run_id,
        "name": run.name,
        "status": run.status,
        "entry": run.entry,
        "datasets": ", ".join(run.datasets),
        "parts": ", ".join(run.contexts),
        "start_time": _iso(run.started),
        "end_time": _iso(run.ended),
        "duration_s": run.duration_s,
        "metric": run.metric,
        "value": run.value if run.value is not None and abs(run.value) < float("inf") else None,
    }


def _iso(time: datetime | None) -> str | None:
    return time.astimezone(UTC).isoformat() if time else None
