"""The README's tables, made again from the results stored in the repository, so that no reader needs our server.

The results are three files: a line for each run, one for each point of the curves that claims are judged by, and one
for each test of two rows by their predictions. A table stands in the README or another page between
``<!-- its name -->`` and ``<!-- end -->``.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd

from analysis.claims.judge import judge
from analysis.entries import ladder
from analysis.entries.index import STATEMENTS, VIEWS
from analysis.errors import InputError
from analysis.escapes import plain
from analysis.formats import markdown, write
from analysis.stats import as_printed, probability, summarize
from analysis.tables.cells import cells
from analysis.tables.columns import (
    COUNT,
    DATA_DIGEST,
    DATASET,
    ENTRY,
    IDENTITY,
    ROW,
    SEED,
    STUDY,
    TRAINING,
    VERIFIED,
    high,
    low,
    method,
    p_value,
    predictions,
)
from analysis.tables.compare import compare, table
from analysis.tables.predicted import Outcomes
from analysis.tables.select import choose, newest
from analysis.tables.table import Options
from pipelines import names
from pipelines.common.command import hint
from pipelines.errors import meant

RUNS, CURVES, TESTS = "runs.csv", "curves.csv", "tests.csv"

# The rows that others are tested against by their predictions.
AGAINST: Mapping[str, Sequence[str]] = {"recurrent": ("linear-ar-hourly", "gru-2"), "ablation": ("cnn",)}
_TEST_KEYS = [names.ENTRY, names.ROW, names.TRAINING, "against"]

# What tells results apart; a newer one of the same replaces the stored one.
_EXPERIMENT = [ENTRY, ROW, TRAINING, STUDY]
_TAGS = {*IDENTITY, VERIFIED, STUDY, DATA_DIGEST}
_MACHINE = {"params.origin", "params.weights"}  # where weights lay, on whoever's machine

_MARKED = re.compile(r"<!-- (?P<name>[\w-]+) -->\n(?P<table>.*?)<!-- end -->", re.DOTALL)


@dataclass(frozen=True)
class Results:
    """Stored results: `runs` as of frames.find, `curves` as of histories.histories, and `tests` as of `tested`."""

    runs: pd.DataFrame
    curves: pd.DataFrame
    tests: pd.DataFrame


def load(folder: Path) -> Results:
    """The stored results.

    Raises:
        InputError: they are not there.
    """
    try:
        # Parameters and tags are text, as they are on a tracking server.
        columns = pd.read_csv(folder / RUNS, nrows=0).columns
        text = {column: str for column in columns if not column.startswith("metrics.")}
        runs = pd.read_csv(folder / RUNS, dtype=text, keep_default_na=True)
        return Results(runs, pd.read_csv(folder / CURVES), pd.read_csv(folder / TESTS))
    except FileNotFoundError as error:
        raise InputError(f"results: no {error.filename}; {_remedy()}") from error


def tested(runs: pd.DataFrame, outcomes: Outcomes) -> pd.DataFrame:
    """Tests of the catalogue's rows against those of AGAINST by their predictions, on the course reports' data sets.

    Args:
        runs: finished runs.
        outcomes: reads what they predicted.

    Returns:
        Columns ``entry``, ``row``, ``training``, ``against``, ``n`` (runs of the row), ``difference``, the ends ``low``
        and ``high`` of its interval, ``p``, corrected by Holm, and ``test``.
    """
    found = [pd.DataFrame(columns=[*_TEST_KEYS, COUNT, "difference", "low", "high", "p", "test"])]
    for entry, baselines in AGAINST.items():
        view = VIEWS[entry]
        own = choose(runs[runs[ENTRY] == entry], view, view.dataset)
        for baseline in baselines:
            if baseline not in set(own[ROW]):
                continue
            options = Options(metrics=(view.main,), baseline=baseline, group_by=(names.ROW, names.TRAINING))
            lines = table(entry, view.dataset, own.dropna(axis="columns", how="all"), view, options, outcomes).lines
            gap = f"{view.main}.minus.{baseline}"
            by = predictions(gap)
            if method(by) in lines:
                columns = {gap: "difference", low(gap): "low", high(gap): "high", p_value(by): "p", method(by): "test"}
                kept = lines.rename(columns=columns)[lambda each: each["test"] != ""]
                found.append(kept.assign(against=baseline)[found[0].columns])
    return pd.concat([each for each in found if len(each)] or found, ignore_index=True)


def merged(
    stored: Results | None, runs: pd.DataFrame, curves: pd.DataFrame, tests: pd.DataFrame | None = None
) -> Results:
    """`stored` with every experiment that `runs` have anew replaced by these.

    Args:
        stored: what was there; None at first.
        runs: finished runs, of which those on the course reports' own datasets count.
        curves: their histories.
        tests: of them, see `tested`.
    """
    tests = tested(runs[:0], lambda run_id, metric: None) if tests is None else tests
    own = {entry: view.dataset for entry, view in VIEWS.items()}
    runs = newest(runs[runs[DATASET] == runs[ENTRY].map(own)])
    kept = [column for column in map(str, runs) if _is_kept(column)]
    runs = runs[kept] if STUDY in kept else runs[kept].assign(**{STUDY: None})
    if stored is not None:
        fresh = pd.MultiIndex.from_frame(runs[_EXPERIMENT].fillna(""))
        others = stored.runs[~pd.MultiIndex.from_frame(stored.runs[_EXPERIMENT].fillna("")).isin(fresh)]
        before = stored.curves[~stored.curves["run_id"].isin(curves["run_id"])]
        runs, curves = pd.concat([others, runs]), pd.concat([before, curves])
        tests = pd.concat([stored.tests, tests]) if len(tests) else stored.tests
    figures = sorted(column for column in map(str, runs) if column.startswith("metrics."))
    words = sorted(set(map(str, runs)) - {*figures, "run_id"})
    runs = runs[["run_id", *words, *figures]].sort_values([*_EXPERIMENT, SEED, "run_id"])
    curves = curves[curves["run_id"].isin(runs["run_id"])].sort_values(["metric", "run_id", "step"])
    tests = tests.drop_duplicates(_TEST_KEYS, keep="last").sort_values(_TEST_KEYS)
    return Results(*(each.reset_index(drop=True) for each in (runs, curves, tests)))


def store(results: Results, folder: Path) -> None:
    """Writes `results` to `folder`, as `load` reads them."""
    write(folder / RUNS, results.runs.to_csv(index=False))
    write(folder / CURVES, results.curves.to_csv(index=False))
    write(folder / TESTS, results.tests.to_csv(index=False))


def rewritten(text: str, results: Results) -> str:
    """`text` with every marked table made again from `results`.

    Raises:
        InputError: a mark that names no table, or a table whose runs are not stored.
    """

    def made(found: re.Match) -> str:
        name = found["name"]
        if name not in TABLES:
            raise InputError(f"readme: no table is called {name!r}; {meant(name, TABLES)}")
        return f"<!-- {name} -->\n{TABLES[name](results)}\n<!-- end -->"

    return _MARKED.sub(made, text)


def _remedy() -> str:
    return f"store some: {hint('python -m analysis readme --refresh true')}"


def _is_kept(column: str) -> bool:
    """Tells whether a column of runs is stored: all that settings and tables need, nothing by class or series."""
    kind, _, name = column.partition(".")
    if kind == "metrics":
        return names.is_first(name) or not names.is_derived(name)
    return column in {"run_id", *_TAGS} or (kind == "params" and column not in _MACHINE)


def _chosen(results: Results, entry: str, tuned: bool = False) -> pd.DataFrame:
    """The entry's runs, either of the catalogue's rows or of studies' winners."""
    runs = results.runs
    chosen = runs[(runs[ENTRY] == entry) & (runs[STUDY].notna() == tuned)]
    if chosen.empty:
        raise InputError(f"readme: no runs of {entry} are stored; {_remedy()}")
    return chosen.dropna(axis="columns", how="all")


