"""The ladder from the forecasting report's network to ours: what each change gives, and what it costs."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.report.sections import Figure
from analysis.stats import MISSING, Summary, summarize
from analysis.tables.cells import Cells
from analysis.tables.columns import COUNT, ROW, TRAINING
from pipelines import names
from pipelines.experiments.recurrent.rows import DENSE, STEPS


@dataclass(frozen=True)
class Rung:
    """A row of the ladder.

    Attributes:
        row: its name.
        change: what it has that the row before it does not.
        error: in sMAPE %, the published convention, over the seeds.
        step: its mean error minus that of the row before it; NaN where that has not run.
        seconds: of training, over the seeds.
    """

    row: str
    change: str
    error: Summary
    step: float
    seconds: Summary


def rungs(runs: pd.DataFrame) -> list[Rung]:
    """The rows of the ladder that have run, in its order; `runs` have one setting for each row and way of training."""
    return list(_climb(runs))


def _climb(runs: pd.DataFrame) -> Iterator[Rung]:
    below = math.nan
    for row, change in STEPS.items():
        own = runs[(runs[ROW] == row) & (runs[TRAINING] == DENSE)]
        error, seconds = (
            summarize(own.get(f"metrics.{metric}", ())) for metric in (names.SMAPE_REPORT, names.TRAINING_TIME)
        )
        if error.n:
            yield Rung(row, change, error, error.mean - below, seconds)
        below = error.mean


def tabulated(ladder: Sequence[Rung]) -> Cells:
    """The ladder as a table of text."""
    header = ("row", "what is new", COUNT, names.SMAPE_REPORT, "step", names.TRAINING_TIME)
    lines = [
        (
            rung.row,
            rung.change,
            str(rung.error.n),
            str(rung.error),
            MISSING if math.isnan(rung.step) else f"{rung.step:+.4f}",
            str(rung.seconds),
        )
        for rung in ladder
    ]
    return Cells(header, lines, 4)


def drawn(ladder: Sequence[Rung], name: str, data: str) -> Figure | None:
    """What each change from the published network to ours gives and costs; None without two neighbours in it."""
    from pipelines import figures  # here, since importing matplotlib takes half a second that --help should not

    steps = [rung for rung in ladder if not math.isnan(rung.step)]
    if not steps:
        return None
    first, last = ladder[0], ladder[-1]
    best = min(steps, key=lambda rung: rung.step)
    missing = [row for row in STEPS if row not in [rung.row for rung in ladder]]
    worse = [rung.row for rung in steps if rung.step > 0]
    caption = (
        f"{data}: each row of the ladder is one step on from the row before it. "
        f"From {first.row} to {last.row} the error goes from {first.error} to {last.error} %. "
        f"The largest step is that to {best.row}, {best.step:+.4f}: {best.change}."
        + (f" Worse than the row before: {', '.join(worse)}." if worse else "")
        + (f" Not run, so that the rows after them have no step: {', '.join(missing)}." if missing else "")
        + " Error bars: standard deviation over seeds. Times are those of the hosts that ran."
    )
    errors, changes, spreads, seconds = (
        np.array([figure(rung) for rung in ladder])
        for figure in (
            lambda rung: rung.error.mean,
            lambda rung: rung.step,
            lambda rung: rung.error.std,
            lambda rung: rung.seconds.mean,
        )
    )
    title = figures.titled("from the published network to ours, step by step", data)
    axes = ("sMAPE, %, published convention", "training time, s")
    drawing = figures.ladder([rung.row for rung in ladder], errors, changes, spreads, seconds, title, axes)
    return Figure(name, caption, drawing)
