"""Tables and sentences of the README and docs/, made again from results stored in the repository: no server is needed.

The results are three files: a line for each run, one for each point of the curves that claims are judged by, and one
for each test of two rows by their predictions. A table stands in the README or another page between
``<!-- its name -->`` and ``<!-- end -->``, and so does a sentence.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from analysis import headline
from analysis.claims.judge import judge
from analysis.entries import ladder
from analysis.entries.flaws import FLAWS
from analysis.entries.index import STATEMENTS, VIEWS
from analysis.errors import InputError
from analysis.escapes import plain
from analysis.formats import markdown, write
from analysis.report.parts import apart, own_rows
from analysis.stats import probability
from analysis.tables.cells import cells
from analysis.tables.columns import (
    COUNT,
    CPU,
    DATA_DIGEST,
    DATASET,
    ENTRY,
    GPU,
    IDENTITY,
    ISA,
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
README, FOLDER, PICTURE = "README.md", "docs", "docs/headline.svg"

# The rows that others are tested against by their predictions.
AGAINST: Mapping[str, Sequence[str]] = {"recurrent": ("linear-ar-hourly", "gru-2"), "ablation": ("cnn",)}
_TEST_KEYS = [names.ENTRY, names.ROW, names.TRAINING, "against"]

# What tells results apart; a newer one of the same replaces the stored one. A training on all images stands beside the
# one that held some out, and a device beside another.
_DEVICE = "params.device"
_EXPERIMENT = [ENTRY, ROW, TRAINING, STUDY, _DEVICE, "params.validation"]
_TAGS = {*IDENTITY, VERIFIED, STUDY, DATA_DIGEST, CPU, ISA, GPU}
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
    """`stored` with every experiment that `runs` have anew replaced by these; no test of a replaced one is left.

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
    runs = runs[kept].assign(**{column: None for column in _EXPERIMENT if column not in kept})
    if stored is not None:
        others = stored.runs[~_experiments(stored.runs).isin(_experiments(runs))]
        before = stored.curves[~stored.curves["run_id"].isin(curves["run_id"])]
        valid = stored.tests[~_is_stale(stored, runs)]
        runs, curves = pd.concat([others, runs]), pd.concat([before, curves])
        tests = pd.concat([valid, tests]) if len(tests) else valid
    figures = sorted(column for column in map(str, runs) if column.startswith("metrics."))
    words = sorted(set(map(str, runs)) - {*figures, "run_id"})
    runs = runs[["run_id", *words, *figures]].sort_values([*_EXPERIMENT, SEED, "run_id"])
    curves = curves[curves["run_id"].isin(runs["run_id"])].sort_values(["metric", "run_id", "step"])
    tests = tests.drop_duplicates(_TEST_KEYS, keep="last").sort_values(_TEST_KEYS)
    return Results(*(each.reset_index(drop=True) for each in (runs, curves, tests)))


def untested(stored: Results, results: Results) -> list[str]:
    """Tests of `stored` that the newer `results` lack, though the row is in them: ``entry, against a row: rows``."""
    keys = [names.ENTRY, "against", names.ROW]
    before, after = (pd.MultiIndex.from_frame(each.tests[keys]) for each in (stored, results))
    there = pd.MultiIndex.from_frame(results.runs[[ENTRY, ROW]])
    gone = before[~before.isin(after) & before.droplevel("against").isin(there)].drop_duplicates().to_frame(index=False)
    by_baseline = gone.groupby(keys[:2])[names.ROW]
    return [f"{entry}, against {baseline}: {', '.join(rows)}" for (entry, baseline), rows in by_baseline]


def _experiments(runs: pd.DataFrame) -> pd.MultiIndex:
    return pd.MultiIndex.from_frame(runs.reindex(columns=_EXPERIMENT).fillna(""))


def _is_stale(stored: Results, runs: pd.DataFrame) -> np.ndarray:
    """Tells of each stored test whether `runs` replace one of its two rows by other figures."""
    before, after = _outcomes(stored.runs), _outcomes(runs)
    changed = {key[:2] for key, figures in after.items() if figures != before.get(key, figures)}  # entry and row
    row, against = (pd.MultiIndex.from_frame(stored.tests[[names.ENTRY, side]]) for side in (names.ROW, "against"))
    return row.isin(changed) | against.isin(changed)


def _outcomes(runs: pd.DataFrame) -> dict[tuple[str, ...], list[float]]:
    """The main figures of each experiment, in order."""
    main = runs[ENTRY].map({entry: f"metrics.{view.main}" for entry, view in VIEWS.items()})
    figures = [run.get(metric, math.nan) for metric, (_, run) in zip(main, runs.iterrows(), strict=True)]
    found: dict[tuple[str, ...], list[float]] = {}
    for key, figure in zip(_experiments(runs), figures, strict=True):
        found.setdefault(key, []).append(figure)
    return {key: sorted(own) for key, own in found.items()}


