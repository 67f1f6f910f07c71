"""Every logged value of the metrics of runs."""

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Metric
from mlflow.exceptions import MlflowException

from analysis.runs import values
from analysis.server import reach, unreadable
from pipelines import names


def histories(run_ids: Iterable[str], metrics: Sequence[str]) -> pd.DataFrame:
    """Every logged value of `metrics`: columns ``run_id``, ``metric``, ``step``, ``value``, in order of these.

    A resumed run logs some steps twice; the later value counts.

    Raises:
        InputError: a tracking server that cannot be read.
    """
    client = reach()
    points = []
    for run_id, metric in itertools.product(run_ids, metrics):
        history = _history(client, run_id, metric)
        latest = {point.step: point.value for point in sorted(history, key=lambda point: (point.step, point.timestamp))}
        points += [(run_id, metric, step, values.number(value)) for step, value in latest.items()]
    return pd.DataFrame(points, columns=["run_id", "metric", "step", "value"])


def points(run_id: str, metrics: Iterable[str], left_empty: Counter[str] | None = None) -> Iterator[dict[str, object]]:
    """Every logged value of a run's `metrics`: records of ``run_id``, ``metric``, ``step``, ``timestamp``, ``value``.

    `left_empty` counts invalid timestamps, see records.every.

    Raises:
        InputError: a tracking server that cannot be read.
    """
    client = MlflowClient()
    for metric in metrics:
        for point in _history(client, run_id, metric):
            stamp = values.time(point.timestamp, Counter() if left_empty is None else left_empty)
            value = values.number(point.value)
            yield {"run_id": run_id, "metric": metric, "step": point.step, "timestamp": stamp, "value": value}


def _history(client: MlflowClient, run_id: str, metric: str) -> list[Metric]:
    """Every logged value of a metric, which an earlier version may have logged under another name."""
    try:
        found = client.get_metric_history(run_id, metric)
        name = names.earlier(metric)
        return found if found or name == metric else client.get_metric_history(run_id, name)
    except MlflowException as error:
        raise unreadable(error) from error
