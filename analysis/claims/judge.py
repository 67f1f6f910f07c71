"""Verdicts on what a course report says in words, and on what we found besides: supported by our figures or not."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from analysis.claims.statements import Claim, Means, Statements
from analysis.stats import Summary, as_printed, summarize
from analysis.tables.columns import DATASET, ROW, TRAINING, difference, published
from analysis.tables.select import choose, departures, is_unverified
from pipelines.experiments.base import NO_TRAINING

SUPPORTED, NOT_SUPPORTED, NOT_TESTED = "supported", "not supported", "not tested"

NAMED = 3  # of the rows that decide, how many the evidence names

Figures = Mapping[tuple[str, str], Summary]  # by metric and row; only those with a finite value


@dataclass(frozen=True)
class Verdict:
    """A claim judged by our runs (`ours`, with the evidence) and by the published figures (`report`)."""

    claim: Claim
    ours: str
    evidence: str
    report: str


@dataclass(frozen=True)
class Judgement:
    """All verdicts on a dataset and training protocol, the course report's claims and our findings apart.

    `departures` says which rows ran with other settings than the catalogue's, `unverified` which of the `rows` on data
    files that are not the published ones, `missing` which did not run that claims not tested are about.
    """

    dataset: str
    training: str
    reported: tuple[Verdict, ...]
    found: tuple[Verdict, ...]
    departures: tuple[str, ...]
    unverified: tuple[str, ...]
    rows: int
    missing: tuple[str, ...]

    @property
    def tests(self) -> int:
        """How many claims our runs test."""
        return sum(verdict.ours != NOT_TESTED for verdict in self.reported + self.found)


def curves(
    statements: Statements,
    chosen: pd.DataFrame,
    histories: Callable[[Iterable[str], Sequence[str]], pd.DataFrame],
) -> pd.DataFrame:
    """The curves that the claims need of the runs `chosen`, by `histories`, a reader like histories.histories."""
    wanted = chosen[chosen[ROW].isin(statements.curve_rows)]
    return histories(wanted["run_id"], [curve.metric for curve in statements.curves])


def judge(statements: Statements, runs: pd.DataFrame, curves: pd.DataFrame) -> list[Judgement]:
    """Judges the claims of one entry for each training protocol among `runs`, which are on one dataset.

    Args:
        statements: the entry's.
        runs: what select.choose returns.
        curves: their histories of the metrics of the entry's curves, as histories.histories returns them.
    """
    runs = _derived(statements, runs, curves)
    report = _published(statements)
    # Beside our runs the published figures stand only on the dataset they were measured on.
    dataset = runs[DATASET].iloc[0]
    beside = report if dataset == statements.view.dataset else {}
    theirs = {(published(metric), row): summary for (metric, row), summary in beside.items()}
    judgements = []
    for training in sorted(set(runs[TRAINING]) - {NO_TRAINING}) or [NO_TRAINING]:
        trained = runs[runs[TRAINING].isin([training, NO_TRAINING])]
        ours = _summaries(statements, trained) | theirs
        departing = {run[ROW]: departures(run, statements.view) for _, run in trained.drop_duplicates(ROW).iterrows()}
        reported, found = (
            tuple(_verdict(statements, claim, ours, report) for claim in claims)
            for claims in (statements.reported, statements.found)
        )
        judgements.append(
            Judgement(
                dataset,
                training,
                reported=reported,
                found=found,
                departures=tuple(f"{row} {', '.join(texts)}" for row, texts in departing.items() if texts),
                unverified=tuple(str(row) for row, group in trained.groupby(ROW) if is_unverified(group)),
                rows=len(departing),
                missing=_missing(statements, [*reported, *found], set(departing)),
            )
        )
    return judgements


def elsewhere(statements: Statements, found: pd.DataFrame, dataset: str, training: str) -> dict[str, int]:
    """How many claims are tested on each data set but `dataset`, without those about curves.

    Args:
        statements: the entry's.
        found: what frames.find returns.
        dataset: which is not asked about.
        training: see select.choose.
    """
    no_curves = pd.DataFrame(columns=["run_id", "metric", "step", "value"])
    tested = {}
    for other in sorted(set(found[DATASET]) - {dataset, ""}):
        chosen = choose(found, statements.view, other, training)
        if not chosen.empty:
            tested[other] = max(judgement.tests for judgement in judge(statements, chosen, no_curves))
    return tested


def _missing(statements: Statements, verdicts: Iterable[Verdict], ran: set[str]) -> tuple[str, ...]:
    """Rows of the catalogue that did not run, which the claims that are not tested are about."""
    untested = [verdict.claim for verdict in verdicts if verdict.ours == NOT_TESTED]
    wanted = {row for claim in untested for means in claim.figures for row in means.rows}
    wanted |= {row for name in wanted for row in statements.best.get(name, ()) if not ran & {*statements.best[name]}}
    return tuple(row for row in statements.view.rows if row in wanted - ran)


def _derived(statements: Statements, runs: pd.DataFrame, curves: pd.DataFrame) -> pd.DataFrame:
    """`runs` with the metrics that the statements derive from what was logged."""
    view = statements.view

    def logged(metric: str) -> pd.Series | float:
        return runs.get(f"metrics.{metric}", math.nan)

    derived: dict[str, pd.Series | float] = {}
    for curve in statements.curves:
        histories = curves[curves["metric"] == curve.metric].groupby("run_id")
        values = {run: curve.derive(list(points["step"]), list(points["value"])) for run, points in histories}
        derived[curve.name] = runs["run_id"].map(values)
    for name, (metric, other) in statements.differences.items():
        derived[name] = logged(metric) - logged(other)
    figures = [view.figure(run[ROW], run[DATASET], view.main) for _, run in runs.iterrows()]
    derived[difference(view.main)] = logged(view.main) - pd.Series(figures, runs.index)
    return runs.assign(**{f"metrics.{name}": values for name, values in derived.items()})


def _verdict(statements: Statements, claim: Claim, ours: Figures, report: Figures) -> Verdict:
    return Verdict(claim, *_judged(statements, claim, ours), report=_judged(statements, claim, report)[0])


def _judged(statements: Statements, claim: Claim, figures: Figures) -> tuple[str, str]:
    """The verdict and its evidence."""
    wanted = [
        means._replace(rows=tuple(_stand_in(statements, figures, means.metric, row) for row in means.rows))
        for means in claim.figures
    ]
    missing = [
        f"no {metric} of {', '.join(absent)}"
        for metric, rows, _ in wanted
        if (absent := [row for row in rows if (metric, row) not in figures])
    ]
    if missing:
        return NOT_TESTED, "; ".join(missing)
    holds = claim.holds(*([figures[metric, row].mean for row in rows] for metric, rows, _ in wanted))
    return SUPPORTED if holds else NOT_SUPPORTED, "; ".join(_evidence(figures, means) for means in wanted)


def _stand_in(statements: Statements, figures: Figures, metric: str, row: str) -> str:
    """`row` itself, and for a name of Statements.best the row that it stands for, if one ran."""
    present = [candidate for candidate in statements.best.get(row, ()) if (metric, candidate) in figures]
    return min(present, key=lambda candidate: figures[metric, candidate].mean) if present else row


def _evidence(figures: Figures, means: Means) -> str:
    """E.g. ``smape_report: gru-2 0.2312 ± 0.0021 (n=3), lstm-2 …``."""
    metric, rows, decisive = means
    named = sorted(rows, key=lambda row: decisive(figures[metric, row].mean))[:NAMED] if decisive else rows
    summaries = {row: figures[metric, row] for row in named}
    if metric.endswith(published("")):
        listed = [f"{row} {as_printed(summary.mean)}" for row, summary in summaries.items()]
    else:
        listed = [f"{row} {summary} (n={summary.n})" for row, summary in summaries.items()]
    left_out = [f"{len(rows) - len(named)} more"] if len(named) < len(rows) else []
    return f"{metric}: {', '.join(listed + left_out)}"


def _summaries(statements: Statements, runs: pd.DataFrame) -> dict[tuple[str, str], Summary]:
    metrics = {means.metric for claim in statements.claims for means in claim.figures}
    summaries = {
        (metric, str(row)): summarize(group[f"metrics.{metric}"])
        for row, group in runs.groupby(ROW)
        for metric in metrics
        if f"metrics.{metric}" in runs
    }
    return {key: summary for key, summary in summaries.items() if summary.n}


def _published(statements: Statements) -> dict[tuple[str, str], Summary]:
    """The report's own figures, each of a single run, and their differences."""
    view, rows = statements.view, statements.view.published_rows
    figures = {(metric, row): view.figure(row, view.dataset, metric) for metric in view.published for row in rows}
    figures |= statements.further
    for name, (metric, other) in statements.differences.items():
        figures |= {
            (name, row): figures.get((metric, row), math.nan) - figures.get((other, row), math.nan) for row in rows
        }
    return {key: Summary(figure, math.nan, 1) for key, figure in figures.items() if not math.isnan(figure)}