def store(results: Results, folder: Path) -> None:
    """Writes `results` to `folder`, as `load` reads them."""
    write(folder / RUNS, results.runs.to_csv(index=False))
    write(folder / CURVES, results.curves.to_csv(index=False))
    write(folder / TESTS, results.tests.to_csv(index=False))


def rewritten(text: str, results: Results) -> str:
    """`text` with every marked table and sentence made again from `results`.

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


def _by_predictions(results: Results, entry: str, against: str, digits: int) -> str:
    """The entry's rows tested against one of them by their predictions, the best first, with so many decimals."""
    view = VIEWS[entry]
    tests = results.tests[(results.tests[names.ENTRY] == entry) & (results.tests["against"] == against)]
    if tests.empty:
        raise InputError(f"readme: no tests of {entry} against {against} are stored; {_remedy()}")
    lines = [
        [
            f"`{line[names.ROW]}`",
            str(line[COUNT]),
            f"{line['difference']:+.{digits}f}",
            f"{line['low']:+.{digits}f} … {line['high']:+.{digits}f}",
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
    """The claims of the entry's report, and our findings, each supported or not."""
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


def _hours(results: Results) -> str:
    """How long the runs of each experiment took, on CPUs and on GPUs, in a sentence."""
    seconds = results.runs[[f"metrics.{each}" for each in _TIMES]].sum(axis="columns")
    is_gpu = results.runs.reindex(columns=[_DEVICE])[_DEVICE].fillna("cpu").ne("cpu")
    groups = sorted(seconds.groupby([results.runs[ENTRY], is_gpu]), key=lambda group: -group[1].sum())
    each = ", ".join(
        f"{own.sum() / 60:.0f} min for {len(own)} {'run' if len(own) == 1 else 'runs'} of `{key[0]}`"
        + (" on a GPU" if key[1] else "")
        for key, own in groups
    )
    hours = f"{seconds.sum() / 3600:.1f} hours of training and evaluation, one after the other"
    return f"The runs behind these pages took {hours}: {each}. What names no GPU ran on two CPU cores."


def _flaws(results: Results) -> str:
    """The flaws of the course reports, each with what it changes."""
    own = own_rows(apart(results.runs, VIEWS))
    lines = [[flaw.report, flaw.flaw, flaw.change(own)] for flaw in FLAWS]
    return markdown(["course report", "flaw", "what it changes"], lines)


_TIMES = (names.TRAINING_TIME, names.EVALUATION_TIME)
_OF_A_ROW = (names.ROW, names.TRAINING, "lr")  # a row's other settings are in the pages

TABLES: Mapping[str, Callable[[Results], str]] = {
    "headline-recurrent": lambda results: headline.table(results.runs, headline.LOAD),
    "headline-images": lambda results: headline.table(results.runs, headline.IMAGES),
    "finding": lambda results: headline.finding(results.runs),
    "hours": _hours,
    "flaws": _flaws,
    "recurrent": partial(
        _comparison,
        entry="recurrent",
        metrics=(names.SMAPE_REPORT, names.TRAINING_TIME, names.EVALUATION_TIME),
        group_by=_OF_A_ROW,
    ),
    "recurrent-significance": partial(
        _comparison, entry="recurrent", metrics=(names.SMAPE_REPORT,), group_by=_OF_A_ROW, baseline="gru-2"
    ),
    "recurrent-predictions": partial(_by_predictions, entry="recurrent", against="linear-ar-hourly", digits=4),
    "recurrent-ladder": _ladder,
    "recurrent-claims": partial(_verdicts, entry="recurrent"),
    "recurrent-studies": partial(
        _comparison,
        entry="recurrent",
        metrics=(names.SMAPE_REPORT, names.TRAINING_TIME),
        group_by=(names.ROW, names.STUDY, "cell", "layers", "hidden", "lr"),
        tuned=True,
    ),
    "ablation": partial(
        _comparison,
        entry="ablation",
        metrics=(names.TEST_ACCURACY, names.TRAIN_ACCURACY, names.TEST_LOSS, names.TRAIN_LOSS),
        group_by=(names.ROW,),  # the learning rates are in the names of the rows
    ),
    "ablation-significance": partial(_comparison, entry="ablation", metrics=(names.TEST_ACCURACY,), baseline="cnn"),
    "ablation-predictions": partial(_by_predictions, entry="ablation", against="cnn", digits=2),
    "ablation-claims": partial(_verdicts, entry="ablation"),
    "ablation-studies": partial(
        _comparison,
        entry="ablation",
        metrics=(names.TEST_ACCURACY, names.TRAIN_ACCURACY),
        columns=("channels", "activation", "lr"),
        tuned=True,
    ),
    "resnet": partial(_comparison, entry="resnet"),
    "pretrain": partial(
        _comparison,
        entry="pretrain",
        metrics=(
            names.VAL_ACCURACY,
            names.TEST_ACCURACY,
            *names.TEST_ACCURACY_OF_VIEWS.values(),
            names.TRAINING_TIME,
        ),
        group_by=(names.ROW, names.TRAINING, "epochs", "sides", "validation", "device"),
    ),
}
