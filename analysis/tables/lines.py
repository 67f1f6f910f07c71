"""Lines of a table: the runs of each, its settings, and the statistics of its metrics."""

import math
from collections.abc import Hashable, Mapping, Sequence

import numpy as np
import pandas as pd

from analysis.stats import interval
from analysis.tables.columns import (
    DATASET,
    ENTRY,
    LINE,
    ROW,
    TRAINING,
    are_foreign,
    difference,
    find,
    high,
    low,
    published,
)
from analysis.tables.order import distinct, rank
from analysis.tables.select import differing, settings
from analysis.view import View


def grouping(runs: pd.DataFrame, view: View, group_by: Sequence[str]) -> tuple[list[str], list[str]]:
    """Returns the leading columns of a table, and those whose values make a line."""
    foreign = are_foreign(runs)
    if group_by:
        requested = [find(runs, "group_by", name) for name in group_by]
        keys = list(dict.fromkeys(requested if foreign else [*requested, DATASET]))
        return keys, keys
    if foreign:
        return _differing(runs, view), settings(runs) or [ENTRY]
    identity = [ROW, DATASET, TRAINING]
    return [*identity, *_differing(runs, view)], [*identity, *settings(runs)]


def numbered(runs: pd.DataFrame, keys: Sequence[str], view: View) -> pd.DataFrame:
    """`runs` with the number of their line, in the order of the catalogue and then of the settings."""
    group = runs.groupby(list(keys), dropna=False, sort=False).ngroup()
    places = {row: place for place, row in enumerate(view.rows)}

    def place(first: Mapping[Hashable, object]) -> list[object]:
        row = places.get(str(first[ROW]), len(places)) if ROW in keys else len(places)
        return [first[DATASET], row, *(rank(first[key]) for key in keys)]

    firsts = runs[~group.duplicated()][list({*keys, ROW, DATASET})].to_dict("records")
    order = sorted(range(len(firsts)), key=lambda number: place(firsts[number]))
    return runs.assign(**{LINE: group.map({number: line for line, number in enumerate(order)})})


def joined(runs: pd.DataFrame, column: str, given: bool) -> pd.Series:
    """Each line's distinct values of `column` as text, None where there are none; `given`: there is but one."""
    values = runs.groupby(LINE)[column]
    if given:
        return values.first().map(str, na_action="ignore").astype(object).where(values.count() > 0, None)
    return values.agg(lambda own: ", ".join(str(value) for value in distinct(own)) or None)


def figures(runs: pd.DataFrame, view: View) -> dict[str, pd.Series]:
    """Computes for each metric our mean, standard deviation, count, 95 % interval and the published value, and for the
    main metric the difference to it. NaN (missing or diverged) and infinite values are ignored."""
    found: dict[str, pd.Series] = {}
    line = runs[LINE]
    for metric in view.metrics:
        values = runs.get(f"metrics.{metric}", pd.Series(math.nan, runs.index))
        finite = values.where(np.isfinite(values)).groupby(line)
        mean, std, n = finite.mean(), finite.std(), finite.count()
        found |= {f"{metric}.mean": mean, f"{metric}.std": std, f"{metric}.n": n}
        found[low(metric)], found[high(metric)] = interval(mean, std, n)
        if metric in view.published:
            found[published(metric)] = _published(runs, view, metric)
    if view.main in view.published:
        found[difference(view.main)] = found[f"{view.main}.mean"] - found[published(view.main)]
    return found


def _differing(runs: pd.DataFrame, view: View) -> list[str]:
    """Settings that differ between two lines of one row, or between rows trained in the same way."""
    own = settings(runs)
    of_rows = set(differing(runs, own, [ROW, DATASET, TRAINING]))
    of_ways = set(differing(runs, own, [DATASET, TRAINING], missing=False))
    return [column for column in own if column in of_rows or (column not in view.row_params and column in of_ways)]


def _published(runs: pd.DataFrame, view: View, metric: str) -> pd.Series:
    """The published figure of each line that is of one row, else NaN."""
    lines = runs.groupby(LINE)
    firsts, alone = lines[[ROW, DATASET]].first(), lines[ROW].nunique() == 1
    found = [view.figure(row, dataset, metric) for row, dataset in zip(firsts[ROW], firsts[DATASET], strict=True)]
    return pd.Series(found, firsts.index).where(alone)
