"""Repeated measurements: mean, spread, count, and how many of their digits mean anything."""

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MISSING = "–"

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


def summarize(values: Iterable[float]) -> Summary:
    """Summary of one value for each run; NaN (missing or diverged) and infinite values count for nothing."""
    finite = [float(value) for value in values if math.isfinite(value)]
    mean = statistics.mean(finite) if finite else math.nan
    std = statistics.stdev(finite) if len(finite) > 1 else math.nan
    return Summary(mean, std, len(finite))


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
    """How far a curve still moves after its first steep part: mean of its last quarter minus mean of its second.

    Quarters are of the steps, up to the last one: ``(L/4, L/2]`` and ``(3L/4, L]``. Over two epochs these are the
    second half of each. NaN if a quarter holds no point.
    """
    last = max(steps, default=0)
    second = [value for step, value in zip(steps, values, strict=True) if last / 4 < step <= last / 2]
    fourth = [value for step, value in zip(steps, values, strict=True) if step > 3 * last / 4]
    if not second or not fourth:
        return math.nan
    return sum(fourth) / len(fourth) - sum(second) / len(second)


def _places(value: float, digits: int) -> int:
    """Decimal places of `value` written with so many significant digits."""
    exponent = int(f"{value:.{digits - 1}e}".split("e")[1])
    return digits - 1 - exponent
