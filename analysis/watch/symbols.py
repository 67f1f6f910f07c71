"""What a page is drawn with: characters of Unicode, or of ASCII where the terminal's encoding has no others."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.common.streams import can_print

# A history is drawn by its logarithms where its values differ by more than this factor, as those of a loss do.
_WIDE = 10


@dataclass(frozen=True)
class Symbols:
    """Characters: `levels` of a sparkline, the lowest first, what stands for more, between parts, and for nothing."""

    levels: str
    more: str
    between: str
    nothing: str


UNICODE = Symbols("▁▂▃▄▅▆▇█", "…", "·", "–")
ASCII = Symbols("_.-=+*%#", "...", "-", "-")


def of_terminal() -> Symbols:
    """Those that standard output can print."""
    return UNICODE if can_print("".join((UNICODE.levels, UNICODE.more, UNICODE.between, UNICODE.nothing))) else ASCII


def sparkline(values: Sequence[float], width: int, symbols: Symbols = UNICODE) -> str:
    """`values`, finite, in their order, as characters of growing height.

    Longer ones are drawn by the mean of as many equal parts as there is room; the last value is always the last.

    Args:
        values: as they were logged.
        width: of the line at most, in characters, at least 1.
        symbols: to draw with.
    """
    if not values:
        return ""
    drawn = _parts(values, width)
    if min(drawn) > 0 and max(drawn) > _WIDE * min(drawn):
        drawn = [math.log(value) for value in drawn]
    low, high = min(drawn), max(drawn)
    top = len(symbols.levels) - 1
    heights = [round(top * (value - low) / (high - low)) if high > low else 0 for value in drawn]
    return "".join(symbols.levels[height] for height in heights)


def _parts(values: Sequence[float], width: int) -> list[float]:
    if len(values) <= width:
        return list(values)
    edges = [round(part * (len(values) - 1) / (width - 1)) for part in range(width)] if width > 1 else [0]
    parts = [values[start:end] for start, end in itertools.pairwise(edges)]
    return [*(sum(part) / len(part) for part in parts), values[-1]]
