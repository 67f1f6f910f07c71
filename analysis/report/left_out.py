"""Runs on a server that a report leaves out, counted, with the command that shows them."""

import shlex
from collections import Counter
from collections.abc import Collection, Iterable, Sequence

import pandas as pd

from analysis.report.artifacts import Artifacts
from analysis.report.parts import Part
from analysis.report.sections import Section
from analysis.tables.columns import ENTRY, ROW
from pipelines import names


def section(
    runs: pd.DataFrame,
    parts: Sequence[Part],
    entries: Collection[str],
    artifacts: Artifacts,
    chosen: Iterable[str] = (),
) -> Section:
    """The section with a sentence for each kind of thing that is left out; one that says so where there is nothing.

    Args:
        runs: the finished runs that it covers, as of frames.find.
        parts: what the report is made of.
        entries: that it is about.
        artifacts: what it has read of the runs.
        chosen: sentences on what was not asked for, see Choice.sentences.
    """
    sentences = (*chosen, *_sentences(runs, parts, entries, artifacts))
    nothing = "Nothing: every run on this server is of a row, has finished, and is on this page."
    return Section("left-out", "What this page leaves out", sentences or (nothing,))


def _sentences(
    runs: pd.DataFrame, parts: Sequence[Part], entries: Collection[str], artifacts: Artifacts
) -> tuple[str, ...]:
    return (
        *_repeats(runs, parts, entries),
        *_without_figure(parts),
        *_other_entries(runs, entries),
        *_unfinished(),
        *_of_others(),
        *_unread(artifacts),
    )


def _repeats(runs: pd.DataFrame, parts: Sequence[Part], entries: Collection[str]) -> Iterable[str]:
    count = int(runs[ENTRY].isin(entries).sum()) - sum(len(part.runs) for part in parts)
    if count:
        yield f"{_runs(count)} that a later one repeats with the same seed, settings and data: the later one counts."


def _without_figure(parts: Sequence[Part]) -> Iterable[str]:
    for part in parts:
        metric = f"metrics.{part.view.main}"
        figures = part.runs[metric] if metric in part.runs else pd.Series(dtype=float)
        count = len(part.runs) - int(figures.map(lambda value: abs(value) < float("inf")).sum())
        if count:
            yield f"{_runs(count)} of {part.entry} on {part.dataset} without a finite {part.view.main}."


def _other_entries(runs: pd.DataFrame, entries: Collection[str]) -> Iterable[str]:
    others = runs[ENTRY][~runs[ENTRY].isin(entries)]
    for entry, count in sorted(Counter(others).items()):
        shown = f"`python -m analysis compare --entry {shlex.quote(entry)}` shows them" if entry else "they name none"
        yield f"{_runs(count)} of the entry {entry or '(none)'}, which has no section here: {shown}."


def _unfinished() -> Iterable[str]:
    from analysis.runs.records import every  # here, since importing mlflow takes seconds

    counts: Counter[str] = Counter()
    for record in every(where="attributes.status != 'FINISHED'"):
        if record.get(ROW) is not None:
            counts[str(record["status"])] += 1
    if counts:
        listed = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
        yield (
            f"{_runs(counts.total())} of rows, not finished ({listed}): "
            "`python -m analysis export --where \"attributes.status != 'FINISHED'\"` lists them."
        )


def _of_others() -> Iterable[str]:
    from analysis.runs.records import every

    counts = Counter(str(record["experiment"]) for record in every(where=f"tags.{names.ENTRY} IS NULL"))
    for experiment, count in sorted(counts.items()):
        yield (
            f"{_runs(count)} of other projects in the experiment {experiment}: "
            f"`python -m analysis compare --experiment {shlex.quote(experiment)}` compares those that have finished."
        )


def _unread(artifacts: Artifacts) -> Iterable[str]:
    if artifacts.unread:
        yield f"What cannot be read, and so is in no figure: {'; '.join(dict.fromkeys(artifacts.unread))}."


def _runs(count: int) -> str:
    return f"{count} run" + "s" * (count != 1)
