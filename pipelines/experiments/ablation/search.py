"""The search of the ablation's study, as plain data; torch-free."""

from collections.abc import Mapping
from types import MappingProxyType

from pipelines import names
from pipelines.experiments.ablation.rows import ABLATION, AUTOGRAD, ClassifierSettings, resolve_classifier
from pipelines.experiments.base import changed
from pipelines.experiments.spaces import Choice, Depending, LogUniform, OneOf, Search, Whole

# The report's row of each depth, from 1.
_OF_DEPTH = {"cnn": ("cnn-1conv", "cnn", "cnn-3conv"), "mlp": ("mlp-2", "mlp-3", "mlp-4", "mlp-5")}


def _settings(
    values: Mapping[str, Choice], dataset: str, seed: int, fraction: float, data_dir: str
) -> ClassifierSettings:
    """Settings of the report's row of the given depth, with `width` times as many channels or hidden units."""
    family, depth, width = str(values["family"]), int(values["depth"]), int(values["width"])
    found = ABLATION[_OF_DEPTH[family][depth - 1]]
    wider = tuple(width * each for each in found.channels or found.hidden)
    settings = resolve_classifier("cnn", dataset, AUTOGRAD, seed, fraction, data_dir)
    return changed(
        settings,
        channels=wider if found.channels else (),
        kernel=found.kernel,
        hidden=found.hidden if found.channels else wider,
        activation=values["activation"],
        lr=values.get("lr"),
    )


SEARCH = Search(
    metric=names.VAL_ACCURACY,
    maximise=True,
    space=MappingProxyType(
        {
            "lr": LogUniform(0.0001, 0.05),
            "family": OneOf(("cnn", "mlp")),
            "depth": Depending("family", MappingProxyType({"cnn": Whole(1, 3), "mlp": Whole(1, 4)})),
            "width": OneOf((1, 2, 4)),
            "activation": OneOf(("ReLU", "LeakyReLU", "Tanh")),
        }
    ),
    fixed=MappingProxyType({"family": "cnn", "depth": 2, "width": 1, "activation": "ReLU"}),
    settings=_settings,
)
