"""What a launch's parent run tells of its rows."""

import math
from collections import Counter
from collections.abc import Callable, Sequence

import pandas as pd

from pipelines import names
from pipelines.errors import AwayError
from pipelines.launching.experiment import Experiment
from pipelines.tracking.artifacts import log_table
from pipelines.tracking.run import FINISHED, Run
from pipelines.tracking.unsent import put_off_summary, require_all


def sum_up(parent: Run, entry: str, summarise: Callable[[Run], None]) -> None:
    """Make the summary of a launch of `entry`; if the tracking server is away, the replay makes it."""
    try:
        summarise(parent)
    except AwayError:
        put_off_summary(parent, entry)


def summarise(experiment: Experiment, parent: Run) -> None:
    """List the finished rows of a launch in its table, and draw them together."""
    if finished := finished_rows(parent, experiment.rows):
        tell(parent, finished, experiment.metrics, experiment.main)
        experiment.draw(parent, finished)


def finished_rows(parent: Run, order: Sequence[str]) -> list[Run]:
    """The nested runs that have finished, by their row's place in `order`, then by seed.

    Raises:
        AwayError: the tracking server is away, or does not know all of them yet.
    """
    require_all(parent)
    # A study's trials are nested runs too, and no rows.
    finished = [run for run in parent.children() if run.status == FINISHED and names.ROW in run.tags]
    return sorted(finished, key=lambda run: (order.index(run.tags[names.ROW]), int(run.tags[names.SEED])))


def drawn_of(finished: Sequence[Run]) -> tuple[dict[str, Run], str]:
    """The run of each row that figures show, its lowest seed's, and what to say of that where it has others."""
    first = {run.tags[names.ROW]: run for run in reversed(finished)}
    counts = Counter(run.tags[names.ROW] for run in finished)
    told = {f"seed {first[row].tags[names.SEED]} of {count}" for row, count in counts.items() if count > 1}
    return first, told.pop() if len(told) == 1 else "one seed of each row" if told else ""


def tell(parent: Run, finished: Sequence[Run], metrics: Sequence[str], main: str) -> None:
    """Log the table of all finished runs, and show the mean of `main` for each row where the UI shows a run first.

    That is its description, as a table, and its metrics, as charts.
    """
    table = results(finished, metrics)
    log_table(parent, table, names.COMPARISON)
    rows = table.groupby(names.ROW, sort=False)[main].agg(["mean", "std", "count"])
    # Of a row that has no such metric there is no mean.
    parent.log_metrics({names.per_row(main, row): mean for row, mean in rows["mean"].dropna().items()})
    lines = [f"| row | {main} | ± | n |", "| --- | ---: | ---: | ---: |"]
    for row, (mean, deviation, count) in rows.iterrows():
        spread = "" if math.isnan(deviation) else f"{deviation:.3g}"
        lines.append(f"| {row} | {mean:.4g} | {spread} | {count:.0f} |")
    # Without the table of an earlier end, which a resumed launch has.
    description = parent.tags[names.DESCRIPTION].partition("\n\n|")[0]
    parent.set_tags({names.DESCRIPTION: description + "\n\n" + "\n".join(lines)})


def results(runs: Sequence[Run], metrics: Sequence[str]) -> pd.DataFrame:
    """A line for each run: row, seed and the last values of `metrics`, missing where a run has none."""
    return pd.DataFrame(
        {names.ROW: run.tags[names.ROW], names.SEED: run.tags[names.SEED]}
        | {metric: run.metrics.get(metric) for metric in metrics}
        for run in runs
    )
