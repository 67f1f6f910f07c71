"""What a launch's parent run tells of its rows."""

from collections.abc import Sequence

import pandas as pd

from pipelines import names
from pipelines.tracking import FINISHED, Run


def finished_rows(parent: Run, order: Sequence[str]) -> list[Run]:
    """The nested runs that have finished, by their row's place in `order`, then by seed."""
    finished = [run for run in parent.children() if run.status == FINISHED]
    return sorted(finished, key=lambda run: (order.index(run.tags[names.ROW]), int(run.tags[names.SEED])))


def results(runs: Sequence[Run], metrics: Sequence[str]) -> pd.DataFrame:
    """A line for each run: row, seed and the last values of `metrics`, missing where a run has none."""
    return pd.DataFrame(
        {names.ROW: run.tags[names.ROW], names.SEED: run.tags[names.SEED]}
        | {metric: run.metrics.get(metric) for metric in metrics}
        for run in runs
    )
