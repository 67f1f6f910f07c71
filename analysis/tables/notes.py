"""Footnotes of a table."""

from collections.abc import Collection, Sequence

import pandas as pd

from analysis.tables.cells import brief
from analysis.tables.columns import COUNT, LINE, TRAINING, VERIFIED, labels, low, published
from analysis.tables.order import distinct
from analysis.tables.select import differing, settings
from analysis.view import View
from pipelines import names


def on_figures(lines: pd.DataFrame, runs: pd.DataFrame, view: View) -> list[str]:
    """Footnotes on the figures and protocols that this table shows."""
    notes = []
    if any(lines[f"{metric}.std"].notna().any() for metric in view.metrics):
        notes.append("±: sample standard deviation over the n runs of a line (divisor n − 1).")
    if view.main and lines[low(view.main)].notna().any():
        notes.append("95 %: interval of the mean by Student's t over the runs; it knows nothing of other test data.")
    if any((lines[f"{metric}.n"] < lines[COUNT]).any() for metric in view.metrics):
        notes.append("(n=k): only k of the line's runs have a finite value; a dash: none has.")
    notes += dict.fromkeys(view.notes[metric] for metric in view.metrics if metric in view.notes)
    if any(lines[published(metric)].notna().any() for metric in view.published):
        notes.append(view.published_note)
    return notes + view.training_notes(set(runs[TRAINING]))


def on_settings(runs: pd.DataFrame, view: View, shown: Collection[str]) -> list[str]:
    """Footnotes on the settings that are no columns: those that a line pools, and those that all lines share."""
    hidden = [column for column in settings(runs) if column not in shown and column not in view.row_params]
    pooled = differing(runs, hidden, [LINE])
    alike = [column for column in hidden if runs[column].nunique() == 1]

    def listed(columns: Sequence[str]) -> str:
        return ", ".join(f"{label} {_brief_values(runs[column])}" for column, label in labels(columns).items())

    kinds = (("Pooled within lines", pooled), ("Alike in all lines that have them", alike))
    return [f"{meaning}: {listed(columns)}." for meaning, columns in kinds if columns]


def on_unverified(lines: pd.DataFrame, runs: pd.DataFrame, shown: Sequence[str]) -> list[str]:
    """Footnote, if any, that names the lines which have runs on data files that may not be the published ones."""
    unknown = set(runs[LINE][runs[VERIFIED] == "false"]) if VERIFIED in runs else set()
    doubtful = [line for line in lines.index if line in unknown]
    called = [" ".join(str(cell) for cell in lines.loc[line, list(shown)].dropna()) for line in doubtful]
    return [unverified(called, len(lines))] if called else []


def unverified(which: Sequence[str], total: int) -> str:
    """Footnote on those of `total` lines or rows whose data files or weights may not be the published ones."""
    named = "all" if len(which) == total else ", ".join(which)
    return (
        "Measured on data files that are not the published ones, or with weights of which no digest says so "
        f"(tag {names.VERIFIED}=false; which files, is in {names.DATA_COUNTS} of the runs, and of weights the tag "
        f"{names.WEIGHTS_VERIFIED}=false): {named}."
    )


def _brief_values(values: pd.Series) -> str:
    return ", ".join(brief(value) for value in distinct(values))
