"""Rows of the recurrent experiment with their published figures and protocols, as plain data; torch-free.

`resolve` returns the settings of a row, with the user's overrides.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal

from pipelines import names
from pipelines.data.datasets import LOAD, find
from pipelines.data.protocol import DATA_DIR, LOOKBACK, PJM
from pipelines.experiments.base import NO_TRAINING, OwnModelSettings, Published, Settings, changed, of_the_machine, read
from pipelines.experiments.catalogue import Catalogue
from pipelines.experiments.limits import (
    Decay,
    Dropout,
    Epochs,
    Fraction,
    HeadUnits,
    Hours,
    Items,
    Layers,
    Length,
    Processes,
    Rate,
    Share,
    Units,
)
from pipelines.experiments.sizes import WINDOW_SIZES, between

RECURRENT_REPORT = "forecasting report, Table 1"

RecurrentCell = Literal["RNN", "LSTM", "GRU"]  # class of torch.nn
AVERAGE: Literal["average"] = "average"
Cell = RecurrentCell | Literal["MLP", "average"]  # or a multilayer perceptron, or several networks averaged
ScaledLoss = Literal["mse", "mae"]  # of the network's own outputs
Loss = ScaledLoss | Literal["relative"]  # or of the load


@dataclass(frozen=True)
class Protocol:
    """Protocol of the training of a network.

    Attributes:
        epochs: passes over the training targets.
        batch_size: items per update: windows (`window`) or segments (`dense`).
        lr: learning rate; with OneCycle the peak.
        loss: "mse" or "mae" of the scaled load.
        schedule: "constant" or "onecycle" (Smith & Topin 2018).
        beta2: Adam's decay rate of the second moment.
        standardise: if True, mean and std of the inputs are folded into the initial weights of the first layer.
        segment, burn_in: length of a dense segment, and of its beginning without targets, in hours; 0 for `window`.
        threads, replicas: number of data-parallel processes, and of threads in each.
    """

    epochs: int
    batch_size: int
    lr: float
    loss: str
    schedule: str
    beta2: float
    standardise: bool
    segment: int
    burn_in: int
    threads: int
    replicas: int


# Forecasting report, section 1.4.2: lr 0.001, 2 epochs, batch 200; Adam, squared error: its tutorial's.
_WINDOW = Protocol(
    epochs=2,
    batch_size=200,
    lr=0.001,
    loss="mse",
    schedule="constant",
    beta2=0.999,
    standardise=False,
    segment=0,
    burn_in=0,
    threads=1,
    replicas=2,
)


# Not the forecasting report's: a target at every hour of a segment after a burn-in. docs/forecasting.md lists the
# settings that were tried, on validation data.
_DENSE = Protocol(
    epochs=3,
    batch_size=32,
    lr=0.005,
    loss="mae",
    schedule="onecycle",
    beta2=0.99,
    standardise=True,
    segment=96,
    burn_in=16,
    threads=1,
    replicas=2,
)


@dataclass(frozen=True)
class RelativeProtocol(Protocol):
    """Protocol of the training of a network of relative changes.

    Attributes:
        weight_decay: decay of the weights apart from the gradient (AdamW), relative to the learning rate.
        warm_up: fraction of the updates before the peak of OneCycle.
        average: decay of the exponential moving average of the weights, which is evaluated; 0 for none.
    """

    weight_decay: float
    warm_up: float
    average: float


# Chosen on validation data, see docs/forecasting.md.
_RELATIVE = RelativeProtocol(
    epochs=16,
    batch_size=64,
    lr=0.005,
    loss="relative",
    schedule="onecycle",
    beta2=0.99,
    standardise=False,
    segment=48,
    burn_in=12,
    threads=1,
    replicas=2,
    weight_decay=0.05,
    warm_up=0.25,
    average=0.998,
)
_SMALL_RELATIVE = replace(_RELATIVE, epochs=60, batch_size=8, replicas=1)
RelativeProtocols = tuple[RelativeProtocol, RelativeProtocol]


WINDOW, DENSE = "window", "dense"


# For each way of training the protocol for a data set as small as the sample, and for one as large as the report's,
# which is 500 times larger. The former has more epochs, smaller batches and one process for each row.
PROTOCOLS: Mapping[str, tuple[Protocol, Protocol]] = MappingProxyType(
    {
        WINDOW: (replace(_WINDOW, epochs=10, batch_size=32, replicas=1), _WINDOW),
        DENSE: (replace(_DENSE, epochs=60, batch_size=8, replicas=1), _DENSE),
    }
)


@dataclass(frozen=True)
class Network:
    """A forecaster of the report: `layers` layers of `cell` (a class of torch.nn), then ReLU and a linear layer.

    The report gives cell, layers and learning rate; hidden 256 and dropout 0.2 are those of the tutorial it follows.

    Attributes:
        row: name.
        cell: class of torch.nn.
        layers: number of layers.
        hidden: width of a layer.
        dropout: probability, between layers.
        dense: settings of the dense training of this row that differ from the protocol, by name.
        published: the report's figures; None for a row that is not in the report.
    """

    row: str
    cell: RecurrentCell
    layers: int
    hidden: int = 256
    dropout: float = 0.2
    dense: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    published: Published | None = None


@dataclass(frozen=True)
class RelativeNetwork:
    """A forecaster of the relative change of the load (nnmodels/relative.py).

    Attributes:
        row: name.
        cell: class of torch.nn, "MLP", or AVERAGE.
        members: cells of the networks that are averaged.
        layers, hidden, dropout: of each recurrent network, or of the perceptron before its head.
        head: units of the hidden layer of the head; 0 for none.
        lookback: number of hours that a forecast may depend on.
        target, calendar, lags, identity: what it takes in and gives out, see nnmodels.relative.Encoding.
        protocols: of its training on a data set as small as the sample, and on one as large as the report's.
    """

    row: str
    cell: Cell
    members: tuple[RecurrentCell, ...] = ()
    layers: int = 1
    hidden: int = 128
    dropout: float = 0.0
    head: int = 64
    lookback: int = LOOKBACK
    target: Literal["level", "change"] = "change"
    calendar: Literal["last", "target"] = "target"
    lags: tuple[int, ...] = (24, 48)
    identity: bool = True
    protocols: RelativeProtocols = (_SMALL_RELATIVE, _RELATIVE)


@dataclass(frozen=True)
class Baseline:
    """A forecaster without a network, for comparison with the networks."""

    row: str
    method: str


def _network(
    row: str, cell: RecurrentCell, layers: int, label: str, training: float, evaluation: float, smape: float, lr: float
) -> Network:
    figures = {names.TRAINING_TIME: training, names.EVALUATION_TIME: evaluation, names.SMAPE_REPORT: smape}
    published = Published(RECURRENT_REPORT, label, MappingProxyType(figures))
    return Network(row, cell, layers, dense=MappingProxyType({"lr": lr, "dropout": 0.0}), published=published)


NETWORKS: Mapping[str, Network] = MappingProxyType(
    {
        network.row: network
        for network in (
            _network("gru-2", "GRU", 2, "GRU Model 2 layer", 763.7, 7.13, 0.239, lr=0.006),
            _network("lstm-2", "LSTM", 2, "LSTM Model 2 layer", 908.6, 9.56, 0.266, lr=0.006),
            _network("rnn-2", "RNN", 2, "RNN 2 layer", 310.1, 2.68, 0.297, lr=0.002),
            _network("gru-3", "GRU", 3, "GRU 3 layer", 1302.2, 11.72, 0.261, lr=0.005),
            _network("lstm-3", "LSTM", 3, "LSTM 3 layer", 1512.3, 16.04, 0.283, lr=0.005),
            _network("rnn-3", "RNN", 3, "RNN 3 layer", 415.5, 4.26, 0.294, lr=0.0015),
        )
    }
)


# A network without memory is trained on single targets.
_TARGETS = (
    replace(_SMALL_RELATIVE, segment=1, burn_in=0, batch_size=64, lr=0.003),
    replace(_RELATIVE, segment=1, burn_in=0, batch_size=1024, epochs=12, lr=0.003),
)

# A wider network is trained at a smaller learning rate.
_WIDE = (_SMALL_RELATIVE, replace(_RELATIVE, lr=0.004))
_LONG = (_SMALL_RELATIVE, replace(_RELATIVE, epochs=28, lr=0.003, weight_decay=0.1))
_DEEP = (_SMALL_RELATIVE, replace(_RELATIVE, epochs=28, lr=0.0035, weight_decay=0.1))
_WEEK = (24, 48, 168)  # the same hour of the two days before, and of the week before

RELATIVES: Mapping[str, RelativeNetwork] = MappingProxyType(
    {
        network.row: network
        for network in (
            RelativeNetwork("gru-relative", "GRU"),
            RelativeNetwork("lstm-relative", "LSTM"),
            RelativeNetwork("rnn-relative", "RNN"),
            RelativeNetwork("gru-relative-256", "GRU", hidden=256, protocols=_WIDE),
            RelativeNetwork("gru-relative-256-long", "GRU", hidden=256, protocols=_LONG),
            RelativeNetwork("gru-relative-336", "GRU", lookback=336, lags=_WEEK),
            RelativeNetwork(
                "gru-relative-deep",
                "GRU",
                layers=2,
                hidden=192,
                dropout=0.1,
                lookback=336,
                lags=_WEEK,
                protocols=_DEEP,
            ),
            RelativeNetwork("mlp-lags", "MLP", hidden=512, head=128, protocols=_TARGETS),
            # Cells of both kinds, since these err differently: see docs/forecasting.md.
            RelativeNetwork(
                "average-relative", AVERAGE, members=("GRU", "GRU", "LSTM", "LSTM"), hidden=256, protocols=_WIDE
            ),
        )
    }
)


# From the published network to the best, step by step: STEPS says what each row has beyond the row before it.
def _protocols(**changes: Any) -> RelativeProtocols:
    return replace(_SMALL_RELATIVE, **changes), replace(_RELATIVE, epochs=6, **changes)


def _rung(row: str, loss: Loss = "mae", **changes: Any) -> RelativeNetwork:
    bare = RelativeNetwork(row, "GRU", layers=2, hidden=256, head=0, calendar="last", lags=(), identity=False)
    return replace(bare, protocols=_protocols(loss=loss, weight_decay=0.0, average=0.0), **changes)


LADDER: Mapping[str, RelativeNetwork] = MappingProxyType(
    {
        network.row: network
        for network in (
            _rung("ladder-change"),
            _rung("ladder-calendar", calendar="target"),
            _rung("ladder-lags", calendar="target", lags=(24, 48)),
            _rung("ladder-identity", calendar="target", lags=(24, 48), identity=True),
            _rung("ladder-loss", calendar="target", lags=(24, 48), identity=True, loss="relative"),
            _rung(
                "ladder-width",
                calendar="target",
                lags=(24, 48),
                identity=True,
                loss="relative",
                layers=1,
                hidden=128,
                head=64,
            ),
        )
    }
)

# The rows of the ladder in its order, each with what is new in it.
STEPS: Mapping[str, str] = MappingProxyType(
    {
        "gru-2": "the published network, trained densely",
        "ladder-change": "the target is the change of the logarithm, and so are the inputs; 6 epochs",
        "ladder-calendar": "the calendar of the hour to forecast",
        "ladder-lags": "the hours 24 and 48 before it",
        "ladder-identity": "which series it is",
        "ladder-loss": "the error relative to the load, instead of in the units of the network",
        "ladder-width": "one layer of 128 with a head of 64, instead of two layers of 256",
        "gru-relative": "16 epochs, weight decay, a moving average of the weights",
    }
)


GRADIENT_BOOSTING = "gradient-boosting"

BASELINES: Mapping[str, Baseline] = MappingProxyType(
    {
        baseline.row: baseline
        for baseline in (
            Baseline("persistence", "the last hour's load"),
            Baseline("same-hour-yesterday", "the load of the same hour yesterday"),
            Baseline("linear-ar", "least squares on the 90 lags and the calendar, one model a series"),
            Baseline(
                "linear-ar-hourly", "linear-ar, corrected by a ridge regression for each hour of day, with weekdays"
            ),
            Baseline(GRADIENT_BOOSTING, "boosted trees on 49 lags and the calendar, correcting linear-ar-hourly"),
        )
    }
)


Row = Network | RelativeNetwork | Baseline

RECURRENT: Mapping[str, Row] = MappingProxyType({**NETWORKS, **RELATIVES, **LADDER, **BASELINES})

GROUPS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "report": tuple(NETWORKS),
        "relative": tuple(RELATIVES),
        "ladder": tuple(STEPS),
        "baselines": tuple(BASELINES),
    }
)


@dataclass(frozen=True)
class Panel:
    """A plot of forecasts.

    Attributes:
        name: stem of the figure's file.
        series: number of the series in the data set, from 0.
        hours: slice of its test hours.
        title: title, with placeholders for the name of the series and the number of hours.
        figure: the corresponding figure of the report.
    """

    name: str
    series: int
    hours: slice
    title: str
    figure: str


# Figs 7-9 of the forecasting report. It does not state the order of the series, which is assumed to be the tutorial's.
PANELS = (
    Panel("forecasts_first", 0, slice(-100, None), "last {hours} test hours of the first series, {series}", "Fig 7"),
    Panel("forecasts_fourth", 3, slice(0, 100), "first {hours} test hours of the fourth series, {series}", "Fig 8"),
    Panel("forecasts_tenth", 9, slice(0, 100), "first {hours} test hours of the tenth series, {series}", "Fig 9"),
)


CURVE_WINDOWS = 4000  # test windows, evenly spaced, on which the error is measured during training (Fig 10)


# Points of the training at which it is measured, as fractions of all updates; most at the beginning, where it falls.
CURVE_POINTS = (0, 0.02, 0.05, 0.1, 0.25, 0.5, 0.75, 1)


@dataclass(frozen=True, kw_only=True)
class BaselineSettings(Settings):
    """Settings of a baseline, which is fitted in one go."""

    lookback: int
    fraction: float
    method: str


@dataclass(frozen=True, kw_only=True)
class TrainedSettings(Settings):
    """Settings of the training of any network: those of Protocol, and device and precision.

    Attributes:
        lookback: number of hours in the input of a forecast.
        fraction: fraction of the training windows that is used, the latest ones, (0, 1].
        device: "cpu" or a CUDA device.
        precision: "fp32" or "bf16".
    """

    lookback: Hours
    fraction: Fraction
    epochs: Epochs
    batch_size: Items
    lr: Rate
    loss: Loss
    schedule: Literal["constant", "onecycle"]
    beta2: Decay
    segment: Length
    burn_in: Length
    threads: Processes
    replicas: Processes
    device: str = of_the_machine("cpu")
    precision: Literal["fp32", "bf16"] = of_the_machine("fp32")

    @property
    def cores(self) -> int:
        """Number of cores that the run keeps busy."""
        return self.threads * self.replicas

    def contradiction(self) -> str:
        """What keeps the settings from being trained together, see base.Settings."""
        if self.training == DENSE and self.segment <= self.burn_in:
            return f"burn_in: {self.burn_in} hours leave no target in a segment of {self.segment}"
        return ""


@dataclass(frozen=True, kw_only=True)
class _Form(Settings):
    """What a network is, which names of runs and tables have before its training."""

    lookback: Hours
    fraction: Fraction
    cell: Cell
    layers: Layers
    hidden: Units
    dropout: Dropout


@dataclass(frozen=True, kw_only=True)
class NetworkSettings(TrainedSettings, _Form):
    """Settings of a network of this project."""

    standardise: bool


@dataclass(frozen=True, kw_only=True)
class ReportSettings(NetworkSettings):
    """Settings of a network of the report's form, on scaled loads: those of Network."""

    cell: RecurrentCell
    loss: ScaledLoss

    def contradiction(self) -> str:
        """What keeps the settings from being trained together, see base.Settings."""
        return _other_windows(self) or super().contradiction()


