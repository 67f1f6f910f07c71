"""Progress of a run: epochs, time left, and the metric that is shown."""

import pytest

from analysis.watch import progress
from analysis.watch.seen import Point, Seen
from pipelines import names

BEGAN = 1000.0


def run(params=None, **latest: tuple[int, float]) -> Seen:
    points = {metric: Point(step, value, BEGAN + step) for metric, (step, value) in latest.items()}
    return Seen("id", "run", "RUNNING", BEGAN, params=params or {}, latest=points)


def points(*ends: tuple[int, float]) -> list[Point]:
    """Points of these steps, each so many seconds after the begin."""
    return [Point(step, 1.0, BEGAN + after) for step, after in ends]


# Epochs done and when, how many there are, seconds since the begin, and the seconds left by hand.
LEFT = {
    "ten seconds an epoch": (((1, 15), (2, 25), (3, 35)), 10, 35, 70),
    "four seconds later": (((1, 15), (2, 25), (3, 35)), 10, 39, 66),
    "much later, the present epoch still has not ended": (((1, 15), (2, 25), (3, 35)), 10, 500, 60),
    "a clock that is behind": (((1, 15), (2, 25), (3, 35)), 10, 0, 70),
    "a pause of an hour does not change the pace": (((1, 10), (2, 20), (3, 30), (4, 3630), (5, 3640)), 6, 3640, 10),
    "a step was not logged": (((1, 10), (3, 30)), 5, 30, 20),
    "a value before the first epoch does not count": (((0, 1), (1, 41), (2, 51)), 4, 51, 20),
    "one epoch, by the time since the begin": (((1, 20),), 3, 20, 40),
    "the last has ended": (((1, 10), (2, 20)), 2, 25, 0),
}


@pytest.mark.parametrize(("ends", "epochs", "now", "left"), LEFT.values(), ids=LEFT)
def test_the_time_left_follows_from_the_pace_of_the_epochs(ends, epochs, now, left):
    assert progress.left_s(points(*ends), epochs, BEGAN, BEGAN + now) == pytest.approx(left)


def test_the_pace_is_that_of_the_latest_epochs():
    fast = [(step, step) for step in range(1, 31)]
    slow = [(30 + step, 30 + 100 * step) for step in range(1, 11)]
    assert progress.left_s(points(*fast, *slow), 41, BEGAN, BEGAN + 1030) == pytest.approx(100)


def test_without_an_epoch_no_time_is_known():
    assert progress.left_s([], 5, BEGAN, BEGAN + 9) is None
    assert progress.left_s(points((0, 3)), 5, BEGAN, BEGAN + 9) is None


@pytest.mark.parametrize(("text", "epochs"), [("60", 60), ("'60'", 60), ("0", None), ("many", None), ("", None)])
def test_the_number_of_epochs_is_a_parameter(text, epochs):
    assert progress.epochs_of(run({"epochs": text})) == epochs


def test_epochs_done_are_steps_of_what_is_logged_after_each():
    assert progress.epoch_of(run()) is None
    assert progress.epoch_of(run(smape_curve=(135, 2.0), parameters=(0, 9.0))) is None
    # pretrain logs the accuracy on the test set at its end, without a step.
    assert progress.epoch_of(run(train_loss=(7, 0.1), val_accuracy=(6, 80.0), test_accuracy=(0, 70.0))) == 7


SHOWN = {
    "none": ({}, ""),
    "a forecaster's": (
        {"train_loss": (7, 0.1), "smape_curve": (135, 2.0), "first/smape_curve": (0, 30.0)},
        names.SMAPE_CURVE,
    ),
    "a trial's": ({"train_loss": (7, 0.1), "val_smape": (7, 2.0)}, names.VAL_SMAPE),
    "a classifier's": (
        {"train_loss": (7, 0.1), "test_loss": (7, 1.0), "test_accuracy": (7, 60.0)},
        names.TEST_ACCURACY,
    ),
    "of a pretraining before its test": ({"val_accuracy": (2, 50.0), "train_loss": (2, 1.0)}, names.VAL_ACCURACY),
    "another project's": ({"epoch": (3, 3.0), "my_loss": (3, 1.0), "system/cpu": (99, 1.0)}, "my_loss"),
    "another project's with one value": ({"auc": (0, 0.9)}, "auc"),
}


@pytest.mark.parametrize(("latest", "metric"), SHOWN.values(), ids=SHOWN)
def test_the_metric_shown_is_the_one_that_training_is_followed_by(latest, metric):
    assert progress.curve_of(run(**latest)) == metric


def test_values_that_cannot_be_drawn_are_left_out():
    values = [Point(0, float("nan"), 0), Point(1, 2.0, 0), Point(2, float("inf"), 0), Point(3, 1.0, 0)]
    assert progress.finite(values) == (2.0, 1.0)
