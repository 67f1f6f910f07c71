"""Brings what a run logs to the tracking server: at once, or, where that fails, from a spool once it can be.

Where the server is away, it is only asked now and then whether it is back, so that no training is held up. Where it
refuses a file, the file waits and everything else goes on. Sending twice does no harm, as the answer to what was sent
may have been lost: MLflow keeps one metric of a name, step, time and value, and so is all else here.
"""

import contextlib
import logging
import math
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

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
from pipelines.common.addresses import local_path, redacted
from pipelines.common.files import require_unlinked
from pipelines.errors import AwayError
from pipelines.tracking.spool import BusyError, Owner, Spool, Waiting, folder_of

# Kinds of what is sent.
START, METRICS, PARAMS, TAGS, UNTAG, DATASET = "start", "metrics", "params", "tags", "untag", "dataset"
ARTIFACT, CHECKPOINT, MODEL, REGISTER = "artifact", "checkpoint", "model", "register"
SUMMARY, STATUS = "summary", "status"  # sent when nothing else waits

PATIENCE_S = 600  # for what cannot be put off: a new run, the state of one that goes on
END_PATIENCE_S = 30  # at the end of a run, for what waits
_LONGEST_PAUSE_S = 30  # between two attempts
_RETRIES = 2  # of one request: what fails then waits, and is tried again anyway
REPLAY = "python -m pipelines replay"

# It prints a traceback of whatever a database refuses, which is told in one line here.
logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)

Answer = TypeVar("Answer")


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


def is_outage(error: BaseException) -> bool:
    """Whether what failed may succeed later: the server is away, busy, broken, or wants other credentials.

    A server that says that something is wrong with what it was asked would say so again.
    """
    if isinstance(error, MlflowException):
        status = error.get_http_status_code()
        return status >= 500 or status in (401, 403, 408, 429) or _is_of_connection(error.__cause__)
    return isinstance(error, OSError)


def _is_of_connection(cause: BaseException | None) -> bool:
    """Whether SQLAlchemy's error is of the connection; MLflow takes some of these for errors of the request."""
    return type(cause).__name__ in ("OperationalError", "InterfaceError", "InternalError", "TimeoutError")


def reason(error: BaseException) -> str:
    """What `error` says, in a few words and without secrets."""
    text = str(error)
    for inner in (r"\[Errno -?\d+\] ([^'\")\]]+)", r"\(\w+\.OperationalError\) ([^\n]+)"):
        if found := re.findall(inner, text):
            return redacted(found[-1].strip())
    return redacted((text.splitlines() or [type(error).__name__])[0])


@dataclass
class _Pause:
    """No attempt is made before `due`; the next pause is longer."""

    reason: str
    seconds: float = 1.0
    due: float = 0.0


