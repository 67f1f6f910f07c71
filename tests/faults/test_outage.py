"""The tracking server is away for a while or for good, or refuses files: nothing is lost, nothing is there twice."""

import errno
import json
import os
from functools import partial

import matplotlib.figure
import mlflow
import numpy as np
import pandas as pd
import pytest
import torch
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import TEMPORARILY_UNAVAILABLE
from sqlalchemy import event
from sqlalchemy.engine import Engine

from pipelines import names
from pipelines.commands import replay
from pipelines.commands.options import ReplayOptions
from pipelines.common.origins import Origin
from pipelines.errors import UNSENT, AwayError, FailedRunsError, Interrupted, UnsentError
from pipelines.experiments.base import Context, Settings
from pipelines.experiments.pretrain import experiment as pretrain
from pipelines.experiments.pretrain.options import PretrainOptions
from pipelines.launching.fan_out import fan_out
from pipelines.launching.jobs import Job
from pipelines.launching.launch import launch
from pipelines.launching.summary import sum_up, summarise
from pipelines.tracking import delivery, spool, unsent
from pipelines.tracking.artifacts import log_dataset, log_figure, log_json, log_table
from pipelines.tracking.checkpoints import load_checkpoint, save_checkpoint
from pipelines.tracking.models import log_model, register
from pipelines.tracking.outage import Pause, is_outage, reason, short_timeouts
from pipelines.tracking.run import CutShort, Run

METHODS = (
    "create_run",
    "get_run",
    "log_batch",
    "log_inputs",
    "log_artifact",
    "set_tag",
    "delete_tag",
    "update_run",
    "set_terminated",
    "search_runs",
    "get_metric_history",
    "create_logged_model",
    "log_outputs",
    "log_model_artifacts",
    "finalize_logged_model",
    "create_registered_model",
    "create_model_version",
    "set_registered_model_alias",
    "get_model_version_by_alias",
    "download_artifacts",
)
FILES = ("log_artifact", "log_model_artifacts")


class Server:
    """What stands between a run and its server: lets calls pass or not, and counts them."""

    def __init__(self):
        self.broken: tuple[str, ...] = ()
        self.answers_lost: tuple[str, ...] = ()
        self.error: Exception = ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
        self.calls = 0

    def go(self):
        self.broken = METHODS

    def come_back(self):
        self.broken = ()


