"""The entry recurrent: what its comparison shows, what its course report says in words, its section of the page."""

import math
from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from analysis.claims.statements import (
    Claim,
    Curve,
    Means,
    Statements,
    all_above,
    all_below,
    ascending,
    first_highest,
    first_lowest,
)
from analysis.entries import ladder
from analysis.entries.entry import Entry
from analysis.entries.skill import PERSISTENCE, skill
from analysis.report.artifacts import Artifacts
from analysis.report.contents import Chapter, Cost
from analysis.report.parts import Part, shown_seeds
from analysis.report.sections import Figure, Section, Table, comparison, missing, section
from analysis.stats import late_change
from analysis.tables.columns import ROW, TRAINING, published
from analysis.view import OWN_MODEL, View
from pipelines import names
from pipelines.common.files import file_name
from pipelines.data.protocol import PJM, SAMPLE
from pipelines.experiments.base import NO_TRAINING
from pipelines.experiments.recurrent.rows import DENSE, PANELS, RECURRENT, RECURRENT_REPORT, WINDOW, resolve

TIMES = (names.TRAINING_TIME, names.EVALUATION_TIME)

VIEW = View(
    metrics=(*TIMES, names.SMAPE, names.SMAPE_REPORT),
    main=names.SMAPE_REPORT,
    lowest=True,
    headline="Next hour's load, {data}: sMAPE %, published convention",
    rows=RECURRENT,
    row_params=("params.cell", "params.layers", "params.method", *OWN_MODEL),
    row_settings=resolve,
    trainings={
        DENSE: "dense: trained on a target at every hour of contiguous segments, not the published protocol.",
        WINDOW: "window: trained on one target for each 90-hour window, the published protocol.",
    },
    published=(*TIMES, names.SMAPE_REPORT),
    dataset=PJM,
    data={PJM: "PJM", SAMPLE: "England and Wales (sample)"},
    published_note=(
        f"published: {RECURRENT_REPORT}, one run, its times on a GPU; ours are those of the host that ran."
    ),
    notes={
        names.SMAPE: "smape: 100/n Σ |F−A| / ((|F|+|A|)/2) in percent, from 0 to 200, mean over the series.",
        names.SMAPE_REPORT: (
            "smape_report: a quarter of smape, because the tutorial that the forecasting report follows codes it so."
        ),
    },
)

# What the report says in words.

CURVE_FIRST = names.first(names.SMAPE_CURVE)
CURVE_CHANGE = f"{names.SMAPE_CURVE}.late_change"

NETWORKS = VIEW.published_rows
BEST_NETWORK = "best network"
LINEAR = "linear-ar-hourly"
FURTHER = (LINEAR, "gradient-boosting")  # what a practitioner would use instead


def _of_depth(layers: int, *cells: str) -> tuple[str, ...]:
    return tuple(f"{cell}-{layers}" for cell in cells)


_GRU_2_FIRST = ("gru-2", *(row for row in NETWORKS if row != "gru-2"))
_TEXT = "forecasting report, 1.4.2"
_CURVES = "forecasting report, 1.4.2 on Fig. 10"

_REPORTED = (
    *(
        Claim(
            f"gru-best-{layers}",
            f"“For both […] layered models, best performance was obtained when GRU was utilised”: {layers} layers",
            _TEXT,
            (Means(names.SMAPE_REPORT, _of_depth(layers, "gru", "lstm", "rnn")),),
            first_lowest,
        )
        for layers in (2, 3)
    ),
    *(
        Claim(
            f"rnn-gru-lstm-{metric}-{layers}",
            f"“RNN […] fastest to train and evaluate, followed by the GRU and LSTM”: {metric}, {layers} layers",
            _TEXT,
            (Means(metric, _of_depth(layers, "rnn", "gru", "lstm")),),
            ascending,
        )
        for metric in TIMES
        for layers in (2, 3)
    ),
    *(
        Claim(
            f"deeper-worse-{cell}",
            f"“having more layers actually resulted in a decrease in performance”: {cell.upper()}",
            _TEXT,
            (Means(names.SMAPE_REPORT, (f"{cell}-2", f"{cell}-3")),),
            ascending,
        )
        for cell in ("gru", "lstm", "rnn")
    ),
    *(
        Claim(
            f"rnn-worst-{layers}",
            f"“The performance of the RNNs seem to be the worst”: {layers} layers",
            _CURVES,
            (Means(names.SMAPE_REPORT, _of_depth(layers, "rnn", "gru", "lstm")),),
            first_highest,
        )
        for layers in (2, 3)
    ),
    Claim(
        "error-falls",
        "“for all models except the 3 layered RNN, the test loss decreases as epochs progress”",
        _CURVES,
        (Means(CURVE_CHANGE, tuple(row for row in NETWORKS if row != "rnn-3")),),
        all_below(0),
    ),
    Claim(
        "rnn-3-error-rises",
        "“during training of the 3 layered RNN, the test error slightly increased”",
        _CURVES,
        (Means(CURVE_CHANGE, ("rnn-3",)),),
        all_above(0),
    ),
    Claim(
        "gru-2-starts-highest",
        "“the initial error of the 2 layered GRU is the highest”",
        _CURVES,
        (Means(CURVE_FIRST, _GRU_2_FIRST),),
        first_highest,
    ),
    Claim(
        "gru-2-ends-lowest",
        "“the 2 layered GRU becomes the best performing model in our set of models”",
        _CURVES,
        (Means(names.SMAPE_REPORT, _GRU_2_FIRST),),
        first_lowest,
    ),
    Claim(
        "all-below-0.3",
        "every network's evaluation sMAPE is below 0.3 % in the published convention",
        RECURRENT_REPORT,
        (Means(names.SMAPE_REPORT, NETWORKS),),
        all_below(0.3),
    ),
)