class Delivery:
    """All that one run sends.

    Args:
        owner: of the spool, asked for when one is needed.
        spool: what waits already.

    Attributes:
        waiting: what has not been sent, in order.
    """

    def __init__(self, run_id: str, owner: Callable[[], Owner], spool: Spool | None = None):
        self._run_id, self._owner, self._spool = run_id, owner, spool
        self._client = MlflowClient()
        self.waiting: list[Waiting] = list(spool.waiting) if spool else []
        self._server: _Pause | None = None
        self._files: _Pause | None = None
        self._refused = ""
        self._lost: list[str] = []
        # Draws the summary of a launch, by the entry that made it.
        self.summarise: Callable[[str], None] | None = None

    @property
    def lost(self) -> str:
        """What could neither be sent nor kept, or ""."""
        return "; ".join(self._lost)

    def send(self, kind: str, content: Mapping[str, Any], file: Path | None = None, place: str = "") -> Any:
        """Send something now, or keep it for later.

        Args:
            kind, content, place: see `spool.Waiting`.
            file: that goes with it; copied where it has to wait.

        Returns:
            What its sending gave, None where it waits.

        Raises:
            MlflowException: the server refuses it, and it is no file.
        """
        self.catch_up()
        # A file must not overtake an older one, nor a registration its model.
        pause = self._server or (self._files if file or kind == REGISTER else None)
        if not pause:
            try:
                with impatient():
                    return _SENDERS[kind](self._client, self._run_id, content, file, False)
            except Exception as error:
                if not is_outage(error) and not file:
                    raise
                self._failed(error, bool(file), place)
        self._keep(kind, content, file, place)
        return None

    def keep(self, kind: str, content: Mapping[str, Any]) -> None:
        """Keep something for later, without an attempt."""
        self._keep(kind, content, None, "")

    def ask(self, question: Callable[[], Answer], known: Callable[[], Answer]) -> Answer:
        """What the server says to `question`, or what is `known` here where it is away, or does not know all yet.

        Raises:
            MlflowException: the server refuses to answer.
        """
        self.catch_up()
        if not self._server and not self.waiting:
            try:
                with impatient():
                    return question()
            except Exception as error:
                if not is_outage(error):
                    raise
                self._failed(error, False, "")
        return known()

    def insist(self, question: Callable[[bool], Answer], what: str) -> Answer:
        """What the server says to `question`, asked again for PATIENCE_S while it is away.

        Args:
            question: told whether it was asked before; its answer may have been lost.
            what: it is for, in a few words.

        Raises:
            AwayError: it stays away.
            MlflowException: the server refuses to answer.
        """
        deadline, again = time.monotonic() + PATIENCE_S, False
        while True:
            try:
                with impatient():
                    answer = question(again)
                self._server = None
                return answer
            except Exception as error:
                if not is_outage(error):
                    raise
                if not again:
                    say(f"{what} waits for the tracking server ({reason(error)})")
                again = True
                self._server = _longer(self._server, error)
                if time.monotonic() > deadline:
                    raise AwayError(f"{what}: the tracking server stays away ({reason(error)})") from error
            time.sleep(min(self._server.seconds, max(0.0, deadline - time.monotonic()) + 0.1))

    def catch_up(self, at_once: bool = False) -> None:
        """Send what waits, in order, as far as the server takes it; after a failure not before a pause is over."""
        if self._server and (at_once or time.monotonic() >= self._server.due):
            self._ask_whether_it_is_back()
        if self._server or not self.waiting:
            return
        self._send_waiting(at_once)
        if not self.waiting:
            say(f"{self._name}: all that waited is on the tracking server now")
            self._files = None
            self.close()

    def finish(self, status: str, patience: float, held: str = "") -> str:
        """Send what waits, then the final status. Where that cannot be, the run is FAILED meanwhile, and says why.

        Args:
            status: FINISHED, FAILED or KILLED.
            patience: seconds.
            held: why it is not to be told yet, "" if it is.

        Returns:
            Why the server does not know all now, or "".
        """
        if self._lost and status == "FINISHED":
            status = "FAILED"
            self.send(TAGS, {names.FAILURE: f"lost: {self.lost}"[:5000]})
        content = {"status": status, "time": round(time.time() * 1000)}
        deadline = time.monotonic() + patience
        if self.waiting or held:
            self.keep(STATUS, content)
        else:
            self.send(STATUS, content)
        while self.waiting and not held:
            self.catch_up(at_once=True)
            if not self.waiting or time.monotonic() >= deadline:
                break
            time.sleep(min(1.0, patience))
        if not self.waiting:
            return ""
        if memory := [waiting.kind for waiting in self.waiting if waiting.number < 0]:
            self._lost.append(f"{len(memory)} entries ({', '.join(dict.fromkeys(memory))})")
        why = (
            held
            or f"not all of it is on the tracking server ({self._why()}): it is in {self._where}; send it: {REPLAY}"
        )
        self._tell(why)
        self.close()
        return why

    def answers(self) -> bool:
        """Whether the server answers now, be it with a refusal; asked cheaply."""
        try:
            with impatient(retries=0, timeout=5):
                self._client.get_run(self._run_id)
        except Exception as error:
            return not is_outage(error)
        return True

    @property
    def is_away(self) -> bool:
        """Whether the server did not answer when it was asked last."""
        return self._server is not None

    @property
    def left(self) -> str:
        """Why something waits still, and where, or ""."""
        return f"{self._where}: {self._why()}" if self.waiting else ""

    def adopt(self) -> bool:
        """Whether an earlier process of the run has left something here; it is sent, but for the end it came to."""
        folder = folder_of(self._run_id)
        if self._spool is not None or not folder.exists():
            return False
        try:
            self._spool = Spool(folder)
        except (OSError, ValueError, BusyError) as error:
            say(f"{self._name}: {folder} is left alone: {error}")
            return False
        self.waiting = list(self._spool.waiting)
        for waiting in self._spool.waiting[:]:
            if waiting.kind in (SUMMARY, STATUS):
                self._drop(waiting)
        self.catch_up(at_once=True)
        return True

    def ask_first(self, question: Callable[[], Answer]) -> Answer:
        """What the server says to `question`, soon or not at all."""
        with impatient(retries=0):
            return question()

    def close(self) -> None:
        """Leave what waits to others."""
        if self._spool is not None:
            self._spool.close()
        self._spool, self.waiting = None, []

    @property
    def _name(self) -> str:
        return self._owner().name or f"run {self._run_id}"

    @property
    def _where(self) -> str:
        return str(self._spool.folder) if self._spool else "the memory of this process alone"

    def _why(self) -> str:
        pause = self._server or self._files
        return pause.reason if pause else self._refused or "it waits"

    def _ask_whether_it_is_back(self) -> None:
        began = time.monotonic()
        try:
            with impatient(retries=0, timeout=5):
                self._client.get_run(self._run_id)
        except Exception as error:
            if is_outage(error):
                self._server = _longer(self._server, error, time.monotonic() - began)
                return
        self._server = None

    def _send_waiting(self, at_once: bool) -> None:
        """Send what waits until the server is away again; what is refused stays, and nothing overtakes a file."""
        files_wait = bool(self._files) and not at_once and time.monotonic() < self._files.due
        for waiting in list(self.waiting):
            last = waiting.kind in (SUMMARY, STATUS) and waiting is not self.waiting[0]
            is_file = bool(waiting.file) or waiting.kind == REGISTER
            if last or (is_file and files_wait) or (waiting.kind == SUMMARY and self.summarise is None):
                continue
            try:
                self._send_one(waiting)
            except Exception as error:
                if not is_file and not is_outage(error):
                    self._refused = f"{waiting.kind}: {reason(error)}"
                    continue
                files_wait |= is_file
                self._failed(error, is_file, "")
                if self._server:
                    return

    def _send_one(self, waiting: Waiting) -> None:
        if waiting.kind == SUMMARY:
            self.summarise(waiting.content["entry"])
        else:
            path = self._spool.path(waiting) if waiting.file else None
            with impatient():
                _SENDERS[waiting.kind](self._client, self._run_id, waiting.content, path, True)
        self._drop(waiting)

    def _drop(self, waiting: Waiting) -> None:
        self.waiting.remove(waiting)
        if self._spool and waiting in self._spool.waiting:
            self._spool.sent(waiting)

    def _failed(self, error: Exception, is_file: bool, place: str) -> None:
        """Note a failure: of the store of artifacts where the server itself answers, else of the server."""
        if is_file and not self._server and self.answers():
            if self._files is None and place:
                say(f"{self._name}: {place} could not be uploaded ({reason(error)}); a copy waits here")
            self._files = _longer(self._files, error)
        elif is_outage(error):
            if self._server is None:
                say(f"{self._name}: the tracking server is away ({reason(error)}); it goes on, what it logs waits here")
            self._server = _longer(self._server, error)

    def _keep(self, kind: str, content: Mapping[str, Any], file: Path | None, place: str) -> None:
        try:
            if self._spool is None:
                self._spool = Spool(folder_of(self._run_id), self._owner())
                self.waiting = [*self._spool.waiting, *self.waiting]
            kept = self._spool.add(kind, content, file, place)
        except (OSError, ValueError, BusyError) as error:
            why = error.strerror or error if isinstance(error, OSError) else error
            if file:
                self._lost.append(f"{place or file.name} ({why})")
                say(f"{self._name}: {place or file.name} cannot be kept here either, and is lost: {why}")
                return
            # It can still be sent by this process.
            kept = Waiting(-1, kind, content)
        self.waiting = [each for each in self.waiting if each.number < 0 or each in self._spool.waiting]
        self.waiting.append(kept)

    def _tell(self, why: str) -> None:
        """Say on the server, if it listens, that not all is there; the final status takes the place of this."""
        with contextlib.suppress(MlflowException, OSError), impatient(retries=0, timeout=5), signals_later():
            # First: a full database may have room for this yet.
            self._client.set_terminated(self._run_id, "FAILED")
            self._client.set_tag(self._run_id, names.FAILURE, why[:5000])


