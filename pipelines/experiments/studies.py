"""Studies of the experiments and the settings of their trials, as plain data; torch-free."""

from collections.abc import Mapping
from types import MappingProxyType

from pipelines import names
from pipelines.data.protocol import DATA_DIR
from pipelines.experiments.ablation.rows import ABLATION, AUTOGRAD, ClassifierSettings, resolve_classifier
from pipelines.experiments.base import changed
from pipelines.experiments.recurrent.rows import DENSE, NETWORKS, NetworkSettings, resolve
from pipelines.experiments.spaces import TUNED, Depending, LogUniform, OneOf, Steps, Study, Whole

TunedSettings = NetworkSettings | ClassifierSettings

STUDIES: Mapping[str, Study] = MappingProxyType(
    {
        "recurrent": Study(
            entry="recurrent",
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
        ),
        "ablation": Study(
            entry="ablation",
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
        ),
    }
)


# The report's row of each depth, from 1.
_OF_DEPTH = {"cnn": ("cnn-1conv", "cnn", "cnn-3conv"), "mlp": ("mlp-2", "mlp-3", "mlp-4", "mlp-5")}


def resolve_tuned(
    study: str, dataset: str, seed: int, fraction: float, chosen: Mapping[str, object], data_dir: str = DATA_DIR
) -> TunedSettings:
    """The full settings of one trial of a study, or of its winner.

    Args:
        study: key of STUDIES.
        dataset: one that the study's entry knows.
        seed: from 0.
        fraction: of what is trained on, 0-1].
        chosen: value of each dimension that is searched.
        data_dir: folder of the prepared data; read only where the list of data sets does not know the size.
    """
    values = {**STUDIES[study].fixed, **chosen}
    if study == "recurrent":
        like = next(network.row for network in NETWORKS.values() if network.cell == values["cell"])
        settings = resolve(like, dataset, DENSE, seed, fraction, data_dir)
        shape = {"layers": values.pop("depth")}
    else:
        like = "cnn"
        settings = resolve_classifier(like, dataset, AUTOGRAD, seed, fraction, data_dir)
        shape = _shape(values.pop("family"), values.pop("depth"), values.pop("width"))
    return changed(settings, row=TUNED, **shape, **values)


def _shape(family: str, depth: int, width: int) -> dict[str, object]:
    """Layers of the report's row of that depth, `width` times as wide: a perceptron's hidden ones, a CNN's channels."""
    found = ABLATION[_OF_DEPTH[family][depth - 1]]
    if family == "mlp":
        return {"channels": [], "kernel": 0, "hidden": [width * neurons for neurons in found.hidden]}
    wider = [width * channels for channels in found.channels]
    return {"channels": wider, "kernel": found.kernel, "hidden": list(found.hidden)}
