"""The README's tables, made again from the results stored in the repository, so that no reader needs our server.

The results are two files: a line for each run, and one for each point of the curves that claims are judged by. A table
stands in the README between ``<!-- its name -->`` and ``<!-- end -->``.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd

from analysis.claims.judge import judge
from analysis.entries.index import STATEMENTS, VIEWS
from analysis.errors import InputError
from analysis.escapes import plain
from analysis.formats import markdown, write
from analysis.stats import as_printed, summarize
from analysis.tables.cells import cells
from analysis.tables.columns import DATA_DIGEST, DATASET, ENTRY, IDENTITY, ROW, SEED, STUDY, TRAINING, VERIFIED
from analysis.tables.compare import compare
from analysis.tables.select import choose, newest
from analysis.tables.table import Options
from pipelines import names
from pipelines.common.command import hint
from pipelines.errors import meant

RUNS, CURVES = "runs.csv", "curves.csv"

# What tells results apart; a newer one of the same replaces the stored one.
_EXPERIMENT = [ENTRY, ROW, TRAINING, STUDY]
_TAGS = {*IDENTITY, VERIFIED, STUDY, DATA_DIGEST}
_MACHINE = {"params.origin", "params.weights"}  # where weights lay, on whoever's machine

_MARKED = re.compile(r"<!-- (?P<name>[\w-]+) -->\n(?P<table>.*?)<!-- end -->", re.DOTALL)


@dataclass(frozen=True)
class Results:
    """Stored results: `runs` like those of frames.find, `curves` like those of histories.histories."""

    runs: pd.DataFrame
    curves: pd.DataFrame


def load(folder: Path) -> Results:
    """The stored results.

    Raises:
        InputError: they are not there.
    """
    try:
        # Parameters and tags are text, as they are on a tracking server.
        columns = pd.read_csv(folder / RUNS, nrows=0).columns
        text = {column: str for column in columns if not column.startswith("metrics.")}
        return Results(pd.read_csv(folder / RUNS, dtype=text, keep_default_na=True), pd.read_csv(folder / CURVES))
    except FileNotFoundError as error:
        raise InputError(f"results: no {error.filename}; {_remedy()}") from error


def merged(stored: Results | None, runs: pd.DataFrame, curves: pd.DataFrame) -> Results:
    """`stored` with every experiment that `runs` have anew replaced by these.

    Args:
        stored: what was there; None at first.
        runs: finished runs, of which those on the reports' own datasets count.
        curves: their histories.
    """
    own = {entry: view.dataset for entry, view in VIEWS.items()}
    runs = newest(runs[runs[DATASET] == runs[ENTRY].map(own)])
    kept = [column for column in map(str, runs) if _is_kept(column)]
    runs = runs[kept] if STUDY in kept else runs[kept].assign(**{STUDY: None})
    if stored is not None:
        fresh = pd.MultiIndex.from_frame(runs[_EXPERIMENT].fillna(""))
        others = stored.runs[~pd.MultiIndex.from_frame(stored.runs[_EXPERIMENT].fillna("")).isin(fresh)]
        runs, curves = pd.concat([others, runs]), pd.concat([stored.curves, curves])
    figures = sorted(column for column in map(str, runs) if column.startswith("metrics."))
    words = sorted(set(map(str, runs)) - {*figures, "run_id"})
    runs = runs[["run_id", *words, *figures]].sort_values([*_EXPERIMENT, SEED, "run_id"])
    curves = curves[curves["run_id"].isin(runs["run_id"])].sort_values(["metric", "run_id", "step"])
    return Results(runs.reset_index(drop=True), curves.reset_index(drop=True))


def store(results: Results, folder: Path) -> None:
    """Writes `results` to `folder`, as `load` reads them."""
    write(folder / RUNS, results.runs.to_csv(index=False))
    write(folder / CURVES, results.curves.to_csv(index=False))


def rewritten(text: str, results: Results) -> str:
    """`text` with every marked table made again from `results`.

    Raises:
        InputError: a mark that names no table, or a table whose runs are not stored.
    """

    def table(found: re.Match) -> str:
        name = found["name"]
        if name not in TABLES:
            raise InputError(f"readme: no table is called {name!r}; {meant(name, TABLES)}")
        return f"<!-- {name} -->\n{TABLES[name](results)}\n<!-- end -->"

    return _MARKED.sub(table, text)


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
    baseline: str = "",
) -> str:
    """The comparison of these runs with these table.Options, without footnotes."""
    (table,) = compare(_chosen(results, entry, tuned), VIEWS, Options(metrics, columns, baseline=baseline))
    rounded = cells(table)
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


def _verdicts(results: Results, entry: str) -> str:
    """The claims of the entry's report, and our findings, each held or failed."""
    view = VIEWS[entry]
    chosen = choose(_chosen(results, entry), view, view.dataset)
    parts = []
    for judgement in judge(STATEMENTS[entry], chosen, results.curves):
        reported = [[each.claim.text, each.report, f"{each.ours}: {each.evidence}"] for each in judgement.reported]
        found = [[each.claim.text, f"{each.ours}: {each.evidence}"] for each in judgement.found]
        parts += [
            markdown(["the report says", "by its own table", "by ours"], reported, escape=plain),
            markdown(["we find", ""], found, escape=plain),
        ]
    return "\n\n".join(parts)


TABLES: Mapping[str, Callable[[Results], str]] = {
    "headline-recurrent": partial(
        _headline,
        title="next hour's load, 12 PJM series, 108,902 test windows: sMAPE %, the report's convention",
        metric=names.SMAPE_REPORT,
        rows={
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
            **{"cnn-double-channel": "the report's best", "cnn-lr-high": "lr 0.01", "cnn": "lr 0.001"},
            **{"mlp-3": "fully connected", "cnn-lr-low": "lr 0.0001", "resnet56": "its published weights"},
        },
    ),
    "recurrent": partial(
        _comparison,
        entry="recurrent",
        metrics=(names.SMAPE_REPORT, names.TRAINING_TIME, names.EVALUATION_TIME),
    ),
    "recurrent-significance": partial(_comparison, entry="recurrent", metrics=(names.SMAPE_REPORT,), baseline="gru-2"),
    "recurrent-claims": partial(_verdicts, entry="recurrent"),
    "recurrent-studies": partial(
        _comparison, entry="recurrent", metrics=(names.SMAPE_REPORT, names.TRAINING_TIME), tuned=True
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