def _longer(pause: _Pause | None, error: BaseException, took: float = 0.0) -> _Pause:
    """Twice as long as the one before, and twenty times as long as an attempt takes."""
    seconds = min(_LONGEST_PAUSE_S, 2 * pause.seconds) if pause else 1.0
    seconds = max(seconds, 20 * took)
    return _Pause(reason(error), seconds, time.monotonic() + seconds)


class _Limits:
    """How long MLflow tries, which it reads from the environment; several threads may set it at once."""

    def __init__(self):
        self._lock = threading.Lock()
        self._set: list[dict[str, str]] = []
        self._original: dict[str, str | None] = {}

    @contextmanager
    def __call__(self, retries: int = _RETRIES, timeout: int | None = None) -> Iterator[None]:
        """Within it MLflow gives up sooner than after the minutes of its own: what fails is kept.

        Args:
            retries: of one request.
            timeout: seconds for an answer; None for MLflow's own.
        """
        limits = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": str(retries)}
        if timeout is not None:
            limits["MLFLOW_HTTP_REQUEST_TIMEOUT"] = str(timeout)
        with self._lock:
            if not self._set:
                names_ = ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "MLFLOW_HTTP_REQUEST_TIMEOUT")
                self._original = {name: os.environ.get(name) for name in names_}
            self._set.append(limits)
            self._apply()
        try:
            yield
        finally:
            with self._lock:
                # Not by its value, which another's may have too.
                self._set = [each for each in self._set if each is not limits]
                self._apply()

    def _apply(self) -> None:
        merged = dict(self._original)
        for limits in self._set:
            merged.update(limits)
        for name, value in merged.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


