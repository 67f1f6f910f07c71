"""SIGTERM and SIGINT at any moment: the run is KILLED, what was measured is kept, and no write is broken off."""

import io
import json
import logging
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest
import sqlalchemy
import torch
from mlflow import MlflowClient
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from support.launches import (
    ENDLESS,
    WAY_OUT_S,
    checkpoint_of,
    complaint,
    require_nothing_left,
    run_of,
    statuses,
    until,
    without_progress,
)
from support.place import ROOT

from pipelines.cli.group import OneLineGroup
from pipelines.errors import Interrupted
from pipelines.experiments.base import Context, Settings
from pipelines.experiments.recurrent import experiment as recurrent
from pipelines.experiments.recurrent.options import RecurrentOptions
from pipelines.launching.fan_out import fan_out
from pipelines.launching.jobs import Job, end_children
from pipelines.launching.launch import launch
from pipelines.processes import signals
from pipelines.processes.signals import signals_later
from pipelines.tracking import server
from pipelines.tracking.claim import Mark
from pipelines.tracking.run import Run

PARENT = "recurrent sample"
ROW = "gru-2-seed0"


@pytest.mark.fault(2)
@pytest.mark.slow
def test_sigterm_to_the_launcher(place, small, refused):
    process = place.fork(*small, "--models", "gru-2", "--epochs", str(ENDLESS))
    row = until(checkpoint_of(place, ROW), process)
    line = refused(place.folder, place.uri, "recurrent", "--resume", row.info.run_id)
    assert re.search(rf"process ({row.data.tags['pid']}|{process.pid}) of \S+ is at work on it", line)
    process.terminate()
    assert process.wait(WAY_OUT_S) == 128 + signal.SIGTERM
    require_nothing_left(place)
    assert statuses(place) == {PARENT: "KILLED", ROW: "KILLED"}
    going_on = f"python -m pipelines recurrent --resume {place.runs()[PARENT].info.run_id}"
    assert complaint(place) == f"error: stopped by signal 15; to go on: {going_on}"
    said = rf"^{row.info.run_name}: stopped, epoch (\d+) of {ENDLESS} is kept$"
    (stopped,) = re.findall(said, place.stderr, re.MULTILINE)
    # One epoch more may have been saved than reported: the process ends between the two.
    saved = json.loads(place.runs()[ROW].data.tags["checkpoint"])["epoch"]
    assert int(stopped) in (saved, saved - 1)
    # What was measured before the end is sent.
    assert place.history(place.runs()[ROW], "train_loss")[0][0] == 1


@pytest.mark.fault(2)
@pytest.mark.slow
def test_ctrl_c_while_the_rows_start(place, small):
    process = place.start(
        *small, "--models", "gru-2,lstm-2", "--epochs", str(ENDLESS), "--jobs", "2", "--data-dir", "mine"
    )
    until(run_of(place, ROW), process)
    # A terminal sends it to all.
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(WAY_OUT_S) == 128 + signal.SIGINT
    require_nothing_left(place)
    assert set(statuses(place).values()) == {"KILLED"}
    going_on = f"python -m pipelines recurrent --resume {place.runs()[PARENT].info.run_id} --data-dir mine --jobs 2"
    *stopped, kept, error = without_progress(place.stderr)
    said = rf"(gru|lstm)-2 hidden=8 epochs={ENDLESS} seed0: stopped(, in its first epoch)?"
    assert all(re.fullmatch(said, line) for line in stopped), stopped
    assert (kept, error) == ("kept: 0 of 2 rows finished", f"error: stopped by signal 2; to go on: {going_on}")


def handles_sigterm(process):
    """Once the process has a handler: Python takes some hundredths of a second until anything of ours is run."""

    def found():
        (caught,) = re.findall(r"SigCgt:\s*(\w+)", Path(f"/proc/{process.pid}/status").read_text())
        return int(caught, 16) & 1 << signal.SIGTERM - 1

    return found


@pytest.mark.fault(2)
@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="there is no /proc")
@pytest.mark.parametrize("seconds", [0, 2, 5, 9])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_at_any_moment(place, small, number, seconds):
    """Imports, data, the connection, the rows' start: whatever it is after so many seconds."""
    process = place.start(*small, "--models", "gru-2", "--epochs", str(ENDLESS))
    until(handles_sigterm(process), process)
    time.sleep(seconds)
    os.killpg(process.pid, number)
    assert process.wait(WAY_OUT_S) == 128 + number
    require_nothing_left(place)
    assert complaint(place).startswith(f"error: stopped by signal {number}")
    assert set(statuses(place).values()) <= {"KILLED"}


@pytest.mark.fault(2)
def test_a_signal_between_a_run_and_its_process_leaves_no_running_run(place, at, monkeypatch):
    at(place.folder, place.uri)

    def interrupted(run, params):
        raise Interrupted(signal.SIGTERM)

    parent = Run.launch(PARENT, {})
    monkeypatch.setattr(Run, "log_params", interrupted)
    jobs = [Job(ROW, Settings(row="gru-2", dataset="sample", training="dense", seed=0))]
    with pytest.raises(Interrupted):
        fan_out(parent, "recurrent", jobs, recurrent.run_row, Context(data_dir="data"), 1)
    assert place.runs()[ROW].info.status == "KILLED"


