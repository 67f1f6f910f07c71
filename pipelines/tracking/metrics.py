"""Metrics of a run, buffered: single calls to the tracking server cost milliseconds each."""

import math
from collections.abc import Mapping

from mlflow import MlflowClient
from mlflow.utils.time import get_current_time_millis

from pipelines import names
from pipelines.tracking.outbox import METRICS, MetricsContent, Point
from pipelines.tracking.record import Record
from pipelines.training.loop import DivergedError

_BATCH = 1000  # MLflow's limit of metrics in one request


class Metrics:
    """Metrics of one run, see `Run`."""

    def __init__(self, run_id: str, record: Record):
        self._id, self._record = run_id, record
        self._client = MlflowClient()
        self._points: dict[str, dict[int, float]] = {}  # of each metric that was logged or recalled here, by step
        self._buffer: list[Point] = []
        # (name, step) pairs that were logged already, so that no point of a resumed run is drawn twice.
        self._logged: set[tuple[str, int]] = set()

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Buffer metrics of one step.

        Raises:
            DivergedError: one is NaN or infinite; none of them is kept.
        """
        for key, value in metrics.items():
            if not math.isfinite(value):
                raise DivergedError(f"{key} is {float(value)}" + (f" at step {step}" if step else ""))
        now = get_current_time_millis()
        for key, value in metrics.items():
            if (key, step) not in self._logged:
                self._logged.add((key, step))
                self._points.setdefault(key, {})[step] = float(value)
                self._buffer.append((key, float(value), now, step))

    def history(self, metric: str) -> list[tuple[int, float]]:
        """Returns (step, value) of a metric, in the order of its steps."""

        def found() -> dict[int, float]:
            return {point.step: point.value for point in self._client.get_metric_history(self._id, metric)}

        return sorted(self._record.delivery.query(found, lambda: self._points.get(metric, {})).items())

    def recall(self) -> None:
        """Remember which steps a resumed run has, so that none is logged twice."""
        for name in self._record.read().metrics:
            self._points[name] = dict(self.history(name))
            # What an earlier version has logged under its name is not logged again under the present one.
            self._logged |= {(known, step) for known in (name, names.present(name)) for step in self._points[name]}

    def flush(self) -> None:
        """Send the buffered metrics."""
        while self._buffer:
            batch = self._buffer[:_BATCH]
            self._record.delivery.send(METRICS, MetricsContent(metrics=batch))
            del self._buffer[:_BATCH]
            self._record.note_metrics({key: value for key, value, *_ in batch})