impatient = _Limits()


def say(text: str) -> None:
    """Tell the user something, on stderr."""
    print(text, file=sys.stderr, flush=True)


# How each kind is sent: (client, id of the run, content, file, whether it may have been sent before).


@signals_later()
def _send_start(client: MlflowClient, run_id: str, content: Mapping[str, Any], file: None, again: bool) -> None:
    client.update_run(run_id, status="RUNNING")


@signals_later()
def _send_metrics(client: MlflowClient, run_id: str, content: Mapping[str, Any], file: None, again: bool) -> None:
    client.log_batch(run_id, metrics=[Metric(*each) for each in content["metrics"]])


@signals_later()
def _send_params(client: MlflowClient, run_id: str, content: Mapping[str, Any], file: None, again: bool) -> None:
    client.log_batch(run_id, params=[Param(key, value) for key, value in content.items()])


@signals_later()
def _send_tags(client: MlflowClient, run_id: str, content: Mapping[str, Any], file: None, again: bool) -> None:
    client.log_batch(run_id, tags=[RunTag(key, value) for key, value in content.items()])


@signals_later()
def _send_untag(client: MlflowClient, run_id: str, content: Mapping[str, Any], file: None, again: bool) -> None:
    if content["tag"] in client.get_run(run_id).data.tags:
        client.delete_tag(run_id, content["tag"])


@signals_later()
def _send_dataset(client: MlflowClient, run_id: str, content: Mapping[str, Any], file: None, again: bool) -> None:
    dataset = Dataset(content["name"], content["digest"], "local", content["source"], profile=content["profile"])
    tag = InputTag("mlflow.data.context", content["context"])
    for attempt in range(3):
        try:
            return client.log_inputs(run_id, [DatasetInput(dataset, [tag])])
        except MlflowException:
            # Another process has made the same new entry at the same moment; the next attempt finds it.
            if attempt == 2:
                raise


def _send_artifact(client: MlflowClient, run_id: str, content: Mapping[str, Any], file: Path, again: bool) -> None:
    _upload(client, run_id, file, content["folder"])


def _send_checkpoint(client: MlflowClient, run_id: str, content: Mapping[str, Any], file: Path, again: bool) -> None:
    _upload(client, run_id, file, names.CHECKPOINT)
    _send_tags(client, run_id, {names.CHECKPOINT: content["tag"]}, None, again)