def _comparison(
    results: Results,
    entry: str,
    tuned: bool = False,
    metrics: tuple[str, ...] = (),
    columns: tuple[str, ...] = (),
    group_by: tuple[str, ...] = (),
    baseline: str = "",
) -> str:
    """The comparison of these runs with these table.Options, without footnotes."""
    options = Options(metrics, columns, group_by, baseline)
    (made,) = compare(_chosen(results, entry, tuned), VIEWS, options)
    rounded = cells(made)
    code = [(f"`{line[0]}`", *line[1:]) for line in rounded.lines]
    return markdown(rounded.header, code, rounded.numeric, plain)


def _headline(results: Results, title: str, metric: str, rows: Mapping[str, str]) -> str:
    """A line for each of `rows`, which map a row to its description, beside the published figure."""
    lines = []
    for row, description in rows.items():
        runs = results.runs[results.runs[ROW] == row]
        runs = runs[runs.get(f"metrics.{metric}", pd.Series(math.nan, runs.index)).notna()]
        if runs.empty:
            raise InputError(f"readme: no runs of {row} are stored; {_remedy()}")
        entry, dataset = runs[ENTRY].iloc[0], runs[DATASET].iloc[0]
        summary = summarize(runs[f"metrics.{metric}"])
        count = f", {summary.n} seeds" if summary.n > 1 else ""
        published = as_printed(VIEWS[entry].figure(row, dataset, metric))
        lines.append([f"`{row}`, {description}{count}", str(summary), published])
    return markdown([title, metric, "published"], lines, 2, plain)


