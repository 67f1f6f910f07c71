"""The search of the recurrent study, as plain data; torch-free."""

from collections.abc import Mapping
from types import MappingProxyType

from pipelines import names
from pipelines.experiments.base import changed
from pipelines.experiments.recurrent.rows import DENSE, NETWORKS, NetworkSettings, resolve_network
from pipelines.experiments.spaces import Choice, LogUniform, OneOf, Search, Steps, Whole


def _settings(values: Mapping[str, Choice], dataset: str, seed: int, fraction: float, data_dir: str) -> NetworkSettings:
    like = next(network.row for network in NETWORKS.values() if network.cell == values["cell"])
    settings = resolve_network(like, dataset, DENSE, seed, fraction, data_dir)
    return changed(
        settings,
        layers=values["depth"],
        hidden=values["hidden"],
        dropout=values["dropout"],
        lr=values.get("lr"),
    )


SEARCH = Search(
    metric=names.VAL_SMAPE,
    maximise=False,
    space=MappingProxyType(
        {
            "lr": LogUniform(0.0005, 0.02),
            "cell": OneOf(("GRU", "LSTM", "RNN")),
            "depth": Whole(1, 4),
            "hidden": OneOf((64, 128, 192, 256)),
            "dropout": Steps(0.0, 0.3, 0.05),
        }
    ),
    fixed=MappingProxyType({"cell": "GRU", "depth": 2, "hidden": 256, "dropout": 0.0}),
    settings=_settings,
)
