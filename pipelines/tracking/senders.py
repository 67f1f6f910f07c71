"""Senders of each kind of item that a run logs; sending an item twice has the effect of sending it once."""

import contextlib
import logging
import math
import os
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import (
    Dataset,
    DatasetInput,
    InputTag,
    LoggedModel,
    LoggedModelOutput,
    LoggedModelStatus,
    Metric,
    Param,
    Run,
    RunTag,
)
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import Model

from pipelines import names
from pipelines.common.addresses import local_path
from pipelines.common.files import require_unlinked
from pipelines.processes.signals import signals_later
from pipelines.tracking.outbox import (
    ARTIFACT,
    CHECKPOINT,
    DATASET,
    METRICS,
    MODEL,
    PARAMS,
    REGISTER,
    START,
    STATUS,
    TAGS,
    UNTAG,
    ArtifactContent,
    CheckpointContent,
    DatasetContent,
    MetricsContent,
    ModelContent,
    RegisterContent,
    StatusContent,
    UntagContent,
)

os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

# It prints a traceback of every error of a database, which is reported on one line here.
logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)

_PART = "mlflow.data.context"  # tag of a data set that a run read, with the part of it

# Each takes: client, id of the run, content, file, whether the item may have been sent before.


@signals_later()
def _send_start(client: MlflowClient, run_id: str, content: Mapping[str, object], file: None, again: bool) -> None:
    client.update_run(run_id, status="RUNNING")


@signals_later()
def _send_metrics(client: MlflowClient, run_id: str, content: MetricsContent, file: None, again: bool) -> None:
    client.log_batch(run_id, metrics=[Metric(*each) for each in content["metrics"]])


@signals_later()
def _send_params(client: MlflowClient, run_id: str, content: Mapping[str, str], file: None, again: bool) -> None:
    client.log_batch(run_id, params=[Param(key, value) for key, value in content.items()])


@signals_later()
def _send_tags(client: MlflowClient, run_id: str, content: Mapping[str, str], file: None, again: bool) -> None:
    client.log_batch(run_id, tags=[RunTag(key, value) for key, value in content.items()])


@signals_later()
def _send_untag(client: MlflowClient, run_id: str, content: UntagContent, file: None, again: bool) -> None:
    if content["tag"] in client.get_run(run_id).data.tags:
        client.delete_tag(run_id, content["tag"])


@signals_later()
def _send_dataset(client: MlflowClient, run_id: str, content: DatasetContent, file: None, again: bool) -> None:
    kind = content.get("source_type", "local")
    dataset = Dataset(content["name"], content["digest"], kind, content["source"], profile=content["profile"])
    tag = InputTag(_PART, content["context"])
    for attempt in range(3):
        try:
            return client.log_inputs(run_id, [DatasetInput(dataset, [tag])])
        except MlflowException:
            # Another process has made the same new entry at the same moment; the next attempt finds it.
            if attempt == 2:
                raise


def _send_artifact(client: MlflowClient, run_id: str, content: ArtifactContent, file: Path, again: bool) -> None:
    _upload(client, run_id, file, content["folder"])


def _send_checkpoint(client: MlflowClient, run_id: str, content: CheckpointContent, file: Path, again: bool) -> None:
    _upload(client, run_id, file, names.CHECKPOINT)
    _send_tags(client, run_id, {names.CHECKPOINT: content["tag"]}, None, again)


def _upload(client: MlflowClient, run_id: str, file: Path, folder: str) -> None:
    """Logs a file in a folder of the run's artifacts, but not through a link that is in its place.

    Raises:
        OSError: there is such a link.
    """
    root = _artifact_root(client, run_id)
    if root is not None:
        require_unlinked(root, Path(folder, file.name))
    client.log_artifact(run_id, str(file), folder or None)


@lru_cache(maxsize=4)
def _artifact_root(client: MlflowClient, run_id: str) -> Path | None:
    """Returns the folder of a run's artifacts, None if it is not a local one; it never changes."""
    return local_path(client.get_run(run_id).info.artifact_uri)


def _send_model(client: MlflowClient, run_id: str, content: ModelContent, file: Path, again: bool) -> str:
    """Logs a model as mlflow.pytorch.log_model does, in steps that can be repeated; returns the model's id."""
    run = client.get_run(run_id)
    with signals_later():
        model = _logged_model(client, run, content["time"]) if again else None
        if model is None:
            experiment, tags = run.info.experiment_id, dict(content["tags"])
            # Spools of earlier versions have no name.
            name = content.get("name", names.MODEL)
            model = client.create_logged_model(experiment, name, run_id, tags, run.data.params)
    outputs = run.outputs.model_outputs if run.outputs else []
    with signals_later():
        if model.model_id not in [output.model_id for output in outputs]:
            client.log_outputs(run_id, [LoggedModelOutput(model.model_id, 0)])
    _link_metrics(client, run, model.model_id)
    described = Model.load(str(file))
    described.run_id, described.artifact_path = run_id, model.artifact_location
    described.model_id = described.model_uuid = model.model_id
    described.save(str(file / "MLmodel"))
    client.log_model_artifacts(model.model_id, str(file))
    with signals_later():
        client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
    return model.model_id


def _logged_model(client: MlflowClient, run: Run, since: int = 0) -> LoggedModel | None:
    """Returns the newest model that the run has logged, or begun to log, since a time (ms)."""
    found = client.search_logged_models([run.info.experiment_id], f"source_run_id = '{run.info.run_id}'")
    models = [model for model in found if model.creation_timestamp >= since]
    return max(models, key=lambda model: model.creation_timestamp, default=None)


def _require_model(client: MlflowClient, run_id: str) -> LoggedModel:
    """Returns the newest model that the run has logged; raises LookupError if there is none."""
    if model := _logged_model(client, client.get_run(run_id)):
        return model
    raise LookupError(f"run {run_id} has logged no model")


