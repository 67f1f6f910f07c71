"""What a sweep of runs that say RUNNING may touch: a live run's clock has stepped, or it is in a container."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.place import ROOT

CONTAINED = ("unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc", "--kill-child")

# A run that is RUNNING until its standard input ends.
LIVE = """
import sys
from pipelines.tracking.run import Run
run = Run.launch(sys.argv[1], {})
print(run.id, flush=True)
sys.stdin.read()
"""


def started(place, name: str, *within: str) -> subprocess.Popen:
    """A process with a run of that name, its `run_id` read; `within` is what starts it."""
    environment = os.environ | {"MLFLOW_TRACKING_URI": place.uri, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [*within, sys.executable, "-c", LIVE, name],
        cwd=place.folder,
        env=environment,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    process.run_id = process.stdout.readline().strip()
    assert process.run_id
    return process


def swept(place) -> str:
    out = place.folder / "stdout"
    assert place.invoke("sweep", module="analysis") == 0, place.stderr
    return out.read_text()


@pytest.mark.fault(38)
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="there is no /proc")
@pytest.mark.medium
def test_a_live_run_is_left_alone_though_the_clock_was_set_since_it_began(place):
    process = started(place, "live")
    try:
        stepped = str(float(place.runs()["live"].data.tags["process_start"]) - 86400)
        place.client.set_tag(process.run_id, "process_start", stepped)
        assert "1 running: 0 gone, 1 alive" in swept(place)
        assert place.runs()["live"].info.status == "RUNNING"
    finally:
        process.kill()
        process.communicate()
    assert "1 running: 1 gone" in swept(place)
    assert place.runs()["live"].info.status == "KILLED"


def _may_unshare() -> bool:
    return (
        shutil.which("unshare") is not None
        and subprocess.run([*CONTAINED, "true"], capture_output=True).returncode == 0
    )


@pytest.mark.fault(38)
@pytest.mark.skipif(not _may_unshare(), reason="PID namespaces may not be made here")
@pytest.mark.medium
def test_a_live_run_of_another_pid_namespace_is_left_alone(place):
    process = started(place, "contained", *CONTAINED)
    try:
        # Number 1 in there, and here too, where it is another.
        assert place.runs()["contained"].data.tags["pid"] == "1"
        assert "1 running: 0 gone, 0 alive, 0 on another host, 1 unknown" in swept(place)
        assert place.runs()["contained"].info.status == "RUNNING"
    finally:
        process.communicate()


@pytest.mark.fault(38)
@pytest.mark.medium
def test_of_a_live_run_of_an_older_version_in_another_namespace_nothing_is_claimed(place):
    """Its tags tell host, number and time alone: no such process here, which says nothing."""
    tags = {"host": os.uname().nodename, "pid": "4194303", "process_start": f"{time.time():.2f}"}
    experiment = place.client.create_experiment("older")
    place.client.create_run(experiment, run_name="older", tags=tags)
    assert "1 running: 0 gone, 0 alive, 0 on another host, 1 unknown" in swept(place)
    assert place.runs()["older"].info.status == "RUNNING"
