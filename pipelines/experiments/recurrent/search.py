"""The search of the recurrent study, as plain data; torch-free."""

from collections.abc import Mapping
from typing import Any

from pipelines import names
from pipelines.experiments.base import changed
from pipelines.experiments.recurrent.rows import (
    AVERAGE,
    DENSE,
    RECURRENT,
    Baseline,
    NetworkSettings,
    RelativeSettings,
    TrainedSettings,
    resolve_network,
)
from pipelines.experiments.spaces import Choice, Dimension, LogUniform, OneOf, Search, Steps, Whole

_LAGS = ((), (24,), (24, 48), (24, 48, 168))
_NO_LAGS = "none"


def _own(row: str, dataset: str, data_dir: str) -> TrainedSettings:
    return resolve_network(row, dataset, DENSE, 0, 1.0, data_dir)


def _space(own: TrainedSettings) -> dict[str, Dimension]:
    """What can be searched from a row; one without memory has no cell, dropout or segments, an average no cell.

    Of a network of the user's own it is the learning rate alone: nothing else is known to be a setting of it.
    """
    lr = LogUniform(0.0005, 0.02)
    if not isinstance(own, NetworkSettings):
        return {"lr": lr}
    recurrent = own.cell != "MLP"
    relative = isinstance(own, RelativeSettings)
    lags = [_text(lags) for lags in _LAGS if max((0, *lags)) < own.lookback]
    space: dict[str, tuple[bool, Dimension]] = {
        "lr": (True, lr),
        "cell": (recurrent and own.cell != AVERAGE, OneOf(("GRU", "LSTM", "RNN"))),
        "depth": (True, Whole(1, 4)),
        "hidden": (True, OneOf((64, 128, 192, 256) if recurrent else (128, 256, 512))),
        "head": (relative, OneOf((0, 32, 64, 128))),
        "dropout": (recurrent, Steps(0.0, 0.3, 0.05)),
        "weight_decay": (relative, Steps(0.0, 0.2, 0.01)),
        "warm_up": (relative, Steps(0.05, 0.5, 0.05)),
        "average": (relative, OneOf((0.0, 0.99, 0.995, 0.998, 0.999))),
        "segment": (relative and recurrent, OneOf((24, 48, 72, 96))),
        "lags": (relative, OneOf(tuple(lags))),
        "calendar": (relative, OneOf(("last", "target"))),
        "target": (relative, OneOf(("level", "change"))),
        "identity": (relative, OneOf((False, True))),
        "loss": (relative, OneOf(("relative", "mae", "mse"))),
    }
    return {name: dimension for name, (has, dimension) in space.items() if has}


def _value(settings: TrainedSettings, name: str) -> Choice:
    value = getattr(settings, "layers" if name == "depth" else name)
    return _text(value) if name == "lags" else value


def _change(own: TrainedSettings, chosen: Mapping[str, Choice]) -> TrainedSettings:
    """`own` with what was chosen; the burn-in is the same share of a segment."""
    values: dict[str, Any] = {"layers" if name == "depth" else name: value for name, value in chosen.items()}
    if "lags" in values:
        values["lags"] = _lags(values["lags"])
    if "segment" in values:
        values["burn_in"] = round(values["segment"] * own.burn_in / own.segment)
    return changed(own, **values)


def _text(lags: tuple[int, ...]) -> str:
    """Lags as one word, which a table has room for.

    >>> _text((24, 48))
    "24+48"
    """
    return "+".join(map(str, lags)) or _NO_LAGS


def _lags(text: str) -> tuple[int, ...]:
    return () if text == _NO_LAGS else tuple(map(int, text.split("+")))


SEARCH = Search(
    metric=names.VAL_SMAPE,
    maximise=False,
    row="gru-2",
    rows=[row for row, found in RECURRENT.items() if not isinstance(found, Baseline)],
    own=_own,
    space=_space,
    value=_value,
    change=_change,
)
