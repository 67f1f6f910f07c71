"""The best lines of a table in a column, by the direction of its metric."""

import pandas as pd

from analysis.tables.columns import DATA_DIGEST
from analysis.tables.table import Table
from pipelines import names

_DIGEST = DATA_DIGEST.removeprefix("tags.")


def best(table: Table, metric: str, column: str = "") -> frozenset[int]:
    """Positions of the lines with the best value; of equal ones all, of lines on other data each kind by itself.

    There are none where it is not known what is best, as of other projects' runs; where a line has nothing to be
    compared to; and of a time, rate or memory, which depends on the machine, unless the table is about that.

    Args:
        table: of lines.
        metric: whose direction counts.
        column: of `table.lines`; by default our mean of the metric.
    """
    is_main = metric == table.view.main
    lowest = table.view.lowest if is_main else names.lowest_is_best(metric)
    if table.view.lowest is None or lowest is None or (names.is_of_the_moment(metric) and not is_main):
        return frozenset()
    lines = table.lines.reset_index(drop=True)
    values = lines[column or f"{metric}.mean"].astype(float).dropna()
    data = lines[_DIGEST].fillna("") if _DIGEST in lines else pd.Series("", lines.index)
    found: set[int] = set()
    for _, own in values.groupby(data.reindex(values.index)):
        if len(own) > 1:
            found |= set(own.index[own == (own.min() if lowest else own.max())])
    return frozenset(found)


def sentence(table: Table) -> str:
    """What is said of lines on several data, of which each kind has its best; "" where all are alike."""
    return " of each data_digest" if _DIGEST in table.lines and table.lines[_DIGEST].nunique() > 1 else ""
