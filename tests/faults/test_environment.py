"""What a shell may have left in the environment: the id of another run, switches that make libraries careless."""

import hashlib
import json

import pytest
import torch
from support.pickles import Malicious

from pipelines import names
from pipelines.__main__ import cli
from pipelines.errors import UserError
from pipelines.tracking.checkpoints import load_checkpoint
from pipelines.tracking.run import Run

LAUNCHERS = {"mlflow.source.type": "PROJECT", "mlflow.project.entryPoint": "recurrent"}  # as `mlflow run` makes one


def made(place, tags, status="RUNNING"):
    run = place.client.create_run("0", tags=tags)
    if status != "RUNNING":
        place.client.set_terminated(run.info.run_id, status)
    return run.info.run_id


def contents(place, run_id):
    run = place.client.get_run(run_id)
    return run.info.status, run.info.run_name, run.data.tags, run.data.params, run.data.metrics


@pytest.mark.fault(5)
@pytest.mark.parametrize(
    ("tags", "status", "reason"),
    [
        (LAUNCHERS, "FINISHED", "is FINISHED"),
        (LAUNCHERS, "FAILED", "is FAILED"),
        (LAUNCHERS | {"row": "cnn"}, "RUNNING", "has results of its own"),
        (LAUNCHERS | {"entry": "ablation"}, "RUNNING", "has results of its own"),
        ({"mlflow.source.type": "LOCAL"}, "RUNNING", "was not made by `mlflow run`"),
        ({}, "RUNNING", "was not made by `mlflow run`"),
    ],
)
def test_the_id_of_another_run_in_the_environment_is_refused(place, at, monkeypatch, capsys, tags, status, reason):
    at(place.folder, place.uri)
    run_id = made(place, tags, status)
    before = contents(place, run_id)
    monkeypatch.setenv("MLFLOW_RUN_ID", run_id)
    with pytest.raises(SystemExit) as end:
        cli(["recurrent", "--dataset", "sample", "--models", "persistence"])
    assert end.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"error: MLFLOW_RUN_ID={run_id} {reason}, and would be overwritten: unset MLFLOW_RUN_ID"
    assert contents(place, run_id) == before
    assert len(place.runs()) == 1


@pytest.mark.fault(5)
def test_an_id_that_is_unknown_here_is_refused(place, at, monkeypatch):
    at(place.folder, place.uri)
    monkeypatch.setenv("MLFLOW_RUN_ID", "0" * 32)
    with pytest.raises(UserError, match=r"^MLFLOW_RUN_ID=0{32}: there is no such run here: unset MLFLOW_RUN_ID$"):
        Run.launch("mine", {})
    assert place.runs() == {}


def test_the_run_that_mlflow_run_made_is_taken(place, at, monkeypatch):
    at(place.folder, place.uri)
    monkeypatch.setenv("MLFLOW_RUN_ID", made(place, LAUNCHERS))
    run = Run.launch("mine", {"entry": "recurrent"})
    assert set(place.runs()) == {"mine"}
    assert run.tags["entry"] == "recurrent"


@pytest.mark.fault(20)
@pytest.mark.fault(19)
def test_no_switch_makes_a_resumed_run_unpickle_a_planted_checkpoint(place, at, monkeypatch, tmp_path):
    """Whoever may write artifacts may write tags too, so the hash is right."""
    at(place.folder, place.uri)
    for switch in ("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "MLFLOW_ALLOW_PICKLE_DESERIALIZATION"):
        monkeypatch.setenv(switch, "true")
    planted, victim = tmp_path / "even.pt", tmp_path / "victim"
    torch.save({"model": Malicious(victim)}, planted)
    run = Run.launch("row", {})
    place.client.log_artifact(run.id, str(planted), "checkpoint")
    sha256 = hashlib.sha256(planted.read_bytes()).hexdigest()
    run.set_tags({names.CHECKPOINT: json.dumps({"path": "checkpoint/even.pt", "sha256": sha256, "epoch": 2})})
    with pytest.raises(UserError, match="not one of tensors and plain values"):
        load_checkpoint(run)
    assert not victim.exists()
    with pytest.warns(UserWarning, match="TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"):
        torch.load(planted)
    assert victim.exists(), "the switch does nothing anyway"
