"""Reading of the tracking server again and again."""

import sqlite3
import threading
import time
from contextlib import closing

import pytest
from mlflow import MlflowClient
from mlflow.entities import Metric
from support.tracked import LASTS, Tracked, tracking

from analysis.errors import InputError, UnreachableError
from analysis.watch.store import Store
from pipelines import names

ENTRY = {"entry": "recurrent", "dataset": "sample"}


class Clock:
    """A clock that is set by hand, seconds since 1970."""

    def __init__(self, now: float):
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def store(tmp_path, blank_database):
    store = Tracked(tmp_path, blank_database, "one", "two")
    with tracking(store.uri):
        yield store


@pytest.fixture
def clock(store) -> Clock:
    return Clock(store.clock / 1000 + 10)


@pytest.fixture
def asked(monkeypatch) -> list[str]:
    """The histories that are asked for, and the searches made, in their order."""
    calls: list[str] = []
    history, search = MlflowClient.get_metric_history, MlflowClient.search_runs

    def recorded_history(self, run_id, key):
        calls.append(key)
        return history(self, run_id, key)

    def recorded_search(self, experiments, condition, **kwargs):
        calls.append(condition.split()[0])
        return search(self, experiments, condition, **kwargs)

    monkeypatch.setattr(MlflowClient, "get_metric_history", recorded_history)
    monkeypatch.setattr(MlflowClient, "search_runs", recorded_search)
    return calls


def row(store, name, launch, status="RUNNING", **kwargs) -> str:
    return store.run(name, ENTRY | {"row": name, names.PARENT_RUN: launch}, status=status, **kwargs)


def test_it_reads_what_runs_and_what_ended_lately_with_all_of_their_launches(store, clock):
    store.run("long ago", ENTRY)
    clock.now += 5000
    store.clock += 5_000_000
    launch = store.run("launch", ENTRY, status="RUNNING")
    early = row(store, "early", launch, "FINISHED")
    store.clock += 1_000_000
    clock.now += 1000
    loss, smape = [(1, 0.5), (2, 0.25)], [(0, 30.0), (7, 9.0)]
    running = row(store, "running", launch, metrics={"train_loss": loss, "smape_curve": smape, "x": 1.0})
    lately = store.run("lately", ENTRY, experiment="two")
    found = Store(recent_s=600, clock=clock).read()
    assert {run.run_id for run in found.runs} == {launch, early, running, lately}
    history = {
        metric: [(point.step, point.value) for point in points] for (_, metric), points in found.histories.items()
    }
    assert history == {"train_loss": loss, "smape_curve": smape}
    (run,) = [run for run in found.runs if run.run_id == running]
    assert (run.latest["train_loss"].step, run.latest["train_loss"].value) == (2, 0.25)
    (ended,) = [run for run in found.runs if run.run_id == early]
    assert ended.ended - ended.began == LASTS / 1000
    assert {run.run_id for run in Store("one", 600, clock).read().runs} == {launch, early, running}


def test_what_is_known_is_not_asked_for_again(store, clock, asked):
    launch = store.run("launch", ENTRY, status="RUNNING")
    run = row(store, "a", launch, metrics={"train_loss": [(1, 0.5)]})
    reader = Store(clock=clock)
    reader.read()
    assert asked == ["attributes.status", "attributes.end_time", f"tags.`{names.PARENT_RUN}`", "train_loss"]
    asked.clear()
    reader.read()
    assert asked == ["attributes.status", "attributes.end_time"]
    store.client.log_batch(run, [Metric("train_loss", 0.4, store.clock, 2)])
    asked.clear()
    found = reader.read()
    assert asked == ["attributes.status", "attributes.end_time", "train_loss"]
    assert [point.value for point in found.histories[run, "train_loss"]] == [0.5, 0.4]
    row(store, "b", launch)
    asked.clear()
    reader.read()
    assert f"tags.`{names.PARENT_RUN}`" in asked