@dataclass(frozen=True, kw_only=True)
class OwnNetworkSettings(OwnModelSettings, TrainedSettings):
    """Settings of a network of the user's own, in the place of one of the report's form.

    It takes hours (T, B, 5), time first, float32: load, hour, day of week, month and day of year, each scaled to 0-1 by
    its range in the training part of the series; and gives the forecast (T, B) of the scaled load of the hour after
    each step, which depends on this step and those before it alone. T is the length of a segment in dense training,
    and LOOKBACK else.
    """

    loss: ScaledLoss

    def contradiction(self) -> str:
        """What keeps the settings from being trained together, see base.Settings."""
        return _other_windows(self) or super().contradiction()


def _other_windows(settings: TrainedSettings) -> str:
    if settings.lookback == LOOKBACK:
        return ""
    return (
        f"lookback: the networks of the forecasting report's form look back {LOOKBACK} hours, not {settings.lookback}"
    )


@dataclass(frozen=True, kw_only=True)
class RelativeSettings(NetworkSettings):
    """Settings of a network of relative changes: those of RelativeNetwork and RelativeProtocol."""

    members: tuple[RecurrentCell, ...]
    head: HeadUnits
    target: Literal["level", "change"]
    calendar: Literal["last", "target"]
    lags: tuple[Hours, ...]
    identity: bool
    weight_decay: Rate
    warm_up: Share
    average: Decay

    @property
    def history(self) -> int:
        """Hours before the first step of a segment that its inputs reach back to."""
        return self.lookback - 1 if self.cell == "MLP" else max((*self.lags, 1))

    def contradiction(self) -> str:
        """What keeps the settings from being trained together, see base.Settings."""
        if max((*self.lags, 1)) >= self.lookback:
            return f"lags: {max((*self.lags, 1))} hours back are beyond the lookback of {self.lookback}"
        if (self.cell == AVERAGE) != bool(self.members):
            return f"members: they are the cells of cell={AVERAGE}, and of no other"
        if self.cell == "MLP" and (self.segment, self.burn_in) != (1, 0):
            return "segment: a perceptron is trained on single targets, so segment=1 and burn_in=0"
        return super().contradiction()


