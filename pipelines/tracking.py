"""The only writer to MLflow: connecting, runs, their metrics, artifacts, checkpoints and models."""

import contextlib
import getpass
import hashlib
import json
import math
import os
import platform
import shlex
import signal
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from safetensors.torch import save_file

os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, Experiment, InputTag, Metric, Param, RunTag
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.utils.time import get_current_time_millis

from pipelines import addresses, checkpoint, code, locks, names, processes, schema, server
from pipelines.errors import Interrupted, UnreachableError, UserError
from pipelines.training import DivergedError

FINISHED, FAILED, KILLED = "FINISHED", "FAILED", "KILLED"
_ATTEMPTS = 4  # at setting up a database
_BATCH = 1000  # MLflow's limit of metrics in one request
_MODEL_TAGS = (names.ENTRY, names.ROW, names.SEED, names.TRAINING, names.DATASET)
_DATA = "compared_on"  # tag of a model version: what its metric was measured on


class CutShort(Exception):  # noqa: N818 - no error
    """Ends the active run as KILLED, on purpose: what it does is not worth its cost."""


@contextmanager
def signals_later() -> Iterator[None]:
    """SIGINT and SIGTERM that come within it are handled at its end; for writes to the tracking server.

    One that is broken off would leave an SQLite database locked for those on the way out. A server that does not answer
    delays the signal by the seconds of MLflow's time limit.
    """
    if threading.current_thread() is not threading.main_thread():  # signals come to the main thread only
        yield
        return
    came: list[int] = []
    before = {
        number: signal.signal(number, lambda number, frame: came.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])


def connect(existing: bool = False) -> None:
    """Find the tracking server and set up its database if it is new; the processes started later use the same one.

    Args:
        existing: refuse to make a new database.

    Raises:
        UserError: the server or database cannot be reached, within 15 s.
    """
    uri = _settled()
    file = addresses.sqlite_file(uri)
    if existing and file and not file.exists():
        raise UserError(f"there is no database {file}: set MLFLOW_TRACKING_URI to the one that has the run")
    try:
        _require_folder(uri)
        server.require_answer()
        uri = mlflow.get_tracking_uri()
        # MLflow would migrate an older one without a word, and whoever else uses it could not open it any more.
        store = schema.look(uri)
        if store.trouble:
            raise UserError(store.trouble)
        if store.state == schema.NOTHING:
            _set_up(uri)
        MlflowClient().search_experiments(max_results=1)
    except UserError:
        raise
    except server.ServerError as error:
        raise UnreachableError(str(error)) from error
    except Exception as error:  # a driver raises whatever it likes
        raise UnreachableError(str(server.explained(error))) from error
    os.environ["MLFLOW_TRACKING_URI"] = uri


