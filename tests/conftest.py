"""Fixtures shared by the tests."""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import psutil
import pytest
from support.postgresql import postgresql as new_postgresql

pytest_plugins = ["support.analysis", "support.reliability"]


def pytest_addoption(parser):
    parser.addoption("--rewrite-golden", action="store_true", help="record the golden masters of tests/golden anew")


REAL = Path(__file__).parents[2] / "shared"
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


ROOT = Path(__file__).parents[1]


class Place:
    """A folder to launch the pipelines in, with a tracking database of its own and no MLflow settings from outside.

    `variables` are set in the environment of what is started.
    """

    def __init__(self, folder: Path, **variables: str):
        self.folder = folder
        self.database = folder / "mlflow.db"
        self.uri = f"sqlite:///{self.database}"
        self._environment = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")} | {
            "MLFLOW_TRACKING_URI": self.uri,
            "PYTHONPATH": str(ROOT),
            # `mlflow run` starts whichever python comes first.
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "LAUNCHED_IN": str(folder),
            "XDG_STATE_HOME": str(folder / "state"),
            **variables,
        }
        self._started: list[subprocess.Popen] = []

    def start(self, *arguments: str, module: str = "pipelines") -> subprocess.Popen:
        """Start ``python -m module arguments`` in a process group of its own."""
        with (self.folder / "stdout").open("w") as out, (self.folder / "stderr").open("w") as err:
            process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                cwd=self.folder, env=self._environment, stdout=out, stderr=err, start_new_session=True,
            )  # fmt: skip
        self._started.append(process)
        return process

    def launch(self, *arguments: str, module: str = "pipelines") -> int:
        """Run it to its end: its exit code."""
        return self.start(*arguments, module=module).wait(timeout=300)

    def set(self, variable: str, value: str) -> None:
        """Set a variable in the environment of what is started from now on."""
        self._environment[variable] = value

    @property
    def stdout(self) -> str:
        return (self.folder / "stdout").read_text()

    @property
    def stderr(self) -> str:
        return (self.folder / "stderr").read_text()

    @cached_property
    def client(self):
        from mlflow import MlflowClient

        # A new database takes its folder of artifacts from the working directory.
        with contextlib.chdir(self.folder):
            return MlflowClient(self.uri)

    def runs(self) -> dict:
        """Every run by its name, of all experiments."""
        found = self.client.search_runs([experiment.experiment_id for experiment in self.client.search_experiments()])
        return {run.info.run_name: run for run in found}

    def history(self, run, metric: str) -> list[tuple[int, float]]:
        """(step, value) of every point that was sent, in the order of the steps."""
        return sorted((point.step, point.value) for point in self.client.get_metric_history(run.info.run_id, metric))

    def artifact(self, run, path: str) -> Path:
        return Path(self.client.download_artifacts(run.info.run_id, path))

    def processes(self) -> list[psutil.Process]:
        """What runs still of all that was started here, whoever its parent is by now."""
        alive = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get("LAUNCHED_IN") == str(self.folder):
                    alive.append(process)
        return alive

    def end(self) -> None:
        """Kill what a failed test has left."""
        for process in self.processes():
            process.kill()
        for process in self._started:
            process.wait()


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
    assert place.launch(*SMALL, "--models", "gru-2", "--jobs", "1") == 0, place.stderr
    return place


@pytest.fixture
def postgresql() -> Iterator[str]:
    """URL of a new PostgreSQL database; skipped where there is no server to start."""
    with new_postgresql() as uri:
        yield uri
