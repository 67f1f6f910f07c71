"""The only writer to MLflow: connecting, runs, their metrics, artifacts, checkpoints and models."""

import contextlib
import getpass
import hashlib
import json
import math
import os
import platform
import shlex
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import safetensors.torch
import torch
from matplotlib.figure import Figure

os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Experiment
from mlflow.exceptions import MlflowException
from mlflow.utils.time import get_current_time_millis

from pipelines import names
from pipelines.common import addresses, locks, schema, server
from pipelines.errors import AwayError, FailedRunsError, Interrupted, UnreachableError, UnsentError, UserError
from pipelines.processes import identity
from pipelines.tracking import delivery, spool
from pipelines.tracking import provenance as code
from pipelines.tracking.delivery import Delivery, is_outage, reason, say, signals_later
from pipelines.training import checkpoint
from pipelines.training.loop import DivergedError

FINISHED, FAILED, KILLED = "FINISHED", "FAILED", "KILLED"
_ATTEMPTS = 4  # at setting up a database
_BATCH = 1000  # MLflow's limit of metrics in one request
_MODEL_TAGS = (names.ENTRY, names.ROW, names.SEED, names.TRAINING, names.DATASET)


@dataclass
class _Picture:
    """A run as the server had it last, and what this process has logged since."""

    status: str
    experiment: str
    tags: dict[str, str]
    params: dict[str, str]
    metrics: dict[str, float]


class CutShort(Exception):  # noqa: N818 - no error
    """Ends the active run as KILLED, on purpose: what it does is not worth its cost."""