@pytest.mark.fault(2)
@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("where", [(MlflowClient, "create_run"), (Mark, "write")])
def test_a_signal_while_a_launch_is_made_leaves_no_running_run(place, at, monkeypatch, where, nested):
    at(place.folder, place.uri)
    within = Run.launch("within", {}) if nested else None
    method = getattr(*where)

    def signalled(*given, **named):
        done = method(*given, **named)
        signal.raise_signal(signal.SIGTERM)
        return done

    monkeypatch.setattr(*where, signalled)
    with (
        pytest.raises(Interrupted),
        launch("recurrent", PARENT, {"entry": "recurrent"}, RecurrentOptions(), "", within),
    ):
        pass
    assert place.runs()[PARENT].info.status == "KILLED"


class Interrupting(io.BytesIO):
    """A file in whose third write a signal comes."""

    writes = 0

    def write(self, data):
        self.writes += 1
        if self.writes == 3:
            raise Interrupted(signal.SIGTERM)
        return super().write(data)


@pytest.mark.fault(1)
@pytest.mark.fault(2)
def test_an_interruption_of_torch_save_is_no_failure(place, at):
    """It closes the half-written file on the way out, and raises a RuntimeError for that."""
    at(place.folder, place.uri)
    interrupted, failed = (Run.launch(name, {}) for name in ("interrupted", "failed"))
    with pytest.raises(Interrupted), interrupted.active():
        torch.save({"weight": torch.zeros(1000)}, Interrupting())
    with pytest.raises(RuntimeError, match="a failure"), failed.active():
        raise RuntimeError("a failure")
    assert [run.status for run in (interrupted, failed)] == ["KILLED", "FAILED"]
    assert "failure" not in interrupted.tags


class Base(DeclarativeBase):
    pass


class Thing(Base):
    __tablename__ = "things"
    id: Mapped[int] = mapped_column(primary_key=True)


class Signalled(sqlite3.Cursor):
    """A cursor that a signal arrives at before all is read from it."""

    def fetchall(self):
        signal.raise_signal(signal.SIGTERM)
        return super().fetchall()


class Connection(sqlite3.Connection):
    def cursor(self):
        return super().cursor(Signalled)


@pytest.fixture
def session(tmp_path):
    """A session that a signal arrives in as it reads one of two things."""
    file = tmp_path / "things.db"
    with sqlite3.connect(file) as connection:
        connection.executescript("CREATE TABLE things (id INTEGER PRIMARY KEY); INSERT INTO things VALUES (1), (2)")
    with Session(sqlalchemy.create_engine(f"sqlite:///{file}", connect_args={"factory": Connection})) as session:
        session.file = file
        yield session


@pytest.mark.fault(2)
def test_a_signal_waits_for_the_end_of_a_query(session):
    """Broken off, it would leave an SQLite database locked for as long as the exception is handled."""
    things = []
    with pytest.raises(Interrupted) as stopped, signals.interruptible():  # noqa: PT012 - it is raised later
        things = session.scalars(sqlalchemy.select(Thing)).all()
        time.sleep(10)
    with sqlite3.connect(session.file, timeout=0) as other:
        other.execute("DELETE FROM things")
    assert [thing.id for thing in things] == [1, 2]
    assert stopped.value.signal_number == signal.SIGTERM


@pytest.mark.fault(2)
def test_a_signal_that_waits_is_raised_at_the_end_of_the_block(session, monkeypatch):
    monkeypatch.setattr(signals, "_AGAIN_S", 1000)
    with pytest.raises(Interrupted), signals.interruptible():
        session.scalars(sqlalchemy.select(Thing)).all()


def test_a_query_that_takes_long_is_broken_off_and_logs_nothing(session, caplog, monkeypatch):
    """SQLAlchemy closes the connection, and then fails to close the cursor; what it logs of that, Python prints."""
    monkeypatch.setattr(logging.getLogger("sqlalchemy.pool"), "level", logging.NOTSET)
    monkeypatch.setattr(signals, "_QUERY_S", 0)
    things = []
    with pytest.raises(Interrupted), signals.interruptible():
        things = session.scalars(sqlalchemy.select(Thing)).all()
    assert not things
    assert caplog.records == []


@pytest.mark.fault(2)
def test_a_signal_that_waits_is_raised_where_the_block_fails(session, monkeypatch):
    monkeypatch.setattr(signals, "_AGAIN_S", 1000)
    with pytest.raises(Interrupted) as stopped, signals.interruptible():  # noqa: PT012 - one follows from the other
        session.scalars(sqlalchemy.select(Thing)).all()
        raise ValueError("of another kind")
    assert isinstance(stopped.value.__context__, ValueError)
    with signals.interruptible():  # nothing of it is left
        pass


