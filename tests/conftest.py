"""Fixtures shared by the tests."""

import importlib
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from support.launches import until, without_progress
from support.place import ROOT, Place
from support.postgresql import postgresql as new_postgresql
from support.publisher import Publisher, publishing
from support.servers import is_up, unused

pytest_plugins = ["support.reliability"]

# Tests share the cores: a thread of PyTorch that waits for another one must leave its core to others, as it does not by
# default. Processes that are started from here on inherit it.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def pytest_addoption(parser):
    parser.addoption("--rewrite-golden", action="store_true", help="record the golden masters of tests/golden anew")


def pytest_collection_modifyitems(config, items):
    if not hasattr(config, "workerinput"):
        return
    # Workers take the files in this order: none is to be left with a long one when the others are done.
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def pytest_collection_finish(session):
    if hasattr(session.config, "workerinput") and "torch" in sys.modules:
        # The workers share the cores: with threads on all of them each would wait for the others'.
        sys.modules["torch"].set_num_threads(1)


REAL = ROOT.parent / "shared"
REAL_ENERGY = REAL / "data" / "energy"
REAL_CIFAR10 = REAL / "data" / "unpack-cifar10"
REAL_WEIGHTS = REAL / "weights"


@pytest.fixture(scope="session")
def real_energy() -> Path:
    """Folder of the twelve published PJM files; without it the test is skipped, and the end of the run says so."""
    if not REAL_ENERGY.is_dir():
        pytest.skip(f"the published PJM files are not in {REAL_ENERGY}")
    return REAL_ENERGY


@pytest.fixture(scope="session")
def real_cifar10(tmp_path_factory) -> Iterator[Path]:
    """Folder ``cifar-10-batches-bin`` of the real CIFAR-10, unpacked (10 s, 184 MB) until the session ends.

    Its training files are the official ones, its test file is not: 20 of the images are approximations. Without what
    unpacks it the test is skipped, and the end of the run says so.
    """
    if not REAL_CIFAR10.is_file():
        pytest.skip(f"CIFAR-10 cannot be unpacked: there is no {REAL_CIFAR10}")
    folder = tmp_path_factory.mktemp("cifar10")
    subprocess.run([sys.executable, REAL_CIFAR10, folder], check=True, stdout=subprocess.DEVNULL)
    yield folder / "cifar-10-batches-bin"
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def real_weights() -> Path:
    """Folder of published ResNet weights; without it the test is skipped, and the end of the run says so."""
    if not REAL_WEIGHTS.is_dir():
        pytest.skip(f"the published weights are not in {REAL_WEIGHTS}")
    return REAL_WEIGHTS


def pytest_terminal_summary(terminalreporter):
    for what, where in (
        ("the published PJM files", REAL_ENERGY),
        ("the real CIFAR-10", REAL_CIFAR10),
        ("published ResNet weights", REAL_WEIGHTS),
    ):
        if not where.exists():
            terminalreporter.write_line(f"NOT CHECKED on {what}: there is no {where}", yellow=True)
    if not find_spec("ray"):
        terminalreporter.write_line("NOT CHECKED on Ray: pip install -e '.[ray]'", yellow=True)


@pytest.fixture(autouse=True)
def _independent() -> Iterator[None]:
    """Takes this process back to its environment and tracking server after a test: the next one may be of any file."""
    before = dict(os.environ)
    yield
    if mlflow := sys.modules.get("mlflow"):
        mlflow.set_tracking_uri(None)
    if dict(os.environ) != before:
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture(scope="session")
def blank_database(tmp_path_factory) -> Path:
    """An MLflow database without runs: making one takes seconds."""
    place = Place(tmp_path_factory.mktemp("blank"))
    place.client.search_experiments()
    return place.database


@pytest.fixture
def place(tmp_path, blank_database) -> Place:
    place = Place(tmp_path)
    shutil.copy(blank_database, place.database)
    yield place
    place.end()


@pytest.fixture
def mlflow_server(tmp_path_factory, blank_database) -> Iterator[int]:
    """The port of an MLflow server with a database of its own."""
    place = Place(tmp_path_factory.mktemp("server"))
    shutil.copy(blank_database, place.database)
    place.set("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
    port = unused()
    options = ("--port", str(port), "--workers", "1", "--backend-store-uri", place.uri)
    process = place.fork("server", *options, module="mlflow")
    try:
        until(lambda: is_up(port), process)
        yield port
    finally:
        place.end()


@pytest.fixture(scope="session")
def closed_port() -> Iterator[int]:
    """A port of this machine that refuses all connections, and that nobody else comes to listen on."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@pytest.fixture
def at(monkeypatch):
    """A function that takes this process to a folder and a tracking server, until the test ends."""
    import mlflow

    def go(folder: Path, uri: str) -> None:
        monkeypatch.chdir(folder)
        monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)
        monkeypatch.setenv("XDG_STATE_HOME", str(folder / "state"))
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        mlflow.set_tracking_uri(uri)

    yield go
    mlflow.set_tracking_uri(None)


# Six epochs of a small network on the embedded data: a second or two of training.
SMALL = ("recurrent", "--dataset", "sample", "--hidden", "8", "--epochs", "6", "--precision", "fp32")


@pytest.fixture(scope="session")
def small() -> tuple[str, ...]:
    """The command that all runs with these settings share."""
    return SMALL


@pytest.fixture(scope="session")
def alone(tmp_path_factory, blank_database) -> Place:
    """gru-2 with seed 0, trained without any disturbance, one job at a time."""
    place = Place(tmp_path_factory.mktemp("alone"))
    shutil.copy(blank_database, place.database)
    assert place.invoke(*SMALL, "--models", "gru-2", "--jobs", "1") == 0, place.stderr
    return place


@pytest.fixture
def settled(monkeypatch) -> None:
    """Launches that are resumed within this process do not wait for others that may claim them at the same moment."""
    monkeypatch.setattr("pipelines.tracking.claim.SETTLE_S", 0)


@pytest.fixture
def postgresql() -> Iterator[str]:
    """URL of a new PostgreSQL database; skipped where there is no server to start."""
    with new_postgresql() as uri:
        yield uri


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    with publishing() as server:
        yield server


@pytest.fixture
def refused(capsys, at):
    """Give bad input to the command line within this process: its one line on stderr, with exit code 2."""

    from pipelines.__main__ import cli

    def give(folder, uri, *arguments):
        at(folder, uri)
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            cli(list(arguments))
        lines = without_progress(capsys.readouterr().err)
        assert end.value.code == 2
        assert [line[:7] for line in lines] == ["error: "], lines
        return lines[0]

    return give


@pytest.fixture
def torch_threads() -> Iterator[None]:
    """Whatever number of threads a test has torch compute with, afterwards it is what it was."""
    import torch

    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def forgotten(tmp_path) -> Iterator[None]:
    """Afterwards this process has forgotten what it has imported from the test's folder."""
    before, modules = list(sys.path), set(sys.modules)
    importlib.invalidate_caches()
    yield
    sys.path[:] = before
    for name in set(sys.modules) - modules:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]
