"""Statistics of repeated measurements: mean, standard deviation, interval, significant digits, tests."""

import math
import statistics
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

if TYPE_CHECKING:  # importing pandas takes half a second that nothing else here needs
    import pandas as pd

Values = TypeVar("Values", float, np.ndarray, "pd.Series")

MISSING = "–"

CONFIDENCE = 0.95

# Differences that are smaller than this share of the values are of the last bits.
NOISE = 1e-12

PAIRED, WELCH, ONE_SAMPLE = "paired t", "Welch t", "one-sample t"

# Equal up to float noise is equal: no more digits than this are shown, however small the spread.
MOST_DIGITS = 10


@dataclass(frozen=True)
class Summary:
    """Mean and sample standard deviation (divisor n − 1) of `n` finite values; NaN where there are too few."""

    mean: float
    std: float
    n: int

    def __str__(self) -> str:
        """E.g. ``0.2312 ± 0.0021``: the deviation to 2 significant digits and the mean to the same place.

        Without a spread the mean has 4 significant digits; without a value it is a dash.
        """
        spread = "" if math.isnan(self.std) else f" ± {fixed(self.std, self.places)}"
        return f"{fixed(self.mean, self.places)}{spread}"

    @property
    def places(self) -> int:
        """Decimal places that the spread supports (0 without a value); negative for tens, hundreds and so on."""
        if not self.n:
            return 0
        if self.std > 0:
            return min(_places(self.std, 2), _places(self.mean, MOST_DIGITS))
        return _places(self.mean, 4)

    @property
    def interval(self) -> tuple[float, float]:
        """See `interval`."""
        low, high = interval(self.mean, self.std, self.n)
        return float(low), float(high)


@dataclass(frozen=True)
class Test:
    """A two-sided test of equal means: its p value, NaN where it cannot be made, and the method's name."""

    p: float
    method: str


NO_TEST = Test(math.nan, "")


def summarize(values: Iterable[float]) -> Summary:
    """Summary of one value for each run; NaN (missing or diverged) and infinite values are ignored."""
    finite = [float(value) for value in values if math.isfinite(value)]
    mean = statistics.mean(finite) if finite else math.nan
    std = statistics.stdev(finite) if len(finite) > 1 else math.nan
    return Summary(mean, std, len(finite))


def interval(mean: Values, std: Values, n: Values) -> tuple[Values, Values]:
    """95 % confidence interval of the mean by Student's t with n − 1 degrees of freedom.

    It assumes normally distributed values. NaN with fewer than two; elementwise on arrays.
    """
    from scipy.special import stdtrit  # here, since importing scipy takes a second that --help should not

    reach = stdtrit(n - 1, (1 + CONFIDENCE) / 2) * std / np.sqrt(n)
    return mean - reach, mean + reach


def compare_means(ours: Mapping[str, float], theirs: Mapping[str, float], exact: bool = False) -> Test:
    """Student's paired test where seeds are shared, else Welch's.

    Args:
        ours: seed to value; values that are not finite are ignored.
        theirs: the same of what ours are compared to.
        exact: whether a side of one value is free of chance, so that the other's values are tested against it.

    Returns:
        NO_TEST where a side has too few values, or where there is no spread that a difference could be measured by:
        equal values prove nothing about the next seed.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # of values at the end of their range, which have no test
        return _compared(_finite(ours), _finite(theirs), exact)


def _compared(ours: Mapping[str, float], theirs: Mapping[str, float], exact: bool) -> Test:
    from scipy import stats  # here, since importing it takes a second that --help should not

    scale = max(map(abs, (*ours.values(), *theirs.values())), default=0.0)

    def spread(values: Collection[float]) -> bool:
        return max(values) - min(values) > NOISE * scale

    def differences(method: str, values: Sequence[float]) -> Test:
        return Test(float(stats.ttest_1samp(values, 0.0).pvalue), method) if spread(values) else NO_TEST

    few, many = sorted((ours, theirs), key=len)
    shared = sorted(ours.keys() & theirs.keys())
    if exact and len(few) == 1 < len(many):
        return differences(ONE_SAMPLE, [value - next(iter(few.values())) for value in many.values()])
    if len(shared) > 1:
        return differences(PAIRED, [ours[seed] - theirs[seed] for seed in shared])
    if len(few) > 1 and (spread(few.values()) or spread(many.values())):
        return Test(float(stats.ttest_ind([*ours.values()], [*theirs.values()], equal_var=False).pvalue), WELCH)
    return NO_TEST


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's correction for so many tests at once (1979, Scandinavian Journal of Statistics 6, 65-70); NaN stay NaN.

    The k-th smallest of m values is multiplied by m − k + 1, and is no less than those before it and no more than 1.
    """
    corrected = [math.nan] * len(p_values)
    order = sorted((index for index, p in enumerate(p_values) if not math.isnan(p)), key=lambda index: p_values[index])
    largest = 0.0
    for place, index in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - place) * p_values[index]))
        corrected[index] = largest
    return corrected


def number(value: Any) -> float | None:
    """`value` as a number, None where it is neither one nor the text of one."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def probability(p: float) -> str:
    """A p value to two significant digits, small ones as ``<0.001``, NaN as a dash."""
    if math.isnan(p):
        return MISSING
    return "<0.001" if p < 0.001 else f"{p:.2g}"


def fixed(value: float, places: int, sign: str = "") -> str:
    """`value` rounded to `places` decimals (negative: tens, hundreds), NaN as a dash; `sign` is ``+`` to show it."""
    if math.isnan(value):
        return MISSING
    if abs(places) > 12:
        return f"{value:{sign}.3g}"
    return f"{round(value, places) + 0.0:{sign}.{max(places, 0)}f}"


def as_printed(value: float) -> str:
    """A published figure with the digits it was printed with (at most 6), NaN as a dash."""
    return MISSING if math.isnan(value) else f"{value:g}"


def late_change(steps: Sequence[int], values: Sequence[float]) -> float:
    """Late change of a curve, after its first steep part: mean of its last quarter minus mean of its second.

    Quarters are of the steps, up to the last one: ``(L/4, L/2]`` and ``(3L/4, L]``. Over two epochs these are the
    second half of each. NaN if a quarter holds no point.
    """
    last = max(steps, default=0)
    second = [value for step, value in zip(steps, values, strict=True) if last / 4 < step <= last / 2]
    fourth = [value for step, value in zip(steps, values, strict=True) if step > 3 * last / 4]
    if not second or not fourth:
        return math.nan
    return sum(fourth) / len(fourth) - sum(second) / len(second)


def _finite(values: Mapping[str, float]) -> dict[str, float]:
    return {key: float(value) for key, value in values.items() if math.isfinite(value)}


def _places(value: float, digits: int) -> int:
    """Decimal places of `value` written with so many significant digits; none of an overflow."""
    if not math.isfinite(value):
        return 0
    exponent = int(f"{value:.{digits - 1}e}".split("e")[1])
    return digits - 1 - exponent
