"""What the recurrent entry point does when it is killed, interrupted, ill-advised or cut off, from end to end."""

import io
import json
import multiprocessing
import os
import re
import signal
import time
from pathlib import Path

import psutil
import pytest
import torch

from pipelines import recurrent, runner, tracking
from pipelines.__main__ import cli

# MLflow's own store uses an option that SQLAlchemy 2.1 is about to remove.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")

ROOT = Path(__file__).parents[1]
PARENT = "recurrent sample"
ROW = "gru-2-seed0"
WAY_OUT_S = 120  # for a launch to record its end, most of it for want of a free core


def until(condition, process, seconds=240):
    """What `condition` gives as soon as that is true, while `process` runs."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert process.poll() is None, "it ended before"
        assert time.monotonic() < deadline, "it takes too long"
        time.sleep(0.02)
    return found


def run_of(place, name):
    return lambda: place.runs().get(name)


def checkpoint_of(place, name):
    """The run once it has a checkpoint, so in the midst of its training."""
    return lambda: (run := place.runs().get(name)) and "checkpoint" in run.data.tags and run


def statuses(place):
    return {name: run.info.status for name, run in place.runs().items()}


def complaint(place) -> str:
    """The one line that begins with `error:`, the last of stderr."""
    assert "Traceback" not in place.stderr
    lines = place.stderr.splitlines()
    assert [line for line in lines if line.startswith("error:")] == lines[-1:]
    return lines[-1]


def require_nothing_left(place):
    deadline = time.monotonic() + WAY_OUT_S
    while left := place.processes():
        assert time.monotonic() < deadline, [process.cmdline() for process in left]
        time.sleep(0.2)


def require_same_training(place, other, name):
    """The same bits: metrics, their histories without a step twice, and the last checkpoint's model and optimiser."""
    run, expected = place.runs()[name], other.runs()[name]
    assert run.info.status == "FINISHED"
    for metric in ("smape", "smape.TAYLOR", "mae_mw", "rmse_mw"):
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


@pytest.fixture
def refused(capsys, at):
    """Give bad input to the command line within this process: its one line on stderr, with exit code 2."""

    def give(folder, uri, *arguments):
        at(folder, uri)
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            cli(["recurrent", *arguments])
        lines = capsys.readouterr().err.splitlines()
        assert end.value.code == 2
        assert [line[:7] for line in lines] == ["error: "], lines
        return lines[0]

    return give


