"""A server with ten thousand runs."""

import csv
import io
import os
import shutil
import subprocess
import sys

import pytest
from click.testing import CliRunner
from mlflow import MlflowClient
from support.stores import Logged, insert

from analysis.__main__ import cli
from analysis.runs.search import PAGE

RUNS, SEEDS = 10_000, 100
MOST_MEMORY_MB = 600  # of which importing what reads them takes 250
PARAMETERS = 6

pytestmark = pytest.mark.fault(34)


# Prints its own peak in the end: the system's account of a process that has ended begins with what its parent had.
EXPORT = """
import sys
from pathlib import Path
from analysis.__main__ import cli
cli(["export", "--output", sys.argv[1]], standalone_mode=False)
(peak,) = (line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(peak)
"""


@pytest.fixture(scope="module")
def database(tmp_path_factory, blank_database):
    """Ten thousand runs of another project: a hundred seeds of a hundred settings, whose mean auc is setting / 100."""
    path = tmp_path_factory.mktemp("many") / "many.db"
    shutil.copy(blank_database, path)

    def run(number: int) -> Logged:
        setting, seed = divmod(number, SEEDS)
        params = {"setting": str(setting), "seed": str(seed)}
        params |= {f"parameter_{index}": f"{setting}-{index}" for index in range(PARAMETERS - 2)}
        return Logged(params, {"auc": setting / 100, "loss": 1.0}, start=1_780_000_000_000 + number)

    insert(path, map(run, range(RUNS)), "many")
    return path


@pytest.mark.medium
def test_all_are_compared_in_requests_of_a_page(database, at, monkeypatch):
    at(database.parent, f"sqlite:///{database}")
    asked = []
    search = MlflowClient.search_runs

    def counted(self, *arguments, **options):
        page = search(self, *arguments, **options)
        asked.append((options["max_results"], len(page)))
        return page

    monkeypatch.setattr(MlflowClient, "search_runs", counted)
    result = CliRunner().invoke(
        cli, ["compare", "--experiment", "many", "--format", "csv", "--sort", "setting", "--columns", "setting"]
    )
    assert result.exit_code == 0, result.output
    lines = list(csv.DictReader(io.StringIO(result.stdout)))
    assert [(line["setting"], line["n"]) for line in lines] == [
        (str(each), str(SEEDS)) for each in range(RUNS // SEEDS)
    ]
    assert [float(line["auc.mean"]) for line in lines] == pytest.approx([each / 100 for each in range(RUNS // SEEDS)])
    assert sum(found for _, found in asked) == RUNS
    assert max(most for most, _ in asked) <= PAGE
    assert len(asked) <= RUNS / PAGE + 1


@pytest.mark.medium
def test_all_are_exported_within_bounds(database):
    output = database.with_name("runs.csv")
    environment = os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{database}"}
    process = subprocess.run(
        [sys.executable, "-c", EXPORT, str(output)], env=environment, capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stderr
    assert int(process.stdout.split()[-1]) / 1024 < MOST_MEMORY_MB
    with output.open(newline="") as file:
        seen = {(line["params.setting"], line["params.seed"]) for line in csv.DictReader(file)}
    assert len(seen) == RUNS


@pytest.mark.medium
def test_the_best_are_asked_of_the_server(database, at, monkeypatch):
    at(database.parent, f"sqlite:///{database}")
    asked = []
    search = MlflowClient.search_runs
    monkeypatch.setattr(
        MlflowClient,
        "search_runs",
        lambda *given, **options: asked.append(options["max_results"]) or search(*given, **options),
    )
    result = CliRunner().invoke(cli, ["export", "--sort", "-auc", "--limit", "20"])
    assert result.exit_code == 0, result.output
    lines = list(csv.DictReader(io.StringIO(result.stdout)))
    assert {line["params.setting"] for line in lines} == {"99"}
    assert (len(lines), asked) == (20, [20])
