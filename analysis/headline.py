"""The headline comparison: rows of both course reports beside the published figures, as tables and as a picture."""

import io
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure

from analysis.entries.index import VIEWS
from analysis.errors import InputError
from analysis.escapes import plain
from analysis.formats import markdown
from analysis.stats import Summary, as_printed, summarize
from analysis.tables.columns import DATASET, ENTRY, ROW
from pipelines import figures, names
from pipelines.common.command import hint


@dataclass(frozen=True)
class Headline:
    """Rows with something to say, by one metric.

    Attributes:
        title: of the table.
        axis: label of the picture's axis.
        metric: what the rows are compared by.
        rows: row to its description, in markdown.
    """

    title: str
    axis: str
    metric: str
    rows: Mapping[str, str]


@dataclass(frozen=True)
class Line:
    """A row: what was measured over its seeds, and what was published, NaN for nothing."""

    row: str
    measured: Summary
    published: float


LOAD = Headline(
    title="next hour's load, 12 PJM series, 108,902 test windows: "
    "[sMAPE](docs/forecasting.md#how-they-are-trained-and-judged) %, published convention",
    axis="load of the next hour: sMAPE, %, published convention (less is better)",
    metric=names.SMAPE_REPORT,
    rows={
        "gru-relative-deep": "two layers of 192",
        "gru-relative": "which [forecasts the change](docs/forecasting.md)",
        "gradient-boosting": "on top of the linear model",
        "linear-ar-hourly": "least squares",
        **dict.fromkeys(("gru-2", "rnn-2", "lstm-3"), "dense training"),
    },
)
IMAGES = Headline(
    title="CIFAR-10: accuracy on the test set, %",
    axis="CIFAR-10: accuracy on the test set, % (more is better)",
    metric=names.TEST_ACCURACY,
    rows={
        "resnet50": "[trained here](docs/resnets.md)",
        "resnet56": "its published weights",
        "tuned": "the winner of [a study](docs/studies.md)",
        "cnn-double-channel": "the best published",
        **{"cnn-lr-high": "lr 0.01", "cnn": "lr 0.001"},
        **{"mlp-3": "fully connected", "cnn-lr-low": "lr 0.0001"},
    },
)


def lines(runs: pd.DataFrame, headline: Headline) -> list[Line]:
    """The rows of a headline.

    Raises:
        InputError: a row has no runs.
    """
    found = []
    for row in headline.rows:
        own = runs[runs[ROW] == row]
        own = own[own.get(f"metrics.{headline.metric}", pd.Series(dtype=float)).reindex(own.index).notna()]
        if own.empty:
            remedy = hint("python -m analysis readme --refresh true")
            raise InputError(f"readme: no runs of {row} are stored; store some: {remedy}")
        # Weights that were trained here are evaluated again by another entry.
        own = own[own[ENTRY] == own[ENTRY].iloc[0]]
        published = VIEWS[own[ENTRY].iloc[0]].figure(row, own[DATASET].iloc[0], headline.metric)
        found.append(Line(row, summarize(own[f"metrics.{headline.metric}"]), published))
    return found


def table(runs: pd.DataFrame, headline: Headline) -> str:
    """A line for each row, in markdown."""
    cells = [
        [
            f"`{line.row}`, {headline.rows[line.row]}{f', {line.measured.n} seeds' if line.measured.n > 1 else ''}",
            str(line.measured),
            as_printed(line.published),
        ]
        for line in lines(runs, headline)
    ]
    return markdown([headline.title, "here", "published"], cells, 2, plain)


def finding(runs: pd.DataFrame) -> str:
    """How much better than the linear model the networks of relative changes forecast, in a sentence."""
    found = {line.row: line.measured for line in lines(runs, LOAD)}
    linear = found["linear-ar-hourly"].mean
    small, deep = (f"{100 * (1 - found[row].mean / linear):.0f} %" for row in ("gru-relative", "gru-relative-deep"))
    return (
        f"Over {found['gru-relative'].n} seeds, the mean error of `gru-relative` is {small} below that of the linear "
        f"model, that of `gru-relative-deep` {deep}."
    )


def picture(runs: pd.DataFrame) -> Figure:
    """Both headlines, drawn."""
    panels = {
        headline.axis: {line.row: (line.measured, line.published) for line in lines(runs, headline)}
        for headline in (LOAD, IMAGES)
    }
    return figures.beside_published(
        {
            axis: {row: (measured.mean, measured.std, published) for row, (measured, published) in rows.items()}
            for axis, rows in panels.items()
        },
        {axis: {row: str(measured) for row, (measured, _) in rows.items()} for axis, rows in panels.items()},
        width=5.8,
    )


def svg(figure: Figure) -> str:
    """A figure as SVG, the same bytes each time."""
    drawn = io.StringIO()
    with rc_context({"svg.hashsalt": "headline"}):
        figure.savefig(drawn, format="svg", metadata={"Date": None, "Creator": None})
    return drawn.getvalue()
