"""What a report leaves out of the runs on a server, counted, with the command that shows it."""

import shlex
from collections import Counter
from collections.abc import Iterable, Sequence

import pandas as pd

from analysis import tables
from analysis.parts import Artifacts, Part
from analysis.views import VIEWS
from pipelines import names

_ROW, _TRIAL = f"tags.{names.ROW}", f"tags.{names.TRIAL}"


def sentences(runs: pd.DataFrame, parts: Sequence[Part], artifacts: Artifacts) -> tuple[str, ...]:
    """One sentence for each kind of thing that is left out; one that says so where there is nothing.

    Args:
        runs: the finished runs of all rows, as of runs.find.
        parts: what the report is made of.
        artifacts: what it has read of them.
    """
    found = [
        *_repeats(runs, parts),
        *_without_figure(parts),
        *_other_entries(runs),
        *_unfinished(),
        *_of_others(),
        *_unread(artifacts),
    ]
    return tuple(found) or ("Nothing: every run on this server is of a row, has finished, and is on this page.",)


def _repeats(runs: pd.DataFrame, parts: Sequence[Part]) -> Iterable[str]:
    count = int(runs[tables.ENTRY].isin(VIEWS).sum()) - sum(len(part.runs) for part in parts)
    if count:
        yield f"{_runs(count)} that a later one repeats with the same seed, settings and data: the later one counts."


def _without_figure(parts: Sequence[Part]) -> Iterable[str]:
    for part in parts:
        metric = f"metrics.{part.view.main}"
        figures = part.runs[metric] if metric in part.runs else pd.Series(dtype=float)
        count = len(part.runs) - int(figures.map(lambda value: abs(value) < float("inf")).sum())
        if count:
            yield f"{_runs(count)} of {part.entry} on {part.dataset} without a finite {part.view.main}."


def _other_entries(runs: pd.DataFrame) -> Iterable[str]:
    others = runs[tables.ENTRY][~runs[tables.ENTRY].isin(VIEWS)]
    for entry, count in sorted(Counter(others).items()):
        shown = f"`python -m analysis compare --entry {shlex.quote(entry)}` shows them" if entry else "they name none"
        yield f"{_runs(count)} of the entry {entry or '(none)'}, which is none of this project's: {shown}."


def _unfinished() -> Iterable[str]:
    from analysis.runs import every

    counts: Counter[str] = Counter()
    for record in every(where="attributes.status != 'FINISHED'"):
        if record.get(_ROW) is not None:
            counts[str(record["status"])] += 1
    if counts:
        told = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
        yield (
            f"{_runs(counts.total())} of rows, not finished ({told}): "
            "`python -m analysis export --where \"attributes.status != 'FINISHED'\"` lists them."
        )


def _of_others() -> Iterable[str]:
    from analysis.runs import every

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
