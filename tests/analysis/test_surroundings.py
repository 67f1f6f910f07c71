"""The analysis as a command: what it imports, and servers that are absent."""

import gc
import socket
import subprocess
import sys
import time

import mlflow
import pytest
from mlflow import MlflowClient
from support.place import ROOT
from support.tracked import tracking


def python(*arguments, cwd, uri) -> subprocess.CompletedProcess:
    environment = {"PATH": "", "PYTHONPATH": str(ROOT), "MLFLOW_TRACKING_URI": uri, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120)


@pytest.mark.medium
def test_analysis_does_not_import_torch(tmp_path):
    code = "import sys, analysis.__main__, analysis.runs.frames; sys.exit('torch' in sys.modules)"
    assert python("-c", code, cwd=tmp_path, uri="").returncode == 0


def test_help_waits_for_no_large_library(tmp_path):
    """The entries' sections of the report draw figures, but not before they are asked for."""
    large = "{'matplotlib', 'mlflow', 'pandas', 'scipy', 'torch'}"
    code = f"import sys, analysis.__main__; sys.exit(bool({large} & set(sys.modules)))"
    assert python("-c", code, cwd=tmp_path, uri="").returncode == 0


@pytest.mark.medium
def test_as_a_command(rows_store, tmp_path):
    result = python("-m", "analysis", "compare", "--limit", "1", cwd=tmp_path, uri=mlflow.get_tracking_uri())
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("## recurrent, pjm\n\n| row |")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["compare", "claims", "runs", "sweep --dry-run"])
def test_no_garbage_is_collected_while_a_command_imports_and_reads(run_cli, monkeypatch, command):
    collecting = []
    search = MlflowClient.search_runs

    def searched(self, *arguments, **options):
        collecting.append(gc.isenabled())
        return search(self, *arguments, **options)

    monkeypatch.setattr(MlflowClient, "search_runs", searched)
    try:
        assert run_cli(*command.split()).exit_code == 0
    finally:
        gc.unfreeze()
    assert (set(collecting), gc.isenabled()) == ({False}, True)


def test_reading_makes_no_database(rows_store, run_cli, tmp_path):
    with tracking(f"sqlite:///{tmp_path / 'absent.db'}"):
        result = run_cli("compare")
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert list(tmp_path.iterdir()) == []


def test_unreachable_server_is_one_line_within_15_seconds(run_cli, monkeypatch):
    for variable in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(variable, "")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    start = time.monotonic()
    with tracking(f"http://me:secret@127.0.0.1:{port}"):
        result = run_cli("compare")
    assert time.monotonic() - start < 15
    # A wait of over two seconds is announced first.
    lines = [line for line in result.stderr.splitlines() if not line.startswith("waiting for ")]
    assert (result.exit_code, result.stdout, len(lines)) == (2, "", 1), result.stderr
    assert f"the tracking server http://127.0.0.1:{port} (Connection refused)" in result.stderr
    assert "secret" not in result.stderr
