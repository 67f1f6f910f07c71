"""Figures, by what is drawn on them."""

from itertools import pairwise

import numpy as np
import pytest

from pipelines import figures


@pytest.mark.parametrize(
    ("low", "high"),
    [(1.2e-3, 9e-3), (2.1e-3, 8.4e-3), (1.1e-4, 9e-3), (2e-3, 4e-2), (1e-5, 1e-1), (3e-3, 3.2e-3), (3e-3, 3e-3)],
)
def test_the_labels_of_a_logarithmic_axis_do_not_overlap(low, high):
    values = np.geomspace(low, high, 9)
    figure = figures.study_slice({"lr": values}, np.arange(9.0), ["lr"], "val_accuracy")
    figure.draw_without_rendering()
    (panel,) = figure.axes
    drawn = [label for label in panel.get_xticklabels(which="both") if label.get_text()]
    left, right = panel.get_xlim()
    boxes = sorted(
        (label.get_window_extent() for label in drawn if left <= label.get_position()[0] <= right),
        key=lambda box: box.x0,
    )
    assert boxes
    assert all(one.x1 < next.x0 for one, next in pairwise(boxes))


@pytest.mark.parametrize("count", [1, 2, 3])
def test_epochs_are_ticked_at_whole_numbers(count):
    steps = np.arange(1, count + 1)
    figure = figures.epochs({"test set": {"cnn": (steps, steps * 10.0)}}, "accuracy", "accuracy, %")
    (axes,) = figure.axes
    figure.canvas.draw()
    low, high = axes.get_xlim()
    shown = [tick for tick in axes.get_xticks() if low <= tick <= high]
    assert shown == steps.tolist()
