"""Tests of a table's lines against its baseline by what both predicted for the same test targets."""

import math
from collections.abc import Callable, Hashable, Mapping, Sequence

import numpy as np
import pandas as pd

from analysis.paired import (
    DIEBOLD_MARIANO,
    MC_NEMAR,
    MC_NEMAR_OF_MEANS,
    Errors,
    Paired,
    diebold_mariano,
    mc_nemar,
    mean_errors,
)
from analysis.stats import holm
from analysis.tables.baseline import comparable
from analysis.tables.columns import LINE, SEED, high, low, method, p_value, predictions

# What a run's value of a metric is the mean of, by the id of the run and the name of the metric.
Outcomes = Callable[[str, str], Errors | np.ndarray | None]

METHODS = {
    DIEBOLD_MARIANO: "of the errors at the same hours, means over the seeds, with the long-run variance of a week's "
    "lags (Newey and West), the series summed hour by hour",
    MC_NEMAR: "of the images that one classifies right and the other wrong",
    MC_NEMAR_OF_MEANS: "of the images' differences, between the shares of the seeds that classify them right",
}
NOT_TESTED = Paired(math.nan, math.nan, math.nan, math.nan, "")


def compared(
    lines: pd.DataFrame, bases: pd.DataFrame, runs: pd.DataFrame, metric: str, against: str, outcomes: Outcomes
) -> pd.DataFrame:
    """Tests each line by its predictions against that one of `bases` that it can be compared to.

    Args:
        lines: of a table.
        bases: those of them that others are compared to.
        runs: of the lines, with their number in the column LINE.
        metric: which to compare.
        against: name of the column of differences.
        outcomes: reads what the runs predicted.

    Returns:
        The ends of the difference's interval, the p value and the method of the test, indexed as `lines`; no column
        where no line can be tested.
    """
    members: dict[Hashable, pd.DataFrame] = dict(list(runs.groupby(LINE)))
    theirs: dict[Hashable, Mapping[str, Errors | np.ndarray]] = {}
    tests = []
    for index, line in lines.iterrows():
        other = comparable(bases, line)
        if other in (None, index):
            tests.append(NOT_TESTED)
            continue
        if other not in theirs:
            theirs[other] = _by_seed(members[other], metric, outcomes)
        tests.append(_test(_by_seed(members[index], metric, outcomes) if theirs[other] else {}, theirs[other]))
    if not any(test.method for test in tests):
        return pd.DataFrame(index=lines.index)
    column = predictions(against)
    return pd.DataFrame(
        {
            low(against): [test.low for test in tests],
            high(against): [test.high for test in tests],
            p_value(column): holm([test.p for test in tests]),
            method(column): [test.method for test in tests],
        },
        index=lines.index,
    )


def notes(lines: pd.DataFrame, bases: pd.DataFrame, against: str) -> list[str]:
    """Footnotes on the tests of `compared`, whose columns `lines` have."""
    column = predictions(against)
    if method(column) not in lines:
        return []
    used = "; ".join(f"{test}: {METHODS[test]}" for test in METHODS if test in set(lines[method(column)]))
    count = int(lines[p_value(column)].notna().sum())
    correction = f", corrected by Holm for {count} tests" if count > 1 else ""
    untested = lines[against].notna() & ~lines.index.isin(bases.index) & lines[p_value(column)].isna()
    dash = " A dash: both predict the same, or one has no predictions that can be read, or not of the same test data."
    return [
        f"predictions p: whether these networks would differ on other test data, as p is whether other seeds would"
        f"{correction}; {used}. difference 95 %: the bootstrap's interval, over weeks or images, of "
        f"the means over the seeds.{dash if untested.any() else ''}"
    ]


def _by_seed(runs: pd.DataFrame, metric: str, outcomes: Outcomes) -> dict[str, Errors | np.ndarray]:
    """Seed to outcomes, of the newest run of each; runs without predictions are left out."""
    found = {str(run[SEED]): outcomes(run["run_id"], metric) for _, run in runs.iterrows()}
    return {seed: each for seed, each in sorted(found.items()) if each is not None}


def _test(ours: Mapping[str, Errors | np.ndarray], theirs: Mapping[str, Errors | np.ndarray]) -> Paired:
    """The test of two lines; none where one has no predictions, or not of the same targets."""
    if not ours or not theirs:
        return NOT_TESTED
    try:
        first, second = _forecasts(ours), _forecasts(theirs)
        if first and second:
            return diebold_mariano(mean_errors(first), mean_errors(second))
        return mc_nemar(_right(ours), _right(theirs))
    except ValueError:
        return NOT_TESTED


def _forecasts(side: Mapping[str, Errors | np.ndarray]) -> Sequence[Errors]:
    return [each for each in side.values() if isinstance(each, Errors)]


def _right(side: Mapping[str, Errors | np.ndarray]) -> np.ndarray:
    """(seeds, n) Whether each image was classified right."""
    return np.stack([each for each in side.values() if isinstance(each, np.ndarray)])
