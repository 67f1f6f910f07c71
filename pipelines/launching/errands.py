"""What a launch sends to the nodes of a cluster for its rows, and what the process of a row does there."""

import os
import pickle
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

from pipelines.common import addresses, server
from pipelines.common.launcher import RUN_ID, STORAGE
from pipelines.data.datasets import find
from pipelines.errors import UserError
from pipelines.experiments.base import Context, SettingsType
from pipelines.launching.data import digest_of
from pipelines.launching.experiment import Experiment
from pipelines.launching.hosted import Errand, needs_gpu
from pipelines.launching.jobs import Job, Work
from pipelines.launching.local import PRELOAD, run_job
from pipelines.processes import identity, liveness, scratch
from pipelines.processes.identity import Identity
from pipelines.processes.reports import Reports
from pipelines.tracking import provenance
from pipelines.tracking.run import Run
from pipelines.tracking.server import uri

_ENDS_S = 60  # within which a row's process ends that has lost its host
_POLL_S = 0.5
_FILES = ("", "file", "sqlite")  # schemes of tracking addresses that are files

Surroundings = Callable[[SettingsType, str, Path], Context]


@dataclass(frozen=True)
class _Data:
    """A data set that a node has to have: its name, kind, folder and digest."""

    name: str
    kind: str
    folder: str
    digest: str


@dataclass(frozen=True)
class _Launch:
    """The process of a launch, and the digest of its code."""

    process: Identity
    code: str


class Errands:
    """Makes the errands of the rows of an experiment."""

    def __init__(self, experiment: Experiment):
        self._kind, self._surroundings = experiment.data, experiment.surroundings
        self._digest = cache(digest_of)
        self._launch = _Launch(identity.own(), provenance.digest())

    def errand(self, run_id: str, work: Work[SettingsType], job: Job[SettingsType], context: Context) -> Errand:
        """The errand of a job; arguments as of Launcher.start."""
        settings = job.settings
        folder = str(Path(context.data_dir).absolute())
        data = _Data(settings.dataset, self._kind, folder, self._digest(settings.dataset, self._kind, folder))
        task = partial(_run, run_id, work, self._surroundings, job, data, self._launch)
        return Errand(
            name=job.name,
            run_id=run_id,
            modules=(work.__module__, PRELOAD),
            environment={name: value for name, value in os.environ.items() if _is_of_a_store(name)},
            cores=settings.cores,
            threads=getattr(settings, "threads", settings.cores),
            gpus=int(needs_gpu(settings)),
            task=pickle.dumps(task),
        )


def _is_of_a_store(name: str) -> bool:
    """Whether an environment variable says where the tracking server or Optuna's database is, and how to reach it.

    PostgreSQL's do (PGPASSWORD, PGSSLMODE, …), which complete the address of Optuna's database. A run's id does not:
    MLflow would take what a row logs for that run's.
    """
    return (name.startswith(("MLFLOW_", "PG")) and name != RUN_ID) or name == STORAGE


def require_shared(launcher: str, apart: bool) -> None:
    """Require a tracking server that several nodes can use.

    Args:
        launcher: its name.
        apart: whether the nodes are known to be on several machines.

    Raises:
        UserError: there is a file, which they cannot write together, or an address that each takes for its own.
    """
    if server.scheme(uri()) in _FILES:
        raise UserError(
            f"launcher={launcher}: {server.address()} is a file, which several nodes cannot write: start a tracking "
            "server (docs/scale.md) and set MLFLOW_TRACKING_URI to its address, e.g. http://host:5000"
        )
    if apart and addresses.is_of_whoever_reads_it(uri()):
        raise UserError(
            f"launcher={launcher}: {server.address()} is another machine on each of the nodes: set "
            "MLFLOW_TRACKING_URI to an address that all of them reach, e.g. http://host:5000"
        )


def _run(
    run_id: str,
    work: Work[SettingsType],
    surroundings: Surroundings[SettingsType],
    job: Job[SettingsType],
    data: _Data,
    launch: _Launch,
    reports: Reports,
) -> None:
    """Run a job on a node, in a process of its own."""
    _await_end(run_id, launch.process)
    run_job(run_id, _There(work, surroundings, data, launch.code), job, Context(data_dir=data.folder), reports)


@dataclass(frozen=True)
class _There:
    """A work on a node, which first gets the data and makes the surroundings there."""

    work: Work
    surroundings: Surroundings
    data: _Data
    code: str

    def __call__(self, run: Run, settings: SettingsType, context: Context) -> None:
        """Do it."""
        if provenance.digest() != self.code:
            raise UserError(f"the code on {socket.gethostname()} is not that of the launch: install the same there")
        context.reports.phase("preparing the data")
        _require(self.data)
        with scratch.folder() as folder:
            own = self.surroundings(settings, self.data.folder, folder)
            self.work(run, settings, replace(own, reports=context.reports))


def _require(data: _Data) -> None:
    """Prepare a data set on this node unless that was done; processes that do so at once wait for one another.

    Raises:
        UserError: it cannot be prepared here, or is another than the launch has.
    """
    found = find(data.name, data.kind, data.folder).prepare(data.folder)
    if found.digest != data.digest:
        raise UserError(
            f"{data.name} in {data.folder} on {socket.gethostname()} is not the data that the launch has (other "
            "digest): remove it there, and prepare it from the same source"
        )


def _await_end(run_id: str, launch: Identity) -> None:
    """Wait for the end of a process that was at work on the run before: it may have lost its host a moment ago.

    Args:
        run_id: of the run.
        launch: the process that has made the run, which goes on.

    Raises:
        UserError: it does not end.
    """
    process = Identity.of(Run(run_id).tags)
    deadline = time.monotonic() + _ENDS_S
    while process and process.tags != launch.tags and liveness.fate(process).state == liveness.ALIVE:
        if time.monotonic() > deadline:
            raise UserError(f"{process} is still at work on run {run_id}: end it, then continue the row")
        time.sleep(_POLL_S)
