"""Models of runs: logged, registered, and the weights of registered ones."""

import contextlib
import hashlib
import io
import logging
import math
import re
import tempfile
import warnings
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import torch
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, Schema, TensorSpec
from mlflow.utils.time import get_current_time_millis

from pipelines import names
from pipelines.common.archives import digests
from pipelines.errors import UserError
from pipelines.tracking import served
from pipelines.tracking.artifacts import read_json
from pipelines.tracking.outbox import MODEL, REGISTER, ModelContent, RegisterContent
from pipelines.tracking.run import Run
from pipelines.training.export import recurrent_layers_whole
from pipelines.training.loop import DivergedError

logging.getLogger("mlflow.pyfunc").setLevel(logging.WARNING)  # it says of each model that its example is checked

_NOT_IN_A_NAME = re.compile(r"[^\w-]+")  # of a model, of which MLflow refuses some, and a shell others
# What a served forecaster imports of other projects; without them MLflow starts a second Python to find out.
_SERVED_WITH = (
    "mlflow",
    "numpy",
    "pandas",
    "torch",
    "safetensors",
    "holidays",
    "scikit-learn",
    "threadpoolctl",
    "pydantic",
)
_VERSION = re.compile(r"(?P<name>.+) version (?P<version>\d+)")  # in the tag names.REGISTERED
_MODEL_TAGS = (names.ENTRY, names.ROW, names.SEED, names.TRAINING, names.DATASET, names.DESCRIPTION)


class ExportError(Exception):
    """A model cannot be exported as a program."""


def log_model(run: Run, model: torch.nn.Module, example: np.ndarray) -> None:
    """Log `model`, on the CPU and in evaluation mode, as a pt2 program.

    It gets the name of `run`, with hyphens for what a model's name cannot have, and the description and the metrics
    that the run has by then, so it is logged after all of them.

    Args:
        run: the active run.
        model: takes one tensor.
        example: an input, a batch of two or more, which is logged too and gives the signature.

    Raises:
        ExportError: it cannot be exported.
    """
    run.flush()
    with torch.no_grad():
        signature = mlflow.models.infer_signature(example, model(torch.from_numpy(example)).numpy())
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(), recurrent_layers_whole():
        # torch.export sees torch.nn's recurrent modules keep their weights in a list too; the program is complete.
        warnings.filterwarnings("ignore", "The tensor attributes .*_flat_weights", UserWarning)
        path = Path(folder) / names.MODEL
        try:
            # torch.export prints the whole graph of a model that it does not understand.
            with contextlib.redirect_stderr(io.StringIO()):
                mlflow.pytorch.save_model(
                    model,
                    path,
                    input_example=example,
                    signature=signature,
                    # Without them MLflow starts a second Python to find the requirements, for 15 s.
                    pip_requirements=[f"torch=={torch.__version__.partition('+')[0]}", f"numpy=={np.__version__}"],
                )
        except Exception as error:  # whatever torch.export raises of a model that it does not understand
            raise ExportError(f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]:.200}") from error
        _send(run, path, run.tags[names.RUN_NAME])


def log_served(run: Run, folder: Path, loader: str, example: pd.DataFrame, answer: pd.DataFrame) -> str:
    """Log a forecaster that MLflow can serve, with the code that it needs.

    Args:
        run: the active run.
        folder: holds what the forecaster is read from.
        loader: ``module:function`` of the project, which reads it; see served.py.
        example: a table of hours, which is logged too and gives the signature.
        answer: the forecast of `example`.

    Returns:
        The SHA-256, hexadecimal, of the files of `folder`.
    """
    run.flush()
    inferred = mlflow.models.infer_signature(example, answer, params={served.HOURS: len(answer), served.TIMEZONE: ""})
    # A table of one series need not name it.
    columns: list[ColSpec | TensorSpec] = [
        ColSpec(each.type, each.name, each.name != served.SERIES) for each in inferred.inputs
    ]
    signature = ModelSignature(Schema(columns), inferred.outputs, inferred.params)
    root = Path(names.__file__).parents[1]
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / names.MODEL
        mlflow.pyfunc.save_model(
            path,
            python_model=str(root / "pipelines" / "tracking" / "served.py"),
            artifacts={served.ARTIFACT: str(folder)},
            model_config={served.LOADER: loader},
            code_paths=[str(root / package) for package in ("pipelines", "nnmodels")],
            signature=signature,
            input_example=example,
            pip_requirements=[f"{package}=={version(package)}" for package in _SERVED_WITH],
        )
        _send(run, path, f"forecaster {run.tags[names.RUN_NAME]}")
    whole = hashlib.sha256()
    for name, digest in sorted(digests(folder).items()):
        whole.update(f"{name} {digest}\n".encode())
    return whole.hexdigest()