def _by_predictions(results: Results, entry: str, against: str) -> str:
    """The entry's rows tested against one of them by their predictions, the best first."""
    view = VIEWS[entry]
    tests = results.tests[(results.tests[names.ENTRY] == entry) & (results.tests["against"] == against)]
    if tests.empty:
        raise InputError(f"readme: no tests of {entry} against {against} are stored; {_remedy()}")
    lines = [
        [
            f"`{line[names.ROW]}`",
            str(line[COUNT]),
            f"{line['difference']:+.4f}",
            f"{line['low']:+.4f} … {line['high']:+.4f}",
            probability(line["p"]),
        ]
        for line in tests.sort_values("difference", ascending=bool(view.lowest)).to_dict("records")
    ]
    return markdown(["row", COUNT, f"{view.main} minus {against}", "95 %", "p"], lines, 4, plain)


def _ladder(results: Results) -> str:
    """What each change from the forecasting report's network to ours gives and costs."""
    view = VIEWS["recurrent"]
    made = ladder.tabulated(ladder.rungs(choose(_chosen(results, "recurrent"), view, view.dataset)))
    code = [(f"`{line[0]}`", *line[1:]) for line in made.lines]
    return markdown(made.header, code, made.numeric, plain)


def _verdicts(results: Results, entry: str) -> str:
    """The claims of the entry's report, and our findings, each held or failed."""
    view = VIEWS[entry]
    chosen = choose(_chosen(results, entry), view, view.dataset)
    parts = []
    for judgement in judge(STATEMENTS[entry], chosen, results.curves):
        reported = [[each.claim.text, each.report, f"{each.ours}: {each.evidence}"] for each in judgement.reported]
        found = [[each.claim.text, f"{each.ours}: {each.evidence}"] for each in judgement.found]
        parts += [
            markdown(["the course report says", "by its own table", "by ours"], reported, escape=plain),
            markdown(["we find", ""], found, escape=plain),
        ]
    return "\n\n".join(parts)


_OF_A_ROW = (names.ROW, names.TRAINING, "lr")  # a row's other settings are in the pages

TABLES: Mapping[str, Callable[[Results], str]] = {
    "headline-recurrent": partial(
        _headline,
        title="next hour's load, 12 PJM series, 108,902 test windows: sMAPE %, published convention",
        metric=names.SMAPE_REPORT,
        rows={
            "gru-relative": "see [docs/forecasting.md](docs/forecasting.md)",
            **dict.fromkeys(("gru-2", "gru-3", "rnn-2", "lstm-3"), "dense training"),
            "linear-ar-hourly": "least squares, 2 s",
            "gradient-boosting": "on top of it",
        },
    ),
    "headline-images": partial(
        _headline,
        title="CIFAR-10: accuracy on the test set, %",
        metric=names.TEST_ACCURACY,
        rows={
            "tuned": "the winner of a study, see [Studies](#studies)",
            **{"cnn-double-channel": "the best published", "cnn-lr-high": "lr 0.01", "cnn": "lr 0.001"},
            **{"mlp-3": "fully connected", "cnn-lr-low": "lr 0.0001", "resnet56": "its published weights"},
        },
    ),
    "recurrent": partial(
        _comparison,
        entry="recurrent",
        metrics=(names.SMAPE_REPORT, names.TRAINING_TIME, names.EVALUATION_TIME),
        group_by=_OF_A_ROW,
    ),
    "recurrent-significance": partial(
        _comparison, entry="recurrent", metrics=(names.SMAPE_REPORT,), group_by=_OF_A_ROW, baseline="gru-2"
    ),
    "recurrent-predictions": partial(_by_predictions, entry="recurrent", against="linear-ar-hourly"),
    "recurrent-ladder": _ladder,
    "recurrent-claims": partial(_verdicts, entry="recurrent"),
    "recurrent-studies": partial(
        _comparison,
        entry="recurrent",
        metrics=(names.SMAPE_REPORT, names.TRAINING_TIME),
        group_by=(names.ROW, names.STUDY, "cell", "layers", "hidden", "lr"),
        tuned=True,
    ),
    "ablation": partial(_comparison, entry="ablation"),
    "ablation-significance": partial(_comparison, entry="ablation", metrics=(names.TEST_ACCURACY,), baseline="cnn"),
    "ablation-claims": partial(_verdicts, entry="ablation"),
    "ablation-studies": partial(
        _comparison,
        entry="ablation",
        metrics=(names.TEST_ACCURACY, names.TRAIN_ACCURACY),
        columns=("channels", "activation", "lr"),
        tuned=True,
    ),
    "resnet": partial(_comparison, entry="resnet"),
    "pretrain": partial(_comparison, entry="pretrain"),
}