def connect(existing: bool = False) -> None:
    """Find the tracking server and set up its database if it is new; the processes started later use the same one.

    Args:
        existing: refuse to make a new database.

    Raises:
        UserError: the server or database cannot be reached, within 15 s.
    """
    try:
        uri = server.settled()
    except server.ServerError as error:
        raise UserError(str(error)) from None
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
        self._delivery = Delivery(run_id, self._owner)
        self._picture: _Picture | None = None
        self._children: list[Run] = []
        self._points: dict[str, dict[int, float]] = {}  # of each metric that was logged or recalled here, by step
        self._model_id = ""
        self._buffer: list[list[Any]] = []  # name, value, time (ms), step
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
        """A new nested run, made by the command that made this one unless `tags` name another.

        Waits for a server that is away for some minutes.

        Raises:
            AwayError: it stays away.
        """
        parent = self._read()
        inherited = {tag: parent.tags[tag] for tag in (names.COMMAND,) if tag in parent.tags}
        tags = {names.PARENT_RUN: self.id, **inherited, **tags}
        began = get_current_time_millis()

        def create(again: bool) -> Run:
            # The answer to an earlier attempt may have been lost.
            made = self._made_since(began, name, parent.experiment) if again else None
            return made or Run._create(parent.experiment, name, tags)

        run = self._delivery.insist(create, name)
        self._children.append(run)
        return run

    def _made_since(self, began: int, name: str, experiment: str) -> "Run | None":
        condition = f"tags.`{names.PARENT_RUN}` = '{self.id}' and attributes.start_time >= {began}"
        found = [run for run in self._client.search_runs([experiment], condition) if run.info.run_name == name]
        return Run(found[0].info.run_id) if found else None

    @classmethod
    @signals_later()
    def _create(cls, experiment: str, name: str, tags: Mapping[str, str]) -> "Run":
        tags = _shown({**_provenance(), **tags})
        run = cls(MlflowClient().create_run(experiment, run_name=name, tags=tags).info.run_id)
        run._picture = _Picture("RUNNING", experiment, {names.RUN_NAME: name, **tags}, {}, {})
        return run

    @classmethod
    def existing(cls, run_id: str) -> "Run":
        """A run by its id.

        Raises:
            UserError: there is none.
        """
        try:
            MlflowClient().get_run(run_id)
        except MlflowException as error:
            if is_outage(error):
                raise UserError(f"run {run_id}: {server.address()} does not answer ({reason(error)})") from error
            raise UserError(f"there is no run {run_id!r} on {server.address()}: copy its id from the UI") from error
        return cls(run_id)

    def children(self) -> "list[Run]":
        """The nested runs, oldest first; where the server is away, those made by this process."""

        def found() -> list[Run]:
            condition = f"tags.`{names.PARENT_RUN}` = '{self.id}'"
            token, runs = None, []
            while True:
                page = self._client.search_runs(
                    [self._read().experiment], condition, order_by=["start_time ASC"], page_token=token
                )
                runs += [Run(run.info.run_id) for run in page]
                token = page.token
                if not token:
                    return runs

        return self._delivery.ask(found, lambda: list(self._children))

    @property
    def parent(self) -> "Run | None":
        """The run that this one is nested in."""
        parent = self.tags.get(names.PARENT_RUN)
        return parent and Run(parent)

    @property
    def status(self) -> str:
        """RUNNING, FINISHED, FAILED, KILLED or SCHEDULED."""
        return _status_in_spool(self.id) or self._read().status

    @property
    def is_alive(self) -> bool:
        """Whether the process that last worked on the run does so still; only of processes on this machine."""
        run = self._client.get_run(self.id)
        process = identity.Identity.of(run.data.tags)
        return run.info.status == "RUNNING" and identity.fate(process).state == identity.ALIVE

    @property
    def tags(self) -> dict[str, str]:
        """All tags."""
        return self._read().tags

    def tags_with_secrets(self) -> dict[str, str]:
        """The tags that hold a secret, without it."""
        return {key: addresses.redacted(value) for key, value in self.tags.items() if addresses.has_secret(value)}

    @property
    def params(self) -> dict[str, str]:
        """All parameters, as text."""
        return self._read().params

    @property
    def metrics(self) -> dict[str, float]:
        """The last value of each metric."""
        return self._read().metrics

    def _read(self) -> _Picture:
        """The run as the server has it, or, where that is away, as this process knows it.

        Raises:
            AwayError: it knows nothing.
        """
        self._picture = self._delivery.ask(self._fetched, self._known)
        return self._picture

    def _fetched(self) -> _Picture:
        run = self._client.get_run(self.id)
        data = run.data
        return _Picture(
            run.info.status, run.info.experiment_id, dict(data.tags), dict(data.params), dict(data.metrics)
        )  # fmt: skip

    def _known(self) -> _Picture:
        if self._picture is None:
            raise AwayError(f"run {self.id}: the tracking server is away")
        return self._picture

    def _owner(self) -> spool.Owner:
        tags = self._picture.tags if self._picture else {}
        processes_ = {spool.fingerprint(tags), spool.fingerprint(identity.own().tags)}
        return spool.Owner(
            run=self.id, name=tags.get(names.RUN_NAME, ""), parent=tags.get(names.PARENT_RUN, ""),
            server=server.address(), processes=tuple(sorted(processes_)),
        )  # fmt: skip

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Log the parameters that the run has not got; `mlflow run` logs its own first, as raw text."""
        known = self.params
        new = {key: value for key, value in _shown(params).items() if key not in known}
        self._delivery.send(delivery.PARAMS, new)
        known.update(new)

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Set or overwrite tags."""
        texts = _shown(tags)
        self._delivery.send(delivery.TAGS, texts)
        if self._picture:
            self._picture.tags.update(texts)

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
                self._points.setdefault(key, {})[step] = float(value)
                self._buffer.append([key, float(value), now, step])

    def history(self, metric: str) -> list[tuple[int, float]]:
        """(step, value) of a metric, in the order of its steps."""

        def found() -> dict[int, float]:
            return {point.step: point.value for point in self._client.get_metric_history(self.id, metric)}

        return sorted(self._delivery.ask(found, lambda: self._points.get(metric, {})).items())

    def log_best(self, metric: str, best: Callable[..., tuple[int, float]] = min) -> None:
        """Log the lowest (`best` is min) or highest (max) value of `metric` so far, and its step.

        A test metric's is to look at, not to choose by.
        """
        self.flush()
        step, value = best(self.history(metric), key=lambda point: point[1])
        self.log_metrics({names.best(metric): value, names.best_step(metric): step})

    def recall(self) -> None:
        """Remember which steps of its metrics a resumed run has, so that none is logged twice."""
        for name in self.metrics:
            self._points[name] = dict(self.history(name))
            self._logged |= {(name, step) for step in self._points[name]}

    def flush(self) -> None:
        """Send the buffered metrics."""
        while self._buffer:
            batch = self._buffer[:_BATCH]
            self._delivery.send(delivery.METRICS, {"metrics": batch})
            del self._buffer[:_BATCH]
            if self._picture:
                self._picture.metrics.update({key: value for key, value, *_ in batch})

    def log_figure(self, figure: Figure, path: str) -> None:
        """Log a figure under the artifact path `path`."""
        self._log_file(path, figure.savefig)

    def log_table(self, table: pd.DataFrame, path: str) -> None:
        """Log a table as CSV."""
        text = table.map(addresses.redacted_data).to_csv(index=False)
        self._log_file(path, lambda file: file.write_text(text, "utf-8"))

    def read_table(self, path: str) -> pd.DataFrame | None:
        """A table logged before, or None where there is none."""
        with tempfile.TemporaryDirectory() as folder:
            file = self._downloaded(path, folder)
            return file and pd.read_csv(file)

    def log_array(self, array: np.ndarray, path: str) -> None:
        """Log an array as .npy."""
        self._log_file(path, lambda file: np.save(file, array))

    def log_json(self, value: Any, path: str) -> None:
        """Log plain data as JSON."""
        text = json.dumps(addresses.redacted_data(value), indent=2) + "\n"
        self._log_file(path, lambda file: file.write_text(text, "utf-8"))

    def read_json(self, path: str) -> Any:
        """What `log_json` wrote, or None where there is none.

        Raises:
            UserError: it is no JSON.
        """
        with tempfile.TemporaryDirectory() as folder:
            file = self._downloaded(path, folder)
            try:
                return file and json.loads(file.read_bytes())
            except ValueError as error:
                raise UserError(f"run {self.id}: its artifact {path} is damaged, it is no JSON") from error

    def _log_file(self, path: str, write: Callable[[Path], Any]) -> None:
        """Log what `write` writes to a file, under the artifact path `path`."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / Path(path).name
            write(file)
            where = str(Path(path).parent).removeprefix(".")
            self._delivery.send(delivery.ARTIFACT, {"folder": where}, file, path)

    def _downloaded(self, path: str, folder: str) -> Path | None:
        """The copy of an artifact in `folder`, or None where there is no such artifact.

        Raises:
            AwayError: the server is away.
        """
        try:
            return Path(self._client.download_artifacts(self.id, path, folder))
        except (MlflowException, OSError) as error:
            if self._delivery.answers():
                return None
            raise AwayError(f"run {self.id}: the tracking server is away ({reason(error)})") from error

    def log_dataset(self, name: str, digest: str, source: str, shape: tuple[int, ...], context: str) -> None:
        """Record that the run read a part of a data set.

        MLflow keeps one entry for a name and digest, whatever their context and shape: here each part has a digest of
        its own, the first 16 figures of the data's, the context and the number of items.
        """
        content = {
            "name": name,
            "digest": f"{digest[:16]}-{context}-{shape[0]}",
            "source": json.dumps({"uri": addresses.redacted(source)}),
            "profile": json.dumps({"shape": shape}),
            "context": context,
        }
        self._delivery.send(delivery.DATASET, content)

    def log_tensors(self, tensors: Mapping[str, torch.Tensor], path: str) -> str:
        """Log tensors as a safetensors file; its SHA-256, hexadecimal."""
        raw = safetensors.torch.save({name: tensor.contiguous() for name, tensor in tensors.items()})
        self._log_file(path, lambda file: file.write_bytes(raw))
        return hashlib.sha256(raw).hexdigest()

    def log_model(self, model: torch.nn.Module, example: np.ndarray) -> None:
        """Log `model`, on the CPU and in evaluation mode, as a pt2 program.

        Args:
            model: of one tensor.
            example: an input of a batch of two or more, which is logged too and gives the signature.
        """
        # The model's page shows the metrics that were sent before it.
        self.flush()
        with torch.no_grad():
            signature = mlflow.models.infer_signature(example, model(torch.from_numpy(example)).numpy())
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            # torch.export sees torch.nn's recurrent modules keep their weights in a list too; the program is complete.
            warnings.filterwarnings("ignore", "The tensor attributes .*_flat_weights", UserWarning)
            path = Path(folder) / names.MODEL
            mlflow.pytorch.save_model(
                model,
                path,
                input_example=example,
                signature=signature,
                # Else MLflow starts a second Python to find them out, for 15 s.
                pip_requirements=[f"torch=={torch.__version__.partition('+')[0]}", f"numpy=={np.__version__}"],
            )
            tags = {tag: value for tag, value in self.tags.items() if tag in _MODEL_TAGS}
            content = {"tags": tags, "time": get_current_time_millis()}
            self._model_id = self._delivery.send(delivery.MODEL, content, path, names.MODEL) or ""

    def register(self, name: str, metric: str, value: float, data: str, sha256: str) -> tuple[int, bool] | None:
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
            The version, and whether it is the champion, as the tag `registered` tells too; None if it has to wait.

        Raises:
            DivergedError: `value` is NaN or infinite.
        """
        if not math.isfinite(value):
            raise DivergedError(f"{metric} is {value}: such a model is not registered")
        content = {"name": name, "metric": metric, "value": value, "data": data, "sha256": sha256}
        return self._delivery.send(delivery.REGISTER, content | {"model": self._model_id})

    def save_checkpoint(self, state: dict[str, Any], epoch: int) -> None:
        """Log a checkpoint. Two places alternate and a tag tells of both, so that one of them is always whole."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / checkpoint.place(epoch)
            sha256 = checkpoint.save(path, state)
            saved = checkpoint.Saved(f"{names.CHECKPOINT}/{path.name}", sha256, epoch)
            tag = checkpoint.tag(saved, self._saved)
            self._delivery.send(delivery.CHECKPOINT, {"tag": tag}, path, saved.path)
        if self._picture:
            self._picture.tags[names.CHECKPOINT] = tag
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
                say(f"run {self.id}: {damaged[0]}; it goes on from the one before, of epoch {saved.epoch}")
            self._saved = saved
            return state
        raise UserError(f"run {self.id} cannot go on: {'; '.join(damaged)}; start anew")

    def _read_checkpoint(self, saved: checkpoint.Saved) -> dict[str, Any]:
        with tempfile.TemporaryDirectory() as folder:
            path = self._downloaded(saved.path, folder)
            if path is None:
                raise UserError(f"{saved.path} is not available")
            return checkpoint.load(path, saved.sha256)

    @contextmanager
    def active(self) -> Iterator[None]:
        """Within it the run is RUNNING; after it FINISHED, or FAILED or KILLED.

        Whatever was logged is sent in every case, or kept here where it cannot be, and whatever was raised goes on. A
        tag of an earlier failure goes.

        Raises:
            UnsentError: all went well, but not all is on the server.
            FailedRunsError: something could neither be sent nor kept.
        """
        status, held, why = FAILED, "", ""
        try:
            self._begin()
            yield
            status = FINISHED
        except (KeyboardInterrupt, Interrupted, CutShort):
            status = KILLED
            raise
        except UnsentError as error:
            # Of its nested runs: it has finished when they are sent.
            status, held = FINISHED, str(error)
            raise
        except Exception as error:
            if interrupted := _interruption(error):
                status = KILLED
                raise interrupted from error
            self.set_tags({names.FAILURE: f"{type(error).__name__}: {error}"[:5000]})
            raise
        finally:
            why = self._conclude(status, 0 if status == KILLED else delivery.END_PATIENCE_S, held)
        if why:
            raise UnsentError(f"{self._label}: {why}")

    def _begin(self) -> None:
        self._picture = self._delivery.insist(lambda again: self._fetched(), self._label)
        if self._delivery.adopt():
            self._read()
        picture = self._picture
        self.set_tags(identity.own().tags)
        if names.FAILURE in picture.tags:
            self._delivery.send(delivery.UNTAG, {"tag": names.FAILURE})
            del picture.tags[names.FAILURE]
        if picture.status != "RUNNING":
            self._delivery.send(delivery.START, {})
            picture.status = "RUNNING"

    def _conclude(self, status: str, patience: float, held: str = "") -> str:
        """Send what is left and the final status; returns why not all is on the server, which the user is told."""
        self.flush()
        why = self._delivery.finish(status, patience, held)
        if self._picture:
            self._picture.status = status
        if self._delivery.lost:
            say(f"{self._label}: lost, since it could neither be sent nor kept: {self._delivery.lost}")
            if status == FINISHED and not why:
                raise FailedRunsError(f"{self._label}: lost: {self._delivery.lost}")
        if why and status != FINISHED:
            say(f"{self._label}: {why}")
        return why

    @property
    def _label(self) -> str:
        return (self._picture and self._picture.tags.get(names.RUN_NAME)) or f"run {self.id}"

    def end(self, status: str) -> None:
        """Set the final status of a run that is not the active one."""
        self._conclude(status, 0)

    def hand_over(self) -> None:
        """Leave what could not be sent to another process."""
        self._delivery.close()

    def note_finished(self) -> None:
        """Take note that its process has finished it, in case the server cannot be asked."""
        if self._picture:
            self._picture.status = FINISHED

    def require_all(self) -> None:
        """Raise an AwayError where the server is away, or does not know all of the nested runs."""
        self._delivery.ask(lambda: None, self._known)
        if self._delivery.is_away or _spools_within(self.id):
            raise AwayError(f"{self._label}: not all of its runs are on the tracking server")

    def sum_up(self, entry: str, summarise: "Callable[[Run, str], None]") -> None:
        """Make the summary that was put off.

        Raises:
            AwayError: the server went away meanwhile.
        """
        summarise(self, entry)
        self.flush()
        if self._delivery.waiting or self._delivery.lost:
            raise AwayError(f"{self._label}: the tracking server went away again")

    def put_off_summary(self, entry: str) -> None:
        """Have the summary that `entry` makes of the nested runs made when they are sent."""
        self._delivery.keep(delivery.SUMMARY, {"entry": entry})


def _spools(is_wanted: Callable[[spool.Owner], bool]) -> list[Path]:
    """What waits here of the runs that are wanted."""
    found = []
    for folder in spool.folders(spool.root()):
        with contextlib.suppress(OSError, ValueError):
            if is_wanted(spool.read(folder)[0]):
                found.append(folder)
    return found


def _spools_within(run_id: str) -> list[Path]:
    """What waits here of the runs nested in one."""
    return _spools(lambda owner: owner.parent == run_id)


def send_left(*run_ids: str) -> list[str]:
    """Send what their processes have left here of runs of these ids and of those nested in them: why some waits on.

    What a run that is at work keeps is its own.
    """
    left = _spools(lambda owner: not {owner.run, owner.parent}.isdisjoint(run_ids))
    return [why for folder in left if (why := deliver(folder))]


def require_sent(run: Run) -> None:
    """Send what is left here of the runs nested in `run`.

    Raises:
        UnsentError: some of it waits on.
    """
    if left := [why for folder in _spools_within(run.id) if (why := deliver(folder))]:
        raise UnsentError(
            f"{len(left)} of its runs are not wholly on the tracking server ({left[0]}); send them: {delivery.REPLAY}"
        )


def deliver(folder: Path, summarise: Callable[[Run, str], None] | None = None, dead: bool = False) -> str:
    """Send what waits in a spool, to the tracking server of now.

    Args:
        folder: of the spool.
        summarise: makes the summary of a launch, given its run and its entry point; without it that waits.
        dead: a run that has no final status was killed.

    Returns:
        Why some of it waits still, or "".
    """
    try:
        with spool.opened(folder) as opened:
            return _delivered(opened, summarise, dead)
    except spool.BusyError:
        return f"{folder} is in use by its run"
    except (OSError, ValueError) as error:
        return f"{folder}: {reason(error)}"


def _delivered(opened: spool.Spool, summarise: Callable[[Run, str], None] | None, dead: bool) -> str:
    owner, here = opened.owner, server.address()
    if owner.server != here:
        return f"{opened.folder} is of {owner.server}, not of {here}: set MLFLOW_TRACKING_URI"
    sender = Delivery(owner.run, lambda: owner, opened)
    try:
        tags = sender.ask_first(lambda: MlflowClient().get_run(owner.run).data.tags)
    except MlflowException as error:
        why = "does not answer" if is_outage(error) else "refuses it"
        return f"{opened.folder}: {here} {why} ({reason(error)})"
    if spool.fingerprint(tags) not in owner.processes:
        return f"{opened.folder}: the run {owner.run} was continued by another process since: remove it if all is well"
    if dead and not any(waiting.kind == delivery.STATUS for waiting in opened.waiting):
        sender.keep(delivery.STATUS, {"status": KILLED, "time": get_current_time_millis()})
    if summarise is not None:
        sender.summarise = lambda entry: Run(owner.run).sum_up(entry, summarise)
    sender.catch_up(at_once=True)
    return sender.left


def _status_in_spool(run_id: str) -> str:
    """The final status that waits here to be sent, or ""."""
    try:
        _, waiting = spool.read(spool.folder_of(run_id))
    except (OSError, ValueError):
        return ""
    return next((each.content["status"] for each in waiting if each.kind == delivery.STATUS), "")


class Mark:
    """A tag of a run that is read and written at once or not at all: later it would say what is not so any more."""

    def __init__(self, run_id: str, name: str):
        self.run_id, self._name = run_id, name
        self._client = MlflowClient()

    def read(self) -> str | None:
        """Its text, "" if the run has no such tag, None if the server does not answer."""
        try:
            with delivery.impatient(retries=0):
                return self._client.get_run(self.run_id).data.tags.get(self._name, "")
        except (MlflowException, OSError):
            return None

    @signals_later()
    def write(self, text: str) -> None:
        """Set it, or delete it with an empty text."""
        with contextlib.suppress(MlflowException, OSError), delivery.impatient(retries=0):
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


def _shown(values: Mapping[str, Any]) -> dict[str, str]:
    """Parameters or tags as text, without the secrets in it."""
    return {key: addresses.redacted(str(value)) for key, value in values.items()}


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
        **identity.own().tags,
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


def _require_folder(uri: str) -> None:
    """Raises OSError where a database's folder is not there or not writable, which MLflow tries for minutes."""
    file = addresses.sqlite_file(uri)
    if file and not os.access(file.parent, os.W_OK):
        raise OSError(f"the folder {file.parent} is not there or not writable")


def address() -> str:
    """Of the tracking server, or database."""
    return mlflow.get_tracking_uri()
