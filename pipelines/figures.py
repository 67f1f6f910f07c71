"""Plots in one style: functions of plain data that return a matplotlib Figure."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter
from matplotlib.transforms import Bbox
from numpy.typing import ArrayLike

Line = tuple[ArrayLike, ArrayLike]  # x and y values, equally many

# Okabe & Ito's palette, whose colours can be distinguished by colour-blind people. Line styles differ too, for print.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
WRONG = "#D00000"
LINES = ("-", "--", "-.", ":")
# Positions of a label around its point, to be tried in turn: offset in points (1/72 inch), and alignment.
PLACES = [
    ((x, y), alignment) for y in (4, -10, 14, -20, 24, -30, 34, -40) for x, alignment in ((6, "left"), (-6, "right"))
]
LOG_RATIO = 4  # of the largest to the smallest value, above which an axis is logarithmic
LONGEST = 100  # characters of a title or label
BROAD = 24  # characters of a label beside an axis, in one line
STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.4,
    "legend.frameon": False,
    "figure.dpi": 130,
}


def literal(text: object) -> str:
    """Escape a text so that matplotlib draws it literally: no formulas, one line, and shown in a legend."""
    shown = "".join(each if each.isprintable() else " " for each in str(text))
    shown = shown if len(shown) <= LONGEST else f"{shown[: LONGEST - 1]}…"
    return (" " if shown.startswith("_") else "") + shown.replace("$", r"\$")


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


def curves(lines: Mapping[str, Line], title: str, x: str, y: str) -> Figure:
    """Plot lines over steps with a logarithmic y axis: `lines` maps labels to (x values, positive y values)."""
    with rc_context(STYLE):
        figure = Figure(figsize=(7.5, 4.2), layout="constrained")
        axes = figure.add_subplot()
        for number, (label, (steps, values)) in enumerate(lines.items()):
            axes.plot(steps, values, marker="o", markersize=2.5, label=literal(label), **_line_style(number))
        axes.set(title=literal(title), xlabel=x, ylabel=y, yscale="log")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.legend(ncols=2)
    return figure


def forecasts(times: np.ndarray, actual: np.ndarray, forecast: Mapping[str, np.ndarray], title: str) -> Figure:
    """Plot the forecasts of several rows with the actual load, and their errors below.

    Args:
        times: (n,) datetime64, hours.
        actual: (n,) MW.
        forecast: label to (n,) MW.
        title: title of the plot.
    """
    with rc_context(STYLE):
        figure = Figure(figsize=(9, 5.4), layout="constrained")
        load, error = figure.subplots(2, sharex=True, height_ratios=(3, 1.3))
        load.plot(times, actual, color="black", linewidth=2.2, alpha=0.55, label="actual")
        for number, (label, values) in enumerate(forecast.items()):
            load.plot(times, values, label=literal(label), **_line_style(number))
            error.plot(times, np.asarray(values) - np.asarray(actual), **_line_style(number))
        load.set(title=literal(title), ylabel="load, MW")
        load.legend(ncols=6, loc="lower center", bbox_to_anchor=(0.5, 1.08))
        error.axhline(0, color="black", linewidth=0.8, alpha=0.6)
        error.set(ylabel="forecast - actual, MW")
        figure.autofmt_xdate(rotation=0, ha="center")
        error.tick_params(axis="x", labelsize=8)
    return figure


class Ahead(NamedTuple):
    """A forecast of one series, for `ahead`.

    Attributes:
        series: its name.
        times, loads: the last hours before, MW.
        following, forecast: the hours that follow, MW.
        limits: lower and upper limits, MW, by the level of the interval in percent.
    """

    series: str
    times: np.ndarray
    loads: np.ndarray
    following: np.ndarray
    forecast: np.ndarray
    limits: Mapping[int, tuple[np.ndarray, np.ndarray]]


def ahead(panels: Sequence[Ahead], title: str) -> Figure:
    """Plot forecasts after the hours before them, with their intervals; a panel for each series."""
    with rc_context(STYLE):
        figure = Figure(figsize=(9, 1.2 + 2.6 * len(panels)), layout="constrained")
        for axes, panel in zip(figure.subplots(len(panels), squeeze=False).flat, panels, strict=True):
            axes.plot(panel.times, panel.loads, color="black", linewidth=1.6, label="load")
            for number, (level, (low, high)) in enumerate(sorted(panel.limits.items(), reverse=True)):
                shade = 0.18 + 0.17 * number
                axes.fill_between(
                    panel.following, low, high, color=COLOURS[0], alpha=shade, linewidth=0, label=f"{level} %"
                )
            axes.plot(panel.following, panel.forecast, color=COLOURS[0], linewidth=1.8, label="forecast")
            axes.set(title=literal(panel.series), ylabel="load, MW")
            axes.tick_params(axis="x", labelsize=8)
        figure.axes[0].legend(ncols=4, loc="lower right", bbox_to_anchor=(1, 1))
        figure.suptitle(literal(title), fontsize=10)
    return figure


def epochs(panels: Mapping[str, Mapping[str, Line]], title: str, y: str) -> Figure:
    """Plot panels with a common y axis: `panels` maps titles to lines, which map labels to (epochs, values)."""
    with rc_context(STYLE):
        figure = Figure(figsize=(2 + 3.5 * len(panels), 4.4), layout="constrained")
        axes = np.atleast_1d(figure.subplots(1, len(panels), sharey=True))
        for panel, (name, lines) in zip(axes, panels.items(), strict=True):
            for number, (label, (steps, values)) in enumerate(lines.items()):
                panel.plot(steps, values, marker="o", markersize=2.5, label=literal(label), **_line_style(number))
            panel.set(title=name, xlabel="epoch")
            _whole_numbers(panel.xaxis)
        axes[0].set_ylabel(y)
        figure.suptitle(literal(title), fontsize=10)
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=6)
    return figure


def groups(panels: Mapping[str, Mapping[str, Mapping[str, float]]], title: str, y: str) -> Figure:
    """Plot panels with a common y axis, each with the values of groups.

    Args:
        panels: what the groups are of, to lines, which map labels to values by the group's name, in their order.
        title: of the plot.
        y: axis label.
    """
    sizes = [max(2, len(next(iter(lines.values()), {}))) for lines in panels.values()]
    with rc_context(STYLE):
        figure = Figure(figsize=(13, 4.4), layout="constrained")
        ratios = [size + 2 for size in sizes]
        axes = figure.subplots(1, len(panels), sharey=True, squeeze=False, gridspec_kw={"width_ratios": ratios})[0]
        for panel, (name, lines) in zip(axes, panels.items(), strict=True):
            for number, (label, values) in enumerate(lines.items()):
                at = np.arange(len(values))
                panel.plot(
                    at, list(values.values()), marker="o", markersize=3, label=literal(label), **_line_style(number)
                )
                panel.set_xticks(at, [literal(group) for group in values], rotation=90, fontsize=7)
            panel.set_title(name)
            panel.set_xmargin(0.08)
        axes[0].set_ylabel(y)
        shown = np.array([value for lines in panels.values() for each in lines.values() for value in each.values()])
        if len(shown) and shown.max() > LOG_RATIO * shown.min() > 0:
            axes[0].set_yscale("log")
            _few_ticks(axes[0].yaxis, shown)
        else:
            axes[0].set_ylim(bottom=0)
        figure.suptitle(literal(title), fontsize=10)
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=6)
    return figure


MOST_CELLS = 25  # classes of a confusion matrix whose counts can be read
LONGEST_LABEL = 20  # letters


def short(label: str) -> str:
    """The beginning of a class's name, as literal text."""
    return literal(label if len(label) <= LONGEST_LABEL else label[: LONGEST_LABEL - 1] + "…")


