"""Figures, by what is drawn on them."""

import inspect
import typing
from collections.abc import Callable
from itertools import combinations, pairwise

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from pipelines import figures, names

HOURS = np.datetime64("2020-03-01T00", "s") + np.arange(100) * np.timedelta64(3600, "s")
LOAD = 30_000 + 5_000 * np.sin(np.arange(100) / 4)
LABELS = ("gru-2", "lstm-2", "rnn-2", "gru-3", "a label that is rather long")
STEPS = np.arange(1, 9)
FALLING = {label: (STEPS, (number + 1) * 90.0 / STEPS) for number, label in enumerate(LABELS)}
IMAGES = np.zeros((4, 32, 32, 3), np.uint8)
TRIALS = np.geomspace(1e-4, 1e-1, 8)
SPREADS = np.full(8, 0.1)
FORECASTS = pd.DataFrame({"series": "A", "time": HOURS, "forecast": LOAD + 300})
INTERVALS = {
    f"{side}_{level}": LOAD + sign * level * 10 for level in (80, 95) for side, sign in (("low", -1), ("high", 1))
}
FLIPPED = pd.DataFrame({"row": "mlp-2", "against": "cnn", "right": ["cnn", "cnn", "mlp-2", "mlp-2"]})

# Every figure that the project draws, by the function that draws it.
DRAWN: dict[str, Callable[[], Figure]] = {
    "curves": lambda: figures.curves(FALLING, "error", "update", "sMAPE, %"),
    "forecasts": lambda: figures.forecasts(HOURS, LOAD, dict.fromkeys(LABELS, LOAD + 100), "hours"),
    "ahead": lambda: figures.ahead(
        pd.DataFrame({"series": "A", "time": HOURS, "load": LOAD}), FORECASTS.assign(**INTERVALS), "next hours"
    ),
    "epochs": lambda: figures.epochs({"training set": FALLING, "test set": FALLING}, "accuracy", "accuracy, %"),
    "groups": lambda: figures.groups(
        {"hour": {key: {"00": 0.2, "01": 0.3} for key in LABELS}, "series": {key: {"A": 0.1} for key in LABELS}},
        "where the error is made",
        "sMAPE, %",
    ),
    "confusion": lambda: figures.confusion(np.eye(3, dtype=int), ("cat", "dog", "ship"), "test images"),
    "sheet": lambda: figures.sheet(IMAGES, ["cat"] * 4, ["cat", "dog"] * 2, "images"),
    "flips": lambda: figures.flips(FLIPPED, IMAGES, "images"),
    "bars": lambda: figures.bars(LABELS, {"measured": [90.0] * 5, "published": [91.0] * 5}, "accuracy", "accuracy, %"),
    "beside_published": lambda: figures.beside_published(
        {"sMAPE, %": dict.fromkeys(LABELS, (0.2, 0.01, 0.3))}, {"sMAPE, %": dict.fromkeys(LABELS, "0.2 ± 0.01")}
    ),
    "ladder": lambda: figures.ladder(LABELS, *(np.linspace(1, 2, 5),) * 4, "changes", ("sMAPE, %", "training time, s")),
    "study_history": lambda: figures.study_history(STEPS, STEPS[::-1], STEPS[::-1], names.VAL_SMAPE),
    "study_slice": lambda: figures.study_slice(
        {"lr": TRIALS, "depth": [1, 2] * 4, "cell": ["GRU", "LSTM"] * 4, "dropout": TRIALS * 3},
        STEPS,
        ["lr"],
        names.VAL_ACCURACY,
    ),
    "study_contour": lambda: figures.study_contour(
        TRIALS, [1, 2, 3, 4] * 2, STEPS, "learning rate", "depth", names.VAL_ACCURACY
    ),
    "study_importances": lambda: figures.study_importances({"lr": 0.7, "depth": 0.3}, "fANOVA"),
    "study_values": lambda: figures.study_values(
        {0: (STEPS, 1 / STEPS, True), 1: (STEPS[:3], 2 / STEPS[:3], False)}, names.VAL_SMAPE
    ),
    "frontier": lambda: figures.frontier(
        [f"tuned (study {number})" for number in STEPS],
        60 + STEPS.astype(float),
        0.2 + 0.001 * (STEPS % 3),
        np.full(8, 0.001),
        cost="training time, s",
        error="test error, %",
        title="error and cost",
    ),
}


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


def shown(figure: Figure) -> Figure:
    figure.draw_without_rendering()
    return figure


def test_every_figure_is_among_those_that_are_tested():
    drawing = {
        name
        for name, function in vars(figures).items()
        if inspect.isfunction(function)
        and not name.startswith("_")
        and typing.get_type_hints(function).get("return") is Figure
    }
    assert drawing == {*DRAWN}


