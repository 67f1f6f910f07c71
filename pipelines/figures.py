"""Every plot, in one style: plain data in, a matplotlib Figure out."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

# Okabe & Ito's palette, which the colour-blind can tell apart; line styles repeat the distinction in print.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
LINES = ("-", "--", "-.", ":")
STYLE = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.4,
    "legend.frameon": False,
    "figure.dpi": 130,
}


def curves(lines: Mapping[str, tuple[Sequence[float], Sequence[float]]], title: str, x: str, y: str) -> Figure:
    """Lines over steps with a logarithmic y axis: `lines` maps a label to its (x values, positive y values)."""
    with rc_context(STYLE):
        figure = Figure(figsize=(7.5, 4.2), layout="constrained")
        axes = figure.add_subplot()
        for number, (label, (steps, values)) in enumerate(lines.items()):
            axes.plot(steps, values, marker="o", markersize=2.5, label=label, **_look(number))
        axes.set(title=title, xlabel=x, ylabel=y, yscale="log")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.legend(ncols=2)
    return figure


def forecasts(times: np.ndarray, actual: np.ndarray, forecast: Mapping[str, np.ndarray], title: str) -> Figure:
    """Forecasts of several rows over the actual load.

    Args:
        times: (n,) datetime64, the hours.
        actual: (n,) MW.
        forecast: label to (n,) MW.
        title: of the plot.
    """
    with rc_context(STYLE):
        figure = Figure(figsize=(9, 5.4), layout="constrained")
        load, error = figure.subplots(2, sharex=True, height_ratios=(3, 1.3))
        load.plot(times, actual, color="black", linewidth=2.2, alpha=0.55, label="actual")
        for number, (label, values) in enumerate(forecast.items()):
            load.plot(times, values, label=label, **_look(number))
            error.plot(times, np.asarray(values) - np.asarray(actual), **_look(number))
        load.set(title=title, ylabel="load, MW")
        load.legend(ncols=6, loc="lower center", bbox_to_anchor=(0.5, 1.08))
        error.axhline(0, color="black", linewidth=0.8, alpha=0.6)
        error.set(ylabel="forecast - actual, MW")
        figure.autofmt_xdate(rotation=0, ha="center")
        error.tick_params(axis="x", labelsize=8)
    return figure


def _look(number: int) -> dict[str, object]:
    return {
        "color": COLOURS[number % len(COLOURS)],
        "linestyle": LINES[number // len(COLOURS) % len(LINES)],
    }
