"""What the reports say in words, and what we found besides: held or failed by our figures."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from analysis import tables
from analysis.ablation_statements import ABLATION
from analysis.escapes import markdown as escaped
from analysis.formats import markdown
from analysis.recurrent_statements import RECURRENT
from analysis.statements import Claim, Means, Statements
from analysis.stats import Summary, as_printed, summarize
from analysis.views import TRAINING_NOTES, VIEWS
from pipelines.experiments.base import NO_TRAINING

HELD, FAILED, NOT_TESTED = "held", "failed", "not tested"

STATEMENTS: Mapping[str, Statements] = {"recurrent": RECURRENT, "ablation": ABLATION}

NOTES = (
    "Verdicts compare means as they are, without a test of significance; n counts runs.",
    "Of each row the runs of one setting count: the one nearest to the catalogue's.",
)
NAMED = 3  # of the rows that decide, how many the evidence names

Figures = Mapping[tuple[str, str], Summary]  # by metric and row; only those with a finite value


@dataclass(frozen=True)
class Verdict:
    """A claim judged by our runs (`ours`, with the evidence) and by the report's published figures (`report`)."""

    claim: Claim
    ours: str
    evidence: str
    report: str


@dataclass(frozen=True)
class Judgement:
    """All verdicts on a dataset and training protocol, the report's claims and our findings apart.

    `departures` says which rows ran with other settings than the catalogue's, `unverified` which of the `rows` on data
    files that are not the published ones.
    """

    dataset: str
    training: str
    reported: tuple[Verdict, ...]
    found: tuple[Verdict, ...]
    departures: tuple[str, ...]
    unverified: tuple[str, ...]
    rows: int

    @property
    def tested(self) -> bool:
        """Whether our runs hold or fail any claim at all."""
        return any(verdict.ours != NOT_TESTED for verdict in self.reported + self.found)


def choose(runs: pd.DataFrame, dataset: str, training: str = "") -> pd.DataFrame:
    """Those of `runs` to judge by on one dataset: of each row and training the runs of one setting only, never mixed.

    It is the setting with the fewest departures from the catalogue's row, then that with the most runs, then the
    newest. With `training` only networks trained so are kept; empty if there are none.
    """
    runs = tables.newest(runs[runs[tables.DATASET] == dataset])
    if training not in {"", *runs[tables.TRAINING]}:
        return runs[:0]
    if training:
        runs = runs[runs[tables.TRAINING].isin([training, NO_TRAINING])]
    chosen: list[int] = []
    for _, group in runs.groupby([tables.TRAINING, tables.ROW]):
        alike = [same for _, same in group.groupby([tables.ROW, *tables.settings(runs)], dropna=False)]
        # Runs come oldest first, so that the largest index is the newest run.
        chosen.extend(max(alike, key=lambda same: (-len(departures(same.iloc[0])), len(same), same.index[-1])).index)
    return runs.loc[sorted(chosen)]


def curves(
    entry: str, chosen: pd.DataFrame, histories: Callable[[Iterable[str], Sequence[str]], pd.DataFrame]
) -> pd.DataFrame:
    """The curves that the entry's claims need of the runs `chosen`, by `histories`, a reader like runs.histories."""
    statements = STATEMENTS[entry]
    wanted = chosen[chosen[tables.ROW].isin(statements.curve_rows)]
    return histories(wanted["run_id"], [curve.metric for curve in statements.curves])


def judge(entry: str, runs: pd.DataFrame, curves: pd.DataFrame) -> list[Judgement]:
    """Judges the claims on `entry` for each training protocol among `runs`, which are on one dataset.

    Args:
        entry: a key of STATEMENTS.
        runs: what choose returns.
        curves: their histories of the metrics of the entry's curves, as runs.histories returns them.
    """
    statements = STATEMENTS[entry]
    runs = _derived(entry, runs, curves)
    report = _published(entry)
    # Beside our runs the published figures stand only on the dataset they were measured on.
    dataset = runs[tables.DATASET].iloc[0]
    beside = report if dataset == VIEWS[entry].dataset else {}
    theirs = {(tables.published(metric), row): summary for (metric, row), summary in beside.items()}
    judgements = []
    for training in sorted(set(runs[tables.TRAINING]) - {NO_TRAINING}) or [NO_TRAINING]:
        trained = runs[runs[tables.TRAINING].isin([training, NO_TRAINING])]
        ours = _summaries(statements, trained) | theirs
        departing = {run[tables.ROW]: departures(run) for _, run in trained.drop_duplicates(tables.ROW).iterrows()}
        judgements.append(
            Judgement(
                dataset,
                training,
                reported=tuple(_verdict(statements, claim, ours, report) for claim in statements.reported),
                found=tuple(_verdict(statements, claim, ours, report) for claim in statements.found),
                departures=tuple(f"{row} {', '.join(texts)}" for row, texts in departing.items() if texts),
                unverified=tuple(row for row, group in trained.groupby(tables.ROW) if tables.is_unverified(group)),
                rows=len(departing),
            )
        )
    return judgements


