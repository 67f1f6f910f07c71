"""Plots in one style: functions of plain data that return a matplotlib Figure."""

import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import wraps
from typing import Any, ParamSpec

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter
from matplotlib.transforms import Bbox
from numpy.typing import ArrayLike

from pipelines import names

Line = tuple[ArrayLike, ArrayLike]  # x and y values, equally many
P = ParamSpec("P")

# Okabe & Ito's palette, whose colours the colour-blind can tell apart, with a dark grey for its yellow, which is pale.
# Line styles and markers differ too, for print. Black is for what was measured, GUIDE for what only guides the eye.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#666666")
ACTUAL, GUIDE, WRONG = "#000000", "#999999", "#D00000"
LINES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
HATCHES = ("", "///", "...")
# Positions of a label around its point, to be tried in turn: offset in points (1/72 inch), and alignment.
PLACES = [
    ((side * x, y), alignment)
    for x, rows in ((6, (4, -10, 14, -20, 24, -30)), (24, (34, -40, 44, -50, 54, -60, 64, -70, 80, 96)))
    for y in rows
    for side, alignment in ((1, "left"), (-1, "right"))
]
NEAR = 12  # points from a point to a label that needs no line to it
FREE_RATIO, FAR_RATIO = 1e-3, 2  # of a cost to the median, and of an error to the least, that a plot has no room for
LOG_RATIO = 4  # of the largest to the smallest value, above which an axis is logarithmic
LONGEST = 100  # characters of a title or label
MOST_PANELS = 12  # series of a figure of forecasts
BROAD = 24  # characters of a label beside an axis, in one line
DAY = 24  # hours between two markers of a line of hours
MEGAWATTS = "{x:,g}"
LETTERS_PER_INCH, HANDLE_LETTERS = 12, 8  # of a title or legend, about; and the width of the line in a legend
STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so that a figure is the same everywhere
    "font.size": 9,
    "figure.titlesize": 10,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.4,
    "lines.markersize": 3.5,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "figure.dpi": 130,
}