@signals_later()
def _link_metrics(client: MlflowClient, run: Run, model_id: str) -> None:
    """Links the last value of each metric, and the data that it was measured on, to the model, for the model's page."""
    given = run.inputs.dataset_inputs if run.inputs else []
    parts = {tag.value: each.dataset for each in given for tag in each.tags if tag.key == _PART}
    linked = []
    for sent in run.data.to_proto().metrics:  # which have their times and steps, unlike `run.data.metrics`
        data = parts.get(names.part_of(sent.key))
        linked.append(
            Metric(
                sent.key,
                sent.value,
                sent.timestamp,
                sent.step,
                model_id,
                data.name if data else None,
                data.digest if data else None,
                run.info.run_id,
            )
        )
    client.log_batch(run.info.run_id, metrics=linked)


@signals_later()
def _send_register(
    client: MlflowClient, run_id: str, content: RegisterContent, file: None, again: bool
) -> tuple[int, bool]:
    """Registers a model; returns its version, and whether that is the champion."""
    name, metric, value = content["name"], content["metric"], content["value"]
    model_id = content["model"] or _require_model(client, run_id).model_id
    run = client.get_run(run_id)
    with contextlib.suppress(MlflowException):
        client.create_registered_model(name)
    if not client.get_registered_model(name).description:
        client.update_registered_model(name, _about(run, metric))
    version = _registered(client, name, run_id, model_id) if again else None
    if version is None:
        tags = {metric: repr(value), names.COMPARED_ON: content["data"], names.SHA256: content["sha256"]}
        source, text = (
            f"models:/{model_id}",
            "\n\n".join(filter(None, [_figures(run, metric), content.get("card", "")])),
        )
        version = client.create_model_version(name, source, run_id, tags=tags, description=text)
    champion = _champion(client, name)
    better = (
        champion is None
        or champion.version == version.version
        or champion.tags.get(names.COMPARED_ON) != content["data"]
        or _is_better(value, _figure(champion, metric), metric)
    )
    if better:
        better = _crowned(client, name, version, metric, content["data"]).version == version.version
    client.set_tag(run_id, names.REGISTERED, f"{name} version {version.version}" + (", champion" if better else ""))
    return int(version.version), better


def _about(run: Run, metric: str) -> str:
    """Returns the description of the registered model whose versions are trained on the data of `run`, in markdown."""
    tags = run.data.tags
    best = "lowest" if names.lowest_is_best(metric) else "highest"
    return (
        f"Trained on `{tags.get(names.DATASET)}`: each run is a version, whose description has its row and its "
        f"figures. The alias `{names.CHAMPION}` is the version with the {best} {metric} of those on the same data "
        f"(tag `{names.COMPARED_ON}`); one on other data takes the alias over."
    )


def _figures(run: Run, metric: str) -> str:
    """Returns the description of a version: the name of its run, with `metric` and the outcome on the test part."""
    metrics = run.data.metrics
    digits = 4 if names.lowest_is_best(metric) else 2  # of an error, or of an accuracy
    known = [f"{each} {metrics[each]:.{digits}f} %" for each in (metric, *names.OUTCOMES) if each in metrics]
    return f"{run.info.run_name}: {', '.join(known)}"


def _champion(client: MlflowClient, name: str) -> ModelVersion | None:
    try:
        return client.get_model_version_by_alias(name, names.CHAMPION)
    except MlflowException:
        return None


def _crowned(client: MlflowClient, name: str, version: ModelVersion, metric: str, data: str) -> ModelVersion:
    """Makes a version champion, and returns the champion, which is another one if that is better on the same data.

    Rows that end at the same time may each have found that they are better than the champion before. So after each
    change it is looked up which is the best by now, until it is the one that has the alias.
    """
    champion, best = None, version
    while champion is None or champion.version != best.version:
        champion = best
        client.set_registered_model_alias(name, names.CHAMPION, champion.version)
        for other in sorted(client.search_model_versions(f"name = '{name}'"), key=lambda each: int(each.version)):
            on_same = other.tags.get(names.COMPARED_ON) == data
            if on_same and _is_better(_figure(other, metric), _figure(best, metric), metric):
                best = other
    return champion


def _figure(version: ModelVersion, metric: str) -> float:
    """Returns the metric that a version was registered with, NaN if that is no number."""
    try:
        return float(version.tags[metric])
    except (KeyError, ValueError):
        return math.nan


def _is_better(value: float, other: float, metric: str) -> bool:
    """Whether `value` is better than the `other`, which loses if it is not finite."""
    if not math.isfinite(other):
        return True
    return value < other if names.lowest_is_best(metric) else value > other


def _registered(client: MlflowClient, name: str, run_id: str, model_id: str) -> ModelVersion | None:
    versions = client.search_model_versions(f"name = '{name}' and run_id = '{run_id}'")
    return next((version for version in versions if (version.source or "").endswith(model_id)), None)


@signals_later()
def _send_status(client: MlflowClient, run_id: str, content: StatusContent, file: None, again: bool) -> None:
    if again and content["status"] == "FINISHED":
        # It said that not everything was on the server.
        _send_untag(client, run_id, {"tag": names.FAILURE}, None, again)
    client.set_terminated(run_id, content["status"], content["time"])


SENDERS: dict[str, Callable[..., Any]] = {
    START: _send_start,
    METRICS: _send_metrics,
    PARAMS: _send_params,
    TAGS: _send_tags,
    UNTAG: _send_untag,
    DATASET: _send_dataset,
    ARTIFACT: _send_artifact,
    CHECKPOINT: _send_checkpoint,
    MODEL: _send_model,
    REGISTER: _send_register,
    STATUS: _send_status,
}
