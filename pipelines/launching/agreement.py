"""Agreement of a run with an earlier one that it repeats, metric by metric: to the bit, or within a tolerance."""

import math
import statistics
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from pipelines import names
from pipelines.common import screen
from pipelines.common.screen import Align, Cell, Column, Emphasis
from pipelines.tracking import provenance
from pipelines.tracking.record import Snapshot

IDENTICAL, WITHIN, DIFFERENT = "identical", "within tolerance", "different"

RELATIVE = 0.02  # of the earlier value, where the spread over seeds is not known
DEVIATIONS, SEEDS = 3, 3  # standard deviations over at least so many seeds


@dataclass(frozen=True)
class Agreement:
    """A metric of the earlier and of the later run.

    Attributes:
        metric: its name.
        then, now: its values.
        tolerance: greatest difference that is no disagreement; infinite for a metric that is not judged.
    """

    metric: str
    then: float
    now: float
    tolerance: float

    @property
    def difference(self) -> float:
        """The later value less the earlier one."""
        return self.now - self.then

    @property
    def verdict(self) -> str:
        """IDENTICAL, WITHIN or DIFFERENT."""
        if self.now == self.then:
            return IDENTICAL
        return WITHIN if abs(self.difference) <= self.tolerance else DIFFERENT


def is_exact(then: Snapshot, now: Snapshot) -> bool:
    """Tell whether two runs have to have the same bits: they share code, software, processor and cores.

    On a GPU nothing is required to the bit: some of its kernels add in an order that varies.
    """
    devices = {run.params.get("device", "cpu") for run in (then, now)}
    alike = all(then.tags.get(tag) == now.tags.get(tag) for tag in provenance.COMPUTING)
    return alike and devices == {"cpu"} and not provenance.other_code(then.tags, now.tags)


def agreements(
    then: Snapshot,
    now: Snapshot,
    judged: Collection[str],
    seeds: Sequence[Mapping[str, float]] = (),
) -> list[Agreement]:
    """Compare the last values of all metrics that both runs have, without times, rates, memory and energy.

    Args:
        then: the earlier run.
        now: the later one.
        judged: metrics that are judged where the same bits are not required; then all of them are.
        seeds: metrics of runs of the same row with several seeds, whose spread is the tolerance.

    Returns:
        The judged metrics first, in their order, then the others by their names.
    """
    exact = is_exact(then, now)
    earlier = {names.present(metric): value for metric, value in then.metrics.items()}
    shared = [metric for metric in earlier if metric in now.metrics and not names.is_of_the_moment(metric)]
    # Twenty images, of which a single one is worth five points, are for looking at.
    first = [metric for metric in judged if metric in shared and metric != names.SHEET_ACCURACY]

    def tolerance(metric: str) -> float:
        if exact:
            return 0.0
        return _tolerance(earlier[metric], [each[metric] for each in seeds if metric in each])

    listed = [Agreement(metric, earlier[metric], now.metrics[metric], tolerance(metric)) for metric in first]
    rest = sorted(set(shared) - set(first))
    return listed + [
        Agreement(metric, earlier[metric], now.metrics[metric], 0.0 if exact else math.inf) for metric in rest
    ]


def _tolerance(value: float, over_seeds: Sequence[float]) -> float:
    spread = statistics.stdev(over_seeds) if len(over_seeds) >= SEEDS else 0.0
    return DEVIATIONS * spread or RELATIVE * abs(value)


def overall(found: Sequence[Agreement]) -> str:
    """IDENTICAL if all metrics are, DIFFERENT if one is or there are none, else WITHIN."""
    verdicts = {each.verdict for each in found}
    if DIFFERENT in verdicts or not verdicts:
        return DIFFERENT
    return WITHIN if WITHIN in verdicts else IDENTICAL


def measure(exact: bool, seeds: int) -> str:
    """What two runs are judged by, in words; `seeds` is the number of seeds whose spread is known."""
    if exact:
        return "to the bit, since code, software, processor and cores are the same"
    if seeds >= SEEDS:
        return f"within {DEVIATIONS} standard deviations of the {seeds} seeds that were made with that code"
    return f"within {RELATIVE:.0%}, since fewer than {SEEDS} seeds tell the spread"


def frame(found: Sequence[Agreement]) -> pd.DataFrame:
    """A line for each metric."""
    columns = ["metric", "then", "now", "difference", "tolerance", "verdict"]
    return pd.DataFrame([[getattr(each, column) for column in columns] for each in found], columns=columns)


def table(found: Sequence[Agreement], judged: Collection[str], title: str) -> screen.Table:
    """The judged metrics and whatever is different; the others are counted below."""
    shown = [each for each in found if each.metric in judged or each.verdict == DIFFERENT]
    rest = [each for each in found if each not in shown]
    equal = sum(each.verdict == IDENTICAL for each in rest)
    columns = [
        Column("metric"),
        *(Column(name, Align.DECIMAL) for name in ("then", "now")),
        Column("difference", Align.RIGHT, rank=1),
        Column("verdict"),
    ]
    lines = [
        [
            Cell(each.metric),
            Cell(f"{each.then:.6g}"),
            Cell(f"{each.now:.6g}"),
            Cell(f"{each.difference:+.2g}" if each.difference else "0"),
            Cell(each.verdict, Emphasis.WORSE if each.verdict == DIFFERENT else Emphasis.NONE),
        ]
        for each in shown
    ]
    counted = "all of them" if equal == len(rest) else f"{equal} of them"
    notes = [f"further metrics: {len(rest)}, {counted} identical"] if rest else []
    return screen.Table(columns, lines, title=title, notes=notes)
