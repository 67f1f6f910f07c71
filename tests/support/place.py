"""A folder to launch the pipelines in, with a tracking database of its own."""

import atexit
import contextlib
import json
import multiprocessing.forkserver
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache, cached_property
from importlib import import_module
from multiprocessing.context import ForkServerContext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TextIO
from unittest import mock

import psutil

from support.warm import Forked

ROOT = Path(__file__).parents[2]


def plain(name: str) -> str:
    """The name of a run without settings, which launches of tests have much the same; of a launch, entry and data."""
    if launch := re.fullmatch(r".+ \((\w+) on (\w+)\)", name):
        return " ".join(launch.groups())
    return re.sub(r"(?<=\S)( \w+=\S+)+( (?=seed\d)|$)", lambda found: "-" if found[2] else "", name)


@cache
def _printed() -> tuple[TextIO, TextIO]:
    """Files that stand for stdout and stderr of all launches within this process, and of their rows."""
    with TemporaryDirectory() as folder:
        # Whoever else has them open writes to their ends too.
        files = tuple((Path(folder) / name).open("a+", buffering=1, encoding="utf-8") for name in ("stdout", "stderr"))
    for file in files:
        atexit.register(file.close)
    return files


@cache
def serve_rows() -> ForkServerContext:
    """Start the server that rows of launches within this process are forked from, and what `Place.fork` starts."""
    from pipelines.processes.forked import forkserver

    # One that a test has started prints elsewhere.
    multiprocessing.forkserver._forkserver._stop()
    kept = [os.dup(number) for number in (1, 2)]
    try:
        for number, file in enumerate(_printed(), start=1):
            os.dup2(file.fileno(), number)
        with mock.patch.dict(os.environ, PYTHONPATH=f"{ROOT}{os.pathsep}{ROOT / 'tests'}"):
            return forkserver("support.rows", "pipelines.tracking.preload", "mlflow.cli")
    finally:
        for number, copy in enumerate(kept, start=1):
            os.dup2(copy, number)
            os.close(copy)


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
        self._started: list[subprocess.Popen | Forked] = []

    def start(self, *arguments: str, module: str = "pipelines") -> subprocess.Popen:
        """Starts ``python -m module arguments`` in a process group of its own."""
        return self.begin(sys.executable, "-m", module, *arguments)

    def begin(self, *command: str) -> subprocess.Popen:
        """Starts a command in a process group of its own."""
        with (self.folder / "stdout").open("w") as out, (self.folder / "stderr").open("w") as err:
            process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=self._environment,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        process.folder = self.folder  # for who waits for it
        self._started.append(process)
        return process

    def fork(self, *arguments: str, module: str = "pipelines") -> Forked:
        """Starts ``python -m module arguments`` in a process group of its own, with the imports done.

        For tests that are not about what happens as a command starts.
        """
        process = Forked(serve_rows(), (module, *arguments), str(self.folder), self._environment)
        process.folder = self.folder
        self._started.append(process)
        return process

    def launch(self, *arguments: str, module: str = "pipelines") -> int:
        """Runs ``python -m module arguments`` to its end and returns its exit code."""
        return self.start(*arguments, module=module).wait(timeout=300)

    def command(self, *words: str) -> int:
        """Runs a command to its end and returns its exit code."""
        return self.begin(*words).wait(timeout=300)

    def launch_in_turn(self, asked: Sequence[tuple["Place", str, Sequence[str]]]) -> list[tuple[str, str]]:
        """Runs ``python -m module arguments`` in one place after the other, all in one process, each to its end.

        Returns:
            What each printed on stdout and on stderr, its rows included.
        """
        given = [[str(place.folder), module, *arguments] for place, module, arguments in asked]
        before = self._environment["PYTHONPATH"]
        self.set("PYTHONPATH", f"{before}{os.pathsep}{ROOT / 'tests'}")
        # The imports of another copy of the project are others.
        begin = self.fork if before == str(ROOT) else self.start
        code = begin(json.dumps(given), module="support.in_turn").wait(timeout=1500)
        self.set("PYTHONPATH", before)
        assert code == 0, self.stdout + self.stderr
        *printed, _ = zip(self.stdout.split("\f"), self.stderr.split("\f"), strict=True)
        assert len(printed) == len(asked)
        return printed

    def invoke(self, *arguments: str, module: str = "pipelines") -> int:
        """Runs a command of `module` to its end in this process, which has the imports already; returns its exit code.

        For tests that do not kill it. Its rows are processes, as ever.
        """
        import mlflow

        if module == "pipelines":
            serve_rows()
        cli = import_module(f"{module}.__main__").cli
        before = mlflow.get_tracking_uri() if mlflow.is_tracking_uri_set() else None
        # The server that forks the rows outlives the launch, so it is none of the processes that were started here.
        environment = {key: value for key, value in self._environment.items() if key != "LAUNCHED_IN"}
        files = _printed()
        began = [file.seek(0, os.SEEK_END) for file in files]
        with (
            contextlib.chdir(self.folder),
            mock.patch.dict(os.environ, environment, clear=True),
            contextlib.redirect_stdout(files[0]),
            contextlib.redirect_stderr(files[1]),
        ):
            mlflow.set_tracking_uri(environment.get("MLFLOW_TRACKING_URI", self.uri))
            try:
                cli(arguments)
                code = 0
            except SystemExit as end:
                code = end.code or 0
            finally:
                mlflow.set_tracking_uri(before)
                for name, file, start in zip(("stdout", "stderr"), files, began, strict=True):
                    file.seek(start)
                    (self.folder / name).write_text(file.read())
        return code

    def set(self, variable: str, value: str) -> None:
        """Sets an environment variable for processes that are started from now on."""
        self._environment[variable] = value

    def alter(self, constants: Mapping[str, float]) -> None:
        """Sets the constants, by name with module, that `support.altered` and `support.held` have from now on."""
        self.set("ALTERED", json.dumps(dict(constants)))

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
        """Every run, of all experiments, by its name without settings: ``gru-2-seed0``, ``trial-3``."""
        found = self.client.search_runs([experiment.experiment_id for experiment in self.client.search_experiments()])
        return {plain(run.info.run_name): run for run in found}

    def history(self, run, metric: str) -> list[tuple[int, float]]:
        """(step, value) of every point that was sent, in the order of the steps."""
        return sorted((point.step, point.value) for point in self.client.get_metric_history(run.info.run_id, metric))

    def artifact(self, run, path: str) -> Path:
        return Path(self.client.download_artifacts(run.info.run_id, path))

    def processes(self) -> list[psutil.Process]:
        """Processes started here that are still running, whoever their parent is by now."""
        sessions = {process.pid for process in self._started}
        alive = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, ProcessLookupError):
                # Those that were forked show the environment of the process that they were forked from.
                own = os.getsid(process.pid) in sessions and process.status() != psutil.STATUS_ZOMBIE
                if own or process.environ().get("LAUNCHED_IN") == str(self.folder):
                    alive.append(process)
        return alive

    def end(self) -> None:
        """Kills processes that a failed test has left."""
        for process in self.processes():
            process.kill()
        for process in self._started:
            process.wait()
