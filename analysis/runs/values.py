"""What a run has, as readers are shown it: texts without secrets, times, figures, flat columns."""

import math
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta

import pandas as pd
from mlflow.entities import Run

from analysis.runs import earlier
from pipelines.common import addresses

# Of MLflow's own tags those that tell where a run comes from; the rest repeat what stands elsewhere, or are bulky.
KEPT_TAGS = {
    f"tags.mlflow.{tag}" for tag in ("user", "source.name", "source.type", "source.git.commit", "source.git.dirty")
}

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_LARGEST = sys.float_info.max


def flat(run: Run) -> dict[str, object]:
    """Id, start, tags, parameters and metrics of a run, in columns such as ``tags.row``."""
    metrics = earlier.present(run.data.metrics, run.data.tags)
    return {
        "run_id": run.info.run_id,
        "start_time": time(run.info.start_time, Counter()),
        # Whoever made the run, what a table or an export shows of it has no secrets.
        **{f"tags.{key}": text(value) for key, value in run.data.tags.items()},
        **{f"params.{key}": text(value) for key, value in run.data.params.items()},
        **{f"metrics.{key}": number(value) for key, value in metrics.items()},
    }


def is_kept(column: str) -> bool:
    """Tells whether a flat record has this column."""
    return not column.startswith("tags.mlflow.") or column in KEPT_TAGS


def text(value: str | bytes | None) -> str | None:
    """A parameter or tag without secrets; a database may have it as bytes, or as nothing."""
    decoded = value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value
    return decoded and addresses.redacted(decoded)


def time(milliseconds: int | None, left_empty: Counter[str]) -> pd.Timestamp | None:
    """A time in UTC, None where it is missing, or outside the years 1 to 9999, which `left_empty` counts."""
    if not milliseconds:
        return None
    try:
        return pd.Timestamp(_EPOCH + timedelta(milliseconds=milliseconds))
    except OverflowError:
        left_empty["times outside the years 1 to 9999"] += 1
        return None


def duration(start: int | None, end: int | None, left_empty: Counter[str]) -> float | None:
    """Seconds from start to end, both in milliseconds; None where one is missing, or the end comes first (counted)."""
    if not start or not end:
        return None
    if end < start:
        left_empty["durations of runs that end before they start"] += 1
        return None
    return (end - start) / 1000


def number(value: float) -> float:
    """A metric's value, infinite where MLflow has stored it as the largest double."""
    return math.copysign(math.inf, value) if abs(value) >= _LARGEST else value
