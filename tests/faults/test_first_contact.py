"""A tracking server that is absent or does not answer: named within 15 s by both halves, before any run."""

import os
import subprocess
import sys
import time

import pytest
from support.launches import without_progress
from support.place import ROOT, Place
from support.servers import dripping, serving

HALVES = [("pipelines", "recurrent", "--dataset", "sample", "--models", "persistence"), ("analysis", "compare")]


@pytest.fixture(params=HALVES, ids=lambda arguments: arguments[0])
def complaint(request, tmp_path):
    """Run one half with a tracking address: when it complained, and the one line it did so with."""

    def run(uri: str) -> tuple[float, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
        lines = []
        with subprocess.Popen(
            [sys.executable, "-m", *request.param],
            cwd=tmp_path,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**clean, "MLFLOW_TRACKING_URI": uri, "PYTHONPATH": str(ROOT)},
        ) as process:
            # What a busy machine needs to take a process down is not the server's: the line counts when it is there.
            for line in process.stderr:
                lines.append(line.rstrip())
                told = time.monotonic()
            printed = process.stdout.read()
        assert (process.returncode, printed) == (2, "")
        assert list(tmp_path.iterdir()) == []
        *before, line = without_progress("\n".join(lines))
        assert line.lower().startswith("error: ")
        assert all(each.startswith("waiting for ") for each in before)
        return told, line

    return run


def asleep(handler):
    time.sleep(60)


@pytest.mark.fault(6)
@pytest.mark.parametrize("scheme", ["http", "postgresql+psycopg"])
@pytest.mark.parametrize("arguments", HALVES, ids=lambda arguments: arguments[0])
@pytest.mark.medium
def test_an_absent_server_is_named(tmp_path, closed_port, arguments, scheme):
    uri = f"{scheme}://127.0.0.1:{closed_port}/mlflow"
    place = Place(tmp_path)
    place.set("MLFLOW_TRACKING_URI", uri)
    module, *words = arguments
    assert place.fork(*words, module=module).wait(60) == 2
    assert {path.name for path in tmp_path.iterdir()} == {"stdout", "stderr"}
    assert place.stdout == ""
    (line,) = without_progress(place.stderr)
    assert line.lower().startswith("error: ")
    assert f"cannot reach the tracking server {uri} (" in line
    assert "Connection refused" in line
    assert "start it, or set MLFLOW_TRACKING_URI" in line


@pytest.mark.fault(6)
@pytest.mark.medium
def test_an_absent_server_is_named_in_time(tmp_path, refused):
    began = time.monotonic()
    line = refused(tmp_path, "http://127.0.0.1:9", "recurrent", "--dataset", "sample", "--models", "persistence")
    assert time.monotonic() - began < 15
    assert "cannot reach the tracking server http://127.0.0.1:9 (" in line


@pytest.mark.fault(7)
@pytest.mark.parametrize("reply", [asleep, dripping])
@pytest.mark.medium
def test_a_server_that_never_answers_or_never_ends_is_named_in_time(complaint, reply):
    asked = []

    def noted(handler):
        asked.append(time.monotonic())
        reply(handler)

    with serving(noted) as there:
        uri = f"http://127.0.0.1:{there.port}"
        told, line = complaint(uri)
    # Counted from the question on, for the same reason.
    assert told - asked[0] < 15
    assert f"cannot reach the tracking server {uri} (no complete answer within 8 s)" in line
