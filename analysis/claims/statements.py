"""Statements about the results of an entry as data, and the rules that they are judged by."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from analysis.view import View


class Means(NamedTuple):
    """The means of one metric of some rows.

    With `decisive`, a key by which the rows that decide come first, the evidence names only the first few of them;
    else all in their order.
    """

    metric: str
    rows: tuple[str, ...]
    decisive: Callable[[float], float] | None = None


@dataclass(frozen=True)
class Claim:
    """A statement about the mean figures of some rows.

    `holds` gets, for each of `figures`, the means of its rows in that order, and tells whether the statement
    holds.
    """

    name: str
    text: str
    source: str
    figures: tuple[Means, ...]
    holds: Callable[..., bool]


class Curve(NamedTuple):
    """A metric called `name`, got from the history of `metric` by `derive`, which takes its steps and its values."""

    name: str
    metric: str
    derive: Callable[[Sequence[int], Sequence[float]], float]


@dataclass(frozen=True)
class Statements:
    """All statements about one entry, with the data needed to judge them.

    Attributes:
        view: of the entry; the claims are about its rows that have published figures.
        reported: the course report's claims; they are judged by its own figures too.
        found: our findings besides.
        best: name that stands for the row with the lowest mean, of those that ran, to those rows.
        curves: metrics derived from histories.
        differences: metrics that are the first minus the second of two others, taken within each run.
        further: figures that the course report prints outside its table, by metric and row.
        notes: footnotes.
        rows_option: option of the entry's command that takes rows.
        training_option: option of the entry's command that takes a way of training, where all rows have each; else "".
    """

    view: View
    reported: tuple[Claim, ...]
    found: tuple[Claim, ...]
    best: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    curves: tuple[Curve, ...] = ()
    differences: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    further: Mapping[tuple[str, str], float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    rows_option: str = "--models"
    training_option: str = ""

    @property
    def claims(self) -> tuple[Claim, ...]:
        """The report's claims, then ours."""
        return self.reported + self.found

    @property
    def curve_rows(self) -> set[str]:
        """Rows whose histories the claims need."""
        derived = {curve.name for curve in self.curves}
        return {
            row for claim in self.claims for means in claim.figures if means.metric in derived for row in means.rows
        }


# Keys of Means.decisive.


def highest(mean: float) -> float:
    """The highest means decide."""
    return -mean


def lowest(mean: float) -> float:
    """The lowest means decide."""
    return mean


def largest(mean: float) -> float:
    """The means farthest from zero decide."""
    return -abs(mean)


# Rules.


def first_lowest(means: Sequence[float]) -> bool:
    """The first is below all others."""
    return means[0] < min(means[1:])


def first_highest(means: Sequence[float]) -> bool:
    """The first is above all others."""
    return means[0] > max(means[1:])


def ascending(means: Sequence[float]) -> bool:
    """Each is below the next."""
    return all(lower < higher for lower, higher in itertools.pairwise(means))


def all_below(limit: float) -> Callable[[Sequence[float]], bool]:
    """All are below `limit`."""
    return lambda means: max(means) < limit


def all_above(limit: float) -> Callable[[Sequence[float]], bool]:
    """All are above `limit`."""
    return lambda means: min(means) > limit


def all_between(low: float, high: float) -> Callable[[Sequence[float]], bool]:
    """All are above `low` and below `high`."""
    return lambda means: low < min(means) and max(means) < high


def above(means: Sequence[float], others: Sequence[float]) -> bool:
    """All of the first are above all of the second."""
    return min(means) > max(others)


def below(means: Sequence[float], others: Sequence[float]) -> bool:
    """All of the first are below all of the second."""
    return max(means) < min(others)