def _upload(client: MlflowClient, run_id: str, file: Path, folder: str) -> None:
    """Logs a file in a folder of the run's artifacts, but not through a link that somebody has put in its place.

    Raises:
        OSError: there is one.
    """
    root = _artifact_root(client, run_id)
    if root is not None:
        require_unlinked(root, Path(folder, file.name))
    client.log_artifact(run_id, str(file), folder or None)


@lru_cache(maxsize=4)
def _artifact_root(client: MlflowClient, run_id: str) -> Path | None:
    """The folder of a run's artifacts, None where they are on no disk of this machine; it never changes."""
    return local_path(client.get_run(run_id).info.artifact_uri)


def _send_model(client: MlflowClient, run_id: str, content: Mapping[str, Any], file: Path, again: bool) -> str:
    """As mlflow.pytorch.log_model does, in steps that can be taken again; returns the model's id."""
    run = client.get_run(run_id)
    with signals_later():
        model = _logged_model(client, run, content["time"]) if again else None
        if model is None:
            model = client.create_logged_model(
                run.info.experiment_id, names.MODEL, run_id, dict(content["tags"]), run.data.params
            )  # fmt: skip
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
    """The newest model that the run has logged, or begun to, since a time (ms)."""
    found = client.search_logged_models([run.info.experiment_id], f"source_run_id = '{run.info.run_id}'")
    models = [model for model in found if model.name == names.MODEL and model.creation_timestamp >= since]
    return max(models, key=lambda model: model.creation_timestamp, default=None)


@signals_later()
def _link_metrics(client: MlflowClient, run: Run, model_id: str) -> None:
    """The model's page shows the metrics of the run that have no steps."""
    linked = [
        Metric(point.key, point.value, point.timestamp, point.step, model_id, run_id=run.info.run_id)
        for metric in run.data.metrics
        for point in client.get_metric_history(run.info.run_id, metric)
        if point.step == 0 and point.model_id is None
    ]
    client.log_batch(run.info.run_id, metrics=linked)


@signals_later()
def _send_register(
    client: MlflowClient, run_id: str, content: Mapping[str, Any], file: None, again: bool
) -> tuple[int, bool]:
    """The version, and whether it is the champion."""
    name, metric, value = content["name"], content["metric"], content["value"]
    model_id = content["model"] or _logged_model(client, client.get_run(run_id)).model_id
    with contextlib.suppress(MlflowException):
        client.create_registered_model(name)
    version = _registered(client, name, run_id, model_id) if again else None
    if version is None:
        tags = {metric: repr(value), names.COMPARED_ON: content["data"], names.SHA256: content["sha256"]}
        version = client.create_model_version(name, f"models:/{model_id}", run_id, tags=tags)
    champion = _champion(client, name)
    better = (
        champion is None
        or champion.version == version.version
        or champion.tags.get(names.COMPARED_ON) != content["data"]
        or value > _figure(champion, metric)
    )
    if better:
        client.set_registered_model_alias(name, names.CHAMPION, version.version)
    client.set_tag(run_id, names.REGISTERED, f"{name} version {version.version}" + (", champion" if better else ""))
    return int(version.version), better


def _champion(client: MlflowClient, name: str) -> ModelVersion | None:
    try:
        return client.get_model_version_by_alias(name, names.CHAMPION)
    except MlflowException:
        return None


def _figure(version: ModelVersion, metric: str) -> float:
    """What a version was registered with, -infinity if that is no finite number."""
    try:
        value = float(version.tags[metric])
    except (KeyError, ValueError):
        return -math.inf
    return value if math.isfinite(value) else -math.inf


def _registered(client: MlflowClient, name: str, run_id: str, model_id: str) -> ModelVersion | None:
    versions = client.search_model_versions(f"name = '{name}' and run_id = '{run_id}'")
    return next((version for version in versions if version.source.endswith(model_id)), None)


@signals_later()
def _send_status(client: MlflowClient, run_id: str, content: Mapping[str, Any], file: None, again: bool) -> None:
    if again and content["status"] == "FINISHED":
        # What told that not all was there.
        _send_untag(client, run_id, {"tag": names.FAILURE}, None, again)
    client.set_terminated(run_id, content["status"], content["time"])


_SENDERS: dict[str, Callable[..., Any]] = {
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