def test_the_launch_of_a_running_row_is_read_though_it_ended_long_ago(store, clock):
    launch = store.run("launch", ENTRY, status="KILLED")
    clock.now += 5000
    run = row(store, "a", launch)
    assert {run.run_id for run in Store(clock=clock).read().runs} == {launch, run}
    row(store, "orphan", "0" * 32)
    assert len(Store(clock=clock).read().runs) == 3


def test_the_plan_tells_what_waits(store, clock):
    launch = store.run("launch", ENTRY, status="RUNNING")
    reader = Store(clock=clock)
    assert reader.read().plans == {launch: ()}
    store.client.log_text(launch, '[{"name": "a", "settings": {}}, {"name": "b", "settings": {}}]', names.PLAN)
    clock.now += 1
    assert reader.read().plans == {launch: ()}
    clock.now += 10
    assert reader.read().plans == {launch: ("a", "b")}
    broken = store.run("other", ENTRY, status="RUNNING")
    store.client.log_text(broken, '{"name": 1}', names.PLAN)
    assert Store(clock=clock).read().plans[broken] == ()


def test_an_artifact_store_that_does_not_answer_holds_nothing_up(store, clock, monkeypatch):
    launch, answer = store.run("launch", ENTRY, status="RUNNING"), threading.Event()

    def planned(run_id: str) -> tuple[str, ...]:
        answer.wait(30)
        return ("a",)

    monkeypatch.setattr("analysis.watch.store._planned", planned)
    monkeypatch.setattr("analysis.watch.store._PLAN_WAIT_S", 0.01)
    reader = Store(clock=clock)
    assert reader.read().plans == {launch: ()}
    answer.set()
    for _ in range(100):
        if reader.read().plans[launch]:
            break
        time.sleep(0.05)
    assert reader.read().plans == {launch: ("a",)}


def test_of_an_old_launch_a_plan_is_asked_for_once(store, clock, monkeypatch):
    asked: list[str] = []
    monkeypatch.setattr("analysis.watch.store._planned", lambda run_id: asked.append(run_id) or ())
    launch = store.run("launch", ENTRY, status="RUNNING")
    clock.now += 5000
    reader = Store(clock=clock)
    for _ in range(3):
        reader.read()
        clock.now += 10
    assert asked == [launch]


def test_a_heartbeat_is_a_claim_that_changes(store, clock):
    launch = store.run("launch", ENTRY | {names.CLAIM: "1"}, status="RUNNING")
    reader, began = Store(clock=clock), clock.now
    reader.read()
    clock.now += 5
    (beat,) = reader.read().beats.values()
    assert (beat.first_read, beat.changed) == (began, None)
    store.client.set_tag(launch, names.CLAIM, "2")
    clock.now += 5
    reader.read()
    clock.now += 5
    (beat,) = reader.read().beats.values()
    assert (beat.first_read, beat.changed) == (began, began + 10)
    # After an outage, or a night in which this machine slept, it begins anew.
    clock.now += 5000
    (beat,) = reader.read().beats.values()
    assert (beat.first_read, beat.changed) == (clock.now, None)


def test_reading_leaves_no_lock_and_changes_nothing(store, clock):
    row(store, "a", store.run("launch", ENTRY, status="RUNNING"), metrics={"train_loss": 1.0})
    database = store.folder / "runs.db"
    before = database.read_bytes()
    reader = Store(clock=clock)
    reader.read()
    reader.read()
    with closing(sqlite3.connect(database, timeout=0)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        writer.rollback()
    assert database.read_bytes() == before


def test_where_nothing_was_logged_nothing_is_made(tmp_path):
    with tracking(f"sqlite:///{tmp_path / 'none.db'}"):
        assert Store().read().empty
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_experiment_is_refused(store, clock):
    with pytest.raises(InputError, match="'three' is not at"):
        Store("three", clock=clock).read()


def test_a_server_that_does_not_answer_is_one_error_and_is_read_when_it_is_back(store, clock, closed_port):
    store.run("launch", ENTRY, status="RUNNING")
    reader = Store(clock=clock)
    with tracking(f"http://127.0.0.1:{closed_port}"), pytest.raises(UnreachableError):
        reader.read()
    assert len(reader.read().runs) == 1
