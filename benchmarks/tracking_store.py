"""Time and memory of comparing and exporting the runs of a large tracking store, and of MLflow's own commands.

    python benchmarks/tracking_store.py [--store sqlite:///tracking-store.db] [--runs 10000] [--points 10] [--http]

The store, an sqlite file or a PostgreSQL database, is filled if it is empty: `--runs` runs with 10 metrics of
`--points` values each and 20 parameters, four seeds for each setting, by bulk inserts into MLflow's own tables, then
ANALYZE. Each command is a process of its own, with its imports; the best 20 are also timed without them. With `--http`
the store is accessed through an `mlflow server` with one worker.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy
from mlflow import MlflowClient
from mlflow.store.tracking.dbmodels import models

EXPERIMENT = "benchmark"
METRICS, PARAMETERS, SEEDS = 10, 20, 4
CHUNK = 500  # runs inserted at once
PORT = 5099

SEARCH = f"import mlflow; print(len(mlflow.search_runs(experiment_names=['{EXPERIMENT}'], max_results=10**6)))"
BEST = (
    "import time; from analysis.runs.records import every; list(every(limit=1)); began = time.perf_counter();"
    "best = list(every(sort='-metric_3', limit=20)); print(len(best), time.perf_counter() - began)"
)


def fill(store: str, runs: int, points: int) -> str:
    """Fill the store if it is empty; returns the id of its experiment."""
    client = MlflowClient(store)
    found = client.get_experiment_by_name(EXPERIMENT)
    if found:
        return found.experiment_id
    experiment = client.create_experiment(EXPERIMENT)
    draw = random.Random(0)
    engine = sqlalchemy.create_engine(store)
    with engine.begin() as connection:
        for first in range(0, runs, CHUNK):
            rows: dict[type, list[dict[str, object]]] = {}
            for number in range(first, min(first + CHUNK, runs)):
                for table, row in run_rows(number, int(experiment), points, draw):
                    rows.setdefault(table, []).append(row)
            for table, listed in rows.items():
                connection.execute(sqlalchemy.insert(table), listed)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sqlalchemy.text("ANALYZE"))
    engine.dispose()
    return experiment


def run_rows(
    number: int, experiment: int, points: int, draw: random.Random
) -> Iterator[tuple[type, dict[str, object]]]:
    """Table and row for each row of one run in MLflow's tables."""
    setting, seed = divmod(number, SEEDS)
    run, start = uuid.UUID(int=draw.getrandbits(128)).hex, 1_780_000_000_000 + 1000 * number
    yield (
        models.SqlRun,
        {
            "run_uuid": run,
            "name": f"run-{number}",
            "experiment_id": experiment,
            "status": "FINISHED",
            "start_time": start,
            "end_time": start + 60_000,
            "lifecycle_stage": "active",
            "source_type": "LOCAL",
            "user_id": "benchmark",
            "artifact_uri": f"mlruns/{run}",
        },
    )
    yield models.SqlTag, {"run_uuid": run, "key": "mlflow.runName", "value": f"run-{number}"}
    yield models.SqlParam, {"run_uuid": run, "key": "seed", "value": str(seed)}
    for parameter in range(PARAMETERS - 1):
        value = str((setting * 7919 + parameter) % (parameter + 50))
        yield models.SqlParam, {"run_uuid": run, "key": f"parameter_{parameter}", "value": value}
    for metric in range(METRICS):
        for step in range(points):
            row = {"run_uuid": run, "key": f"metric_{metric}", "value": draw.random(), "step": step}
            row |= {"timestamp": start + step, "is_nan": False}
            yield models.SqlMetric, row
        yield models.SqlLatestMetric, row


@contextmanager
def served(store: str) -> Iterator[str]:
    """Start an MLflow server on `store`; gives its address."""
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", store, "--workers", "1"]
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    server = subprocess.Popen(
        [*command, "--port", str(PORT)], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    address = f"http://127.0.0.1:{PORT}"
    try:
        for _ in range(120):
            time.sleep(0.5)
            try:
                urllib.request.urlopen(f"{address}/health").close()
                break
            except OSError:
                continue
        yield address
    finally:
        server.terminate()
        server.wait()


def measured(command: list[str], uri: str) -> tuple[float, float, str]:
    """Run a command: seconds, peak memory in MB, and output."""
    environment = os.environ | {"MLFLOW_TRACKING_URI": uri}
    with tempfile.TemporaryFile("w+") as out:
        began = time.perf_counter()
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        if status:
            raise RuntimeError(f"{' '.join(command)} failed")
        out.seek(0)
        return seconds, usage.ru_maxrss / 1024, out.read()


def ways(experiment: str, folder: Path) -> Mapping[str, list[str]]:
    """Commands by their names in the table."""
    mlflow, analysis = [sys.executable, "-m", "mlflow"], [sys.executable, "-m", "analysis"]
    compare = [*analysis, "compare", "--experiment", EXPERIMENT]
    return {
        "mlflow experiments csv": [*mlflow, "experiments", "csv", "-x", experiment, "-o", str(folder / "mlflow.csv")],
        "mlflow.search_runs": [sys.executable, "-c", SEARCH],
        "analysis export, csv": [*analysis, "export", "--output", str(folder / "runs.csv")],
        "analysis export, parquet": [*analysis, "export", "--output", str(folder / "runs.parquet")],
        "analysis compare": [*compare, "--format", "csv", "--output", str(folder / "lines.csv")],
        "analysis export, best 20": [*analysis, "export", "--sort", "-metric_3", "--limit", "20"],
        "the best 20 without imports": [sys.executable, "-c", BEST],
    }


def main() -> None:
    """Fill the store, measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", default="sqlite:///tracking-store.db")
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--points", type=int, default=10)
    parser.add_argument("--http", action="store_true")
    options = parser.parse_args()
    began = time.perf_counter()
    experiment = fill(options.store, options.runs, options.points)
    print(f"filled in {time.perf_counter() - began:.0f} s\n")
    print("| way | s | peak MB | to the better of MLflow's |\n| --- | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as folder:
        if options.http:
            with served(options.store) as uri:
                report(ways(experiment, Path(folder)), uri)
        else:
            report(ways(experiment, Path(folder)), options.store)


def report(commands: Mapping[str, list[str]], uri: str) -> None:
    """Measure the commands in turn, and print a line of the table for each."""
    better = float("inf")
    for name, command in commands.items():
        seconds, memory, output = measured(command, uri)
        if name == "the best 20 without imports":
            seconds = float(output.split()[1])
        if name.startswith("mlflow"):
            better = min(better, seconds)
        print(f"| {name} | {seconds:.2f} | {memory:.0f} | {seconds / better:.2f} |", flush=True)


if __name__ == "__main__":
    main()
