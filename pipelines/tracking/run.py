"""A run of the tracking server: its identity, parameters, tags and metrics, its nested runs, its start and end."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import mlflow.entities
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.utils.time import get_current_time_millis

from pipelines import names
from pipelines.common import addresses, server
from pipelines.common.run_ids import Known, resolve
from pipelines.common.streams import announce
from pipelines.errors import AwayError, FailedRunsError, Interrupted, UnsentError, UserError
from pipelines.processes import identity
from pipelines.processes.signals import interruption, signals_later
from pipelines.tracking import delivery, outbox, provenance
from pipelines.tracking.metrics import Metrics
from pipelines.tracking.outage import is_outage, reason
from pipelines.tracking.record import Record, Snapshot
from pipelines.tracking.server import experiment, require_artifacts
from pipelines.training.checkpoint import Saved

RUNNING, FINISHED, FAILED, KILLED = "RUNNING", "FINISHED", "FAILED", "KILLED"


class CutShort(Exception):  # noqa: N818 - no error
    """Ends the active run as KILLED, on purpose: its result is not worth the cost."""


class Run:
    """One run of the tracking server. Metrics are buffered until `flush`: single calls cost milliseconds each.

    Attributes:
        id: of the run.
        client: of the tracking server.
        record: known state of the run.
        delivery: sends what it logs.
        model_id: id of the model that was logged last, "" without one.
        saved: checkpoint that was saved or loaded last.
    """

    def __init__(self, run_id: str):
        self.id = run_id
        self.client = MlflowClient()
        self.record = Record(run_id)
        self.delivery = self.record.delivery
        self.model_id = ""
        self.saved: Saved | None = None
        self._metrics = Metrics(run_id, self.record)
        self._children: list[Run] = []

    @classmethod
    def launch(cls, name: str, tags: Mapping[str, str]) -> "Run":
        """Returns the parent run of this launch: the one that `mlflow run` made, if it did, else a new one.

        Raises:
            UserError: MLFLOW_RUN_ID is that of another run, or its artifacts cannot be stored from this machine.
        """
        if run := cls.launchers():
            require_artifacts(run.client.get_run(run.id).info.artifact_uri)
            # `mlflow run` logs the address of a git remote with its secrets.
            run.set_tags({**_without_secrets(run.tags), names.RUN_NAME: name, **provenance.tags(), **tags})
            return run
        where = experiment()
        require_artifacts(MlflowClient().get_experiment(where).artifact_location)
        return cls._create(where, name, tags)

    @classmethod
    def launchers(cls) -> "Run | None":
        """Returns the run that `mlflow run` made for this launch, or None if `mlflow run` did not start it.

        Raises:
            UserError: MLFLOW_RUN_ID is that of another run; it may have been set in the shell.
        """
        run_id = os.environ.get("MLFLOW_RUN_ID")
        if not run_id:
            return None
        try:
            run = cls.existing(run_id)
        except UserError as error:
            raise UserError(f"MLFLOW_RUN_ID={run_id}: there is no such run here: unset MLFLOW_RUN_ID") from error
        _require_unused(run)
        return run

    def child(self, name: str, tags: Mapping[str, str]) -> "Run":
        """Create a nested run, with the command of this one in its tags unless `tags` have another.

        Waits some minutes for a server that is unreachable.

        Raises:
            AwayError: the server stays unreachable.
        """
        parent = self.record.read()
        inherited = {tag: parent.tags[tag] for tag in (names.COMMAND,) if tag in parent.tags}
        tags = {names.PARENT_RUN: self.id, **inherited, **tags}
        began = get_current_time_millis()

        def create(again: bool) -> Run:
            # The answer to an earlier attempt may have been lost.
            made = self._made_since(began, name, parent.experiment) if again else None
            return made or Run._create(parent.experiment, name, tags)

        run = self.delivery.retry(create, name)
        self._children.append(run)
        return run

    def _made_since(self, began: int, name: str, experiment_id: str) -> "Run | None":
        condition = f"tags.`{names.PARENT_RUN}` = '{self.id}' and attributes.start_time >= {began}"
        found = [run for run in self.client.search_runs([experiment_id], condition) if run.info.run_name == name]
        return Run(found[0].info.run_id) if found else None

    @classmethod
    @signals_later()
    def _create(cls, experiment_id: str, name: str, tags: Mapping[str, str]) -> "Run":
        tags = shown({**provenance.tags(), **tags})
        run = cls(MlflowClient().create_run(experiment_id, run_name=name, tags=tags).info.run_id)
        run.record.snapshot = Snapshot("RUNNING", experiment_id, {names.RUN_NAME: name, **tags}, {}, {})
        return run

    @classmethod
    def existing(cls, run_id: str) -> "Run":
        """Returns a run by its id.

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

    @classmethod
    def meant(cls, given: str, preferred: str = "") -> "Run":
        """Returns the run of an id, of the beginning of one, or of a name; see `run_ids.resolve`.

        Raises:
            UserError: there is none, or several.
        """

        def search(condition: str, limit: int) -> list[Known]:
            try:
                experiments = [each.experiment_id for each in MlflowClient().search_experiments()]
                found = MlflowClient().search_runs(experiments, condition, max_results=limit)
            except MlflowException as error:
                raise UserError(f"run {given}: {server.address()} does not answer ({reason(error)})") from error
            return [
                Known.of(each.info.run_id, each.info.run_name, each.info.start_time, each.data.tags.get(names.ENTRY))
                for each in found
            ]

        return cls.existing(resolve(given, search, server.address(), preferred))

    @classmethod
    def search(cls, condition: str) -> "list[Run]":
        """Returns the runs of all experiments that meet a condition in MLflow's search syntax, oldest first.

        Raises:
            AwayError: the server does not answer.
        """
        try:
            experiments = [each.experiment_id for each in MlflowClient().search_experiments()]
            return [cls._read(each) for each in _search(experiments, condition)]
        except MlflowException as error:
            raise AwayError(f"{server.address()} does not answer ({reason(error)})") from error

    @classmethod
    def _read(cls, found: mlflow.entities.Run) -> "Run":
        run = cls(found.info.run_id)
        run.record.snapshot = Snapshot.of(found)
        return run

    def children(self) -> "list[Run]":
        """Returns the nested runs, oldest first; if the server is unreachable, those made by this process."""

        def found() -> list[Run]:
            condition = f"tags.`{names.PARENT_RUN}` = '{self.id}'"
            return list(map(Run._read, _search([self.record.read().experiment], condition)))

        return self.delivery.query(found, lambda: list(self._children))

    @property
    def parent(self) -> "Run | None":
        """Parent run, None without one."""
        parent = self.tags.get(names.PARENT_RUN)
        return Run(parent) if parent else None

    @property
    def status(self) -> str:
        """RUNNING, FINISHED, FAILED, KILLED or SCHEDULED."""
        return outbox.final_status(self.id) or self.record.read().status

    @property
    def tags(self) -> dict[str, str]:
        """Tags by name."""
        return self.record.read().tags

    @property
    def params(self) -> dict[str, str]:
        """Parameters by name, as text."""
        return self.record.read().params

    @property
    def metrics(self) -> dict[str, float]:
        """Last value of each metric."""
        return self.record.read().metrics

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Log the parameters that the run does not have yet; `mlflow run` logs the options first, as raw text."""
        known = self.params
        new = {key: value for key, value in shown(params).items() if key not in known}
        self.delivery.send(outbox.PARAMS, new)
        known.update(new)

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Set or overwrite tags."""
        texts = shown(tags)
        self.delivery.send(outbox.TAGS, texts)
        self.record.note_tags(texts)

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Buffer metrics of one step.

        Raises:
            DivergedError: one is NaN or infinite; none of them is kept.
        """
        self._metrics.log(metrics, step)

    def history(self, metric: str) -> list[tuple[int, float]]:
        """Returns (step, value) of a metric, in the order of its steps."""
        return self._metrics.history(metric)

    def log_best(self, metric: str, best: Callable[..., tuple[int, float]] = min) -> None:
        """Log the lowest (`best` is min) or highest (max) value of `metric` so far, and its step.

        The best value of a test metric is for display, never for a choice.
        """
        self.flush()
        step, value = best(self.history(metric), key=lambda point: point[1])
        self.log_metrics({names.best(metric): value, names.best_step(metric): step})

    def recall(self) -> None:
        """Read which steps of its metrics a resumed run has, so that none is logged twice."""
        self._metrics.recall()

    def flush(self) -> None:
        """Send the buffered metrics."""
        self._metrics.flush()

    @contextmanager
    def active(self) -> Iterator[None]:
        """Set the run to RUNNING within the block, and to FINISHED, FAILED or KILLED at its end.

        Everything logged is sent in every case, or kept on this machine if it cannot be sent, and exceptions are passed
        on. The tag of an earlier failure is removed.

        Raises:
            UnsentError: the block succeeded, but not everything is on the server.
            FailedRunsError: some of it could neither be sent nor kept.
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
            # Raised by nested runs: this one is finished when they are sent.
            status, held = FINISHED, str(error)
            raise
        except Exception as error:
            if interrupted := interruption(error):
                status = KILLED
                raise interrupted from error
            self.set_tags({names.FAILURE: f"{type(error).__name__}: {error}"[:5000]})
            raise
        finally:
            try:
                why = self._conclude(status, 0 if status == KILLED else delivery.END_TIMEOUT_S, held)
            except Interrupted:
                # It came with the last metrics, before the status.
                if self.status == "RUNNING":
                    self.end(KILLED)
                raise
        if why:
            raise UnsentError(f"{self.record.label}: {why}")

    def _begin(self) -> None:
        snapshot = self.record.await_read()
        if self.delivery.adopt():
            snapshot = self.record.read()
        self.set_tags(identity.own().tags)
        if names.FAILURE in snapshot.tags:
            self.delivery.send(outbox.UNTAG, outbox.UntagContent(tag=names.FAILURE))
            del snapshot.tags[names.FAILURE]
        if snapshot.status != "RUNNING":
            self.delivery.send(outbox.START, {})
            snapshot.status = "RUNNING"

    def _conclude(self, status: str, timeout: float, held: str = "") -> str:
        """Send what is left and the final status; returns why not everything is on the server, or ""."""
        self.flush()
        why = self.delivery.finish(status, timeout, held)
        self.record.note_status(status)
        if self.delivery.outbox.lost:
            announce(f"{self.record.label}: lost, since it could neither be sent nor kept: {self.delivery.outbox.lost}")
            if status == FINISHED and not why:
                raise FailedRunsError(f"{self.record.label}: lost: {self.delivery.outbox.lost}")
        if why and status != FINISHED:
            announce(f"{self.record.label}: {why}")
        return why

    def end(self, status: str) -> None:
        """Set the final status of a run that is not the active one."""
        self._conclude(status, 0)

    def hand_over(self) -> None:
        """Leave items that could not be sent to another process."""
        self.delivery.outbox.close()

    def note_finished(self) -> None:
        """Note that its process has finished it, in case the server is unreachable."""
        self.record.note_status(FINISHED)