def _styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Draw in the style of the project."""

    @wraps(draw)
    def styled(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with rc_context(STYLE):
            return draw(*args, **kwargs)

    return styled


def literal(text: object) -> str:
    """Escape a text so that matplotlib draws it literally: no formulas, one line, and shown in a legend."""
    shown = "".join(each if each.isprintable() else " " for each in str(text))
    shown = shown if len(shown) <= LONGEST else f"{shown[: LONGEST - 1]}…"
    return (" " if shown.startswith("_") else "") + shown.replace("$", r"\$")


def _broad(label: str) -> str:
    """A label beside an axis, in lines that are not too broad for it."""
    return textwrap.fill(literal(label), BROAD)


def titled(text: str, dataset: str, published: str = "", note: str = "") -> str:
    """Compose a title that names the data, and the course report's figure if that shows the same data.

    Args:
        text: subject of the plot.
        dataset: name of the data set.
        published: number of the course report's figure, empty if that shows other data.
        note: addition, such as the seed that is drawn.
    """
    parts = [text, dataset, note] + ([f"cf. {published}"] if published else [])
    return ", ".join(each for each in parts if each)


def measured(metric: str) -> str:
    """The label of an axis of a metric: its name in print, and its unit."""
    return ", ".join(filter(None, names.IN_PRINT.get(metric, (metric, ""))))


@_styled
def curves(lines: Mapping[str, Line], title: str, x: str, y: str) -> Figure:
    """Plot lines over steps with a logarithmic y axis: `lines` maps labels to (x values, positive y values)."""
    figure = Figure(figsize=(7.5, 4.2), layout="constrained")
    axes = figure.add_subplot()
    for number, (label, (steps, values)) in enumerate(lines.items()):
        axes.plot(steps, values, label=literal(label), **_line_style(number))
    axes.set(xlabel=x, ylabel=y, yscale="log")
    axes.yaxis.set_major_formatter("{x:g}")
    return _finished(figure, title)


@_styled
def forecasts(times: np.ndarray, actual: np.ndarray, forecast: Mapping[str, np.ndarray], title: str) -> Figure:
    """Plot the forecasts of several rows with the actual load, and their errors below.

    Args:
        times: (n,) datetime64, hours.
        actual: (n,) MW.
        forecast: label to (n,) MW.
        title: title of the plot.
    """
    figure = Figure(figsize=(9, 5.4), layout="constrained")
    load, error = figure.subplots(2, sharex=True, height_ratios=(3, 1.3))
    for number, (label, values) in enumerate(forecast.items()):
        style = _line_style(number) | {"markevery": (5 * number % DAY, DAY)}
        load.plot(times, values, label=literal(label), **style)
        error.plot(times, np.asarray(values) - np.asarray(actual), **style)
    # In front, so that the forecasts hide nothing of what they are judged by.
    load.plot(times, actual, color=ACTUAL, linewidth=1.2, zorder=3, label="actual")
    load.set(ylabel="load, MW")
    error.axhline(0, color=ACTUAL, linewidth=0.8, zorder=3)
    error.set(ylabel="forecast - actual, MW")
    load.yaxis.set_major_formatter(MEGAWATTS)
    error.yaxis.set_major_formatter(MEGAWATTS)
    _hours(error)
    return _finished(figure, title)


@_styled
def ahead(loads: pd.DataFrame, forecasts: pd.DataFrame, title: str) -> Figure:
    """Plot forecasts with their intervals, and the loads before or of these hours; a panel for each series.

    Args:
        loads: ``series``, ``time``, and ``load``, MW.
        forecasts: ``series``, ``time``, ``forecast``, and limits of the intervals, ``low_L`` and ``high_L`` for each
            level L in percent, MW.
        title: of the plot.
    """
    shown = dict(list(forecasts.groupby("series", sort=False))[:MOST_PANELS])
    levels = sorted((str(column).removeprefix("low_") for column in forecasts.filter(regex="^low_")), key=int)
    figure = Figure(figsize=(9, 1.2 + 2.6 * len(shown)), layout="constrained")
    for axes, (series, hours) in zip(figure.subplots(len(shown), squeeze=False).flat, shown.items(), strict=True):
        for number, level in enumerate(reversed(levels)):
            limits, look = (hours[f"low_{level}"], hours[f"high_{level}"]), {"color": COLOURS[0], "linewidth": 0}
            axes.fill_between(hours["time"], *limits, alpha=0.18 + 0.17 * number, label=f"{level} % interval", **look)
        axes.plot(hours["time"], hours["forecast"], color=COLOURS[0], linestyle="--", linewidth=1.8, label="forecast")
        known = loads[loads["series"] == series]
        axes.plot(known["time"], known["load"], color=ACTUAL, linewidth=1.4, label="load")
        axes.set(title=literal(series), ylabel="load, MW")
        axes.yaxis.set_major_formatter(MEGAWATTS)
        _hours(axes)
    return _finished(figure, title)


@_styled
def epochs(panels: Mapping[str, Mapping[str, Line]], title: str, y: str) -> Figure:
    """Plot panels with a common y axis: `panels` maps titles to lines, which map labels to (epochs, values)."""
    figure = Figure(figsize=(2 + 3.5 * len(panels), 4.4), layout="constrained")
    axes = np.atleast_1d(figure.subplots(1, len(panels), sharey=True))
    for panel, (name, lines) in zip(axes, panels.items(), strict=True):
        for number, (label, (steps, values)) in enumerate(lines.items()):
            panel.plot(steps, values, label=literal(label), **_line_style(number))
        panel.set(title=literal(name), xlabel="epoch")
        _whole_numbers(panel.xaxis)
    axes[0].set_ylabel(y)
    return _finished(figure, title)


ROW = 36  # groups beside each other in `groups`, and two more for each panel; the largest panel may need more


def _in_rows(sizes: Sequence[int], broad: int) -> list[tuple[int, int]]:
    """The row of each panel of these sizes, and where it begins in that, if rows are filled one after the other."""
    places, row, end = [], 0, 0
    for size in sizes:
        if end and end + size > broad:
            row, end = row + 1, 0
        places.append((row, end))
        end += size
    return places


@_styled
def groups(panels: Mapping[str, Mapping[str, Mapping[str, float]]], title: str, y: str) -> Figure:
    """Plot panels with a common y axis, each with the values of groups.

    Args:
        panels: what the groups are of, to lines, which map labels to values by the group's name, in their order.
        title: of the plot.
        y: axis label.
    """
    sizes = [max(2, len(next(iter(lines.values()), {}))) + 2 for lines in panels.values()]
    broad = max(ROW, *sizes)
    places = _in_rows(sizes, broad)
    grid = (places[-1][0] + 1, broad)
    figure = Figure(figsize=(9, 1.2 + 2.6 * grid[0]), layout="constrained")
    cells = figure.add_gridspec(*grid)
    axes: list[Axes] = []
    for (row, first), size, (name, lines) in zip(places, sizes, panels.items(), strict=True):
        panel = figure.add_subplot(cells[row, first : first + size], sharey=axes[0] if axes else None)
        panel.tick_params(labelleft=first == 0)
        axes.append(panel)
        if first == 0:
            panel.set_ylabel(y)
        for number, (label, values) in enumerate(lines.items()):
            at = np.arange(len(values))
            panel.plot(at, list(values.values()), label=literal(label), **_line_style(number))
            panel.set_xticks(at, [literal(group) for group in values], rotation=90, fontsize=7)
        panel.set_xlabel(literal(name))
        panel.set_xmargin(0.08)
    shown = np.array([value for lines in panels.values() for each in lines.values() for value in each.values()])
    if len(shown) and shown.max() > LOG_RATIO * shown.min() > 0:
        axes[0].set_yscale("log")
        _few_ticks(axes[0].yaxis, shown)
    else:
        axes[0].set_ylim(bottom=0)
    figure.align_xlabels(axes)
    return _finished(figure, title)


MOST_CELLS = 25  # classes of a confusion matrix whose counts can be read
LONGEST_LABEL = 20  # letters


def short(label: str) -> str:
    """The beginning of a class's name, as literal text."""
    return literal(label if len(label) <= LONGEST_LABEL else label[: LONGEST_LABEL - 1] + "…")


