"""The 95 % interval of the mean of a row's main metric, and how many seeds make it narrow enough."""

import math
import statistics
from collections.abc import Mapping, Sequence

import pandas as pd

from pipelines import names
from pipelines.cli.seeds import MOST

CONFIDENCE = 0.95


def width(values: Sequence[float]) -> float:
    """Width of the 95 % interval of the mean; infinite of fewer than two values."""
    return width_of(statistics.stdev(values), len(values)) if len(values) > 1 else math.inf


def width_of(deviation: float, n: int) -> float:
    """Width of the 95 % interval of the mean of `n` values with this standard deviation, by Student's t."""
    from scipy.special import stdtrit  # here, since its import takes time that other launches need not

    return float(2 * stdtrit(n - 1, (1 + CONFIDENCE) / 2) * deviation / math.sqrt(n))


def wanted(values: Sequence[float], narrow: float) -> int:
    """Number of seeds that a row should have next, for an interval narrower than `narrow`.

    As many as the standard deviation so far asks for, but at most half as many again, since that is itself uncertain.
    """
    have, deviation = len(values), statistics.stdev(values)
    most = max(have, min(MOST, have + max(1, have // 2)))
    return next((n for n in range(have, most) if width_of(deviation, n) < narrow), most)


def table(rows: Mapping[str, Sequence[float]], narrow: float) -> pd.DataFrame:
    """A line for each row with several values: their number, mean and interval, and whether that is narrow enough."""
    lines = []
    for row, values in rows.items():
        if len(values) > 1:
            mean, reached = statistics.fmean(values), width(values)
            measured = {"mean": mean, "low_95": mean - reached / 2, "high_95": mean + reached / 2, "width": reached}
            lines.append({names.ROW: row, "seeds": len(values), **measured, "narrow_enough": reached < narrow})
    return pd.DataFrame(lines, columns=[names.ROW, "seeds", "mean", "low_95", "high_95", "width", "narrow_enough"])