def to_markdown(entry: str, judgements: Sequence[Judgement]) -> str:
    """The verdicts as two tables for each dataset and training protocol, with footnotes once.

    A protocol whose rows alone test nothing has no tables beside one whose rows do.
    """
    parts = []
    telling = [judgement for judgement in judgements if judgement.tested] or judgements
    own = VIEWS[entry].dataset
    for judgement in telling:
        compares = judgement.dataset == own
        reported = [
            [
                verdict.claim.text,
                verdict.claim.source,
                *([verdict.report] if compares else []),
                verdict.ours,
                verdict.evidence,
            ]
            for verdict in judgement.reported
        ]
        found = [[verdict.claim.text, verdict.ours, verdict.evidence] for verdict in judgement.found]
        parts += [
            f"## {entry}, {escaped(judgement.dataset)}, {escaped(judgement.training)}",
            *(
                []
                if compares
                else [
                    f"The report is about {own}. These are the same words about {escaped(judgement.dataset)}: "
                    "whether they hold here says nothing of the report."
                ]
            ),
            markdown(["claim", "source", *(["by the report"] if compares else []), "by ours", "evidence"], reported),
            "### Our own findings",
            markdown(["finding", "by ours", "evidence"], found),
        ]
        if judgement.departures:
            parts.append(escaped(f"Settings that are not the catalogue's: {'; '.join(judgement.departures)}."))
        if judgement.unverified:
            parts.append(escaped(tables.unverified_note(judgement.unverified, judgement.rows)))
    parts += [
        f"No claim is tested by the rows trained {judgement.training} alone; what they lack: "
        f"--training {escaped(judgement.training)}."
        for judgement in judgements
        if judgement not in telling
    ]
    trainings = {judgement.training for judgement in judgements}
    notes = [*NOTES, *STATEMENTS[entry].notes]
    notes += [note for training, note in TRAINING_NOTES.items() if training in trainings]
    return "\n\n".join([*parts, "\n".join(f"- {note}" for note in notes)]) + "\n"


def _derived(entry: str, runs: pd.DataFrame, curves: pd.DataFrame) -> pd.DataFrame:
    """`runs` with the metrics that the statements derive from what was logged."""
    view = VIEWS[entry]

    def logged(metric: str) -> pd.Series | float:
        return runs.get(f"metrics.{metric}", math.nan)

    derived = {}
    for curve in STATEMENTS[entry].curves:
        histories = curves[curves["metric"] == curve.metric].groupby("run_id")
        values = {run: curve.derive(list(points["step"]), list(points["value"])) for run, points in histories}
        derived[curve.name] = runs["run_id"].map(values)
    for name, (metric, other) in STATEMENTS[entry].differences.items():
        derived[name] = logged(metric) - logged(other)
    figures = [view.figure(run[tables.ROW], run[tables.DATASET], view.main) for _, run in runs.iterrows()]
    derived[tables.difference(view.main)] = logged(view.main) - pd.Series(figures, runs.index)
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
    held = claim.holds(*([figures[metric, row].mean for row in rows] for metric, rows, _ in wanted))
    return HELD if held else FAILED, "; ".join(_evidence(figures, means) for means in wanted)


def _stand_in(statements: Statements, figures: Figures, metric: str, row: str) -> str:
    """`row` itself, and for a name of Statements.best the row that it stands for, if one ran."""
    present = [candidate for candidate in statements.best.get(row, ()) if (metric, candidate) in figures]
    return min(present, key=lambda candidate: figures[metric, candidate].mean) if present else row


def _evidence(figures: Figures, means: Means) -> str:
    """E.g. ``smape_report: gru-2 0.2312 ± 0.0021 (n=3), lstm-2 …``."""
    metric, rows, decisive = means
    named = sorted(rows, key=lambda row: decisive(figures[metric, row].mean))[:NAMED] if decisive else rows
    summaries = {row: figures[metric, row] for row in named}
    if metric.endswith(tables.published("")):
        listed = [f"{row} {as_printed(summary.mean)}" for row, summary in summaries.items()]
    else:
        listed = [f"{row} {summary} (n={summary.n})" for row, summary in summaries.items()]
    left_out = [f"{len(rows) - len(named)} more"] if len(named) < len(rows) else []
    return f"{metric}: {', '.join(listed + left_out)}"


def _summaries(statements: Statements, runs: pd.DataFrame) -> dict[tuple[str, str], Summary]:
    metrics = {means.metric for claim in statements.claims for means in claim.figures}
    summaries = {
        (metric, row): summarize(group[f"metrics.{metric}"])
        for row, group in runs.groupby(tables.ROW)
        for metric in metrics
        if f"metrics.{metric}" in runs
    }
    return {key: summary for key, summary in summaries.items() if summary.n}


def _published(entry: str) -> dict[tuple[str, str], Summary]:
    """The report's own figures, each of a single run, and their differences."""
    view, statements = VIEWS[entry], STATEMENTS[entry]
    figures = {(metric, row): view.figure(row, view.dataset, metric) for metric in view.published for row in view.rows}
    figures |= statements.further
    for name, (metric, other) in statements.differences.items():
        figures |= {
            (name, row): figures.get((metric, row), math.nan) - figures.get((other, row), math.nan) for row in view.rows
        }
    return {key: Summary(figure, math.nan, 1) for key, figure in figures.items() if not math.isnan(figure)}


def departures(run: pd.Series) -> list[str]:
    """Settings in which a run departs from the catalogue's row, as ``epochs 1 (catalogue: 4)``."""
    try:
        settings = STATEMENTS[run[tables.ENTRY]].settings
        own = settings(run[tables.ROW], run[tables.DATASET], run[tables.TRAINING], int(run[tables.SEED]), 1.0)
    except (KeyError, ValueError):  # nothing of the catalogue's, so there is nothing to depart from
        return []
    ran = {name: run.get(f"params.{name}") for name in own}
    return [
        f"{name} {ran[name]} (catalogue: {value})"
        for name, value in own.items()
        if not pd.isna(ran[name]) and not _same(ran[name], value)
    ]


def _same(text: str, value: object) -> bool:
    """Whether a parameter as logged is `value`: 1 and 1.0 are the same."""
    try:
        return float(text) == float(value)
    except (TypeError, ValueError):  # the value of a list, or a text
        return text == str(value)
