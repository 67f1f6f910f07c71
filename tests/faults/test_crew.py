"""The processes of a launch, and who polls them."""

import gc
import multiprocessing
import os
import shutil
import sys
import time
from pathlib import Path

import pytest

from pipelines.experiments.base import Context, Settings, changed
from pipelines.launching.fan_out import fan_out
from pipelines.launching.jobs import Job
from pipelines.launching.local import LOCAL
from pipelines.launching.processes import run_workers
from pipelines.processes.forked import ALLOCATOR
from pipelines.tracking.run import Run

SETTINGS = Settings(row="one", dataset="sample", training="none", seed=0)


def _write_after(run: Run, settings: Settings, context: Context) -> None:
    """Work of a worker: at its end, after as many seconds as its seed, it leaves a file of that name."""
    time.sleep(settings.seed)
    (Path(context.data_dir) / str(settings.seed)).write_text(run.id)


@pytest.mark.medium
def test_what_a_crew_did_last_is_looked_at_though_it_ended_during_a_look(place, at):
    """A look takes seconds where figures are drawn, and the last trial's result was left out then."""
    at(place.folder, place.uri)
    parent = Run.launch("crew", {})
    jobs = [Job(f"worker {seed}", changed(SETTINGS, seed=seed), assists=True) for seed in (0, 2)]
    last = place.folder / "2"
    seen = []

    def look():
        seen.append(last.exists())
        while multiprocessing.active_children():
            time.sleep(0.02)

    assert run_workers(parent, jobs, _write_after, Context(data_dir=str(place.folder)), look, 0.1, LOCAL) == [0, 0]
    assert seen[0] is False
    assert seen[-1] is True
    assert last.read_text() == parent.id
    # It is the launch that ends its run, and has its costs.
    assert parent.status == "RUNNING"
    assert parent.metrics == {}


@pytest.mark.medium
def test_rows_are_tracked_where_their_launch_is_whatever_was_launched_before(place, at, tmp_path, blank_database):
    """One server of processes serves a process for all of its life, and has the environment of its start."""
    for name in ("first", "second"):
        folder = tmp_path / name
        folder.mkdir()
        shutil.copy(blank_database, folder / "mlflow.db")
        at(folder, f"sqlite:///{folder}/mlflow.db")
        parent = Run.launch(name, {})
        fan_out(parent, "crew", [Job(f"row of {name}", SETTINGS)], _say_where, Context(data_dir="data"), 1)
        (row,) = parent.children()
        assert (row.status, row.tags["where"]) == ("FINISHED", str(folder))


def _say_where(run: Run, settings: Settings, context: Context) -> None:
    """Work of a row."""
    run.set_tags({"where": Path(os.environ["MLFLOW_TRACKING_URI"].removeprefix("sqlite:///")).parent})


@pytest.mark.medium
def test_the_first_row_has_the_allocators_settings_too(place, at, monkeypatch):
    """Its replicas take them from its environment; without them they train a tenth slower."""
    at(place.folder, place.uri)
    for name in ALLOCATOR:
        monkeypatch.delenv(name, raising=False)
    parent = Run.launch("launch", {})
    fan_out(parent, "crew", [Job("row", SETTINGS)], _say_allocator, Context(data_dir="data"), 1)
    (row,) = parent.children()
    assert {name: row.tags.get(name) for name in ALLOCATOR} == ALLOCATOR


@pytest.mark.medium
def test_a_row_collects_garbage(place, at):
    """The server that it is forked from does not, while it imports."""
    at(place.folder, place.uri)
    parent = Run.launch("launch", {})
    fan_out(parent, "crew", [Job("row", SETTINGS)], _say_collector, Context(data_dir="data"), 1)
    (row,) = parent.children()
    assert row.tags["collects"] == "True"


def _say_collector(run: Run, settings: Settings, context: Context) -> None:
    """Work of a row."""
    run.set_tags({"collects": str(gc.isenabled())})


def _say_allocator(run: Run, settings: Settings, context: Context) -> None:
    """Work of a row."""
    run.set_tags({name: os.environ.get(name) for name in ALLOCATOR})


@pytest.mark.medium
def test_a_row_need_not_import_what_logs_its_model(place, at):
    """In each it would take seconds."""
    at(place.folder, place.uri)
    parent = Run.launch("launch", {})
    fan_out(parent, "crew", [Job("row", SETTINGS)], _say_imports, Context(data_dir="data"), 1)
    (row,) = parent.children()
    assert row.tags["imported"] == "['mlflow.pytorch', 'torch.export._trace']"


def _say_imports(run: Run, settings: Settings, context: Context) -> None:
    """Work of a row."""
    run.set_tags({"imported": [name for name in ("mlflow.pytorch", "torch.export._trace") if name in sys.modules]})
