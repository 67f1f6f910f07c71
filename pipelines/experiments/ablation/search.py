"""The search of the ablation's study, as plain data; torch-free."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from pipelines import names
from pipelines.experiments.ablation.rows import (
    ABLATION,
    AUTOGRAD,
    ClassifierSettings,
    ImageSettings,
    resolve_classifier,
)
from pipelines.experiments.base import changed
from pipelines.experiments.spaces import Choice, Depending, Dimension, LogUniform, OneOf, Search, Whole


class _Shape(NamedTuple):
    """Convolutions and fully connected layers, see rows.Classifier."""

    channels: tuple[int, ...]
    kernel: int
    hidden: tuple[int, ...]


# The report's row of each depth, from 1.
_OF_DEPTH = {"cnn": ("cnn-1conv", "cnn", "cnn-3conv"), "mlp": ("mlp-2", "mlp-3", "mlp-4", "mlp-5")}
_WIDTHS = (1, 2, 4)


def _shape(family: str, depth: int, width: int) -> _Shape:
    """The report's row of this depth, with `width` times as many channels or hidden units."""
    found = ABLATION[_OF_DEPTH[family][depth - 1]]
    wider = tuple(width * each for each in found.channels or found.hidden)
    if found.channels:
        return _Shape(wider, found.kernel, found.hidden)
    return _Shape((), found.kernel, wider)


_CHOICES: Mapping[_Shape, Mapping[str, Choice]] = MappingProxyType(
    {
        _shape(family, depth, width): MappingProxyType({"family": family, "depth": depth, "width": width})
        for family, rows in _OF_DEPTH.items()
        for depth in range(1, len(rows) + 1)
        for width in _WIDTHS
    }
)


def _own(row: str, dataset: str, data_dir: str) -> ImageSettings:
    return resolve_classifier(row, dataset, AUTOGRAD, 0, 1.0, data_dir)


def _shape_of(settings: ImageSettings) -> _Shape:
    assert isinstance(settings, ClassifierSettings)  # a network of the user's own has no shape to search
    return _Shape(settings.channels, settings.kernel, settings.hidden)


def _space(own: ImageSettings) -> dict[str, Dimension]:
    """What can be searched from a row; one of a shape that the choices do not give keeps its shape.

    Of a network of the user's own it is the learning rate alone: nothing else is known to be a setting of it.
    """
    lr = LogUniform(0.0001, 0.05)
    if not isinstance(own, ClassifierSettings):
        return {"lr": lr}
    depths = MappingProxyType({family: Whole(1, len(rows)) for family, rows in _OF_DEPTH.items()})
    shape: dict[str, Dimension] = {
        "family": OneOf(tuple(_OF_DEPTH)),
        "depth": Depending("family", depths),
        "width": OneOf(_WIDTHS),
    }
    return {
        "lr": lr,
        **(shape if _shape_of(own) in _CHOICES else {}),
        "activation": OneOf(("ReLU", "LeakyReLU", "Tanh")),
    }


def _value(settings: ImageSettings, name: str) -> Choice:
    return getattr(settings, name) if name in ("lr", "activation") else _CHOICES[_shape_of(settings)][name]


def _change(own: ImageSettings, chosen: Mapping[str, Choice]) -> ImageSettings:
    kept = {name: value for name, value in chosen.items() if name in ("lr", "activation")}
    if kept.keys() == chosen.keys():
        return changed(own, **kept)
    values = {**_CHOICES[_shape_of(own)], **chosen}
    shape = _shape(str(values["family"]), int(values["depth"]), int(values["width"]))
    return changed(own, **shape._asdict(), **kept)


SEARCH = Search(
    metric=names.VAL_ACCURACY,
    maximise=True,
    row="cnn",
    rows=list(ABLATION),
    own=_own,
    space=_space,
    value=_value,
    change=_change,
)