def read_settings(values: Mapping[str, object]) -> TrainedSettings | BaselineSettings:
    """Read the settings of a row from plain data, see base.read."""
    if values.get("row") in BASELINES:
        return read(BaselineSettings, values)
    if "model" in values:
        return read(OwnNetworkSettings, values)
    return read(RelativeSettings if "target" in values else ReportSettings, values)


def resolve(
    row: str, dataset: str, training: str, seed: int, fraction: float, data_dir: str = DATA_DIR, **overrides: Any
) -> NetworkSettings | BaselineSettings:
    """Resolve the full settings of one row of the recurrent experiment.

    Args:
        row: key of RECURRENT.
        dataset: name of a data set of electricity load.
        training: "window" or "dense"; ignored for a baseline.
        seed: from 0; ignored for a baseline, which gets 0.
        fraction: fraction of the training windows that is used, (0, 1].
        data_dir: folder of the prepared data; read only if the size of the data set is not known beforehand.
        overrides: settings by name that replace the row's own; None keeps the row's. Ignored for a baseline.

    Raises:
        UserError: a name is not that of a setting, or there is no such data set.
    """
    found = RECURRENT[row]
    if isinstance(found, Baseline):
        return BaselineSettings(
            row=row,
            dataset=dataset,
            training=NO_TRAINING,
            seed=0,
            lookback=LOOKBACK,
            fraction=fraction,
            method=found.method,
        )
    return resolve_network(row, dataset, training, seed, fraction, data_dir, **overrides)


