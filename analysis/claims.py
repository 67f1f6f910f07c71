"""What the reports say in words, and what we found besides, as rows of data: held or failed by our figures."""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from analysis import tables
from analysis.stats import Summary, as_printed, late_change, summarize
from pipelines import catalogue, names

HELD, FAILED, NOT_TESTED = "held", "failed", "not tested"

TIMES = (names.TRAINING_TIME, names.EVALUATION_TIME)
CURVE_FIRST = names.first(names.SMAPE_CURVE)
CURVE_CHANGE = f"{names.SMAPE_CURVE}.late_change"  # derived here from the history, see stats.late_change
PUBLISHED = f"{names.SMAPE_REPORT}.published"

NETWORKS = tuple(catalogue.NETWORKS)
BEST_NETWORK = "best network"  # stands for the network with the lowest mean, of those that ran

Figures = Mapping[tuple[str, str], Summary]  # by metric and row; only those with a finite value


@dataclass(frozen=True)
class Claim:
    """A statement about the mean figures of some rows.

    `figures` are pairs of a metric and rows. `holds` gets, for each pair, the means of its rows in that order, and says
    whether they bear the statement out.
    """

    name: str
    text: str
    source: str
    figures: tuple[tuple[str, tuple[str, ...]], ...]
    holds: Callable[..., bool]


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

    `departures` says which rows ran with other settings than the catalogue's.
    """

    dataset: str
    training: str
    reported: tuple[Verdict, ...]
    found: tuple[Verdict, ...]
    departures: tuple[str, ...]


def _first_lowest(means: Sequence[float]) -> bool:
    return means[0] < min(means[1:])


def _first_highest(means: Sequence[float]) -> bool:
    return means[0] > max(means[1:])


def _ascending(means: Sequence[float]) -> bool:
    return all(lower < higher for lower, higher in itertools.pairwise(means))


def _all_below(limit: float) -> Callable[[Sequence[float]], bool]:
    return lambda means: max(means) < limit


def _of_depth(layers: int, *cells: str) -> tuple[str, ...]:
    return tuple(f"{cell}-{layers}" for cell in cells)


_GRU_2_FIRST = ("gru-2", *(row for row in NETWORKS if row != "gru-2"))
_TEXT = "recurrent report, 1.4.2"
_CURVES = "recurrent report, 1.4.2 on Fig. 10"

REPORTED: Mapping[str, tuple[Claim, ...]] = {
    "recurrent": (
        *(
            Claim(
                f"gru-best-{layers}",
                f"“For both […] layered models, best performance was obtained when GRU was utilised”: {layers} layers",
                _TEXT,
                ((names.SMAPE_REPORT, _of_depth(layers, "gru", "lstm", "rnn")),),
                _first_lowest,
            )
            for layers in (2, 3)
        ),
        *(
            Claim(
                f"rnn-gru-lstm-{metric}-{layers}",
                f"“RNN […] fastest to train and evaluate, followed by the GRU and LSTM”: {metric}, {layers} layers",
                _TEXT,
                ((metric, _of_depth(layers, "rnn", "gru", "lstm")),),
                _ascending,
            )
            for metric in TIMES
            for layers in (2, 3)
        ),
        *(
            Claim(
                f"deeper-worse-{cell}",
                f"“having more layers actually resulted in a decrease in performance”: {cell.upper()}",
                _TEXT,
                ((names.SMAPE_REPORT, (f"{cell}-2", f"{cell}-3")),),
                _ascending,
            )
            for cell in ("gru", "lstm", "rnn")
        ),
        *(
            Claim(
                f"rnn-worst-{layers}",
                f"“The performance of the RNNs seem to be the worst”: {layers} layers",
                _CURVES,
                ((names.SMAPE_REPORT, _of_depth(layers, "rnn", "gru", "lstm")),),
                _first_highest,
            )
            for layers in (2, 3)
        ),
        Claim(
            "error-falls",
            "“for all models except the 3 layered RNN, the test loss decreases as epochs progress”",
            _CURVES,
            ((CURVE_CHANGE, tuple(row for row in NETWORKS if row != "rnn-3")),),
            _all_below(0.0),
        ),
        Claim(
            "rnn-3-error-rises",
            "“during training of the 3 layered RNN, the test error slightly increased”",
            _CURVES,
            ((CURVE_CHANGE, ("rnn-3",)),),
            lambda changes: changes[0] > 0,
        ),
        Claim(
            "gru-2-starts-highest",
            "“the initial error of the 2 layered GRU is the highest”",
            _CURVES,
            ((CURVE_FIRST, _GRU_2_FIRST),),
            _first_highest,
        ),
        Claim(
            "gru-2-ends-lowest",
            "“the 2 layered GRU becomes the best performing model in our set of models”",
            _CURVES,
            ((names.SMAPE_REPORT, _GRU_2_FIRST),),
            _first_lowest,
        ),
        Claim(
            "all-below-0.3",
            "every network's evaluation sMAPE is below 0.3 % in the report's convention",
            catalogue.RECURRENT_REPORT,
            ((names.SMAPE_REPORT, NETWORKS),),
            _all_below(0.3),
        ),
    )
}

FOUND: Mapping[str, tuple[Claim, ...]] = {
    "recurrent": (
        Claim(
            "linear-beats-published",
            "a linear model (linear-ar-hourly) beats every published network",
            "ours",
            ((names.SMAPE_REPORT, ("linear-ar-hourly",)), (PUBLISHED, NETWORKS)),
            lambda linear, published: linear[0] < min(published),
        ),
        *(
            Claim(
                f"network-beats-{baseline}",
                f"our best network beats {baseline}",
                "ours",
                ((names.SMAPE_REPORT, (BEST_NETWORK, baseline)),),
                _ascending,
            )
            for baseline in ("linear-ar-hourly", "gradient-boosting")
        ),
    )
}

NOTES = (
    "Verdicts compare means as they are, without a test of significance; n counts runs.",
    "Of each row the runs of one setting count: the one nearest to the catalogue's.",
    "By the report: the same rule on the figures of its Table 1, which has no curves.",
    tables.METRIC_NOTES[names.SMAPE_REPORT],
    f"{CURVE_FIRST}: smape before the first update. {CURVE_CHANGE}: mean smape over the last quarter of the updates "
    "minus that over the second quarter; the error falls where this is below zero and rises where it is above.",
    "Times are those of the hosts that ran, with whatever ran beside.",
)


def choose(runs: pd.DataFrame, dataset: str, training: str = "") -> pd.DataFrame:
    """Those of `runs` to judge by on one dataset: of each row and training the runs of one setting only, never mixed.

    It is the setting with the fewest departures from the catalogue's row, then that with the most runs, then the
    newest. With `training` only networks trained so are kept; empty if there are none.
    """
    runs = tables.newest(runs[runs[tables.DATASET] == dataset])
    if training not in {"", *runs[tables.TRAINING]}:
        return runs[:0]
    if training:
        runs = runs[runs[tables.TRAINING].isin([training, catalogue.NO_TRAINING])]
    chosen: list[int] = []
    for _, group in runs.groupby([tables.TRAINING, tables.ROW]):
        alike = [same for _, same in group.groupby([tables.ROW, *tables.settings(runs)], dropna=False)]
        # Runs come oldest first, so that the largest index is the newest run.
        chosen.extend(max(alike, key=lambda same: (-len(_departures(same.iloc[0])), len(same), same.index[-1])).index)
    return runs.loc[sorted(chosen)]


def judge(entry: str, runs: pd.DataFrame, curves: pd.DataFrame) -> list[Judgement]:
    """Judges the claims on `entry` for each training protocol among `runs`, which are on one dataset.

    Args:
        entry: a key of REPORTED and FOUND.
        runs: what choose returns.
        curves: their histories of names.SMAPE_CURVE, as runs.histories returns them.
    """
    changes = {run: late_change(list(curve["step"]), list(curve["value"])) for run, curve in curves.groupby("run_id")}
    runs = runs.assign(**{f"metrics.{CURVE_CHANGE}": runs["run_id"].map(changes)})
    report = _published(entry)
    dataset = runs[tables.DATASET].iloc[0]
    # Beside our runs the published figures stand only on the dataset they were measured on.
    beside = {(PUBLISHED, row): summary for (metric, row), summary in report.items() if metric == names.SMAPE_REPORT}
    judgements = []
    for training in sorted(set(runs[tables.TRAINING]) - {catalogue.NO_TRAINING}) or [catalogue.NO_TRAINING]:
        trained = runs[runs[tables.TRAINING].isin([training, catalogue.NO_TRAINING])]
        ours = _summaries(entry, trained) | (beside if dataset == tables.VIEWS[entry].dataset else {})
        reported = tuple(_verdict(claim, ours, report) for claim in REPORTED[entry])
        found = tuple(_verdict(claim, ours, report) for claim in FOUND[entry])
        departing = {run[tables.ROW]: _departures(run) for _, run in trained.drop_duplicates(tables.ROW).iterrows()}
        departures = tuple(f"{row} {', '.join(texts)}" for row, texts in departing.items() if texts)
        judgements.append(Judgement(dataset, training, reported, found, departures))
    return judgements


def to_markdown(entry: str, judgements: Sequence[Judgement]) -> str:
    """The verdicts as two tables for each dataset and training protocol, with footnotes once."""
    parts = []
    for judgement in judgements:
        reported = [
            [verdict.claim.text, verdict.claim.source, verdict.report, verdict.ours, verdict.evidence]
            for verdict in judgement.reported
        ]
        found = [[verdict.claim.text, verdict.ours, verdict.evidence] for verdict in judgement.found]
        parts += [
            f"## {entry}, {judgement.dataset}, {judgement.training}",
            tables.markdown(["claim", "source", "by the report", "by ours", "evidence"], reported),
            "### Our own findings",
            tables.markdown(["finding", "by ours", "evidence"], found),
        ]
        if judgement.departures:
            parts.append(f"Settings that are not the catalogue's: {'; '.join(judgement.departures)}.")
    trainings = {judgement.training for judgement in judgements}
    notes = [*NOTES, *(note for training, note in tables.TRAINING_NOTES.items() if training in trainings)]
    return "\n\n".join([*parts, "\n".join(f"- {note}" for note in notes)]) + "\n"


def _verdict(claim: Claim, ours: Figures, report: Figures) -> Verdict:
    return Verdict(claim, *_judged(claim, ours), report=_judged(claim, report)[0])


def _judged(claim: Claim, figures: Figures) -> tuple[str, str]:
    """The verdict and its evidence."""
    wanted = [(metric, tuple(_stand_in(figures, metric, row) for row in rows)) for metric, rows in claim.figures]
    missing = [
        f"no {metric} of {', '.join(absent)}"
        for metric, rows in wanted
        if (absent := [row for row in rows if (metric, row) not in figures])
    ]
    if missing:
        return NOT_TESTED, "; ".join(missing)
    held = claim.holds(*([figures[metric, row].mean for row in rows] for metric, rows in wanted))
    return HELD if held else FAILED, "; ".join(_evidence(figures, metric, rows) for metric, rows in wanted)


def _stand_in(figures: Figures, metric: str, row: str) -> str:
    """`row` itself, and for BEST_NETWORK the network that it stands for, if one ran."""
    present = [network for network in NETWORKS if (metric, network) in figures]
    if row != BEST_NETWORK or not present:
        return row
    return min(present, key=lambda network: figures[metric, network].mean)


def _evidence(figures: Figures, metric: str, rows: Sequence[str]) -> str:
    """E.g. ``smape_report: gru-2 0.2312 ± 0.0021 (n=3), lstm-2 …``."""
    summaries = {row: figures[metric, row] for row in rows}
    if metric == PUBLISHED:
        listed = [f"{row} {as_printed(summary.mean)}" for row, summary in summaries.items()]
    else:
        listed = [f"{row} {summary} (n={summary.n})" for row, summary in summaries.items()]
    return f"{metric}: {', '.join(listed)}"


def _summaries(entry: str, runs: pd.DataFrame) -> dict[tuple[str, str], Summary]:
    metrics = {metric for claim in (*REPORTED[entry], *FOUND[entry]) for metric, _ in claim.figures}
    summaries = {
        (metric, row): summarize(group[f"metrics.{metric}"])
        for row, group in runs.groupby(tables.ROW)
        for metric in metrics
        if f"metrics.{metric}" in runs
    }
    return {key: summary for key, summary in summaries.items() if summary.n}


def _published(entry: str) -> dict[tuple[str, str], Summary]:
    """The report's own figures, each of a single run."""
    view = tables.VIEWS[entry]
    figures = {(metric, row): view.figure(row, view.dataset, metric) for metric in view.published for row in view.rows}
    return {key: Summary(figure, math.nan, 1) for key, figure in figures.items() if not math.isnan(figure)}


def _departures(run: pd.Series) -> list[str]:
    """Settings in which a run departs from the catalogue's row, as ``epochs 1 (catalogue: 4)``."""
    try:
        own = catalogue.resolve(
            run[tables.ROW], run[tables.DATASET], run[tables.TRAINING], seed=int(run[tables.SEED]), fraction=1.0
        )
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
    except ValueError:
        return text == str(value)
