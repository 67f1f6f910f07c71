"""What is left, and what goes on, when a launch, its launcher or one of its rows is killed."""

import json
import os
import signal
import time

import psutil
import pytest
import torch
from support.launches import ENDLESS, checkpoint_of, complaint, require_nothing_left, statuses, until
from support.place import ROOT

PARENT = "recurrent sample"
ROW = "gru-2-seed0"


def require_same_training(place, other, name):
    """The same bits: metrics, their histories without a step twice, and the last checkpoint's model and optimiser."""
    run, expected = place.runs()[name], other.runs()[name]
    assert run.info.status == "FINISHED"
    for metric in ("smape", "series/smape.TAYLOR", "mae_mw", "rmse_mw"):
        assert run.data.metrics[metric] == expected.data.metrics[metric]
    for metric in ("train_loss", "smape_curve"):
        assert place.history(run, metric) == other.history(expected, metric)
    states = []
    for where, each in ((place, run), (other, expected)):
        newest = json.loads(each.data.tags["checkpoint"])
        assert newest["epoch"] == 6
        states.append(torch.load(where.artifact(each, newest["path"]), weights_only=True))
    resumed, undisturbed = states
    assert undisturbed["model"].keys() == resumed["model"].keys()
    for weight in undisturbed["model"]:
        assert torch.equal(resumed["model"][weight], undisturbed["model"][weight])
    for parameter, moments in undisturbed["optimizer"]["state"].items():
        for moment, value in moments.items():
            assert torch.equal(resumed["optimizer"]["state"][parameter][moment], value)


@pytest.mark.fault(3)
@pytest.mark.fault(12)
@pytest.mark.fault(33)
@pytest.mark.slow
def test_after_kill_9_of_everything_a_resumed_launch_ends_with_the_bits_of_an_undisturbed_one(
    place, small, alone, settled
):
    process = place.fork(*small, "--models", "gru-2", "--jobs", "1", module="support.held")
    until(checkpoint_of(place, ROW), process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    require_nothing_left(place)
    killed = place.runs()
    assert statuses(place) == {PARENT: "RUNNING", ROW: "RUNNING"}
    began = time.time() * 1000
    assert place.invoke("recurrent", "--resume", killed[PARENT].info.run_id) == 0, place.stderr
    assert "epoch 1/6" not in place.stderr
    assert statuses(place) == {PARENT: "FINISHED", ROW: "FINISHED"}
    assert place.runs()[ROW].info.run_id == killed[ROW].info.run_id
    require_same_training(place, alone, ROW)
    sent = place.client.get_metric_history(killed[ROW].info.run_id, "train_loss")
    assert next(point for point in sent if point.step == 1).timestamp < began


@pytest.mark.fault(3)
@pytest.mark.slow
def test_a_killed_row_does_not_stop_the_others_and_is_resumed_alone(place, small, settled):
    process = place.fork(*small, "--models", "rnn-2,persistence", "--jobs", "1", module="support.held")
    row = until(checkpoint_of(place, "rnn-2-seed0"), process)
    psutil.Process(int(row.data.tags["pid"])).kill()
    assert process.wait(120) == 1
    assert statuses(place) == {PARENT: "FAILED", "rnn-2-seed0": "KILLED", "persistence": "FINISHED"}
    assert f"1 of 2 runs failed: {row.info.run_name}" in complaint(place)
    going_on = f"to go on: python -m pipelines recurrent --resume {row.info.run_id}"
    assert place.runs()["rnn-2-seed0"].data.tags["failure"] == f"the process ended with exit code -9; {going_on}"
    assert place.invoke("recurrent", "--resume", row.info.run_id) == 0, place.stderr
    assert set(statuses(place).values()) == {"FINISHED"}
    resumed = place.runs()["rnn-2-seed0"]
    assert "failure" not in resumed.data.tags
    assert [step for step, _ in place.history(resumed, "train_loss")] == [1, 2, 3, 4, 5, 6]
    assert len(resumed.inputs.dataset_inputs) == 2


@pytest.mark.fault(4)
@pytest.mark.slow
def test_nothing_trains_on_when_mlflow_run_is_killed(place):
    parameters = {"dataset": "sample", "models": "gru-2", "hidden": 8, "epochs": ENDLESS}
    given = [part for name, value in parameters.items() for part in ("-P", f"{name}={value}")]
    process = place.fork("run", str(ROOT), "-e", "recurrent", "--env-manager", "local", *given, module="mlflow")
    until(checkpoint_of(place, ROW), process)
    process.kill()
    process.wait()
    require_nothing_left(place)
    assert statuses(place) == {PARENT: "KILLED", ROW: "KILLED"}
    assert "Traceback" not in place.stderr


@pytest.mark.fault(4)
@pytest.mark.slow
def test_nothing_trains_on_when_the_launcher_is_killed(place, small):
    process = place.start(*small, "--models", "gru-2", "--epochs", str(ENDLESS))
    until(checkpoint_of(place, ROW), process)
    process.kill()
    process.wait()
    require_nothing_left(place)
    assert statuses(place) == {PARENT: "RUNNING", ROW: "KILLED"}
    assert "Traceback" not in place.stderr