def confusion(counts: np.ndarray, classes: Sequence[str], title: str) -> Figure:
    """Plot a confusion matrix of counts (C, C), by true class (row) and predicted class (column).

    Cells are shaded by the fraction of the true class. Of many classes only some are named, and no counts written.
    """
    with rc_context(STYLE):
        figure = Figure(figsize=(6, 5.6), layout="constrained")
        axes = figure.add_subplot()
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for (row, column), count in np.ndenumerate(counts if len(classes) <= MOST_CELLS else counts[:0]):
            dark = shares[row, column] > 0.5
            axes.text(column, row, count, ha="center", va="center", fontsize=7, color="white" if dark else "black")
        named = range(0, len(classes), -(-len(classes) // MOST_CELLS))
        labels = [short(classes[number]) for number in named]
        axes.set_xticks(named, labels, rotation=45 if len(classes) <= MOST_CELLS // 2 else 90)
        axes.set_yticks(named, labels)
        axes.set(title=literal(title), xlabel="predicted", ylabel="true")
        axes.grid(visible=False)
    return figure


def sheet(images: np.ndarray, labels: Sequence[str], predictions: Sequence[str], title: str) -> Figure:
    """Show images in rows of five, each below its label and prediction; misclassified ones have a red frame.

    Args:
        images: (n, height, width, 3) uint8.
        labels: true classes of the n images.
        predictions: predicted classes of the n images.
        title: title of the sheet.
    """
    columns = 5
    with rc_context(STYLE):
        rows = -(-len(images) // columns)
        figure = Figure(figsize=(1.6 * columns, 1.75 * rows + 0.4), layout="constrained")
        cells = figure.subplots(rows, columns, squeeze=False).flat
        for cell, image, label, prediction in zip(cells, images, labels, predictions, strict=False):
            cell.imshow(image)
            wrong = label != prediction
            colour = WRONG if wrong else "black"
            cell.set_title(f"{short(label)}\npredicted {short(prediction)}", loc="center", fontsize=8, color=colour)
            for spine in cell.spines.values():
                spine.set(visible=True, color=colour, linewidth=3.5 if wrong else 0.5)
        for cell in figure.axes:
            cell.set(xticks=[], yticks=[])
            cell.grid(visible=False)
        for cell in figure.axes[len(images) :]:
            cell.set_visible(False)
        figure.suptitle(literal(title), fontsize=10)
    return figure


def flips(rows: Mapping[str, tuple[Sequence[np.ndarray], Sequence[np.ndarray]]], title: str) -> Figure:
    """Show images that one of two classifiers gets right and the other wrong: a line for each pair.

    Args:
        rows: label of each pair to the images, (height, width, 3) uint8, that its first gets right alone, which are on
            the left, and that its second does, on the right.
        title: of the figure.
    """
    widths = [max(1, *(len(side[number]) for side in rows.values())) for number in (0, 1)]
    with rc_context(STYLE):
        figure = Figure(figsize=(0.75 * (sum(widths) + 1) + 1, 0.95 * len(rows) + 0.6), layout="constrained")
        lines = figure.subfigures(len(rows), 1, squeeze=False).flat
        for line, (label, sides) in zip(lines, rows.items(), strict=True):
            line.suptitle(literal(label), fontsize=8, x=0.01, ha="left")
            cells = line.subplots(1, sum(widths) + 1, squeeze=False)[0]
            for cell in cells:
                cell.set_axis_off()
            for first, images in zip((0, widths[0] + 1), sides, strict=True):
                for cell, image in zip(cells[first:], images, strict=False):
                    cell.imshow(image)
        figure.suptitle(literal(title), fontsize=10)
    return figure


def bars(groups: Sequence[str], series: Mapping[str, Sequence[float]], title: str, y: str) -> Figure:
    """Plot bars in groups, each labelled with its value, from a little below the smallest; NaN is a missing bar."""
    with rc_context(STYLE):
        figure = Figure(figsize=(max(5, 1.1 * len(groups) * len(series)), 4.2), layout="constrained")
        axes = figure.add_subplot()
        width = 0.8 / len(series)
        for number, (label, values) in enumerate(series.items()):
            places = np.arange(len(groups)) + (number - (len(series) - 1) / 2) * width
            drawn = axes.bar(places, values, width, label=literal(label), color=COLOURS[number % len(COLOURS)])
            axes.bar_label(drawn, ["" if np.isnan(value) else f"{value:.2f}" for value in values], fontsize=7)
        axes.set_ylim(bottom=bars_from(list(series.values())))
        axes.set_xticks(range(len(groups)), [literal(group) for group in groups])
        axes.set(title=literal(title), ylabel=y)
        axes.grid(visible=False, axis="x")
        axes.legend(loc="lower right", frameon=True)
    return figure


def bars_from(series: Sequence[Sequence[float]]) -> float:
    """Lower limit of the y axis of `bars`."""
    return max(0.0, float(np.floor(np.nanmin([list(values) for values in series]) / 5) * 5 - 5))


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
    with rc_context(STYLE):
        counts = [len(rows) for rows in panels.values()]
        figure = Figure(figsize=(width, 0.4 + sum(0.55 + 0.3 * count for count in counts)), layout="constrained")
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
            for place, text in zip(at, written[label].values(), strict=True):
                axes.text(1.02, place, text, transform=axes.get_yaxis_transform(), va="center", fontsize=8)
            axes.set_yticks(at, [textwrap.fill(literal(row), BROAD) for row in rows])
            axes.set_ylim(len(rows) - 0.5, -0.5)
            axes.set_xlabel(label)
            axes.grid(visible=True, axis="y", alpha=0.12)
        figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return figure


def ladder(
    rows: Sequence[str],
    errors: np.ndarray,
    steps: np.ndarray,
    spreads: np.ndarray,
    seconds: np.ndarray,
    title: str,
    x: tuple[str, str],
) -> Figure:
    """Plot the errors and times of rows of which each has one change more than the row before it.

    Args:
        rows: labels of the n rows.
        errors: (n,).
        steps: (n,), written above the errors: the difference from the row before, NaN where it is not there.
        spreads: (n,), lengths of the error bars; NaN for none.
        seconds: (n,).
        title: of the plot.
        x: axis labels of errors and seconds.
    """
    with rc_context(STYLE):
        figure = Figure(figsize=(9, 1.4 + 0.42 * len(rows)), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True, gridspec_kw={"width_ratios": [3, 1]})
        at = np.arange(len(rows))
        left.plot(errors, at, color=COLOURS[7], linewidth=0.8)
        left.errorbar(errors, at, xerr=np.nan_to_num(spreads), fmt="o", color=COLOURS[0], markersize=5, capsize=3)
        for place in np.flatnonzero(np.isfinite(steps)):
            above = {"xytext": (0, 6), "textcoords": "offset points", "ha": "center", "fontsize": 8}
            left.annotate(f"{steps[place]:+.4f}", (errors[place], place), **above)
        right.barh(at, seconds, 0.6, color=COLOURS[7])
        left.set_yticks(at, [literal(row) for row in rows])
        left.invert_yaxis()
        left.margins(x=0.12)
        for panel, label in zip((left, right), x, strict=True):
            panel.set_xlabel(label)
        figure.suptitle(literal(title), fontsize=10)
    return figure


def study_history(trials: ArrayLike, values: ArrayLike, best: ArrayLike, metric: str) -> Figure:
    """Plot the values of a study's trials by their numbers, and the best value up to each."""
    with rc_context(STYLE):
        figure = Figure(figsize=(7.5, 4), layout="constrained")
        axes = figure.add_subplot()
        axes.plot(trials, values, "o", color=COLOURS[0], markersize=4, label="trial")
        axes.step(trials, best, where="post", color=COLOURS[1], label="best so far")
        axes.set(title="trials that ran to their end", xlabel="trial", ylabel=metric)
        _whole_numbers(axes.xaxis)
        axes.legend()
    return figure


def study_slice(columns: Mapping[str, ArrayLike], values: ArrayLike, logarithmic: Sequence[str], metric: str) -> Figure:
    """Plot a panel for each hyperparameter, with the final value of each trial over that of the hyperparameter.

    Args:
        columns: hyperparameter to its values; texts are taken as categories.
        values: final values of the trials.
        logarithmic: hyperparameters whose axis is logarithmic.
        metric: name of the values.
    """
    with rc_context(STYLE):
        figure = Figure(figsize=(1 + 2.6 * len(columns), 3.6), layout="constrained")
        panels = np.atleast_1d(figure.subplots(1, len(columns), sharey=True))
        for panel, (name, own) in zip(panels, columns.items(), strict=True):
            panel.plot(own, values, "o", color=COLOURS[0], markersize=4, alpha=0.7)
            panel.set(xlabel=name)
            if name in logarithmic:
                panel.set_xscale("log")
                _few_ticks(panel.xaxis, np.asarray(own, float))
        panels[0].set(ylabel=metric)
        figure.suptitle("each hyperparameter by itself", fontsize=10, x=0.01, ha="left")
    return figure


def study_contour(x: ArrayLike, y: ArrayLike, values: ArrayLike, x_name: str, y_name: str, metric: str) -> Figure:
    """Plot final values of trials over two hyperparameters, with x on a logarithmic axis, as points on a contour plot.

    The contour is a linear interpolation between the points. There is none if all points lie on a line.
    """
    x, y, values = np.asarray(x, float), np.asarray(y, float), np.asarray(values, float)
    with rc_context(STYLE):
        figure = Figure(figsize=(6.4, 4.2), layout="constrained")
        axes = figure.add_subplot()
        limits = {"vmin": values.min(), "vmax": values.max(), "cmap": "viridis"}
        spread = np.column_stack([np.log(x) - np.log(x).mean(), y - y.mean()])
        if np.linalg.matrix_rank(spread, tol=1e-6) == 2 and values.min() < values.max():
            axes.tricontourf(x, y, values, levels=12, alpha=0.6, **limits)
        points = axes.scatter(x, y, c=values, edgecolors="black", linewidths=0.6, s=28, **limits)
        axes.set(title="trials that ran to their end", xlabel=x_name, ylabel=y_name, xscale="log")
        _whole_numbers(axes.yaxis)
        figure.colorbar(points, label=metric)
    return figure


def study_importances(shares: Mapping[str, float], method: str) -> Figure:
    """Plot the importances of hyperparameters by `method`, in [0, 1], as bars with the largest at the top."""
    with rc_context(STYLE):
        figure = Figure(figsize=(6.4, 1.2 + 0.4 * len(shares)), layout="constrained")
        axes = figure.add_subplot()
        ordered = sorted(shares.items(), key=lambda share: share[1])
        drawn = axes.barh([literal(name) for name, _ in ordered], [share for _, share in ordered], color=COLOURS[0])
        axes.bar_label(drawn, fmt="%.2f", padding=3)
        axes.set(title=f"importance ({method})", xlim=(0, 1.1))
    return figure


def study_values(lines: Mapping[int, tuple[ArrayLike, ArrayLike, bool]], metric: str) -> Figure:
    """Plot the values that each trial reported during training.

    The scale leaves out the lowest and the highest twentieth of the values, since a trial that diverges would fill it.

    Args:
        lines: number of a trial to its epochs, its values, and True if it was not pruned.
        metric: name of the values.
    """
    with rc_context(STYLE):
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
        axes.set(title="each trial along its training", xlabel="epoch", ylabel=metric)
        _whole_numbers(axes.xaxis)
        axes.legend()
    return figure


def pareto(cost: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Find the Pareto-optimal ones of n points, for which lower cost and lower error are better: (n,) bool."""
    cheaper = (cost[None, :] <= cost[:, None]) & (error[None, :] <= error[:, None])
    strictly = (cost[None, :] < cost[:, None]) | (error[None, :] < error[:, None])
    return ~np.any(cheaper & strictly, axis=1)


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

    Args:
        labels: labels of the n points.
        costs: (n,), positive.
        errors: (n,), positive.
        spreads: (n,), lengths of the error bars; NaN for none.
        cost: label of the x axis.
        error: label of the y axis.
        title: title of the plot.
    """
    best = pareto(costs, errors)
    with rc_context(STYLE):
        figure = Figure(figsize=(7.5, 4.6), layout="constrained")
        axes = figure.add_subplot()
        edge = np.argsort(costs[best])
        axes.step(costs[best][edge], errors[best][edge], where="post", color=COLOURS[1], label="frontier")
        for which, colour, marker in ((best, COLOURS[1], "D"), (~best, COLOURS[0], "o")):
            spread = np.nan_to_num(spreads[which])
            axes.errorbar(costs[which], errors[which], spread, fmt=marker, color=colour, markersize=5, capsize=2)
        axes.set(title=literal(title), xlabel=cost, ylabel=error)
        axes.margins(x=0.15, y=0.15)
        for axis, values in ((axes.xaxis, costs), (axes.yaxis, errors)):
            if values.max() > LOG_RATIO * values.min() > 0:
                axes.set(**{f"{axis.axis_name}scale": "log"})
                axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
                axis.set_minor_formatter(NullFormatter())
            axis.set_major_formatter("{x:g}")
        axes.legend()
        _annotate(figure, axes, labels, costs, errors)
    return figure


def _annotate(figure: Figure, axes: Axes, labels: Sequence[str], x: np.ndarray, y: np.ndarray) -> None:
    """Label points, each at the first of PLACES where the label covers neither a point nor another label."""
    figure.draw_without_rendering()
    points = axes.transData.transform(np.column_stack([x, y]))
    taken = [Bbox.from_bounds(left - 4, bottom - 4, 8, 8) for left, bottom in points]
    for label, place in zip(labels, zip(x, y, strict=True), strict=True):
        text = axes.annotate(literal(label), place, xytext=(0, 0), textcoords="offset points", fontsize=7.5)
        for offset, alignment in PLACES:
            text.set(position=offset, ha=alignment)
            box = text.get_window_extent()
            if not any(box.overlaps(other) for other in taken):
                break
        taken.append(text.get_window_extent())


def _whole_numbers(axis: Axis) -> None:
    """Tick an axis at whole numbers only."""
    locator = axis.get_major_locator()
    if isinstance(locator, MaxNLocator):
        # One tick is enough: of a single epoch, more would be fractions.
        locator.set_params(integer=True, min_n_ticks=1)


def _few_ticks(axis: Axis, values: np.ndarray) -> None:
    """Tick a narrow logarithmic axis less often than matplotlib, which labels all digits there, one over the other."""
    ratio = values.max() / values.min()
    if ratio < 100:
        axis.set_major_locator(LogLocator(subs=(1, 3)) if ratio > 10 else MaxNLocator(3))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter(NullFormatter())


def _line_style(number: int) -> dict[str, Any]:
    return {
        "color": COLOURS[number % len(COLOURS)],
        "linestyle": LINES[number // len(COLOURS) % len(LINES)],
    }
