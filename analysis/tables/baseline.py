"""Differences between the lines of a table and a baseline row, and tests of their significance."""

import math
from collections.abc import Hashable

import pandas as pd

from analysis.errors import InputError
from analysis.stats import NO_TEST, ONE_SAMPLE, PAIRED, WELCH, Test, compare_means, holm
from analysis.tables.columns import LINE, SEED, TRAINING, method, p_value
from pipelines import names
from pipelines.experiments.base import NO_TRAINING

METHODS = {
    PAIRED: "of the differences between runs of one seed",
    WELCH: "of two sets of runs that share no two seeds, variances apart",
    ONE_SAMPLE: "of runs against a row that is not trained, and so is free of chance",
}


def compared(lines: pd.DataFrame, runs: pd.DataFrame, metric: str, baseline: str, against: str) -> pd.DataFrame:
    """Computes each line's difference in `metric` to the one baseline line it can be compared to, and tests it.

    Args:
        lines: of a table.
        runs: of its lines, with their number in the column LINE.
        metric: which to compare.
        baseline: row that the lines are compared to.
        against: name of the column of differences.

    Returns:
        The columns `against`, its p value and the method of its test, indexed as `lines`.

    Raises:
        InputError: the lines are of no single row.
    """
    if names.ROW not in lines:
        raise InputError("baseline: the lines have no row to compare; add row to group_by")
    members: dict[Hashable, pd.DataFrame] = dict(list(runs.groupby(LINE)))
    bases = lines[lines[names.ROW] == baseline]
    gaps, tests = [], []
    for index, line in lines.iterrows():
        other = _comparable(bases, line)
        mean = f"{metric}.mean"
        gaps.append(math.nan if other is None else line[mean] - lines.loc[other, mean])
        tests.append(NO_TEST if other in (None, index) else _test(members[index], members[other], metric))
    corrected = holm([test.p for test in tests])
    columns = {against: gaps, p_value(against): corrected, method(against): [test.method for test in tests]}
    return pd.DataFrame(columns, index=lines.index)


def notes(lines: pd.DataFrame, baseline: str, against: str) -> list[str]:
    """Footnotes on the comparison with a baseline row."""
    gap = (
        f"{against}: ours minus that of {baseline} on the same dataset, trained in the same way or not at all; a dash "
        "where there is no such line or more than one."
    )
    used = [test for test in METHODS if test in set(lines[method(against)])]
    if not used:
        return [gap]
    tests = "; ".join(f"{test}: {METHODS[test]}" for test in used)
    count = int(lines[p_value(against)].notna().sum())
    return [
        gap,
        f"p: two-sided, corrected by Holm for {count} tests; {tests}. A dash: too few runs, "
        "or no spread to measure by.",
    ]


def _comparable(bases: pd.DataFrame, line: pd.Series) -> int | None:
    """The index of the baseline's line on the same dataset, trained in the same way or not at all; None unless one."""
    other = bases[bases[names.DATASET] == line[names.DATASET]]
    if names.TRAINING in bases and line[names.TRAINING] != NO_TRAINING:
        other = other[other[names.TRAINING].isin([line[names.TRAINING], NO_TRAINING])]
    return other.index[0] if len(other) == 1 else None


def _test(ours: pd.DataFrame, theirs: pd.DataFrame, metric: str) -> Test:
    """A test of the difference of two lines' means; what was not trained is free of chance."""
    exact = any(set(side[TRAINING]) == {NO_TRAINING} for side in (ours, theirs))
    return compare_means(_by_seed(ours, metric), _by_seed(theirs, metric), exact)


def _by_seed(group: pd.DataFrame, metric: str) -> dict[str, float]:
    """Seed to value; runs without a seed, or with one that others of the line have too, are not paired."""
    unpaired = (group[SEED] == "") | group[SEED].duplicated(keep=False)
    keys = group[SEED].where(~unpaired, group["run_id"])
    return dict(zip(keys, group.get(f"metrics.{metric}", [math.nan] * len(group)), strict=True))