def _search(experiments: Sequence[str], condition: str) -> Iterator[mlflow.entities.Run]:
    """Yield the runs that meet a condition in MLflow's search syntax, oldest first."""
    token = None
    while True:
        page = MlflowClient().search_runs(list(experiments), condition, order_by=["start_time ASC"], page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _require_unused(run: Run) -> None:
    """Make sure that `mlflow run` made a run for this launch.

    Raises:
        UserError: it is another one, whose id may have been set in the shell.
    """
    tags = run.tags
    if names.ENTRY in tags or names.ROW in tags:
        fault = "has results of its own"
    elif run.status != "RUNNING":
        fault = f"is {run.status}"
    elif not any(tag.startswith(names.PROJECT_TAGS) for tag in tags):
        fault = "was not made by `mlflow run`"
    else:
        return
    raise UserError(f"MLFLOW_RUN_ID={run.id} {fault}, and would be overwritten: unset MLFLOW_RUN_ID")


def shown(values: Mapping[str, Any]) -> dict[str, str]:
    """Returns parameters or tags as text, without secrets."""
    return {key: addresses.redacted(str(value)) for key, value in values.items()}


def _without_secrets(tags: Mapping[str, str]) -> dict[str, str]:
    """Returns those of `tags` that hold a secret, without it."""
    return {key: addresses.redacted(value) for key, value in tags.items() if addresses.has_secret(value)}