@_styled
def confusion(counts: np.ndarray, classes: Sequence[str], title: str) -> Figure:
    """Plot a confusion matrix of counts (C, C), by true class (row) and predicted class (column).

    Cells are shaded by the fraction of the true class. Of many classes only some are named, and no counts written.
    """
    figure = Figure(figsize=(6.6, 5.6), layout="constrained")
    axes = figure.add_subplot()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    shades = axes.imshow(100 * shares, cmap="Blues", vmin=0, vmax=100)
    for (row, column), count in np.ndenumerate(counts if len(classes) <= MOST_CELLS else counts[:0]):
        dark = shares[row, column] > 0.5
        axes.text(column, row, count, ha="center", va="center", fontsize=7, color="white" if dark else "black")
    named = range(0, len(classes), -(-len(classes) // MOST_CELLS))
    labels = [short(classes[number]) for number in named]
    axes.set_xticks(named, labels, rotation=45 if len(classes) <= MOST_CELLS // 2 else 90)
    axes.set_yticks(named, labels)
    axes.set(xlabel="predicted class", ylabel="true class")
    axes.grid(visible=False)
    figure.colorbar(shades, label="share of the true class, %", shrink=0.7)
    return _finished(figure, title)


@_styled
def sheet(images: np.ndarray, labels: Sequence[str], predictions: Sequence[str], title: str) -> Figure:
    """Show images in rows of five, each below its label and prediction; misclassified ones have a red frame.

    Args:
        images: (n, height, width, 3) uint8.
        labels: true classes of the n images.
        predictions: predicted classes of the n images.
        title: title of the sheet.
    """
    columns = 5
    rows = -(-len(images) // columns)
    figure = Figure(figsize=(1.6 * columns, 1.75 * rows + 0.4), layout="constrained")
    cells = figure.subplots(rows, columns, squeeze=False).flat
    for cell, image, label, prediction in zip(cells, images, labels, predictions, strict=False):
        cell.imshow(image)
        wrong = label != prediction
        colour = WRONG if wrong else ACTUAL
        cell.set_title(f"{short(label)}\npredicted {short(prediction)}", loc="center", fontsize=8, color=colour)
        for spine in cell.spines.values():
            spine.set(visible=True, color=colour, linewidth=3.5 if wrong else 0.5)
    for cell in figure.axes:
        cell.set(xticks=[], yticks=[])
        cell.grid(visible=False)
    for cell in figure.axes[len(images) :]:
        cell.set_visible(False)
    return _finished(figure, title)


FLIPS = 8  # images of each kind that `flips` shows for a pair of rows


def flips_shown(table: pd.DataFrame) -> pd.DataFrame:
    """The lines of a table as for `flips` whose images it shows: the first FLIPS of each kind, in their order."""
    return table.groupby(["row", "right"], sort=False).head(FLIPS)


@_styled
def flips(table: pd.DataFrame, images: np.ndarray, title: str) -> Figure:
    """Show images that one of two classifiers gets right and the other wrong: a line for each pair.

    Args:
        table: a line for each such image: ``row``, the one ``against`` which it is compared, and which is ``right``.
        images: (n, height, width, 3) uint8, of the lines that are `flips_shown`.
        title: of the figure.
    """
    shown = flips_shown(table).reset_index(drop=True)
    widths = [max(1, int((shown["right"] == shown[of]).groupby(shown["row"]).sum().max())) for of in ("against", "row")]
    pairs = list(table.groupby("row", sort=False))
    figure = Figure(figsize=(0.75 * (sum(widths) + 1) + 1, 0.95 * len(pairs) + 0.6), layout="constrained")
    lines = figure.subfigures(len(pairs), 1, squeeze=False).flat
    for line, (row, found) in zip(lines, pairs, strict=True):
        base, count = found["against"].iloc[0], found["right"].value_counts()
        label = f"only {base} is right: {count.get(base, 0):,} images (left); only {row}: {count.get(row, 0):,} (right)"
        line.suptitle(literal(label), fontsize=8, x=0.01, ha="left")
        cells = line.subplots(1, sum(widths) + 1, squeeze=False)[0]
        for cell in cells:
            cell.set_axis_off()
        for first, right in ((0, base), (widths[0] + 1, row)):
            own = shown.index[(shown["row"] == row) & (shown["right"] == right)]
            for cell, image in zip(cells[first:], images[own], strict=False):
                cell.imshow(image)
    return _finished(figure, title)


@_styled
def bars(groups: Sequence[str], series: Mapping[str, Sequence[float]], title: str, x: str) -> Figure:
    """Plot bars in groups, each labelled with its value, from a little below the smallest; NaN is a missing bar."""
    figure = Figure(figsize=(7.5, 1.4 + 0.24 * len(groups) * len(series)), layout="constrained")
    axes = figure.add_subplot()
    width = 0.8 / len(series)
    for number, (label, values) in enumerate(series.items()):
        places = np.arange(len(groups)) + (number - (len(series) - 1) / 2) * width
        look: dict[str, Any] = {"color": COLOURS[number % len(COLOURS)], "hatch": HATCHES[number % len(HATCHES)]}
        drawn = axes.barh(places, values, width, label=literal(label), edgecolor="white", linewidth=0, **look)
        axes.bar_label(drawn, ["" if np.isnan(value) else f" {value:.2f}" for value in values], fontsize=7)
    axes.set_xlim(left=bars_from(list(series.values())))
    axes.set_yticks(range(len(groups)), [_broad(group) for group in groups])
    axes.invert_yaxis()
    axes.set_xlabel(x)
    axes.grid(visible=False, axis="y")
    return _finished(figure, title)


def bars_from(series: Sequence[Sequence[float]]) -> float:
    """Lower limit of the axis of `bars`."""
    return max(0.0, float(np.floor(np.nanmin([list(values) for values in series]) / 5) * 5 - 5))


@_styled
def beside_published(
    panels: Mapping[str, Mapping[str, tuple[float, float, float]]],
    written: Mapping[str, Mapping[str, str]],
    width: float = 6.8,
) -> Figure:
    """Plot a panel for each metric, with what was measured of its rows beside what was published, if anything was.

    Args:
        panels: axis label to rows, which map labels to the mean, its standard deviation and the published figure; NaN
            for none of the latter two.
        written: the same by what stands beside each row.
        width: of the figure, inches.
    """
    counts = [len(rows) for rows in panels.values()]
    lines = max(_broad(row).count("\n") for rows in panels.values() for row in rows)
    around = sum(0.6 + 0.17 * label.count("\n") for label in panels)
    height = 0.5 + around + (0.3 + 0.12 * lines) * sum(counts)
    figure = Figure(figsize=(width, height), layout="constrained")
    cells = figure.subplots(len(panels), 1, squeeze=False, height_ratios=counts, gridspec_kw={"hspace": 0.12})[:, 0]
    for axes, (label, rows) in zip(cells, panels.items(), strict=True):
        at = np.arange(len(rows))
        means, spreads, published = np.array(list(rows.values())).T
        if np.isfinite(published).any():
            axes.plot(published, at, "D", color=COLOURS[1], markersize=8, fillstyle="none", label="published")
        axes.errorbar(
            means,
            at,
            xerr=np.nan_to_num(spreads),
            fmt="o",
            color=COLOURS[0],
            markersize=5,
            capsize=3,
            label="here: mean and standard deviation over seeds",
        )
        # Beside the axes, so that no line of the grid runs through it.
        for place, text in zip(at, written[label].values(), strict=True):
            axes.text(1.02, place, text, transform=axes.get_yaxis_transform(), va="center", fontsize=8)
        axes.set_yticks(at, [_broad(row) for row in rows])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xlabel(label)
        axes.grid(visible=True, axis="y", alpha=0.12)
    return _finished(figure)


@_styled
def ladder(
    rows: Sequence[str],
    errors: np.ndarray,
    steps: np.ndarray,
    spreads: np.ndarray,
    seconds: np.ndarray,
    title: str,
    x: tuple[str, str],
) -> Figure:
    """Plot the errors and times of rows of which each is one step on from the row before it.

    Args:
        rows: labels of the n rows.
        errors: (n,).
        steps: (n,), written above the errors: the difference from the row before, NaN where it is not there.
        spreads: (n,), lengths of the error bars; NaN for none.
        seconds: (n,).
        title: of the plot.
        x: axis labels of errors and seconds.
    """
    figure = Figure(figsize=(9, 1.4 + 0.42 * len(rows)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True, gridspec_kw={"width_ratios": [3, 1]})
    at = np.arange(len(rows))
    left.plot(errors, at, color=GUIDE, linewidth=0.8)
    left.errorbar(errors, at, xerr=np.nan_to_num(spreads), fmt="o", color=COLOURS[0], markersize=5, capsize=3)
    for place in np.flatnonzero(np.isfinite(steps)):
        above = {"xytext": (0, 6), "textcoords": "offset points", "ha": "center", "fontsize": 8}
        left.annotate(f"{steps[place]:+.4f}", (errors[place], place), **above)
    right.barh(at, seconds, 0.6, color=GUIDE)
    left.set_yticks(at, [literal(row) for row in rows])
    left.invert_yaxis()
    left.margins(x=0.12)
    for panel, label in zip((left, right), x, strict=True):
        panel.set_xlabel(label)
    return _finished(figure, title)


@_styled
def study_history(trials: ArrayLike, values: ArrayLike, best: ArrayLike, metric: str) -> Figure:
    """Plot the values of a study's trials by their numbers, and the best value up to each."""
    figure = Figure(figsize=(7.5, 4), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(trials, values, "o", color=COLOURS[0], markersize=4, label="trial")
    axes.step(trials, best, where="post", color=COLOURS[1], label="best so far")
    axes.set(xlabel="trial", ylabel=measured(metric))
    _whole_numbers(axes.xaxis)
    return _finished(figure, "trials that ran to their end")


@_styled
def study_slice(columns: Mapping[str, ArrayLike], values: ArrayLike, logarithmic: Sequence[str], metric: str) -> Figure:
    """Plot a panel for each hyperparameter, with the final value of each trial over that of the hyperparameter.

    Args:
        columns: hyperparameter to its values; texts are taken as categories.
        values: final values of the trials.
        logarithmic: hyperparameters whose axis is logarithmic.
        metric: name of the values.
    """
    across = min(3, len(columns))
    down = -(-len(columns) // across)
    figure = Figure(figsize=(1 + 2.6 * across, 0.8 + 2.6 * down), layout="constrained")
    panels = figure.subplots(down, across, sharey=True, squeeze=False)
    for panel, (name, own) in zip(panels.flat, columns.items(), strict=False):
        panel.plot(own, values, "o", color=COLOURS[0], markersize=4, alpha=0.7)
        panel.set(xlabel=literal(name))
        if name in logarithmic:
            panel.set_xscale("log")
            _few_ticks(panel.xaxis, np.asarray(own, float))
        elif not any(isinstance(value, str) for value in np.asarray(own, object).tolist()):
            whole = np.equal(np.mod(np.asarray(own, float), 1), 0).all()
            panel.xaxis.set_major_locator(MaxNLocator(4, integer=bool(whole), min_n_ticks=1))
    for panel in panels.flat[len(columns) :]:
        panel.set_visible(False)
    for panel in panels[:, 0]:
        panel.set_ylabel(measured(metric))
    return _finished(figure, "each hyperparameter by itself, in trials that ran to their end")


@_styled
def study_contour(x: ArrayLike, y: ArrayLike, values: ArrayLike, x_name: str, y_name: str, metric: str) -> Figure:
    """Plot final values of trials over two hyperparameters, with x on a logarithmic axis, as points on a contour plot.

    The contour is a linear interpolation between the points. There is none if all points lie on a line.
    """
    x, y, values = np.asarray(x, float), np.asarray(y, float), np.asarray(values, float)
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.add_subplot()
    limits = {"vmin": values.min(), "vmax": values.max(), "cmap": "viridis"}
    spread = np.column_stack([np.log(x) - np.log(x).mean(), y - y.mean()])
    if np.linalg.matrix_rank(spread, tol=1e-6) == 2 and values.min() < values.max():
        axes.tricontourf(x, y, values, levels=12, alpha=0.6, **limits)
    points = axes.scatter(x, y, c=values, edgecolors="black", linewidths=0.6, s=28, **limits)
    axes.set(xlabel=x_name, ylabel=y_name, xscale="log")
    axes.use_sticky_edges = False  # of the contour, on whose edge the outermost trials lie
    axes.margins(0.06)
    _whole_numbers(axes.yaxis)
    figure.colorbar(points, label=measured(metric))
    return _finished(figure, "two hyperparameters together, in trials that ran to their end")


@_styled
def study_importances(shares: Mapping[str, float], method: str) -> Figure:
    """Plot the importances of hyperparameters by `method`, in [0, 1], as bars with the largest at the top."""
    figure = Figure(figsize=(6.4, 1.2 + 0.4 * len(shares)), layout="constrained")
    axes = figure.add_subplot()
    ordered = sorted(shares.items(), key=lambda share: share[1])
    drawn = axes.barh([literal(name) for name, _ in ordered], [share for _, share in ordered], color=COLOURS[0])
    axes.bar_label(drawn, fmt="%.2f", padding=3)
    axes.set(xlabel="share of the variance of the results, from 0 to 1", xlim=(0, 1.1))
    return _finished(figure, f"importance of each hyperparameter, by {method}")


@_styled
def study_values(lines: Mapping[int, tuple[ArrayLike, ArrayLike, bool]], metric: str) -> Figure:
    """Plot the values that each trial reported during training.

    The scale leaves out the lowest and the highest twentieth of the values, since a trial that diverges would fill it.

    Args:
        lines: number of a trial to its epochs, its values, and True if it was not pruned.
        metric: name of the values.
    """
    figure = Figure(figsize=(7.5, 4), layout="constrained")
    axes = figure.add_subplot()
    shown = {True: ("to its end", COLOURS[0], "-"), False: ("given up", COLOURS[1], "--")}
    for ended, (label, colour, line) in shown.items():
        for steps, values, whole in lines.values():
            if whole == ended:
                axes.plot(steps, values, line, color=colour, alpha=0.6, marker="o", markersize=2)
        axes.plot([], [], line, color=colour, label=label)
    every = np.concatenate([values for _, values, _ in lines.values()])
    low, high = np.nanquantile(every, [0.05, 0.95])
    if low < high:
        axes.set_ylim(low - 0.1 * (high - low), high + 0.1 * (high - low))
    axes.set(xlabel="epoch", ylabel=measured(metric))
    _whole_numbers(axes.xaxis)
    return _finished(figure, "each trial along its training")


def pareto(cost: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Find the Pareto-optimal ones of n points, for which lower cost and lower error are better: (n,) bool."""
    cheaper = (cost[None, :] <= cost[:, None]) & (error[None, :] <= error[:, None])
    strictly = (cost[None, :] < cost[:, None]) | (error[None, :] < error[:, None])
    return ~np.any(cheaper & strictly, axis=1)


def in_view(cost: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Tell which of n points a plot of error against cost has room for: (n,) bool.

    One that costs next to nothing beside the others, and errs far more than the best, would leave them a corner.
    """
    is_free = cost < FREE_RATIO * np.median(cost)
    return ~(is_free & (error > FAR_RATIO * error.min()))


@_styled
def frontier(
    labels: Sequence[str],
    costs: np.ndarray,
    errors: np.ndarray,
    spreads: np.ndarray,
    *,
    cost: str,
    error: str,
    title: str,
) -> Figure:
    """Plot error against cost, with the Pareto frontier; an axis with a wide range is logarithmic.

    Points that are not `in_view` lie outside.

    Args:
        labels: labels of the n points.
        costs: (n,), positive.
        errors: (n,), positive.
        spreads: (n,), lengths of the error bars; NaN for none.
        cost: label of the x axis.
        error: label of the y axis.
        title: title of the plot.
    """
    best, shown = pareto(costs, errors), in_view(costs, errors)
    figure = Figure(figsize=(7.5, 4.6 + 0.06 * len(labels)), layout="constrained")
    axes = figure.add_subplot()
    edge = np.argsort(costs[best])
    axes.step(costs[best][edge], errors[best][edge], where="post", color=COLOURS[1])
    looks = (
        (best, COLOURS[1], "D", "nothing is both cheaper and better"),
        (~best, COLOURS[0], "o", "another is as cheap and as good, or better"),
    )
    for which, colour, marker, label in looks:
        look: dict[str, Any] = {"fmt": marker, "color": colour, "markersize": 5, "capsize": 2, "label": label}
        axes.errorbar(costs[which], errors[which], np.nan_to_num(spreads[which]), **look)
    axes.set(xlabel=cost, ylabel=error)
    for axis, values in ((axes.xaxis, costs[shown]), (axes.yaxis, errors[shown])):
        if values.max() > LOG_RATIO * values.min() > 0:
            axes.set(**{f"{axis.axis_name}scale": "log"})
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.set_minor_formatter(NullFormatter())
        axis.set_major_formatter("{x:g}")
    axes.ignore_existing_data_limits = True
    for end in (-1, 1):
        axes.update_datalim(np.column_stack([costs, errors + end * np.nan_to_num(spreads)])[shown])
        axes.ignore_existing_data_limits = False
    axes.margins(x=0.15, y=0.15)
    within = [label for label, is_shown in zip(labels, shown, strict=True) if is_shown]
    _annotate(_finished(figure, title), axes, within, costs[shown], errors[shown])
    return figure


def _annotate(figure: Figure, axes: Axes, labels: Sequence[str], x: np.ndarray, y: np.ndarray) -> None:
    """Label points, each at the first of PLACES inside the axes where the label covers no point and no other label.

    A label that is not right beside its point is joined to it by a thin line.
    """
    figure.draw_without_rendering()
    frame = axes.get_window_extent()
    points = axes.transData.transform(np.column_stack([x, y]))
    taken = [Bbox.from_bounds(left - 4, bottom - 4, 8, 8) for left, bottom in points]
    line = {"arrowstyle": "-", "color": GUIDE, "linewidth": 0.5, "shrinkA": 0, "shrinkB": 3}
    for label, place in zip(labels, zip(x, y, strict=True), strict=True):
        text = axes.annotate(literal(label), place, xytext=(0, 0), textcoords="offset points", fontsize=7.5)
        for offset, alignment in PLACES:
            text.set(position=offset, ha=alignment)
            box = text.get_window_extent()
            is_inside = frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1
            if is_inside and not any(box.overlaps(other) for other in taken):
                break
        if max(map(abs, offset)) > NEAR:
            axes.annotate("", place, xytext=offset, textcoords="offset points", arrowprops=line)
        taken.append(text.get_window_extent())


def _finished(figure: Figure, title: str = "") -> Figure:
    """Give a figure its title, and, below all axes, so that it covers no data, the legend of whatever has a label."""
    width = figure.get_figwidth()
    if title:
        figure.suptitle(textwrap.fill(literal(title), int(LETTERS_PER_INCH * width)), x=0.01, ha="left")
    entries = {label: handle for axes in figure.axes for handle, label in _explained(axes)}
    if entries:
        columns = int(LETTERS_PER_INCH * width / (max(map(len, entries)) + HANDLE_LETTERS))
        figure.legend(entries.values(), entries, loc="outside lower center", ncols=max(1, columns))
    return figure


def _explained(axes: Axes) -> Iterator[tuple[Artist, str]]:
    handles, labels = axes.get_legend_handles_labels()
    return zip(handles, labels, strict=True)


def _whole_numbers(axis: Axis) -> None:
    """Tick an axis at whole numbers only."""
    locator = axis.get_major_locator()
    if isinstance(locator, MaxNLocator):
        # One tick is enough: of a single epoch, more would be fractions.
        locator.set_params(integer=True, min_n_ticks=1)


def _hours(axes: Axes) -> None:
    """Tick and label an x axis of hours."""
    locator = AutoDateLocator()
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axes.set_xlabel("local time")


def _few_ticks(axis: Axis, values: np.ndarray) -> None:
    """Tick a narrow logarithmic axis less often than matplotlib, which labels all digits there, one over the other."""
    ratio = values.max() / values.min()
    if ratio < 100:
        axis.set_major_locator(LogLocator(subs=(1, 3)) if ratio > 10 else MaxNLocator(3))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter(NullFormatter())


def _line_style(number: int) -> dict[str, Any]:
    """Look of a line among several: of two neighbours colour, line and marker differ, and of any two of 28 the look."""
    return {
        "color": COLOURS[number % len(COLOURS)],
        "linestyle": LINES[number % len(LINES)],
        "marker": MARKERS[number % len(MARKERS)],
    }