@pytest.mark.fault(2)
def test_a_second_signal_interrupts_no_clean_up_of_a_block_around():
    cleaned = []
    with pytest.raises(Interrupted, match="signal 2"), signals.interruptible():  # noqa: PT012 - two blocks are the point
        try:
            with signals.interruptible():
                signal.raise_signal(signal.SIGINT)
        finally:
            signal.raise_signal(signal.SIGTERM)
            cleaned.append("cleaned")
    assert cleaned


def test_a_block_of_one_signal_leaves_the_handler_of_the_other(monkeypatch):
    """As SLURM's, where submitit handles SIGTERM."""

    def handler(number, frame):
        pass

    before = signal.signal(signal.SIGTERM, handler)
    try:
        with pytest.raises(Interrupted), signals.interruptible(signal.SIGINT):
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGTERM) is handler
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.fault(2)
def test_a_signal_at_the_start_ends_it_though_nobody_reads_what_it_says():
    """As Ctrl-C does that ends `tee` first."""
    read, write = os.pipe()
    os.close(read)
    program = """
from pipelines.processes import signals
import signal
signals.begin()
try:
    signal.raise_signal(signal.SIGINT)
except OSError:
    pass
"""
    try:
        assert subprocess.run([sys.executable, "-c", program], stderr=write, cwd=ROOT).returncode == 130
    finally:
        os.close(write)


@pytest.mark.fault(2)
def test_an_error_that_takes_the_place_of_an_interruption_ends_a_command_as_stopped(capsys):
    """Optuna raises one of its own while it ends a trial."""

    @click.group(cls=OneLineGroup, sections={}, examples=())
    def group():
        pass

    @group.command()
    def tell():
        try:
            raise Interrupted(signal.SIGTERM)
        finally:
            error = UnboundLocalError("updated_state")
            error.add_note("to go on: this")
            raise error

    with pytest.raises(SystemExit) as ended:
        group(["tell"])
    assert (ended.value.code, capsys.readouterr().err) == (143, "error: stopped by signal 15; to go on: this\n")


@pytest.mark.fault(2)
def test_a_signal_in_the_last_metrics_of_a_run_leaves_it_killed(place, at, monkeypatch):
    at(place.folder, place.uri)
    run = Run.launch("stopped", {})
    log_batch = MlflowClient.log_batch

    def signalled(client, *given, **named):
        if named.get("metrics"):
            signal.raise_signal(signal.SIGTERM)
        return log_batch(client, *given, **named)

    monkeypatch.setattr(MlflowClient, "log_batch", signalled)
    with pytest.raises(Interrupted), signals.interruptible(), run.active():
        run.log_metrics({"loss": 2.0})
    assert (run.status, run.metrics) == ("KILLED", {"loss": 2.0})


@pytest.mark.fault(2)
def test_a_signal_waits_for_the_set_up_of_a_database(monkeypatch, tmp_path):
    """MLflow could not take up a step of it that was broken off."""
    done = []

    def migrate(client, max_results):
        signal.raise_signal(signal.SIGINT)
        done.append("migrated")

    monkeypatch.setattr(MlflowClient, "search_experiments", migrate)
    with pytest.raises(Interrupted), signals.interruptible():
        server._set_up(f"sqlite:///{tmp_path}/mlflow.db")
    assert done == ["migrated"]


@pytest.mark.fault(2)
def test_the_end_of_children_waits_little_for_a_server_that_does_not_answer(place, at, monkeypatch):
    """No signal is heard by then."""
    at(place.folder, place.uri)
    run = Run.launch(PARENT, {})
    limits = []
    monkeypatch.setattr(Run, "children", lambda self: limits.append(os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"]) or [])
    end_children(run)
    assert limits == ["5"]


class Destroyed:
    """An object in whose destructor a signal comes."""

    def __del__(self):
        signal.raise_signal(signal.SIGINT)


@pytest.mark.fault(2)
def test_a_signal_within_a_destructor_is_not_lost(capsys):
    """Python drops what is raised in one."""
    with pytest.raises(Interrupted, match="signal 2"), signals.interruptible():  # noqa: PT012 - it is raised later
        Destroyed()
        time.sleep(10)
    assert capsys.readouterr().err == ""


@pytest.mark.fault(2)
def test_a_signal_waits_for_the_end_of_a_write():
    done = []
    with pytest.raises(Interrupted), signals.interruptible():  # noqa: PT012 - where it is raised is the point
        with signals_later():
            signal.raise_signal(signal.SIGINT)
            done.append("written")
        done.append("not reached")
    assert done == ["written"]


@pytest.mark.fault(2)
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
    run = Run.launch("stopped", {})

    def signalled(method):
        def wrapped(*given, **named):
            signal.raise_signal(signal.SIGTERM)
            return method(*given, **named)

        return wrapped

    for name in ("log_batch", "set_terminated", "create_run"):
        monkeypatch.setattr(MlflowClient, name, signalled(getattr(MlflowClient, name)))
    with pytest.raises(Interrupted), signals.interruptible():
        write(run)
    assert left(run)