def _send(run: Run, path: Path, name: str) -> None:
    """Log the model that was saved at `path`, as the run's."""
    tags = {tag: value for tag, value in run.tags.items() if tag in _MODEL_TAGS}
    content = ModelContent(name=_NOT_IN_A_NAME.sub("-", name), tags=tags, time=get_current_time_millis())
    run.model_id = run.delivery.send(MODEL, content, path, names.MODEL) or ""


def register(
    run: Run, name: str, metric: str, value: float, data: str, sha256: str, card: str = ""
) -> tuple[int, bool] | None:
    """Register the model that `log_model` logged as a new version of `name`, as champion if it is the best.

    The present champion stays if its `metric`, on the same `data`, is as good as `value`. If its data are others, or
    its metric is not finite, as for old ones, the two cannot be compared, and the new version becomes champion.

    Args:
        name: of the registered model.
        metric: name of the metric that is compared.
        value: of the metric, for this model.
        data: identifies the data that it was measured on.
        sha256: of its state dict (names.WEIGHTS), or of the files that it is read from.
        card: what a user has to know of it, in markdown, for the version's description.

    Returns:
        The version, and whether it is the champion, as in the tag `registered`; None if it has to wait.

    Raises:
        DivergedError: `value` is NaN or infinite.
    """
    if not math.isfinite(value):
        raise DivergedError(f"{metric} is {value}: such a model is not registered")
    content = RegisterContent(
        name=name, metric=metric, value=value, data=data, sha256=sha256, model=run.model_id, card=card
    )
    return run.delivery.send(REGISTER, content)


def tag_registered(run: Run, tags: Mapping[str, str]) -> None:
    """Set tags of the version that `register` made of a run's model; nothing if the server is away, or has none."""
    found = _VERSION.match(run.tags.get(names.REGISTERED, ""))
    if found is None:
        return
    with contextlib.suppress(MlflowException):
        for key, value in tags.items():
            MlflowClient().set_model_version_tag(found["name"], found["version"], key, value)


def is_registered(name: str, alias: str) -> bool:
    """Whether there is a registered model of this name with a version of this alias."""
    try:
        MlflowClient().get_model_version_by_alias(name, alias)
    except MlflowException:
        return False
    return True


def fetched(where: str, folder: Path) -> Path:
    """Download a model.

    Args:
        where: ``models:/name@alias``, ``models:/name/version``, or of a logged model.
        folder: for the files.

    Raises:
        UserError: there is no such model.
    """
    try:
        return Path(mlflow.artifacts.download_artifacts(where, dst_path=str(folder)))
    except (MlflowException, OSError) as error:
        raise UserError(
            f"{where} cannot be fetched ({str(error).partition(chr(10))[0]}); give another model"
        ) from error


def forecaster_of(model: Path) -> Path | None:
    """The folder that a fetched forecaster is read from, see `log_served`; None if it is a model of another kind."""
    try:
        flavour = Model.load(str(model)).flavors["python_function"]
        return model / flavour["artifacts"][served.ARTIFACT]["path"]
    except (MlflowException, OSError, LookupError, TypeError):
        return None


def registered_weights(name: str, alias: str, folder: Path) -> tuple[Path, object] | None:
    """Download the state dict of a registered model and its recipe (names.WEIGHTS, names.WEIGHTS_RECIPE).

    The recipe is untrusted input of any form; if it is a mapping, its names.SHA256 is that of the version's tag.

    Args:
        name: of the registered model.
        alias: of its version.
        folder: for the state dict.

    Returns:
        Path of the state dict, and the recipe; None if there is no such model or no state dict.
    """
    client = MlflowClient()
    try:
        version = client.get_model_version_by_alias(name, alias)
        if version.run_id is None:
            return None
        path = Path(client.download_artifacts(version.run_id, names.WEIGHTS, str(folder)))
    except (MlflowException, OSError):
        return None
    try:
        recipe = read_json(Run(version.run_id), names.WEIGHTS_RECIPE)
    except ValueError:
        return path, None
    if isinstance(recipe, dict) and names.SHA256 in version.tags:
        recipe[names.SHA256] = version.tags[names.SHA256]
    return path, recipe
