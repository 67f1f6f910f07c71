"""Progress of a run, from the points of its metrics: epochs done, time left, the metric to show."""

import itertools
import math
import statistics
from collections.abc import Mapping, Sequence

from analysis.watch.seen import Point, Seen
from pipelines import names

# Metrics with a point after each epoch, step = epoch.
_OF_EPOCHS = (
    names.TRAIN_LOSS,
    names.VAL_SMAPE,
    names.VAL_ACCURACY,
    names.VAL_LOSS,
    names.TEST_ACCURACY,
    names.TEST_LOSS,
)
# What is shown of a run in training: the first of these that it has.
_CURVES = (names.VAL_SMAPE, names.SMAPE_CURVE, names.VAL_ACCURACY, names.TEST_ACCURACY, names.TRAIN_LOSS)
# Metrics of the machine, as MLflow itself logs them.
_SYSTEM = "system/"

_INTERVALS = 9  # the latest of them give the pace, since a machine may become slower


def epochs_of(run: Seen) -> int | None:
    """The number of epochs that a run is trained for, None if it does not say."""
    text = run.params.get("epochs", "").strip("'\"")
    return int(text) if text.isdecimal() and int(text) > 0 else None


def epoch_of(run: Seen) -> int | None:
    """The number of epochs that are done, as far as the server knows; None if no epoch has ended."""
    return max((run.latest[name].step for name in _OF_EPOCHS if name in run.latest), default=0) or None


def curve_of(run: Seen) -> str:
    """The metric that shows how far the training has come; "" if there is none yet."""
    for name in _CURVES:
        if name in run.latest:
            return name
    others = {name: point.step for name, point in run.latest.items() if not name.startswith(_SYSTEM)}
    # Another project's: one with a history rather than one with a single value, a loss rather than another.
    return max(others, key=lambda name: (others[name] > 0, "loss" in name, others[name]), default="")


def pace_of(run: Seen) -> str:
    """The metric whose points tell when each epoch ended; "" if there is none."""
    return max((name for name in _OF_EPOCHS if name in run.latest), key=lambda name: run.latest[name].step, default="")


def left_s(points: Sequence[Point], epochs: int, began: float, now: float) -> float | None:
    """The seconds until the last epoch ends, at the median pace of the latest epochs; None without a point.

    Args:
        points: one for each epoch that has ended, in the order of steps; some may be missing.
        epochs: number of them in the end.
        began: when the run began, seconds since 1970; counts only while a single epoch has ended.
        now: seconds since 1970. It may be another machine's clock, so the present epoch is neither taken to have ended
            nor to have longer to go than a whole epoch.
    """
    ended = [point for point in points if point.step > 0]
    if not ended:
        return None
    steps = list(itertools.pairwise(ended))[-_INTERVALS:]
    paces = [(after.at - before.at) / (after.step - before.step) for before, after in steps if after.step > before.step]
    last = ended[-1]
    pace = max(0.0, statistics.median(paces) if paces else (last.at - began) / last.step)
    since = min(max(0.0, now - last.at), pace)
    return max(0.0, (epochs - last.step) * pace - since)


def last_sign(run: Seen) -> float:
    """When a run last gave a sign of life, seconds since 1970: its begin, or its latest point."""
    return max([run.began, *(point.at for point in run.latest.values())])


def finite(points: Sequence[Point]) -> tuple[float, ...]:
    """The finite values of `points`."""
    return tuple(point.value for point in points if math.isfinite(point.value))


def value_of(latest: Mapping[str, Point], metric: str) -> float | None:
    """The last value of a metric, None without one."""
    return latest[metric].value if metric in latest else None