_FOUND = (
    Claim(
        "linear-beats-published",
        "a linear model (linear-ar-hourly) beats every published network",
        "ours",
        (Means(names.SMAPE_REPORT, ("linear-ar-hourly",)), Means(published(names.SMAPE_REPORT), NETWORKS)),
        lambda linear, published: linear[0] < min(published),
    ),
    *(
        Claim(
            f"network-beats-{baseline}",
            f"the best of the published networks, as we trained them, beats {baseline}",
            "ours",
            (Means(names.SMAPE_REPORT, (BEST_NETWORK, baseline)),),
            ascending,
        )
        for baseline in FURTHER
    ),
    *(
        Claim(
            f"relative-beats-{baseline}",
            f"a network of relative changes (gru-relative, named beforehand) beats {baseline}",
            "ours",
            (Means(names.SMAPE_REPORT, ("gru-relative", baseline)),),
            ascending,
        )
        for baseline in FURTHER
    ),
)

STATEMENTS = Statements(
    view=VIEW,
    reported=_REPORTED,
    found=_FOUND,
    best={BEST_NETWORK: NETWORKS},
    curves=(Curve(CURVE_CHANGE, names.SMAPE_CURVE, late_change),),
    notes=(
        "As published: the same rule on the figures of the forecasting report's Table 1, which has no curves.",
        VIEW.notes[names.SMAPE_REPORT],
        f"{CURVE_FIRST}: smape before the first update. {CURVE_CHANGE}: mean smape over the last quarter of the "
        "updates minus that over the second quarter; the error falls where this is below zero and rises where it is "
        "above.",
        "Times are those of the hosts that ran, with whatever ran beside.",
    ),
    training_option="--training",
)


# Its section of the page.


def sections(parts: Sequence[Part], artifacts: Artifacts) -> Iterator[Section]:
    """Error, time and forecasts of the recurrent rows, a section for each data set."""
    slug, title = "recurrent", "Recurrent forecasters of hourly load"
    parts = [part for part in parts if len(part.rows)]
    if not parts:
        yield missing(slug, title, "python -m pipelines recurrent")
    for part in parts:
        beside = ", beside Table 1 of the forecasting report" if part.is_published else ""
        error, rows = (names.SMAPE_REPORT,), part.rows
        compared = [
            comparison(f"Error and time on {part.data}{beside}", part, rows, (*error, *TIMES)),
            *(
                comparison(f"Is the difference to {row} more than chance? {part.data}", part, rows, error, row)
                for row in ("gru-2", LINEAR)
            ),
        ]
        climbed = ladder.rungs(part.chosen)
        if any(math.isfinite(rung.step) for rung in climbed):
            caption = f"From the published network to ours, step by step, {part.data}"
            compared.append(Table(caption, ladder.tabulated(climbed)))
        groups = by_group(part, artifacts)
        if errors := skill(groups, LINEAR):
            compared.append(
                Table(f"Where the best forecaster errs, {part.data}: sMAPE %, published convention", errors)
            )
        yield section(slug, title, [part], compared, drawn(part, artifacts, groups))


def by_group(part: Part, artifacts: Artifacts) -> dict[str, pd.DataFrame]:
    """Errors by hour, weekday, month, holiday and series, of each row that is shown."""
    figures = (names.SMAPE_REPORT, PERSISTENCE, "targets")
    return artifacts.tables(part.drawn, names.BREAKDOWN_DATA, figures, ("by", "group"))


def drawn(part: Part, artifacts: Artifacts, groups: Mapping[str, pd.DataFrame]) -> Iterator[Figure | None]:
    """The figures of a section; `groups` are those of `by_group`."""
    from analysis.report import figures  # here, since importing matplotlib takes half a second that --help should not

    forecasts = artifacts.tables(
        part.drawn, names.FORECAST_DATA, ("actual_mw", "forecast_mw"), ("panel", "series", "time")
    )
    # As in the report: a row that repeats yesterday would fill the scale. Where there is no network, all.
    untrained = set(part.rows[ROW][part.rows[TRAINING] == NO_TRAINING])
    networks = {label: table for label, table in forecasts.items() if label not in untrained} or forecasts
    shown = [each for each in part.drawn if each.label in networks]
    for panel in PANELS:
        cited = panel.figure if part.is_published else ""
        name = file_name(f"{panel.name}-{part.dataset}")
        seeds = shown_seeds(shown, part.not_drawn)
        yield figures.forecasts(networks, panel, name, part.data, cited, seeds)
    curves = artifacts.tables(part.drawn, names.CURVE_DATA, ("update", names.SMAPE))
    curves = {label: table for label, table in curves.items() if len(table) > 1}
    seeds = shown_seeds([each for each in part.drawn if each.label in curves], part.not_drawn)
    cited = "Fig 10" if part.is_published else ""
    name = file_name(f"error-along-training-{part.dataset}")
    yield figures.error_along_training(curves, name, part.data, cited, seeds)
    seeds = shown_seeds([each for each in part.drawn if each.label in groups], part.not_drawn)
    yield figures.where_errors_are(groups, file_name(f"where-errors-are-{part.dataset}"), part.data, seeds)
    yield ladder.drawn(ladder.rungs(part.chosen), file_name(f"ladder-{part.dataset}"), part.data)


ENTRY = Entry(
    "recurrent",
    VIEW,
    STATEMENTS,
    Chapter(("recurrent",), sections),
    Cost(
        name="cost-recurrent",
        entries=("recurrent",),
        metric=names.SMAPE_REPORT,
        is_accuracy=False,
        cost=names.TRAINING_TIME,
        title="forecasters of {data}: error and cost",
        cost_label="training time, s",
        error_label="sMAPE %, published convention",
    ),
)
