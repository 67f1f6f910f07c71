"""The sweep, which marks runs whose process is gone."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from support.commands import invoke
from support.tracked import Tracked, tracking

from analysis import steps, sweep
from pipelines.processes import identity


@pytest.fixture
def store(tmp_path, blank_database):
    store = Tracked(tmp_path, blank_database, "one")
    with tracking(store.uri):
        yield store


def process_of(pid: int) -> dict:
    """Tags of a process of this boot and PID namespace."""
    started = Path(f"/proc/{pid}/stat").read_text().split()[21]
    return replace(identity.own(), pid=pid, ticks=started).tags


def test_launches_that_were_marked_can_be_continued():
    ended = subprocess.Popen([sys.executable, "-c", ""])
    gone, me = process_of(ended.pid), process_of(os.getpid())
    ended.wait()
    line = "python -m pipelines tune --study hours"
    elsewhere = "python -m pipelines recurrent --data-dir 'our data' --jobs 2"

    def fates(*runs):
        common = {"run_name": "run", "tags.entry": "recurrent", "parent_run_id": None}
        return sweep.fates([common | {f"tags.{tag}": text for tag, text in gone.items()} | run for run in runs])

    alive = {f"tags.{tag}": text for tag, text in me.items()}
    found = fates(
        {"run_id": "launch", "tags.command": elsewhere},
        {"run_id": "row", "parent_run_id": "launch", "tags.row": "gru-2", "tags.command": elsewhere},
        {"run_id": "of an earlier one", "parent_run_id": "failed", "tags.row": "gru-2"},
        {"run_id": "of one that runs", "parent_run_id": "runs", "tags.row": "gru-2"},
        {"run_id": "trial", "parent_run_id": "study", "tags.entry": "tune", "tags.trial": "1", "tags.command": line},
        {"run_id": "finalist", "parent_run_id": "", "tags.entry": "tune", "tags.finalist": "1", "tags.command": "no"},
        {"run_id": "foreign", "tags.entry": None},
        {"run_id": "runs"} | alive,
    )
    assert steps.after_sweep(found, dry_run=False) == [
        "python -m pipelines recurrent --resume launch --data-dir 'our data'",
        "python -m pipelines recurrent --resume failed",
        line,
    ]
    assert steps.after_sweep(found, dry_run=True) == ["python -m analysis sweep"]
    assert steps.after_sweep(found[-1:], dry_run=False) == ["python -m analysis watch"]


def test_runs_whose_process_is_gone_are_marked(store):
    ended = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    gone, me = process_of(ended.pid), process_of(os.getpid())
    ended.communicate(b"\n")
    before_boots = {name: gone[name] for name in ("host", "pid", "process_start")}
    made = {
        "gone": store.run("gone", tags=gone, metrics={"x": 1.0}, status="RUNNING"),
        "number given again": store.run("again", tags=me | {"process_ticks": "1"}, status="RUNNING"),
        "alive": store.run("alive", tags=me, status="RUNNING"),
        "elsewhere": store.run("elsewhere", tags=gone | {"host": "other.example"}, status="RUNNING"),
        "of an older version": store.run("older", tags=before_boots, status="RUNNING"),
        "foreign": store.run("foreign", status="RUNNING"),
        "nonsense": store.run("nonsense", tags={"host": "h", "pid": "x", "process_start": "y"}, status="RUNNING"),
        "finished": store.run("finished", tags=gone),
    }

    def statuses() -> dict:
        return {name: store.client.get_run(run).info.status for name, run in made.items()}

    before = statuses()
    said = invoke("sweep", "--dry-run")
    assert statuses() == before
    assert said.count("would mark KILLED") == 2
    said = invoke("sweep")
    assert said.count("marked KILLED") == 2
    assert "7 running: 2 gone, 1 alive, 1 on another host, 3 unknown" in said
    assert statuses() == before | {"gone": "KILLED", "number given again": "KILLED"}
    swept = store.client.get_run(made["gone"])
    assert str(ended.pid) in swept.data.tags["failure"]
    assert swept.data.metrics == {"x": 1.0}
    assert "5 running: 0 gone" in invoke("sweep")
