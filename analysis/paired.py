"""Tests of two rows by what they predicted for the same test targets, and intervals of their difference.

Unlike a test of several seeds' metrics, which asks whether another training would come out the same way, these ask
whether other test data would, with the networks as they are.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.stats import CONFIDENCE

WEEK = 168  # hours
RESAMPLES = 2000
DIEBOLD_MARIANO, MC_NEMAR, MC_NEMAR_OF_MEANS = "Diebold-Mariano", "McNemar exact", "McNemar of means"


@dataclass(frozen=True)
class Paired:
    """A difference, ours minus theirs, with its 95 % bootstrap interval and a two-sided test that it is zero."""

    difference: float
    low: float
    high: float
    p: float
    method: str


@dataclass(frozen=True)
class Errors:
    """Errors of forecasts of several series.

    Attributes:
        series: (n,) number of the series of each target, from 0.
        hour: (n,) the target's hour, in hours from any one.
        error: (n,) of its forecast.
    """

    series: np.ndarray
    hour: np.ndarray
    error: np.ndarray


def diebold_mariano(ours: Errors, theirs: Errors, seed: int = 0) -> Paired:
    """Compare the errors of two forecasters of the same targets, in the mean over the series.

    The test is Diebold and Mariano's (1995, Journal of Business & Economic Statistics 13, 253-263): the mean of the
    paired differences over its standard error from their long-run variance (Newey and West 1987, Bartlett weights), as
    errors of neighbouring hours are alike. The series are summed hour by hour first, so that what they share, such as
    the weather, is not taken for independent evidence (Driscoll and Kraay 1998). The bootstrap resamples whole weeks of
    all series at once, wherever they begin (circular blocks, Politis and Romano 1992).

    Args:
        ours, theirs: errors of the same targets in the same order.
        seed: of the bootstrap.

    Raises:
        ValueError: the targets are not the same.
    """
    same = np.array_equal(ours.series, theirs.series) and np.array_equal(ours.hour, theirs.hour)
    if not same:
        raise ValueError("the forecasts are not of the same targets")
    totals, counts = _by_hour(ours, ours.error - theirs.error)
    means = totals.sum(0) / counts.sum(0)
    difference = float(means.mean())
    share = (totals - counts * means) / (counts.sum(0) * len(means))
    error = math.sqrt(long_run_variance(share.sum(1), lags(len(share))) * len(share))
    low, high = _block_interval(totals, counts, np.random.default_rng(seed))
    return Paired(difference, low, high, _two_sided(difference, error), DIEBOLD_MARIANO)


def mc_nemar(ours: np.ndarray, theirs: np.ndarray, seed: int = 0) -> Paired:
    """Compare two classifiers on the same images, each by the mean over its seeds, in percentage points of accuracy.

    With one seed of each the test is the exact form of McNemar's (1947, Psychometrika 12, 153-157): of the images that
    one of them gets right and the other wrong, as many each way as by chance. With more, an image's difference is that
    of the shares of the seeds which get it right, its sign being as likely either way; their sum over the root of the
    sum of their squares is normal, which for one seed is McNemar's statistic. The bootstrap resamples images.

    Args:
        ours, theirs: (seeds, n) whether each image was classified right.
        seed: of the bootstrap.

    Raises:
        ValueError: the numbers of images differ.
    """
    if ours.shape[1] != theirs.shape[1]:
        raise ValueError(f"{ours.shape[1]} and {theirs.shape[1]} images are not the same")
    differences = ours.mean(0) - theirs.mean(0)
    low, high = _interval_of_mean(differences, np.random.default_rng(seed))
    exact = len(ours) == len(theirs) == 1
    p = _exact(differences) if exact else _by_sums(differences)
    return Paired(100 * float(differences.mean()), 100 * low, 100 * high, p, MC_NEMAR if exact else MC_NEMAR_OF_MEANS)


def _exact(differences: np.ndarray) -> float:
    """McNemar's two-sided p value of differences that are -1, 0 or 1."""
    from scipy.stats import binomtest  # here, since importing it takes a second that --help should not

    won, lost = int((differences > 0).sum()), int((differences < 0).sum())
    return float(binomtest(won, won + lost, 0.5).pvalue) if won + lost else 1.0


def _by_sums(differences: np.ndarray) -> float:
    """The two-sided p value of differences whose signs are as likely either way, by the normal distribution."""
    return _two_sided(differences.sum(), math.sqrt(differences @ differences)) if differences.any() else 1.0


def _interval_of_mean(values: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    # The mean of resampled values depends on how many of them there are of each only.
    distinct, counts = np.unique(values, return_counts=True)
    draws = rng.multinomial(len(values), counts / len(values), RESAMPLES)
    return _percentiles(draws @ distinct / len(values))


def lags(hours: int) -> int:
    """Lags of the long-run variance: a week, the longest cycle of the errors, or less where there are few weeks."""
    return min(WEEK, hours // 8)


def long_run_variance(values: np.ndarray, lags: int) -> float:
    """Long-run variance of a series (n,): its variance, plus twice its autocovariances with Bartlett weights.

    Source: Newey and West 1987, Econometrica 55, 703-708.
    """
    centred = values - values.mean()
    total = centred @ centred
    for lag in range(1, min(lags, len(values) - 1) + 1):
        total += 2 * (1 - lag / (lags + 1)) * (centred[lag:] @ centred[:-lag])
    return float(total / len(values))


def _by_hour(errors: Errors, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sums of `values` and numbers of targets, (hours, series), at each hour from the first to the last."""
    hour = errors.hour - errors.hour.min()
    shape = int(hour.max()) + 1, int(errors.series.max()) + 1
    cell = hour.astype(np.int64) * shape[1] + errors.series
    cells = shape[0] * shape[1]
    totals = np.bincount(cell, values, cells).reshape(shape)
    counts = np.bincount(cell, minlength=cells).reshape(shape)
    seen = counts.sum(1) > 0  # hours of no series are no part of the sequence
    return totals[seen], counts[seen]


def _block_interval(totals: np.ndarray, counts: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    hours = len(totals)
    block = max(1, min(WEEK, hours // 8))
    starts = rng.integers(hours, size=(RESAMPLES, math.ceil(hours / block)))
    drawn = [_block_sums(values, block)[starts].sum(1) for values in (totals, counts)]
    with np.errstate(invalid="ignore"):  # a short series may be in none of the weeks drawn
        means = np.divide(*drawn)
    return _percentiles(np.nanmean(means, axis=1))


def _block_sums(values: np.ndarray, block: int) -> np.ndarray:
    """Sums (hours, series) over the `block` hours that begin at each hour; the first hours follow the last."""
    around = np.cumsum(np.concatenate([np.zeros_like(values[:1]), values, values[:block]]), axis=0)
    return (around[block:] - around[:-block])[: len(values)]


def _percentiles(draws: np.ndarray) -> tuple[float, float]:
    low, high = np.percentile(draws, [50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE)])
    return float(low), float(high)


def _two_sided(value: float, error: float) -> float:
    """Two-sided p value of a normal `value` of standard error `error`; NaN where there is no spread."""
    return math.erfc(abs(value) / error / math.sqrt(2)) if error > 0 else math.nan


def mean_errors(errors: Sequence[Errors]) -> Errors:
    """The mean errors of several seeds, of the same targets in the same order."""
    return Errors(errors[0].series, errors[0].hour, np.mean([each.error for each in errors], axis=0))
