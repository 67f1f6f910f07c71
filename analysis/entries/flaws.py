"""Flaws of the published protocols and texts, and what they change by our own runs on the course reports' own data."""

import math
from collections.abc import Callable

from analysis.entries import recurrent
from analysis.report.flaws import Flaw, Own, mean
from analysis.stats import summarize
from analysis.tables.columns import ROW
from pipelines import names


def _text(text: str) -> Callable[[Own], str]:
    return lambda own: text


def _no_baseline(own: Own) -> str:
    linear, network = (mean(own, "recurrent", row, names.SMAPE_REPORT) for row in ("linear-ar-hourly", "gru-2"))
    best = recurrent.VIEW.figure("gru-2", recurrent.VIEW.dataset, names.SMAPE_REPORT)
    if math.isnan(linear):
        return "A linear model for each hour of the day has not been run here on the published data."
    ours = "" if math.isnan(network) else f" and than our gru-2 with {network:.3f} %"
    verdict = "better" if linear < best else "no better"
    return (
        f"A linear model for each hour of the day, fitted in seconds: {linear:.3f} %, {verdict} than the best "
        f"published network with {best} %{ours}."
    )


def _quarter(own: Own) -> str:
    value = mean(own, "recurrent", "gru-2", names.SMAPE)
    ours = (
        ""
        if math.isnan(value)
        else f" Our gru-2 has {value:.3f} % by the formula, {value / 4:.3f} % in the published convention."
    )
    return f"The published percentages are a quarter of what the formula gives; ranks stay as they are.{ours}"


def _one_run(own: Own) -> str:
    part = own.get("ablation")
    if part is None:
        return "Differences within the spread of seeds decide nothing."
    spreads = {str(row): summarize(group[f"metrics.{names.TEST_ACCURACY}"]).std for row, group in part.groupby(ROW)}
    known = {row: spread for row, spread in spreads.items() if not math.isnan(spread)}
    if not known:
        return "Differences within the spread of seeds decide nothing."
    row = max(known, key=known.__getitem__)
    return f"Test accuracy varies with the seed by up to {known[row]:.1f} points (standard deviation, {row})."


def _best_rate(own: Own) -> str:
    wide, fast = (mean(own, "ablation", row, names.TEST_ACCURACY) for row in ("cnn-double-channel", "cnn-lr-high"))
    if math.isnan(wide) or math.isnan(fast):
        return "Its Table 2 has 64.09 % for the double channel, 61.3 % for the larger rate."
    return (
        f"Ours: {wide:.1f} % for the double channel, {fast:.1f} % for the larger rate; 64.09 and 61.3 in its Table 2."
    )


def _depth(own: Own) -> str:
    if "recurrent" not in own:
        return "Not judged here: there are no runs on the published data."
    return "The claims judge the statement for each cell by itself."


def _equations(own: Own) -> str:
    evaluated = "those are evaluated here" if "resnet" in own else "the entry resnet evaluates those"
    return f"The weights it loaded belong to the networks as He et al. have them; {evaluated}."


RECURRENT, ABLATION, BOTH = "forecasting report", "CNN report", "both"
REPORTS = {RECURRENT: ("recurrent", "resnet", "pretrain"), ABLATION: ("ablation",)}

FLAWS = (
    Flaw(RECURRENT, "sMAPE is coded as a quarter of the printed formula, which has |F+A| for |F|+|A|.", _quarter),
    Flaw(RECURRENT, "There is no baseline that needs no network.", _no_baseline),
    Flaw(BOTH, "Each figure is of one run.", _one_run),
    Flaw(
        RECURRENT,
        "“More layers decrease performance” fails for its own RNN (0.297 to 0.294).",
        _depth,
    ),
    Flaw(
        RECURRENT,
        "The tutorial's scalers see the test part, and nothing is held out for the choices made.",
        _text("Ours are fitted on the training part; choices are made on its last tenth."),
    ),
    Flaw(
        RECURRENT,
        "Its GRU's reset gate also scales the input term; its LSTM has a weight and a bias on the cell state inside "
        "the output tanh; its RNN and GRU have no biases.",
        _text("Neither Cho et al. nor torch.nn do so; the equations as printed are other networks than those trained."),
    ),
    Flaw(
        RECURRENT,
        "Its batch normalisation lacks the 1/m of the variance, γ and β; its ResNet-50 has a stray 5×5 convolution, no "
        "max-pooling, and bottlenecks that end in 3×3 instead of 1×1; ResNet36 is ResNet-34.",
        _equations,
    ),
    Flaw(ABLATION, "Its text calls the larger learning rate best on the test set; its table does not.", _best_rate),
    Flaw(
        ABLATION,
        "Its gradient products do not parse as matrices: they need transposes and the reverse order. The last layer "
        "has a derivative of an activation that it does not have.",
        _text("Set right in docs/backpropagation.md, and checked against autograd."),
    ),
    Flaw(
        ABLATION,
        "Its formula of a layer's output size lacks the floor.",
        _text("By it, the last pooling of cnn-3conv would leave maps of 6.5 pixels; there are 6."),
    ),
    Flaw(
        BOTH,
        "Test data are shown after every epoch.",
        _text("Fine for a curve, never for a choice: tables here show the last epoch."),
    ),
)
