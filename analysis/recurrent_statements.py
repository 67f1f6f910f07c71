"""What the recurrent report says in words, and what we found besides, as rows of data."""

from analysis import tables
from analysis.statements import (
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
from analysis.stats import late_change
from analysis.views import VIEWS
from pipelines import names
from pipelines.experiments.recurrent.rows import NETWORKS, RECURRENT_REPORT, resolve

TIMES = (names.TRAINING_TIME, names.EVALUATION_TIME)
CURVE_FIRST = names.first(names.SMAPE_CURVE)
CURVE_CHANGE = f"{names.SMAPE_CURVE}.late_change"

NETWORKS = tuple(NETWORKS)
BEST_NETWORK = "best network"


def _of_depth(layers: int, *cells: str) -> tuple[str, ...]:
    return tuple(f"{cell}-{layers}" for cell in cells)


_GRU_2_FIRST = ("gru-2", *(row for row in NETWORKS if row != "gru-2"))
_TEXT = "recurrent report, 1.4.2"
_CURVES = "recurrent report, 1.4.2 on Fig. 10"

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
        "every network's evaluation sMAPE is below 0.3 % in the report's convention",
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
        (Means(names.SMAPE_REPORT, ("linear-ar-hourly",)), Means(tables.published(names.SMAPE_REPORT), NETWORKS)),
        lambda linear, published: linear[0] < min(published),
    ),
    *(
        Claim(
            f"network-beats-{baseline}",
            f"our best network beats {baseline}",
            "ours",
            (Means(names.SMAPE_REPORT, (BEST_NETWORK, baseline)),),
            ascending,
        )
        for baseline in ("linear-ar-hourly", "gradient-boosting")
    ),
)

RECURRENT = Statements(
    reported=_REPORTED,
    found=_FOUND,
    settings=resolve,
    best={BEST_NETWORK: NETWORKS},
    curves=(Curve(CURVE_CHANGE, names.SMAPE_CURVE, late_change),),
    notes=(
        "By the report: the same rule on the figures of its Table 1, which has no curves.",
        VIEWS["recurrent"].notes[names.SMAPE_REPORT],
        f"{CURVE_FIRST}: smape before the first update. {CURVE_CHANGE}: mean smape over the last quarter of the "
        "updates minus that over the second quarter; the error falls where this is below zero and rises where it is "
        "above.",
        "Times are those of the hosts that ran, with whatever ran beside.",
    ),
)