@pytest.mark.slow
def test_after_kill_9_of_everything_a_resumed_launch_ends_with_the_bits_of_an_undisturbed_one(place, small, alone):
    process = place.start(*small, "--models", "gru-2", "--jobs", "1")
    until(checkpoint_of(place, ROW), process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    require_nothing_left(place)
    killed = place.runs()
    assert statuses(place) == {PARENT: "RUNNING", ROW: "RUNNING"}
    began = time.time() * 1000
    assert place.launch("recurrent", "--resume", killed[PARENT].info.run_id) == 0, place.stderr
    assert "epoch 1/6" not in place.stderr
    assert statuses(place) == {PARENT: "FINISHED", ROW: "FINISHED"}
    assert place.runs()[ROW].info.run_id == killed[ROW].info.run_id
    require_same_training(place, alone, ROW)
    sent = place.client.get_metric_history(killed[ROW].info.run_id, "train_loss")
    assert next(point for point in sent if point.step == 1).timestamp < began


@pytest.mark.slow
def test_a_finished_launch_is_not_resumed(alone, refused):
    before = alone.database.read_bytes()
    for name in (PARENT, ROW):
        line = refused(alone.folder, alone.uri, "--resume", alone.runs()[name].info.run_id)
        assert "nothing is left to do" in line
    assert alone.database.read_bytes() == before


@pytest.mark.slow
def test_sigterm_to_the_launcher(place, small, refused):
    process = place.start(*small, "--models", "gru-2")
    row = until(checkpoint_of(place, ROW), process)
    line = refused(place.folder, place.uri, "--resume", row.info.run_id)
    assert f"process {row.data.tags['pid']} is at work on it" in line or f"process {process.pid} is" in line
    process.terminate()
    assert process.wait(WAY_OUT_S) == 128 + signal.SIGTERM
    require_nothing_left(place)
    assert statuses(place) == {PARENT: "KILLED", ROW: "KILLED"}
    assert complaint(place) == "error: stopped by signal 15"
    # What was measured before the end is sent.
    assert place.history(place.runs()[ROW], "train_loss")[0][0] == 1


@pytest.mark.slow
def test_ctrl_c_while_the_rows_start(place, small):
    process = place.start(*small, "--models", "gru-2,lstm-2", "--jobs", "2")
    until(run_of(place, ROW), process)
    # A terminal sends it to all.
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(WAY_OUT_S) == 128 + signal.SIGINT
    require_nothing_left(place)
    assert set(statuses(place).values()) == {"KILLED"}
    assert place.stderr.splitlines() == ["error: stopped by signal 2"]


@pytest.mark.slow
def test_a_killed_row_does_not_stop_the_others_and_is_resumed_alone(place, small):
    process = place.start(*small, "--models", "rnn-2,persistence", "--jobs", "1")
    row = until(checkpoint_of(place, "rnn-2-seed0"), process)
    psutil.Process(int(row.data.tags["pid"])).kill()
    assert process.wait(120) == 1
    assert statuses(place) == {PARENT: "FAILED", "rnn-2-seed0": "KILLED", "persistence": "FINISHED"}
    assert "1 of 2 runs failed: rnn-2-seed0" in complaint(place)
    assert place.runs()["rnn-2-seed0"].data.tags["failure"] == "the process ended with exit code -9"
    assert place.launch("recurrent", "--resume", row.info.run_id) == 0, place.stderr
    assert set(statuses(place).values()) == {"FINISHED"}
    resumed = place.runs()["rnn-2-seed0"]
    assert "failure" not in resumed.data.tags
    assert [step for step, _ in place.history(resumed, "train_loss")] == [1, 2, 3, 4, 5, 6]
    assert len(resumed.inputs.dataset_inputs) == 2


@pytest.mark.slow
def test_nothing_trains_on_when_mlflow_run_is_killed(place):
    parameters = {"dataset": "sample", "models": "gru-2", "hidden": 8, "epochs": 60}
    given = [part for name, value in parameters.items() for part in ("-P", f"{name}={value}")]
    process = place.start("run", str(ROOT), "-e", "recurrent", "--env-manager", "local", *given, module="mlflow")
    until(checkpoint_of(place, ROW), process)
    process.kill()
    process.wait()
    require_nothing_left(place)
    assert statuses(place) == {PARENT: "KILLED", ROW: "KILLED"}
    assert "Traceback" not in place.stderr


@pytest.mark.slow
def test_nothing_trains_on_when_the_launcher_is_killed(place, small):
    process = place.start(*small, "--models", "gru-2")
    until(checkpoint_of(place, ROW), process)
    process.kill()
    process.wait()
    require_nothing_left(place)
    assert statuses(place) == {PARENT: "RUNNING", ROW: "KILLED"}
    assert "Traceback" not in place.stderr


@pytest.mark.slow
def test_a_diverging_row_fails_with_its_reason(place, small):
    assert place.launch(*small, "--models", "gru-2", "--lr", "1e38") == 1
    assert statuses(place) == {PARENT: "FAILED", ROW: "FAILED"}
    run = place.runs()[ROW]
    assert re.search(r"the loss is (nan|inf) at update \d+ \(epoch \d\)", run.data.tags["failure"])
    assert place.history(run, "smape_curve")[0] == (0, run.data.metrics["smape_curve.first"])
    assert f"1 of 1 runs failed: {ROW}" in complaint(place)


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("--models", "gru-9"), "unknown gru-9; known are all, gru-2"),
        (("--models", ","), "unknown (none)"),
        (("--lr", "abc"), "'abc' is not a number"),
        (("--lr", "-1"), "--lr"),
        (("--lr", "nan"), "--lr"),
        (("--fraction", "0"), "--fraction"),
        (("--fraction", "2"), "--fraction"),
        (("--fraction", "0.01"), "give more data or training=window"),
        (("--seeds", "0"), "--seeds"),
        (("--jobs", "0"), "--jobs"),
        (("--training", "foo"), "'foo' is not one of 'dense', 'window'"),
        (("--dataset", "foo"), "'foo' is not one of"),
        (("--device", "tpu"), "none of auto, cpu, cuda"),
        (("--device", "cuda"), "device=cuda is not to be had here"),
        (("--resume", "nonexistent"), "there is no database"),
    ],
)
def test_bad_input_leaves_nothing_behind(tmp_path, refused, arguments, what):
    if arguments == ("--device", "cuda") and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert what in refused(tmp_path, f"sqlite:///{tmp_path}/mlflow.db", "--dataset", "sample", *arguments)
    assert not list(tmp_path.iterdir())


def test_bad_input_as_a_command(place, small):
    place.database.unlink()
    assert place.launch(*small, "--models", "gru-9") == 2
    assert complaint(place) == place.stderr.strip()
    assert not place.database.exists()


def test_data_that_cannot_be_had(tmp_path, refused, monkeypatch):
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    line = refused(tmp_path, f"sqlite:///{tmp_path}/mlflow.db", "--dataset", "pjm")
    for way_on in ("python -m pipelines prepare --dataset pjm --data-dir data", "--source", "--dataset sample"):
        assert way_on in line
    assert not (tmp_path / "mlflow.db").exists()