@pytest.mark.parametrize("name", DRAWN)
def test_every_axis_of_numbers_says_what_they_are(name):
    figure = shown(DRAWN[name]())
    for axes in (axes for axes in figure.axes if axes.get_visible() and axes.axison):
        for axis in (axes.xaxis, axes.yaxis):
            ticks = [tick.get_text() for tick in axis.get_ticklabels() if tick.get_text() and tick.get_visible()]
            is_of_numbers = any(
                text.replace("\N{MINUS SIGN}", "").replace(",", "").replace(".", "").isdigit() for text in ticks
            )
            alike = [other for other in figure.axes if other in axes.get_shared_x_axes().get_siblings(axes)]
            labels = {getattr(other, f"get_{axis.axis_name}label")() for other in (*alike, axes)}
            assert not is_of_numbers or labels != {""}, (axes.get_title(), axis.axis_name, ticks)


@pytest.mark.parametrize("name", DRAWN)
def test_a_legend_covers_no_axes(name):
    figure = shown(DRAWN[name]())
    assert not [axes for axes in figure.axes if axes.get_legend()]
    whole = figure.bbox
    for legend in figure.legends:
        box = legend.get_window_extent()
        assert whole.x0 <= box.x0 < box.x1 <= whole.x1
        for axes in figure.axes:
            assert not box.overlaps(axes.get_window_extent()), axes.get_title()


@pytest.mark.parametrize("name", DRAWN)
def test_titles_and_labels_are_on_the_paper(name):
    figure = shown(DRAWN[name]())
    box = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    assert -0.02 <= box.x0 < box.x1 <= width + 0.02
    assert -0.02 <= box.y0 < box.y1 <= height + 0.02


def test_what_was_measured_is_drawn_in_front_of_what_is_forecast():
    for name, measured in (("forecasts", "actual"), ("ahead", "load")):
        axes = DRAWN[name]().axes[0]
        drawn = sorted([*axes.collections, *axes.lines], key=lambda artist: artist.get_zorder())
        assert drawn[-1].get_label() == measured
        assert to_rgb(drawn[-1].get_color()) == (0, 0, 0)


def test_lines_differ_in_more_than_their_colour():
    lines = figures.curves({f"row-{number}": (STEPS, STEPS) for number in range(28)}, "", "", "").axes[0].lines
    looks = [(line.get_color(), line.get_linestyle(), line.get_marker()) for line in lines]
    assert len({look[:2] for look in looks}) == len(looks)
    for one, next in pairwise(looks):
        assert all(a != b for a, b in zip(one, next, strict=True))


# Machado, Oliveira and Fernandes (2009), severity 1: linear RGB as the colour-blind see it.
SEEN_WITH = {
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "full colour": np.eye(3),
}


def lab(colour: str, seen: object) -> np.ndarray:
    """CIE L*a*b* of a colour, white D65, as it is seen."""
    rgb = np.array(to_rgb(colour))
    linear = np.clip(np.asarray(seen) @ np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4), 0, 1)
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ linear
    x, y, z = np.cbrt(np.maximum(xyz / [0.9505, 1, 1.089], 1e-6))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("vision", SEEN_WITH)
def test_the_colours_of_lines_can_be_told_apart(vision):
    """A distance of 2.3 is just noticed (CIE 1976); lines in a plot take several times that."""
    colours = [*figures.COLOURS, figures.ACTUAL]
    for one, other in combinations(colours, 2):
        assert np.linalg.norm(lab(one, SEEN_WITH[vision]) - lab(other, SEEN_WITH[vision])) > 10, (one, other)


def test_labels_of_points_cover_neither_each_other_nor_leave_the_axes():
    figure = shown(DRAWN["frontier"]())
    (axes,) = figure.axes
    boxes = [text.get_window_extent() for text in axes.texts if text.get_text()]
    assert len(boxes) == 8
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
    frame = axes.get_window_extent()
    assert all(frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1 for box in boxes)


def test_panels_that_do_not_fit_beside_each_other_stand_in_rows():
    sizes = {"hour": 24, "month": 12, "series": 60}
    panels = {name: {"gru-2": {str(number): 1.0 for number in range(size)}} for name, size in sizes.items()}
    figure = shown(figures.groups(panels, "", "sMAPE, %"))
    boxes = [axes.get_window_extent() for axes in figure.axes]
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
    assert boxes[0].y0 == pytest.approx(boxes[1].y0)
    assert boxes[2].y1 < boxes[0].y0
    assert len({axes.get_ylim() for axes in figure.axes}) == 1
