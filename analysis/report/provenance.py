"""Provenance of the runs: code, data, machine, and the commands that made them."""

from collections.abc import Sequence

import pandas as pd

from analysis.report.parts import Part
from analysis.report.sections import NOT_RECORDED, Section, Table, commands
from analysis.tables.cells import Cells
from analysis.tables.columns import DATA_DIGEST, SEED, VERIFIED
from pipelines import names

_PUBLISHED = {(): NOT_RECORDED, ("true",): "yes", ("false",): "no", (names.OWN_DATA,): "own data"}
_COMMIT, _DIRTY = "tags.mlflow.source.git.commit", "tags.mlflow.source.git.dirty"


def section(parts: Sequence[Part]) -> Section:
    """The section with a line for each part."""
    header = ("entry, data", "runs", "seeds", "made", "code", "data digest", "published files", "torch, CPU", "command")
    lines = [_made_with(part) for part in parts]
    if not lines:
        return Section("provenance", "Provenance", ("No runs of the catalogue's entries are on this server.",))
    text = (
        "A command is quoted as its runs have recorded it. One row of a table is made again by naming it: --models or "
        "--variants with its name. Every run has its settings, the digest of its data and the commit of its code; "
        "`python -m analysis diff RUN RUN` compares two.",
    )
    notes = (
        f"published files: whether all data files are the official ones (tag {names.VERIFIED}).",
        f"command: the tag {names.COMMAND} of the runs, each once.",
    )
    return Section(
        "provenance", "Provenance", text, (Table("What the runs were made with", Cells(header, lines, 0), notes),)
    )


def _made_with(part: Part) -> tuple[str, ...]:
    runs = part.runs
    started = pd.to_datetime(runs["start_time"])
    days = dict.fromkeys((f"{started.min():%d %b %Y}", f"{started.max():%d %b %Y}"))
    commits = [commit[:10] for commit in _distinct(runs, _COMMIT)]
    dirty = " (with uncommitted changes)" if "true" in _distinct(runs, _DIRTY) else ""
    seeds = sorted(set(runs[SEED]) - {""}, key=lambda seed: (len(seed), seed))
    verified = _distinct(runs, VERIFIED)
    return (
        f"{part.entry}, {part.dataset}",
        str(len(runs)),
        ", ".join(seeds),
        " to ".join(days),
        (", ".join(commits) or NOT_RECORDED) + dirty,
        ", ".join(digest[:12] for digest in _distinct(runs, DATA_DIGEST)) or NOT_RECORDED,
        _PUBLISHED.get(tuple(verified), "of some runs"),
        ", ".join(_distinct(runs, "tags.torch") + _distinct(runs, "tags.isa")) or NOT_RECORDED,
        "; ".join(commands(runs)),
    )


def _distinct(runs: pd.DataFrame, column: str) -> list[str]:
    return sorted(set(runs[column].dropna())) if column in runs else []
