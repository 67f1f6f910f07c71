"""A flaw of a published protocol or text, and what it changes by our own runs on the course reports' own data."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pandas as pd

from analysis.stats import summarize
from analysis.tables.columns import ROW

Own = Mapping[str, pd.DataFrame]  # entry to its runs that stand for the report's rows, see parts.own_rows


@dataclass(frozen=True)
class Flaw:
    """A flaw of a course report, and a function of the runs that says what it changes."""

    report: str
    flaw: str
    change: Callable[[Own], str]


def mean(own: Own, entry: str, row: str, metric: str) -> float:
    """Mean of a metric over the runs of a row, NaN where there are none."""
    runs = own.get(entry)
    if runs is None or f"metrics.{metric}" not in runs:
        return math.nan
    return summarize(runs[runs[ROW] == row][f"metrics.{metric}"]).mean
