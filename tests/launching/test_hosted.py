"""A row on a node: what its process has of the launch and of the node, and how its end is told."""

import os
import pickle
import signal
from functools import partial
from pathlib import Path

import pytest

from pipelines.common import streams
from pipelines.launching.hosted import Errand, Host
from pipelines.processes.reports import Report, Reports
from pipelines.tracking import preload


@pytest.fixture
def hosted(monkeypatch, tmp_path):
    """Runs a task on this machine as a node does: its end, and all that it has reported."""
    monkeypatch.setattr(os, "environ", os.environ.copy())
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    # A node's process passes all messages on to its end, which this one must not.
    monkeypatch.setattr(streams, "_deliver", streams._print)

    def run(task, environment=None, threads=1):
        posted = []
        modules = (__name__, preload.__name__)
        errand = Errand("row", "a" * 32, modules, environment or {}, threads, threads, 0, pickle.dumps(task))
        return Host(errand, posted.extend).run(), posted

    return run


def _tell(folder: str, reports: Reports) -> None:
    for name in ("MLFLOW_RUN_ID", "MLFLOW_TRACKING_URI", "OMP_NUM_THREADS", "HOME"):
        (Path(folder) / name).write_text(os.environ.get(name, "none"))


@pytest.mark.medium
def test_a_row_has_the_tracking_server_of_the_launch_the_rest_of_its_node_and_its_own_threads(
    hosted, tmp_path, monkeypatch
):
    """Ray sets the threads to the row's cores only where they are not set, and a node may have been started by a run of
    `mlflow run`, whose run the row would log to."""
    monkeypatch.setenv("MLFLOW_RUN_ID", "b" * 32)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://of-the-node:5000")
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    ended, _ = hosted(partial(_tell, str(tmp_path)), {"MLFLOW_TRACKING_URI": "http://of-the-launch:5000"}, threads=2)
    assert (ended.exit_code, ended.lost) == (0, "")
    assert (tmp_path / "MLFLOW_RUN_ID").read_text() == "none"
    assert (tmp_path / "MLFLOW_TRACKING_URI").read_text() == "http://of-the-launch:5000"
    assert (tmp_path / "OMP_NUM_THREADS").read_text() == "2"
    assert (tmp_path / "HOME").read_text() == os.environ["HOME"]


def _report(reports: Reports) -> None:
    reports.progress(Report("training", 1, 2), now=True)
    reports.message("a warning")
    reports.progress(Report("training", 2, 2), now=True)
    raise ValueError("broken")


@pytest.mark.medium
def test_what_a_row_reports_is_posted_and_an_error_is_its_end(hosted):
    ended, posted = hosted(_report)
    assert [each for each in posted if isinstance(each, str)] == ["a warning", "row failed: ValueError: broken"]
    assert [each for each in posted if isinstance(each, Report)][-1] == Report("training", 2, 2)
    assert (ended.exit_code, ended.verdict, ended.lost) == (1, "", "")


def _end_by(number: int, reports: Reports) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.medium
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_row_that_a_signal_ends_is_lost(hosted, number):
    """As where the system needs the memory, or takes the node away."""
    ended, _ = hosted(partial(_end_by, number))
    assert ended.exit_code in (-number, 128 + number)
    assert ended.lost.startswith(f"signal {number:d} ended it on ")