def test_damaged_data_are_not_replaced_by_the_sample(tmp_path, refused):
    (tmp_path / "data" / "pjm").mkdir(parents=True)
    (tmp_path / "data" / "pjm" / "meta.json").write_text('{"format": 1}')
    line = refused(tmp_path, f"sqlite:///{tmp_path}/mlflow.db", "--dataset", "auto")
    assert "damaged" in line
    assert "python -m pipelines prepare --dataset pjm" in line
    assert not (tmp_path / "mlflow.db").exists()


def test_an_unknown_run_is_not_resumed(place, refused):
    line = refused(place.folder, place.uri, "--resume", "nonexistent")
    assert f"there is no run 'nonexistent' on {place.uri}" in line
    assert not place.runs()


def test_an_unreachable_server_is_named_in_time(tmp_path, refused):
    began = time.monotonic()
    line = refused(tmp_path, "http://127.0.0.1:9", "--dataset", "sample", "--models", "persistence")
    assert time.monotonic() - began < 15
    assert "cannot reach the tracking server http://127.0.0.1:9 (" in line


def test_a_signal_between_a_run_and_its_process_leaves_no_running_run(place, at, monkeypatch):
    at(place.folder, place.uri)

    def interrupted(run, params):
        raise tracking.Interrupted(signal.SIGTERM)

    parent = tracking.Run.launch(PARENT, {})
    monkeypatch.setattr(tracking.Run, "log_params", interrupted)
    jobs = [runner.Job(ROW, {"row": "gru-2"})]
    with pytest.raises(tracking.Interrupted):
        runner.fan_out(parent, "recurrent", jobs, recurrent.run_row, {}, 1)
    assert place.runs()[ROW].info.status == "KILLED"


class Interrupting(io.BytesIO):
    """A file in whose third write a signal comes."""

    writes = 0

    def write(self, data):
        self.writes += 1
        if self.writes == 3:
            raise tracking.Interrupted(signal.SIGTERM)
        return super().write(data)


def test_an_interruption_of_torch_save_is_no_failure(place, at):
    """It closes the half-written file on the way out, and raises a RuntimeError for that."""
    at(place.folder, place.uri)
    interrupted, failed = (tracking.Run.launch(name, {}) for name in ("interrupted", "failed"))
    with pytest.raises(tracking.Interrupted), interrupted.active():
        torch.save({"weight": torch.zeros(1000)}, Interrupting())
    with pytest.raises(RuntimeError, match="a failure"), failed.active():
        raise RuntimeError("a failure")
    assert [run.status for run in (interrupted, failed)] == ["KILLED", "FAILED"]
    assert "failure" not in interrupted.tags


def test_a_signal_waits_for_the_end_of_a_write():
    done = []
    with pytest.raises(tracking.Interrupted), runner._signals():  # noqa: PT012 - where it is raised is the point
        with tracking.signals_later():
            signal.raise_signal(signal.SIGINT)
            done.append("written")
        done.append("not reached")
    assert done == ["written"]


@pytest.mark.parametrize(
    ("write", "left"),
    [
        (lambda run: run.log_params({"lr": 0.1}), lambda run: run.params.get("lr") == "0.1"),
        (lambda run: run.set_tags({"row": "x"}), lambda run: run.tags.get("row") == "x"),
        (lambda run: (run.log_metrics({"loss": 2.0}), run.flush()), lambda run: run.metrics.get("loss") == 2.0),
        (lambda run: run.end("FAILED"), lambda run: run.status == "FAILED"),
        (lambda run: run.child("nested", {}), lambda run: [child.status for child in run.children()] == ["RUNNING"]),
    ],
    ids=["params", "tags", "metrics", "end", "child"],
)
def test_a_write_is_done_whole_though_a_signal_comes_within_it(place, at, monkeypatch, write, left):
    """Broken off, it would leave an SQLite database locked, and the row could not say that it was stopped."""
    at(place.folder, place.uri)
    run = tracking.Run.launch("stopped", {})

    def signalled(method):
        def wrapped(*given, **named):
            signal.raise_signal(signal.SIGTERM)
            return method(*given, **named)

        return wrapped

    for name in ("log_batch", "set_terminated", "create_run"):
        monkeypatch.setattr(tracking.MlflowClient, name, signalled(getattr(tracking.MlflowClient, name)))
    with pytest.raises(tracking.Interrupted), runner._signals():
        write(run)
    assert left(run)


def _write_after(path: str, seconds: float) -> None:
    """Work of a crew."""
    time.sleep(seconds)
    Path(path).write_text("done")


def test_what_a_crew_did_last_is_looked_at_though_it_ended_during_a_look(place, at):
    """A look takes seconds where figures are drawn, and the last trial's result was left out then."""
    at(place.folder, place.uri)
    first, last = (str(place.folder / name) for name in ("first", "last"))
    seen = []

    def look():
        seen.append(Path(last).exists())
        while multiprocessing.active_children():
            time.sleep(0.02)

    assert runner.crew(tracking.Run.launch("crew", {}), _write_after, [(first, 0), (last, 2)], look, 0.1) == [0, 0]
    assert seen[0] is False
    assert seen[-1] is True
