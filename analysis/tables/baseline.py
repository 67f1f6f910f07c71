"""Differences between the lines of a table and a baseline row, and tests of their significance."""

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence

import pandas as pd

from analysis.errors import AmbiguousError, InputError
from analysis.stats import MISSING, NO_TEST, ONE_SAMPLE, PAIRED, WELCH, Test, compare_means, holm
from analysis.tables.cells import brief
from analysis.tables.columns import LINE, SEED, TRAINING, method, p_value
from analysis.tables.order import is_missing
from analysis.tables.select import departures
from analysis.view import View
from pipelines import names
from pipelines.experiments.base import NO_TRAINING

METHODS = {
    PAIRED: "of the differences between runs of one seed",
    WELCH: "of two sets of runs that share no two seeds, variances apart",
    ONE_SAMPLE: "of runs against a row that is not trained, and so is free of chance",
}


def bases(
    lines: pd.DataFrame, runs: pd.DataFrame, view: View, baseline: str, labels: Mapping[str, str]
) -> pd.DataFrame:
    """Selects the lines that others are compared to: those of the row `baseline`, and where it has several of one way
    of training, that with the catalogue's settings.

    Args:
        lines: of a table.
        runs: of its lines, with their number in the column LINE.
        view: which has the catalogue.
        baseline: the row.
        labels: column of `runs` to that of `lines`, of all that tells lines apart.

    Raises:
        AmbiguousError: not one of several lines has the catalogue's settings.
        InputError: the lines are of no single row.
    """
    if names.ROW not in lines:
        raise InputError("baseline: the lines have no row to compare; add row to group_by")
    own = lines[lines[names.ROW] == baseline]
    kept = []
    for _, alike in own.groupby(own[names.TRAINING] if names.TRAINING in own else own[names.ROW], dropna=False):
        usual = list(alike.index)
        if len(usual) > 1:
            usual = [index for index in usual if _is_catalogues(runs[runs[LINE] == index], view)]
        if len(usual) != 1:
            raise _ambiguous(alike, baseline, labels)
        kept += usual
    return own.loc[sorted(kept)]


def compared(lines: pd.DataFrame, bases: pd.DataFrame, runs: pd.DataFrame, metric: str, against: str) -> pd.DataFrame:
    """Computes each line's difference in `metric` to the one of `bases` it can be compared to, and tests it.

    Args:
        lines: of a table.
        bases: those of them that others are compared to.
        runs: of the lines, with their number in the column LINE.
        metric: which to compare.
        against: name of the column of differences.

    Returns:
        The columns `against`, its p value and the method of its test, indexed as `lines`.
    """
    members: dict[Hashable, pd.DataFrame] = dict(list(runs.groupby(LINE)))
    gaps, tests = [], []
    for index, line in lines.iterrows():
        other = comparable(bases, line)
        mean = f"{metric}.mean"
        gaps.append(math.nan if other is None else line[mean] - lines.loc[other, mean])
        tests.append(NO_TEST if other in (None, index) else _test(members[index], members[other], metric))
    corrected = holm([test.p for test in tests])
    columns = {against: gaps, p_value(against): corrected, method(against): [test.method for test in tests]}
    return pd.DataFrame(columns, index=lines.index)


def notes(lines: pd.DataFrame, bases: pd.DataFrame, baseline: str, against: str, labels: Iterable[str]) -> list[str]:
    """Footnotes on the comparison of `lines` with `bases`, those of the row `baseline`, which `labels` tell apart."""
    gap = (
        f"{against}: ours minus that of {baseline} on the same dataset, trained in the same way or not at all; a dash "
        "where there is no such line or more than one."
    )
    own = lines[lines[names.ROW] == baseline]
    if len(bases) < len(own):
        called = "; ".join(_called(line, _telling(own, labels)) for _, line in bases.iterrows())
        gap += f" Of the {len(own)} lines of {baseline} it is the one with the catalogue's settings: {called}."
    used = [test for test in METHODS if test in set(lines[method(against)])]
    if not used:
        return [gap]
    tests = "; ".join(f"{test}: {METHODS[test]}" for test in used)
    count = int(lines[p_value(against)].notna().sum())
    correction = f", corrected by Holm for {count} tests" if count > 1 else ""
    return [
        gap,
        f"p: two-sided{correction}; {tests}. A dash: too few runs, or no spread to measure by.",
    ]


def _is_catalogues(runs: pd.DataFrame, view: View) -> bool:
    """Whether all of `runs` have the catalogue's settings, and it is known which these are."""
    return view.row_settings is not None and not any(departures(run, view) for _, run in runs.iterrows())


def _ambiguous(lines: pd.DataFrame, baseline: str, labels: Mapping[str, str]) -> AmbiguousError:
    telling = _telling(lines, labels.values())
    called = "; ".join(_called(line, telling) for _, line in lines.iterrows())
    first = lines.iloc[0]
    known = [f"{column} = '{first[label]}'" for column, label in labels.items() if label in telling and first[label]]
    where = f'--where "{" and ".join(known)}"'
    return AmbiguousError(
        f"baseline: {baseline} has {len(lines)} lines on {first[names.DATASET]} ({called}), and none is the one with "
        f"the catalogue's settings; keep one with {where}, or join them with --group-by {names.ROW}"
    )


def _telling(lines: pd.DataFrame, labels: Iterable[str]) -> list[str]:
    """Those of `labels` by which the lines differ."""
    return [label for label in labels if lines[label].nunique(dropna=False) > 1]


def _called(line: pd.Series, telling: Sequence[str]) -> str:
    return ", ".join(f"{label} {MISSING if is_missing(line[label]) else brief(line[label])}" for label in telling)


def comparable(bases: pd.DataFrame, line: pd.Series) -> int | None:
    """Index of the one line of the baseline on the same dataset, trained in the same way or not at all.

    None where there is none, or more than one.
    """
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
