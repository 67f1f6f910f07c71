"""What a row finds on its node: the data and the code of the launch, and perhaps a process that was there before."""

import os
import pickle
import subprocess
import sys
from types import SimpleNamespace

import pytest

from pipelines import names
from pipelines.errors import UserError
from pipelines.experiments.base import Context
from pipelines.experiments.recurrent.experiment import EXPERIMENT
from pipelines.launching import errands
from pipelines.launching.errands import Errands
from pipelines.launching.jobs import Job
from pipelines.processes import identity
from pipelines.processes.reports import Reports
from pipelines.tracking import provenance
from pipelines.tracking.run import Run

SETTINGS = EXPERIMENT.plan(EXPERIMENT.options(dataset="sample", models="gru-2"), None).jobs[0].settings


def _work(run, settings, context):
    run.set_tags({"data_dir": context.data_dir})


@pytest.fixture
def row(place, at):
    """A run, and a function that does its errand as a node does."""
    at(place.folder, place.uri)
    run = Run.launch("row", {})

    def do():
        errand = Errands(EXPERIMENT).errand(run.id, _work, Job("gru-2", SETTINGS), Context(data_dir="data"))
        pickle.loads(errand.task)(Reports())
        return errand

    return run, do


def test_an_errand_says_what_a_row_needs(row, place, monkeypatch):
    monkeypatch.setenv("MLFLOW_RUN_ID", "a" * 32)
    monkeypatch.setenv("UNRELATED", "value")
    # As `nnreg server` gives them in client.env: of PostgreSQL, the address says no password.
    studies = {"OPTUNA_STORAGE": "postgresql+psycopg://studies@first-node/studies", "PGPASSWORD": "secret"}
    for name, value in studies.items():
        monkeypatch.setenv(name, value)
    run, do = row
    errand = do()
    assert (errand.cores, errand.threads, errand.gpus) == (SETTINGS.threads * SETTINGS.replicas, SETTINGS.threads, 0)
    assert (studies | {"MLFLOW_TRACKING_URI": place.uri}).items() <= errand.environment.items()
    assert errand.environment.keys().isdisjoint({"MLFLOW_RUN_ID", "UNRELATED"})
    assert run.tags["data_dir"] == str(place.folder / "data")
    assert run.status == "FINISHED"


def _other_data(monkeypatch, prepared):
    """A node whose data are others than those of the launch; `prepared` notes that they were asked for."""
    other = SimpleNamespace(prepare=lambda folder: prepared.append(folder) or SimpleNamespace(digest="other"))
    monkeypatch.setattr(errands, "find", lambda *given: other)


def test_other_data_than_the_launch_has_are_refused(row, place, monkeypatch):
    prepared = []
    _other_data(monkeypatch, prepared)
    run, do = row
    with pytest.raises(UserError, match=r"sample in .* is not the data that the launch has \(other digest\)"):
        do()
    assert prepared == [str(place.folder / "data")]
    assert run.status == "FAILED"
    assert "other digest" in run.tags[names.FAILURE]


def test_other_code_than_the_launch_has_is_refused(row, monkeypatch):
    code = iter(["of the launch", "of the node"])
    monkeypatch.setattr(provenance, "digest", lambda: next(code))
    _, do = row
    with pytest.raises(UserError, match=r"is not that of the launch: install the same there"):
        do()


def test_a_row_waits_for_the_end_of_the_process_that_was_there_before(row, monkeypatch):
    monkeypatch.setattr(errands, "_ENDS_S", 0)
    run, do = row
    before = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        tags = identity.own().tags | {names.PID: str(before.pid), names.PROCESS_TICKS: identity.ticks(before.pid)}
        run.set_tags(tags)
        with pytest.raises(UserError, match=rf"process {before.pid} of \S+ is still at work on run {run.id}"):
            do()
    finally:
        before.kill()
        before.wait()
    do()
    assert run.tags[names.PID] == str(os.getpid())


def test_a_server_of_this_machine_is_refused_where_the_nodes_are_others(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    errands.require_shared("ray", False)
    with pytest.raises(UserError, match=r"http://127.* is another machine on each of the nodes"):
        errands.require_shared("ray", True)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://first-node:5000")
    errands.require_shared("ray", True)