@pytest.fixture
def server(place, at, monkeypatch):
    """The database of `place`, which can go and come back."""
    at(place.folder, place.uri)
    server = Server()

    def between(name, method):
        def call(*given, **named):
            server.calls += 1
            if name in server.broken:
                raise server.error
            answer = method(*given, **named)
            if name in server.answers_lost:
                server.answers_lost = ()
                raise server.error
            return answer

        return call

    for name in METHODS:
        monkeypatch.setattr(MlflowClient, name, between(name, getattr(MlflowClient, name)))
    monkeypatch.setattr(delivery.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(delivery, "END_TIMEOUT_S", 0)
    monkeypatch.setattr(delivery, "RETRY_TIMEOUT_S", 0)
    # Every attempt is due at once.
    monkeypatch.setattr(Pause, "after", lambda before, error, took=0.0: Pause(reason(error)))
    return server


def figure():
    figure = matplotlib.figure.Figure()
    figure.subplots().plot([1, 2])
    return figure


def log_much(run, epoch):
    run.log_metrics({"train_loss": 1 / epoch, "test_loss": 2 / epoch}, step=epoch)
    run.flush()
    save_checkpoint(run, {"epoch": epoch, "weight": torch.full((10,), float(epoch))}, epoch)


def log_end(run):
    run.log_best("train_loss")
    run.log_params({"lr": 0.1})
    log_table(run, pd.DataFrame({"a": [1]}), "tables/a.csv")
    log_figure(run, figure(), "figures/a.png")
    log_json(run, [1], "plan.json")
    log_dataset(run, "sample", "0" * 64, Origin("embedded", {"a.csv": "1" * 64}), (3, 2), "training")
    run.set_tags({names.DESCRIPTION: "a note"})
    log_model(run, torch.nn.Flatten(), np.zeros((2, 3, 4, 4), np.float32))
    register(run, "some", "val_accuracy", 50.0, "data", "0" * 64)


def require_everything(place, run):
    """What log_much of four epochs and log_end leave, nothing less and nothing twice."""
    found = place.client.get_run(run.id)
    assert found.info.status == "FINISHED"
    assert "failure" not in found.data.tags
    for metric, times in (("train_loss", 1), ("test_loss", 2)):
        points = place.client.get_metric_history(run.id, metric)
        assert sorted((point.step, point.value) for point in points) == [(step, times / step) for step in (1, 2, 3, 4)]
    assert found.data.metrics["best/train_loss"] == 0.25
    assert found.data.params == {"lr": "0.1"}
    assert found.data.tags[names.DESCRIPTION] == "a note"
    assert found.data.tags[names.REGISTERED] == "some version 1, champion"
    assert len(found.inputs.dataset_inputs) == 1
    assert len(found.outputs.model_outputs) == 1
    for path in ("tables/a.csv", "figures/a.png", "plan.json"):
        assert place.artifact(found, path).stat().st_size
    assert load_checkpoint(Run(run.id))["epoch"] == 4
    (version,) = place.client.search_model_versions("name = 'some'")
    assert place.client.get_model_version_by_alias("some", "champion").version == version.version
    (model,) = place.client.search_logged_models([found.info.experiment_id])
    assert model.status == "READY"
    assert {metric.key for metric in model.metrics} >= {"best/train_loss"}
    assert spool.folders(spool.root()) == []


@pytest.mark.fault(8)
@pytest.mark.parametrize("gone", [(), (1,), (2, 3), (4,), (4, 5), (1, 2, 3), (5,)], ids=str)
@pytest.mark.medium
def test_an_outage_in_the_middle_loses_nothing_and_doubles_nothing(place, server, capsys, gone):
    """4 are the epochs, 5 is what comes after them; the server is back before the end."""
    run = Run.launch("row", {"row": "row"})
    with run.active():
        for epoch in (1, 2, 3, 4, 5):
            server.go() if epoch in gone else server.come_back()
            log_much(run, epoch) if epoch < 5 else log_end(run)
        server.come_back()
    require_everything(place, run)
    said = capsys.readouterr().err.splitlines()
    assert bool(said) == bool(gone)
    assert all("Traceback" not in line for line in said)


@pytest.mark.fault(8)
def test_an_outage_for_good_is_said_kept_and_replayed(place, server, capsys):
    run = Run.launch("row", {"row": "row"})
    with pytest.raises(UnsentError) as unsent, run.active():
        log_much(run, 1)
        server.go()
        for epoch in (2, 3, 4):
            log_much(run, epoch)
        log_end(run)
        # It goes by what this process knows.
        assert run.history("train_loss") == [(epoch, 1 / epoch) for epoch in (1, 2, 3, 4)]
        assert run.metrics["test_loss"] == 0.5
        assert run.tags[names.DESCRIPTION] == "a note"
        assert run.params == {"lr": "0.1"}
    folder = spool.folder_of(run.id)
    assert str(folder) in str(unsent.value)
    assert "Connection refused" in str(unsent.value)
    assert str(unsent.value).endswith("python -m pipelines replay")
    server.come_back()
    capsys.readouterr()
    replay.run(ReplayOptions())
    require_everything(place, run)
    replay.run(ReplayOptions())
    assert capsys.readouterr().err.splitlines()[-1] == f"nothing waits in {spool.root()}"


@pytest.mark.fault(8)
@pytest.mark.fault(12)
@pytest.mark.parametrize(
    "method",
    [
        "log_batch",
        "log_artifact",
        "create_logged_model",
        "log_outputs",
        "finalize_logged_model",
        "create_model_version",
        "set_terminated",
        "log_inputs",
    ],
)
@pytest.mark.medium
def test_what_was_done_though_its_answer_was_lost_is_not_done_twice(place, server, method):
    run = Run.launch("row", {"row": "row"})
    with run.active():
        for epoch in (1, 2, 3, 4):
            log_much(run, epoch)
            if epoch == 2:
                server.answers_lost = (method,)
        log_end(run)
    require_everything(place, run)


@pytest.mark.fault(8)
def test_a_child_is_made_once_though_the_answer_was_lost(place, server, monkeypatch):
    monkeypatch.setattr(delivery, "RETRY_TIMEOUT_S", 60)
    parent = Run.launch("parent", {})
    server.answers_lost = ("create_run",)
    child = parent.child("row", {"row": "row"})
    assert len(place.runs()) == 2
    assert place.runs()["row"].info.run_id == child.id


@pytest.mark.fault(8)
def test_a_known_outage_costs_one_question_now_and_then(place, server, monkeypatch):
    """A training must not be held up: no call at all until a pause is over."""
    run = Run.launch("row", {})
    monkeypatch.setattr(Pause, "after", lambda before, error, took=0.0: Pause("away", 1e9, 1e18))
    with pytest.raises(UnsentError), run.active():
        server.go()
        log_much(run, 1)
        before = server.calls
        for epoch in range(2, 50):
            run.log_metrics({"train_loss": 1.0}, step=epoch)
            run.flush()
            run.set_tags({"a": epoch})
            assert run.tags["a"] == str(epoch)
            assert run.history("train_loss")
        assert server.calls == before


@pytest.mark.fault(8)
def test_the_pause_grows_to_its_limit_and_with_what_an_attempt_takes():
    error, pause, pauses = ConnectionError("refused"), None, []
    for _ in range(8):
        pause = Pause.after(pause, error)
        pauses.append(pause.seconds)
    assert pauses == [1, 2, 4, 8, 16, 30, 30, 30]
    assert Pause.after(pause, error, took=5.0).seconds == 100


@pytest.mark.fault(8)
def test_a_run_of_which_the_first_call_fails_is_no_running_run(place, server):
    run = Run.launch("row", {})
    server.go()
    with pytest.raises(AwayError, match="stays away"), run.active():
        pytest.fail("nothing is known of it: it must not begin")
    server.come_back()
    replay.run(ReplayOptions())
    found = place.runs()["row"]
    assert found.info.status == "FAILED"
    assert "stays away" in found.data.tags["failure"]


@pytest.mark.fault(8)
@pytest.mark.fault(1)
@pytest.mark.parametrize(
    ("error", "status"),
    [
        (RuntimeError("a failure"), "FAILED"),
        (Interrupted(15), "KILLED"),
        (KeyboardInterrupt(), "KILLED"),
        (CutShort("enough"), "KILLED"),
    ],
)
def test_the_status_of_a_run_that_ends_in_an_outage_is_right_after_the_replay(place, server, error, status):
    run = Run.launch("row", {})
    with pytest.raises(type(error)), run.active():
        server.go()
        raise error
    server.come_back()
    replay.run(ReplayOptions(spool=str(spool.folder_of(run.id))))
    found = place.runs()["row"]
    assert found.info.status == status
    assert ("a failure" in found.data.tags.get("failure", "")) == (status == "FAILED")


@pytest.mark.fault(8)
@pytest.mark.fault(3)
def test_the_spool_of_a_killed_process_is_replayed_as_killed(place, server):
    run = Run.launch("row", {})
    run._begin()
    server.go()
    log_much(run, 1)
    run.delivery.outbox._spool._lock.release()  # as the end of the process does
    server.come_back()
    replay.run(ReplayOptions())
    assert place.runs()["row"].info.status == "KILLED"
    assert load_checkpoint(Run(run.id))["epoch"] == 1


@pytest.mark.fault(8)
def test_what_another_process_has_taken_up_since_is_not_overwritten(place, server, capsys):
    run = Run.launch("row", {})
    run._begin()
    server.go()
    log_much(run, 1)
    run.delivery.outbox.close()
    server.come_back()
    place.client.set_tag(run.id, "pid", "1")
    with pytest.raises(UnsentError, match="was continued by another process since"):
        replay.run(ReplayOptions())
    assert "train_loss" not in place.runs()["row"].data.metrics
    assert spool.folders(spool.root())


@pytest.mark.fault(8)
def test_a_run_that_goes_on_sends_what_it_had_left_first(place, server):
    run = Run.launch("row", {"row": "row"})
    with pytest.raises(UnsentError), run.active():
        log_much(run, 1)
        server.go()
        log_much(run, 2)
    server.come_back()
    again = Run(run.id)
    with again.active():
        assert load_checkpoint(again)["epoch"] == 2
        again.recall()
        for epoch in (2, 3, 4):
            log_much(again, epoch)
        log_end(again)
    require_everything(place, again)


@pytest.mark.fault(8)
def test_a_spool_is_only_sent_to_its_own_server(place, server, tmp_path, at):
    run = Run.launch("row", {})
    with pytest.raises(UnsentError), run.active():
        server.go()
        log_much(run, 1)
    server.come_back()
    other = tmp_path / "other.db"
    other.write_bytes(place.database.read_bytes())
    at(place.folder, f"sqlite:///{other}")
    with pytest.raises(UnsentError, match=f"is of sqlite:///{place.database}, not of sqlite:///{other}: set MLFLOW"):
        replay.run(ReplayOptions())


# Files.


@pytest.mark.fault(9)
@pytest.mark.parametrize(
    "error",
    [
        PermissionError(errno.EACCES, "Permission denied"),
        OSError(errno.ENOSPC, "No space left on device"),
        MlflowException("the bucket is gone"),
        RuntimeError("whatever a store raises"),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.medium
def test_a_file_that_is_refused_is_kept_named_and_replayed(place, server, capsys, error):
    run = Run.launch("row", {"row": "row"})
    server.error = error
    with pytest.raises(UnsentError), run.active():
        for epoch in (1, 2, 3, 4):
            log_much(run, epoch)
            server.broken = FILES
        log_end(run)
    found = place.runs()["row"]
    # What is no file is there, and the run does not pass for complete.
    assert [step for step, _ in place.history(found, "train_loss")] == [1, 2, 3, 4]
    assert found.info.status == "FAILED"
    assert str(spool.folder_of(run.id)) in found.data.tags["failure"]
    assert "python -m pipelines replay" in found.data.tags["failure"]
    assert "could not be uploaded" in capsys.readouterr().err
    assert load_checkpoint(Run(run.id))["epoch"] == 1
    copies = {path.name for path in spool.folder_of(run.id).rglob("*") if path.is_file()}
    assert {"a.csv", "a.png", "plan.json", "even.pt", "odd.pt", "MLmodel"} <= copies
    server.come_back()
    replay.run(ReplayOptions())
    require_everything(place, run)


@pytest.mark.fault(9)
@pytest.mark.fault(16)
def test_what_can_be_kept_nowhere_is_named_and_the_run_is_not_finished(place, server, capsys, monkeypatch):
    monkeypatch.setattr(spool, "LIMIT", 0)
    run = Run.launch("row", {})
    server.error = OSError(errno.ENOSPC, "No space left on device")
    with (
        pytest.raises(FailedRunsError, match=r"lost: tables/a\.csv \(the spool .* has reached its limit of 0 MB\)"),
        run.active(),
    ):
        server.broken = FILES
        log_table(run, pd.DataFrame({"a": [1]}), "tables/a.csv")
    found = place.runs()["row"]
    assert found.info.status == "FAILED"
    assert "lost: tables/a.csv" in found.data.tags["failure"]
    assert "tables/a.csv" in capsys.readouterr().err


# Databases.


@pytest.mark.fault(16)
@pytest.mark.medium
def test_a_database_that_is_full_loses_nothing_and_keeps_no_run_running(place, at, monkeypatch):
    at(place.folder, place.uri)
    monkeypatch.setattr(delivery, "END_TIMEOUT_S", 0)
    pages = {"limit": 1 << 30}

    def limit(connection, cursor, statement, parameters, context, executemany):
        cursor.execute(f"PRAGMA max_page_count = {pages['limit']}")

    event.listen(Engine, "before_cursor_execute", limit)
    try:
        run = Run.launch("row", {"row": "row"})
        with pytest.raises(UnsentError, match="database or disk is full"), run.active():
            log_much(run, 1)
            pages["limit"] = 1  # SQLite takes the present size for the least
            run.log_metrics({f"metric {number}": 1.0 for number in range(2000)})
            for epoch in (2, 3, 4):
                log_much(run, epoch)
            log_end(run)
        assert load_checkpoint(Run(run.id))["epoch"] == 1
        assert place.runs()["row"].info.status == "FAILED"
        pages["limit"] = 1 << 30
        replay.run(ReplayOptions())
    finally:
        event.remove(Engine, "before_cursor_execute", limit)
    require_everything(place, run)


def test_what_is_an_outage_and_what_a_refusal():
    refused = MlflowException.invalid_parameter_value("no such metric name")
    away = MlflowException("locked", error_code=TEMPORARILY_UNAVAILABLE)
    assert is_outage(away)
    assert is_outage(MlflowException("API request to … failed with exception refused"))
    assert is_outage(ConnectionError())
    assert not is_outage(refused)
    assert not is_outage(TypeError())


def test_a_refusal_is_no_outage(place, server):
    run = Run.launch("row", {})
    with pytest.raises(MlflowException), run.active():
        run.set_tags({"": "a tag without a name"})
    assert run.status == "FAILED"
    assert spool.folders(spool.root()) == []


# Launches.


def _epochs(run, settings, context):
    """Work of a job."""
    for epoch in (1, 2, 3, 4):
        log_much(run, epoch)


@pytest.mark.medium
def test_a_row_that_cannot_be_begun_does_not_stop_the_others(place, server, monkeypatch, capsys):
    parent = Run.launch("parent", {})
    create, made = Run.child, []

    def second_is_refused(run, name, tags):
        if made:
            raise AwayError(f"{name}: the tracking server stays away")
        made.append(name)
        return create(run, name, tags)

    monkeypatch.setattr(Run, "child", second_is_refused)
    jobs = [*(Job(row, Settings(row=row, dataset="sample", training="none", seed=0)) for row in ("one", "two"))]
    with pytest.raises(FailedRunsError, match=r"1 could not be begun, .*: two$"):
        fan_out(parent, "recurrent", jobs, _epochs, Context(data_dir="data"), 1)
    assert place.runs()["one"].info.status == "FINISHED"
    assert "two was not begun" in capsys.readouterr().err


def test_the_code_of_what_waits_is_that_of_a_temporary_failure():
    assert UNSENT == os.EX_TEMPFAIL


@pytest.mark.fault(8)
def test_a_launch_whose_rows_and_summary_wait_is_finished_by_the_replay(place, server, capsys):
    """Of the launch's own spool, which is in use, nothing is said."""
    tags = {"entry": "pretrain", "dataset": "sample"}
    with pytest.raises(UnsentError, match="1 of its runs are not wholly on the tracking server"):  # noqa: SIM117
        with launch("pretrain", "pretrain sample", tags, PretrainOptions(), "a note") as parent:
            row = parent.child("resnet20-seed0", {"row": "resnet20", "seed": "0"})
            with unsent.announced(), row.active():
                server.go()
                row.log_metrics({"test_accuracy": 50.0})
            sum_up(parent, "pretrain", partial(summarise, pretrain.EXPERIMENT))
    server.come_back()
    assert {run.info.status for run in place.runs().values()} == {"RUNNING"}
    replay.run(ReplayOptions())
    runs = place.runs()
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    assert "failure" not in runs["pretrain sample"].data.tags
    assert "| resnet20 | 50 |  | 1 |" in runs["pretrain sample"].data.tags["mlflow.note.content"]
    assert place.artifact(runs["pretrain sample"], "tables/comparison.csv").exists()
    assert spool.folders(spool.root()) == []


def test_limits_that_threads_set_at_once_leave_the_environment_as_it_was(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "5")
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_TIMEOUT", raising=False)
    one, other = short_timeouts(retries=0, timeout=5), short_timeouts(retries=2)
    one.__enter__()
    other.__enter__()
    one.__exit__(None, None, None)
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "2"
    other.__exit__(None, None, None)
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "5"
    assert "MLFLOW_HTTP_REQUEST_TIMEOUT" not in os.environ


def test_a_spool_holds_no_secret(place, server, monkeypatch):
    run = Run.launch("row", {})
    monkeypatch.setattr(mlflow, "get_tracking_uri", lambda: "http://me:s3cret@127.0.0.1:9")
    with pytest.raises(UnsentError), run.active():
        server.go()
        log_much(run, 1)
    journal = (spool.folder_of(run.id) / "journal.jsonl").read_text()
    assert "s3cret" not in journal
    assert json.loads(journal.splitlines()[0])["server"].endswith("127.0.0.1:9")


@pytest.mark.fault(16)
def test_a_disk_too_full_to_write_a_checkpoint_fails_the_run_and_leaves_the_one_before(place, at, monkeypatch):
    at(place.folder, place.uri)
    run = Run.launch("row", {})
    save = torch.save

    def full(state, file):
        if state["epoch"] == 3:
            file.write(b"half of it")
            raise OSError(errno.ENOSPC, "No space left on device")
        save(state, file)

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="No space left"), run.active():
        for epoch in (1, 2, 3):
            log_much(run, epoch)
    found = place.runs()["row"]
    assert found.info.status == "FAILED"
    assert "No space left on device" in found.data.tags["failure"]
    assert [step for step, _ in place.history(found, "train_loss")] == [1, 2, 3]
    assert load_checkpoint(Run(run.id))["epoch"] == 2