class Run:
    """One run of the tracking server. Metrics are buffered until `flush`: single calls cost milliseconds each."""

    def __init__(self, run_id: str):
        self.id = run_id
        self._client = MlflowClient()
        self._buffer: list[Metric] = []
        # (name, step) pairs that a resumed run has already, so that no point is drawn twice.
        self._logged: set[tuple[str, int]] = set()
        self._saved: checkpoint.Saved | None = None  # the checkpoint that was saved or loaded last

    @classmethod
    def launch(cls, name: str, tags: Mapping[str, str]) -> "Run":
        """The parent run of this launch: the one `mlflow run` made, where it did, else a new one.

        Raises:
            UserError: MLFLOW_RUN_ID is that of another run, or its artifacts cannot be kept from here.
        """
        if run := cls.launchers():
            _require_artifacts(run._client.get_run(run.id).info.artifact_uri)
            # `mlflow run` has logged the address of a git remote as it stands.
            run.set_tags({**run.tags_with_secrets(), names.RUN_NAME: name, **_provenance(), **tags})
            return run
        experiment = _experiment()
        _require_artifacts(MlflowClient().get_experiment(experiment).artifact_location)
        return cls._create(experiment, name, tags)

    @classmethod
    def launchers(cls) -> "Run | None":
        """The run that `mlflow run` made for this launch, or None where it started none.

        Raises:
            UserError: MLFLOW_RUN_ID, as a shell may have kept it, is that of another run.
        """
        run_id = os.environ.get("MLFLOW_RUN_ID")
        if not run_id:
            return None
        try:
            run = cls.existing(run_id)
        except UserError as error:
            raise UserError(f"MLFLOW_RUN_ID={run_id}: there is no such run here: unset MLFLOW_RUN_ID") from error
        tags = run.tags
        if names.ENTRY in tags or names.ROW in tags:
            reason = "has results of its own"
        elif run.status != "RUNNING":
            reason = f"is {run.status}"
        elif not any(tag.startswith(names.PROJECT_TAGS) for tag in tags):
            reason = "was not made by `mlflow run`"
        else:
            return run
        raise UserError(f"MLFLOW_RUN_ID={run_id} {reason}, and would be overwritten: unset MLFLOW_RUN_ID")

    def child(self, name: str, tags: Mapping[str, str]) -> "Run":
        """A new nested run, made by the command that made this one unless `tags` name another."""
        run = self._client.get_run(self.id)
        inherited = {tag: run.data.tags[tag] for tag in (names.COMMAND,) if tag in run.data.tags}
        return Run._create(run.info.experiment_id, name, {names.PARENT_RUN: self.id, **inherited, **tags})

    @classmethod
    @signals_later()
    def _create(cls, experiment: str, name: str, tags: Mapping[str, str]) -> "Run":
        run = MlflowClient().create_run(experiment, run_name=name, tags=_shown({**_provenance(), **tags}))
        return cls(run.info.run_id)

    @classmethod
    def existing(cls, run_id: str) -> "Run":
        """A run by its id.

        Raises:
            UserError: there is none.
        """
        try:
            MlflowClient().get_run(run_id)
        except MlflowException as error:
            raise UserError(f"there is no run {run_id!r} on {server.address()}: copy its id from the UI") from error
        return cls(run_id)

    def children(self) -> "list[Run]":
        """The nested runs, oldest first."""
        experiment = self._client.get_run(self.id).info.experiment_id
        condition = f"tags.`{names.PARENT_RUN}` = '{self.id}'"
        token, runs = None, []
        while True:
            page = self._client.search_runs([experiment], condition, order_by=["start_time ASC"], page_token=token)
            runs += [Run(run.info.run_id) for run in page]
            token = page.token
            if not token:
                return runs

    @property
    def parent(self) -> "Run | None":
        """The run that this one is nested in."""
        parent = self.tags.get(names.PARENT_RUN)
        return parent and Run(parent)

    @property
    def status(self) -> str:
        """RUNNING, FINISHED, FAILED, KILLED or SCHEDULED."""
        return self._client.get_run(self.id).info.status

    @property
    def is_alive(self) -> bool:
        """Whether the process that last worked on the run does so still; only of processes on this machine."""
        run = self._client.get_run(self.id)
        process = processes.Identity.of(run.data.tags)
        return run.info.status == "RUNNING" and processes.fate(process).state == processes.ALIVE

    @property
    def tags(self) -> dict[str, str]:
        """All tags."""
        return self._client.get_run(self.id).data.tags

    def tags_with_secrets(self) -> dict[str, str]:
        """The tags that hold a secret, without it."""
        return {key: addresses.redacted(value) for key, value in self.tags.items() if addresses.has_secret(value)}

    @property
    def params(self) -> dict[str, str]:
        """All parameters, as text."""
        return self._client.get_run(self.id).data.params

    @property
    def metrics(self) -> dict[str, float]:
        """The last value of each metric."""
        return self._client.get_run(self.id).data.metrics

    @signals_later()
    def log_params(self, params: Mapping[str, Any]) -> None:
        """Log the parameters that the run has not got; `mlflow run` logs its own first, as raw text."""
        known = self.params
        new = [Param(key, value) for key, value in _shown(params).items() if key not in known]
        self._client.log_batch(self.id, params=new)

    @signals_later()
    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Set or overwrite tags."""
        self._client.log_batch(self.id, tags=[RunTag(key, value) for key, value in _shown(tags).items()])

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Buffer metrics of one step.

        Raises:
            DivergedError: one is NaN or infinite; none of them is kept.
        """
        for key, value in metrics.items():
            if not math.isfinite(value):
                raise DivergedError(f"{key} is {float(value)}" + (f" at step {step}" if step else ""))
        now = get_current_time_millis()
        for key, value in metrics.items():
            if (key, step) not in self._logged:
                self._logged.add((key, step))
                self._buffer.append(Metric(key, float(value), now, step))

    def history(self, metric: str) -> list[tuple[int, float]]:
        """(step, value) of a metric, in the order of its steps."""
        points = {point.step: point.value for point in self._client.get_metric_history(self.id, metric)}
        return sorted(points.items())

    def log_best(self, metric: str, best: Callable[..., tuple[int, float]] = min) -> None:
        """Log the lowest (`best` is min) or highest (max) value of `metric` so far, and its step.

        A test metric's is to look at, not to choose by.
        """
        self.flush()
        step, value = best(self.history(metric), key=lambda point: point[1])
        self.log_metrics({names.best(metric): value, names.best_step(metric): step})

    def recall(self) -> None:
        """Remember which steps of its metrics a resumed run has, so that none is logged twice."""
        self._logged |= {(name, step) for name in self.metrics for step, _ in self.history(name)}

    @signals_later()
    def flush(self) -> None:
        """Send the buffered metrics."""
        while self._buffer:
            self._client.log_batch(self.id, metrics=self._buffer[:_BATCH])
            del self._buffer[:_BATCH]

    def log_figure(self, figure: Figure, path: str) -> None:
        """Log a figure under the artifact path `path`."""
        self._client.log_figure(self.id, figure, path)

    def log_table(self, table: pd.DataFrame, path: str) -> None:
        """Log a table as CSV."""
        self._client.log_text(self.id, table.map(addresses.redacted_data).to_csv(index=False), path)

    def read_table(self, path: str) -> pd.DataFrame | None:
        """A table logged before, or None where there is none."""
        with tempfile.TemporaryDirectory() as folder:
            try:
                return pd.read_csv(self._client.download_artifacts(self.id, path, folder))
            except (MlflowException, OSError):
                return None

    def log_array(self, array: np.ndarray, path: str) -> None:
        """Log an array as .npy."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / Path(path).name
            np.save(file, array)
            self._client.log_artifact(self.id, str(file), str(Path(path).parent))

    def log_json(self, value: Any, path: str) -> None:
        """Log plain data as JSON."""
        self._client.log_text(self.id, json.dumps(addresses.redacted_data(value), indent=2) + "\n", path)

    def read_json(self, path: str) -> Any:
        """What `log_json` wrote, or None where there is none.

        Raises:
            UserError: it is no JSON.
        """
        with tempfile.TemporaryDirectory() as folder:
            try:
                text = Path(self._client.download_artifacts(self.id, path, folder)).read_bytes()
            except (MlflowException, OSError):
                return None
        try:
            return json.loads(text)
        except ValueError as error:
            raise UserError(f"run {self.id}: its artifact {path} is damaged, it is no JSON") from error

    @signals_later()
    def log_dataset(self, name: str, digest: str, source: str, shape: tuple[int, ...], context: str) -> None:
        """Record that the run read a part of a data set.

        MLflow keeps one entry for a name and digest, whatever their context and shape: here each part has a digest of
        its own, the first 16 figures of the data's, the context and the number of items.
        """
        profile = json.dumps({"shape": shape})
        part = f"{digest[:16]}-{context}-{shape[0]}"
        dataset = Dataset(name, part, "local", json.dumps({"uri": addresses.redacted(source)}), profile=profile)
        tag = InputTag("mlflow.data.context", context)
        for attempt in range(3):
            try:
                return self._client.log_inputs(self.id, [DatasetInput(dataset, [tag])])
            except MlflowException:
                # Another process has made the same new entry at the same moment; the next attempt finds it.
                if attempt == 2:
                    raise

    def log_tensors(self, tensors: Mapping[str, torch.Tensor], path: str) -> str:
        """Log tensors as a safetensors file; its SHA-256, hexadecimal."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / Path(path).name
            save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, file)
            sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
            self._client.log_artifact(self.id, str(file), str(Path(path).parent))
        return sha256

    def log_model(self, model: torch.nn.Module, example: np.ndarray) -> None:
        """Log `model`, on the CPU and in evaluation mode, as a pt2 program; the run must be the active one.

        Args:
            model: of one tensor.
            example: an input of a batch of two or more, which is logged too and gives the signature.
        """
        with torch.no_grad():
            signature = mlflow.models.infer_signature(example, model(torch.from_numpy(example)).numpy())
        with warnings.catch_warnings():
            # torch.export sees torch.nn's recurrent modules keep their weights in a list too; the program is complete.
            warnings.filterwarnings("ignore", "The tensor attributes .*_flat_weights", UserWarning)
            logged = mlflow.pytorch.log_model(
                model,
                name=names.MODEL,
                input_example=example,
                signature=signature,
                tags={tag: value for tag, value in self.tags.items() if tag in _MODEL_TAGS},
                # Else MLflow starts a second Python to find them out, for 15 s.
                pip_requirements=[f"torch=={torch.__version__.partition('+')[0]}", f"numpy=={np.__version__}"],
            )
        self._model_uri = logged.model_uri

    @signals_later()
    def register(self, name: str, metric: str, value: float, data: str, sha256: str) -> tuple[int, bool]:
        """Register the model that `log_model` logged as a new version of `name`, as champion if it is the best.

        The present champion stays if its `metric`, on the same `data`, is as high as `value`. On other data the two do
        not compare, and the new one takes its place; nor do they if the champion's is not finite, as of old ones.

        Args:
            name: of the registered model.
            metric: name of what is compared; higher is better.
            value: this model's.
            data: identifies what it was measured on.
            sha256: of its state dict (names.WEIGHTS).

        Returns:
            The version, and whether it is the champion.

        Raises:
            DivergedError: `value` is NaN or infinite.
        """
        if not math.isfinite(value):
            raise DivergedError(f"{metric} is {value}: such a model is not registered")
        with contextlib.suppress(MlflowException):
            self._client.create_registered_model(name)
        tags = {metric: repr(value), _DATA: data, names.SHA256: sha256}
        version = self._client.create_model_version(name, self._model_uri, self.id, tags=tags)
        champion = _champion(self._client, name)
        better = champion is None or champion.tags.get(_DATA) != data or value > _figure(champion, metric)
        if better:
            self._client.set_registered_model_alias(name, names.CHAMPION, version.version)
        return int(version.version), better

    def save_checkpoint(self, state: dict[str, Any], epoch: int) -> None:
        """Log a checkpoint. Two places alternate and a tag tells of both, so that one of them is always whole."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / checkpoint.place(epoch)
            sha256 = checkpoint.save(path, state)
            self._client.log_artifact(self.id, str(path), names.CHECKPOINT)
        saved = checkpoint.Saved(f"{names.CHECKPOINT}/{path.name}", sha256, epoch)
        self.set_tags({names.CHECKPOINT: checkpoint.tag(saved, self._saved)})
        self._saved = saved

    def load_checkpoint(self) -> dict[str, Any] | None:
        """The newest checkpoint that is whole, or None where there is none yet. Says so if it is not the newest.

        Raises:
            UserError: all are damaged.
        """
        text = self.tags.get(names.CHECKPOINT)
        if text is None:
            return None
        damaged = []
        try:
            known = checkpoint.from_tag(text)
        except UserError as error:
            raise UserError(f"run {self.id} cannot go on: {error}; start anew") from error
        for saved in known:
            try:
                state = self._read_checkpoint(saved)
            except UserError as error:
                damaged.append(str(error))
                continue
            if damaged:
                _say(f"run {self.id}: {damaged[0]}; it goes on from the one before, of epoch {saved.epoch}")
            self._saved = saved
            return state
        raise UserError(f"run {self.id} cannot go on: {'; '.join(damaged)}; start anew")

    def _read_checkpoint(self, saved: checkpoint.Saved) -> dict[str, Any]:
        with tempfile.TemporaryDirectory() as folder:
            try:
                path = self._client.download_artifacts(self.id, saved.path, folder)
            except (MlflowException, OSError) as error:
                raise UserError(f"{saved.path} is not available") from error
            return checkpoint.load(Path(path), saved.sha256)

    @contextmanager
    def active(self) -> Iterator[None]:
        """Within it the run is RUNNING and MLflow's active one; after it FINISHED, or FAILED or KILLED.

        Whatever was buffered is sent in every case, and whatever was raised goes on. A tag of an earlier failure goes.
        """
        self.set_tags(processes.own().tags)
        if names.FAILURE in self.tags:
            self._client.delete_tag(self.id, names.FAILURE)
        status = FAILED
        try:
            with signals_later():
                mlflow.start_run(run_id=self.id, nested=True)
            yield
            status = FINISHED
        except (KeyboardInterrupt, Interrupted, CutShort):
            status = KILLED
            raise
        except Exception as error:
            if interrupted := _interruption(error):
                status = KILLED
                raise interrupted from error
            self.set_tags({names.FAILURE: f"{type(error).__name__}: {error}"[:5000]})
            raise
        finally:
            self.flush()
            with signals_later():
                mlflow.end_run(status)

    @signals_later()
    def end(self, status: str) -> None:
        """Set the final status of a run that is not the active one."""
        self.flush()
        self._client.set_terminated(self.id, status)


class Mark:
    """A tag of a run that is read and written at once or not at all: later it would say what is not so any more."""

    def __init__(self, run_id: str, name: str):
        self.run_id, self._name = run_id, name
        self._client = MlflowClient()

    def read(self) -> str | None:
        """Its text, "" if the run has no such tag, None if the server does not answer."""
        try:
            return self._client.get_run(self.run_id).data.tags.get(self._name, "")
        except (MlflowException, OSError):
            return None

    @signals_later()
    def write(self, text: str) -> None:
        """Set it, or delete it with an empty text."""
        with contextlib.suppress(MlflowException, OSError):
            if text:
                self._client.set_tag(self.run_id, self._name, text)
            else:
                self._client.delete_tag(self.run_id, self._name)


def mark_refused(arguments: Sequence[str], reason: str) -> None:
    """Name the run that `mlflow run` made for a command which was refused, and tag it with the reason.

    Where there is none, or no server, nothing is done: the user has been told.

    Args:
        arguments: of the command line, its name first.
        reason: why it was refused.
    """
    with contextlib.suppress(UserError, MlflowException):
        connect(existing=True)
        if run := Run.launchers():
            line = shlex.join(["python", "-m", "pipelines", *arguments])
            named = " ".join([*arguments[:1], "refused"])
            run.set_tags(
                {
                    names.RUN_NAME: named,
                    names.FAILURE: addresses.redacted(reason),
                    names.COMMAND: addresses.redacted(line),
                }
            )


def registered_weights(name: str, alias: str, folder: Path) -> tuple[Path, object] | None:
    """The state dict of a registered model and its recipe (names.WEIGHTS, names.WEIGHTS_RECIPE), or None without one.

    The recipe is what the server gives and may be anything; of a mapping, names.SHA256 is what the version's tag says.

    Args:
        name: of the registered model.
        alias: of its version.
        folder: where the state dict is put.
    """
    client = MlflowClient()
    try:
        version = client.get_model_version_by_alias(name, alias)
        path = Path(client.download_artifacts(version.run_id, names.WEIGHTS, str(folder)))
    except (MlflowException, OSError):
        return None
    try:
        recipe = Run(version.run_id).read_json(names.WEIGHTS_RECIPE)
    except ValueError:
        return path, None
    if isinstance(recipe, dict) and names.SHA256 in version.tags:
        recipe[names.SHA256] = version.tags[names.SHA256]
    return path, recipe


def _champion(client: MlflowClient, name: str) -> ModelVersion | None:
    try:
        return client.get_model_version_by_alias(name, names.CHAMPION)
    except MlflowException:
        return None


def _shown(values: Mapping[str, Any]) -> dict[str, str]:
    """Parameters or tags as text, without the secrets in it."""
    return {key: addresses.redacted(str(value)) for key, value in values.items()}


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _figure(version: ModelVersion, metric: str) -> float:
    """What a version was registered with, -infinity if that is no finite number."""
    try:
        value = float(version.tags[metric])
    except (KeyError, ValueError):
        return -math.inf
    return value if math.isfinite(value) else -math.inf


def _interruption(error: BaseException | None) -> Interrupted | None:
    """The interruption that `error` came of, if any: a file half written by torch.save fails when it is closed."""
    while error is not None and not isinstance(error, Interrupted):
        error = error.__cause__ or error.__context__
    return error


@signals_later()
def _experiment() -> str:
    if experiment := os.environ.get("MLFLOW_EXPERIMENT_ID"):
        return experiment
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME", names.EXPERIMENT)
    client = MlflowClient()
    found = client.get_experiment_by_name(name) or _new_experiment(client, name)
    if found.lifecycle_stage == "deleted":
        raise UserError(f"the experiment {name!r} is deleted: restore it in the UI, or set MLFLOW_EXPERIMENT_NAME")
    return found.experiment_id


def _new_experiment(client: MlflowClient, name: str) -> Experiment:
    note = "Neural networks compared honestly: each run is a row of the catalogue; its parent is one launch."
    location = addresses.artifact_location(mlflow.get_tracking_uri(), name)
    try:
        return client.get_experiment(client.create_experiment(name, location, {names.DESCRIPTION: note}))
    except MlflowException:
        # Another process may have made it at the same moment.
        if found := client.get_experiment_by_name(name):
            return found
        raise


def _require_artifacts(location: str) -> None:
    """Raises UserError unless artifacts can be kept at `location`."""
    try:
        server.require_artifacts(location)
    except server.ServerError as error:
        raise UserError(str(error)) from error


def _provenance() -> dict[str, str]:
    """Tags that tell which code made a run, with what, where."""
    return {
        "mlflow.user": _user(),
        "mlflow.source.name": "nn-experiment-registry",
        "mlflow.source.type": "PROJECT" if "MLFLOW_RUN_ID" in os.environ else "LOCAL",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "isa": torch.backends.cpu.get_cpu_capability(),
        "cores": str(os.cpu_count()),
        **processes.own().tags,
        **code.tags(),
    }


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A container may run under a number that has no name.
        return str(os.getuid())


def _set_up(uri: str) -> None:
    """Have MLflow make the tables of a new database.

    Several processes that do so at once crash, in MLflow's own migration. Ours wait for one another; of a plain MLflow
    that is at it too, the tables are found at the next attempt.
    """
    with locks.of_database(uri, "set up the tracking database", limit=locks.FIRST_USE_S):
        for attempt in range(_ATTEMPTS):
            if schema.look(uri).state != schema.NOTHING:
                return
            try:
                MlflowClient().search_experiments(max_results=1)
            except Exception:  # whatever the driver of the database raises
                if attempt + 1 == _ATTEMPTS:
                    raise
                time.sleep(2**attempt)


def _settled() -> str:
    """The tracking address, in the form that MLflow makes nothing else of.

    Raises:
        UserError: it has a path that must be written otherwise.
    """
    uri = mlflow.get_tracking_uri()
    try:
        settled = addresses.for_mlflow(uri)
    except ValueError as error:
        raise UserError(f"MLFLOW_TRACKING_URI: {error}") from None
    if settled != uri:
        mlflow.set_tracking_uri(settled)
    return settled


def _require_folder(uri: str) -> None:
    """Raises OSError where a database's folder is not there or not writable, which MLflow tries for minutes."""
    file = addresses.sqlite_file(uri)
    if file and not os.access(file.parent, os.W_OK):
        raise OSError(f"the folder {file.parent} is not there or not writable")


def address() -> str:
    """Of the tracking server, or database."""
    return mlflow.get_tracking_uri()
