"""The summary of a launch: a table of its finished rows and figures of all of them, on its parent run."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from pipelines import names
from pipelines.common.streams import announce
from pipelines.common.words import natural
from pipelines.errors import AwayError
from pipelines.experiments.base import SettingsType
from pipelines.launching import intervals
from pipelines.launching.experiment import Experiment, OptionsType
from pipelines.launching.planned import read_plan
from pipelines.tracking.artifacts import log_table, read_table
from pipelines.tracking.run import FINISHED, Run
from pipelines.tracking.unsent import put_off_summary, require_all

_TABLE = "| row | "  # by which the table in a description begins
_BEST = "best: "  # by which the first line of a description begins that has a table


class NoTableError(LookupError):
    """A run has no table of the data of its figure."""


def sum_up(parent: Run, entry: str, summarise: Callable[[Run], list[Run]]) -> list[Run]:
    """Summarise a launch of `entry` by `summarise`; if the tracking server is away, `replay` does so later.

    Returns:
        The finished rows; none if the server is away.
    """
    try:
        return summarise(parent)
    except AwayError:
        put_off_summary(parent, entry)
        return []


def summarise(experiment: Experiment[OptionsType, SettingsType], parent: Run) -> list[Run]:
    """List the finished rows of a launch in its table, and draw them together; returns them."""
    if finished := finished_rows(parent, list(experiment.rows)):
        log_results(parent, finished, experiment.metrics, experiment.main)
        if narrow := float(parent.tags.get(names.WIDTH, 0)):
            log_table(parent, intervals.table(main_values(experiment, finished), narrow), names.INTERVALS)
        try:
            experiment.draw(parent, finished)
        except NoTableError as error:
            # Of an earlier launch, whose artifacts may have been deleted, or lie where they cannot be read from here.
            if not reused(parent):
                raise
            announce(f"without figures of all rows: {error}")
    return finished


def finished_rows(parent: Run, order: Sequence[str]) -> list[Run]:
    """The runs of a launch that have finished, sorted by the order of their rows in `order`, then by seed.

    They are nested in it, or of earlier launches where it has reused some. Rows that are not in
    `order`, the user's own, come after those that are, by name.

    Raises:
        AwayError: the tracking server is away, or does not know all of them yet.
    """
    require_all(parent)
    # The trials of a study are nested runs too, but not rows.
    runs = [*parent.children(), *reused(parent)]
    finished = [run for run in runs if run.status == FINISHED and names.ROW in run.tags]
    places = {row: place for place, row in enumerate(order)}

    def place(run: Run) -> tuple[int, str, int]:
        row = run.tags[names.ROW]
        return places.get(row, len(places)), natural(row), int(run.tags[names.SEED])

    return sorted(finished, key=place)


def reused(parent: Run) -> list[Run]:
    """The runs of earlier launches that are part of the results of `parent`.

    Raises:
        AwayError: the tracking server is away.
    """
    plan = read_plan(parent) if int(parent.tags.get(names.REUSED, 0)) else None
    return [Run(each.run) for each in plan or [] if each.run]


def main_values(experiment: Experiment[Any, SettingsType], runs: Sequence[Run]) -> dict[str, list[float]]:
    """Values of the main metric of each row, of its runs that have it."""
    values: dict[str, list[float]] = {}
    for state in (run.record.read() for run in runs):
        if experiment.main in state.metrics:
            values.setdefault(state.tags[names.ROW], []).append(state.metrics[experiment.main])
    return values


def drawn_of(finished: Sequence[Run]) -> tuple[dict[str, Run], str]:
    """The run of each row that figures show, that of its lowest seed, and a note for the title if rows have others.

    The rows are in the order of the runs `finished`.
    """
    first: dict[str, Run] = {}
    for run in finished:
        first.setdefault(run.tags[names.ROW], run)
    counts = Counter(run.tags[names.ROW] for run in finished)
    notes = {f"seed {first[row].tags[names.SEED]} of {count}" for row, count in counts.items() if count > 1}
    return first, notes.pop() if len(notes) == 1 else "one seed of each row" if notes else ""


def logged_tables(runs: Mapping[str, Run], path: str) -> dict[str, pd.DataFrame]:
    """The table that each run has logged under the artifact path `path`, by the keys of `runs`.

    Raises:
        NoTableError: a run has none.
        AwayError: the tracking server is away.
    """
    tables = {}
    for key, run in runs.items():
        table = read_table(run, path)
        if table is None:
            raise NoTableError(f"run {run.id} has no artifact {path}")
        tables[key] = table
    return tables


def log_results(parent: Run, finished: Sequence[Run], metrics: Sequence[str], main: str) -> None:
    """Log the table of all finished runs, and put the mean of `main` for each row into the description of `parent`.

    The description begins with the best row, since that is what MLflow shows of it folded.
    """
    table = results(finished, metrics)
    log_table(parent, table, names.COMPARISON)
    rows = table.groupby(names.ROW, sort=False)[main].agg(["mean", "std", "count"])
    lines = [f"{_TABLE}{main} | ± | n |", "| --- | ---: | ---: | ---: |"]
    for row, (mean, std, count) in rows.iterrows():
        spread = "" if math.isnan(std) else f"{std:.3g}"
        lines.append(f"| {row} | {mean:.4g} | {spread} | {count:.0f} |")
    # The description of a continued launch has the best row and the table of its earlier end, which are replaced.
    about = parent.tags[names.DESCRIPTION].partition(f"\n\n{_TABLE}")[0]
    if about.startswith(_BEST):
        about = about.partition("\n\n")[2]
    parent.set_tags({names.DESCRIPTION: "\n\n".join([*_best(rows, main), about, "\n".join(lines)])})


def _best(rows: pd.DataFrame, main: str) -> list[str]:
    """The line on the row of `rows` with the best mean of `main`; none if no row has one."""
    measured = rows.dropna(subset="mean").sort_values("mean", ascending=bool(names.lowest_is_best(main)), kind="stable")
    return [
        f"{_BEST}{row}, {main} {mean:.4g}{'' if math.isnan(std) else f' ± {std:.2g}'} (n = {count:.0f})"
        for row, (mean, std, count) in measured.head(1).iterrows()
    ]


def results(runs: Sequence[Run], metrics: Sequence[str]) -> pd.DataFrame:
    """A line for each run: row, seed and the last values of `metrics`, missing where a run has none."""
    return pd.DataFrame(
        {names.ROW: run.tags[names.ROW], names.SEED: run.tags[names.SEED]}
        | {metric: run.metrics.get(metric) for metric in metrics}
        for run in runs
    )
