"""A tracking server that is absent or does not answer: named within 15 s by both halves, before any run."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.servers import dripping, serving, unused

ROOT = Path(__file__).parents[2]
HALVES = [("pipelines", "recurrent", "--dataset", "sample", "--models", "persistence"), ("analysis", "compare")]


@pytest.fixture(params=HALVES, ids=lambda arguments: arguments[0])
def complaint(request, tmp_path):
    """Run one half with a tracking address: when it ended, and the one line it ended with."""

    def run(uri: str) -> tuple[float, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
        done = subprocess.run(
            [sys.executable, "-m", *request.param], cwd=tmp_path, capture_output=True, text=True, timeout=120,
            env={**clean, "MLFLOW_TRACKING_URI": uri, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        ended = time.monotonic()
        assert (done.returncode, done.stdout) == (2, "")
        assert list(tmp_path.iterdir()) == []
        *before, line = done.stderr.splitlines()
        assert line.lower().startswith("error: ")
        assert all(each.startswith("waiting for ") for each in before)
        return ended, line

    return run


def asleep(handler):
    time.sleep(60)


@pytest.mark.fault(6)
@pytest.mark.parametrize("scheme", ["http", "postgresql+psycopg"])
def test_an_absent_server_is_named(complaint, scheme):
    uri = f"{scheme}://127.0.0.1:{unused()}/mlflow"
    _, line = complaint(uri)
    assert f"cannot reach the tracking server {uri} (" in line
    assert "Connection refused" in line
    assert "start it, or set MLFLOW_TRACKING_URI" in line


@pytest.mark.fault(6)
def test_an_absent_server_is_named_in_time(tmp_path, refused):
    began = time.monotonic()
    line = refused(tmp_path, "http://127.0.0.1:9", "--dataset", "sample", "--models", "persistence")
    assert time.monotonic() - began < 15
    assert "cannot reach the tracking server http://127.0.0.1:9 (" in line


@pytest.mark.fault(7)
@pytest.mark.parametrize("reply", [asleep, dripping])
def test_a_server_that_never_answers_or_never_ends_is_named_in_time(complaint, reply):
    asked = []

    def noted(handler):
        asked.append(time.monotonic())
        reply(handler)

    with serving(noted) as there:
        uri = f"http://127.0.0.1:{there.port}"
        ended, line = complaint(uri)
    # Counted from the question on: what a busy machine needs to start Python is not the server's.
    assert ended - asked[0] < 15
    assert f"cannot reach the tracking server {uri} (no complete answer within 8 s)" in line