def resolve_network(
    row: str, dataset: str, training: str, seed: int, fraction: float, data_dir: str = DATA_DIR, **overrides: Any
) -> NetworkSettings:
    """Resolve the full settings of a row that is no baseline; the rest is as for `resolve`."""
    windows = find(dataset, LOAD, data_dir).train_size(data_dir)
    found = RECURRENT[row]
    if isinstance(found, RelativeNetwork):
        return changed(_resolve_relative(found, dataset, seed, fraction, windows), **overrides)
    assert isinstance(found, Network)
    settings = ReportSettings(
        row=row,
        dataset=dataset,
        training=training,
        seed=seed,
        lookback=LOOKBACK,
        fraction=fraction,
        cell=found.cell,
        layers=found.layers,
        hidden=found.hidden,
        dropout=found.dropout,
        **asdict(between(windows, WINDOW_SIZES, *PROTOCOLS[training])),
    )
    if training == DENSE:
        settings = changed(settings, **found.dense)
    return changed(settings, **overrides)


def _resolve_relative(
    found: RelativeNetwork, dataset: str, seed: int, fraction: float, windows: int
) -> RelativeSettings:
    return RelativeSettings(
        row=found.row,
        dataset=dataset,
        training=DENSE,
        seed=seed,
        lookback=found.lookback,
        fraction=fraction,
        cell=found.cell,
        members=found.members,
        layers=found.layers,
        hidden=found.hidden,
        dropout=found.dropout,
        head=found.head,
        target=found.target,
        calendar=found.calendar,
        lags=found.lags,
        identity=found.identity,
        **asdict(between(windows, WINDOW_SIZES, *found.protocols)),
    )


CATALOGUE = Catalogue(
    rows=RECURRENT,
    groups=GROUPS,
    data=LOAD,
    main=names.SMAPE_REPORT,
    published_on=PJM,
    settings=lambda row, dataset, data_dir: resolve(row, dataset, DENSE, 0, 1.0, data_dir),
    shown=("cell", "layers", "hidden", "lr", "epochs"),
    about="method",
    models=OwnNetworkSettings,
    default="gru-2",
)
