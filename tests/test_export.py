"""Exports, differences and the sweep, on a small tracking store with runs of every kind."""

import csv
import io
import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from click.testing import CliRunner
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, Metric, Param, RunTag

from analysis import export, runs
from analysis.__main__ import cli
from pipelines.processes import identity

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")

START = 1_780_000_000_000  # 2026-05-28 20:26:40 UTC


class Server:
    def __init__(self, uri: str):
        self.client = MlflowClient(uri)
        self.experiments = [self.client.create_experiment(name) for name in ("one", "two, with a comma")]
        self.made = 0

    def run(self, name, params=None, metrics=(), tags=None, status="FINISHED", experiment=0, data=""):
        start = START + 1000 * self.made
        self.made += 1
        run = self.client.create_run(self.experiments[experiment], start_time=start, run_name=name).info.run_id
        self.client.log_batch(
            run,
            [Metric(key, value, start + step, step) for key, step, value in metrics],
            [Param(key, str(value)) for key, value in (params or {}).items()],
            [RunTag(key, str(value)) for key, value in (tags or {}).items()],
        )
        if data:
            self.client.log_inputs(run, [DatasetInput(Dataset("pjm", data, "local", "{}"), [])])
        if status != "RUNNING":
            self.client.set_terminated(run, status, end_time=start + 2500)
        return run


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    uri = f"sqlite:///{tmp_path_factory.mktemp('export') / 'runs.db'}"
    server = Server(uri)
    environment = {"torch": "2.13", "mlflow.source.git.commit": "aaa", "row": "gru-2", "pid": "1"}
    server.first = server.run(
        "first",
        {"lr": 0.001, "layers": 2, "shuffle": True, "code": "007", "name": 'a,b\n"c"'},
        [("acc", 0, 0.5), ("acc", 1, 0.7), ("acc.best", 1, 0.7), ("loss", 0, math.nan)],
        environment,
        data="d1",
    )
    server.second = server.run(
        "second",
        {"lr": 1e-05, "layers": 3, "shuffle": False, "code": "8", "name": "x"},
        [("acc", 0, 0.9), ("loss", 0, math.inf), ("loss", 1, -math.inf)],
        environment | {"torch": "2.14", "pid": "2"},
        experiment=1,
        data="d2",
    )
    server.run("third", {"lr": "adaptive?"}, [("acc", 0, 0.1)], status="FAILED", experiment=1)
    server.run("open", {}, [], status="RUNNING")
    server.client.delete_run(server.run("gone", {"secret": 1}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", uri)
        before = mlflow.get_tracking_uri()
        mlflow.set_tracking_uri(uri)
        yield server
        mlflow.set_tracking_uri(before)


def invoke(*arguments: object) -> str:
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(*arguments: object) -> str:
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert result.exit_code == 2, result.output
    (line,) = result.stderr.strip().splitlines()
    return line


# export


def test_every_run_that_is_not_deleted_is_a_line(server):
    lines = list(csv.DictReader(io.StringIO(invoke("export"))))
    assert [line["run_name"] for line in lines] == ["first", "second", "third", "open"]
    assert [line["status"] for line in lines] == ["FINISHED", "FINISHED", "FAILED", "RUNNING"]
    assert "params.secret" not in lines[0]
    first, second, third, still = lines
    assert first["start_time"] == "2026-05-28T20:26:40.000+00:00"
    assert (first["duration_s"], still["duration_s"], still["end_time"]) == ("2.5", "", "")
    assert second["experiment"] == "two, with a comma"
    assert (first["params.name"], first["params.code"]) == ('a,b\n"c"', "007")
    assert (first["metrics.acc"], first["metrics.acc.best"], first["metrics.loss"]) == ("0.7", "0.7", "nan")
    assert (second["metrics.loss"], third["metrics.loss"]) == ("-inf", "")
    assert (first["datasets"], third["datasets"]) == ("pjm:d1", "")


def test_columns_come_in_a_fixed_order(server):
    header = invoke("export").splitlines()[0].split(",")
    assert header == [
        *("run_id", "run_name", "experiment", "status", "start_time", "end_time", "duration_s", "parent_run_id"),
        *("datasets", "models", "params.code", "params.layers", "params.lr", "params.name", "params.shuffle"),
        *("metrics.acc", "metrics.acc.best", "metrics.loss"),
        *("tags.mlflow.source.git.commit", "tags.pid", "tags.row", "tags.torch"),
    ]


def test_parquet_has_types(server, tmp_path):
    path = tmp_path / "deep" / "runs.parquet"
    assert "4 runs" in invoke("export", "--output", path)
    frame = pd.read_parquet(path, dtype_backend="numpy_nullable").set_index("run_name")
    kinds = {name: str(frame.dtypes[f"params.{name}"]) for name in ("layers", "shuffle", "lr", "code")}
    assert kinds == {"layers": "Int64", "shuffle": "boolean", "lr": "string", "code": "string"}
    assert frame.loc["first", "params.layers"] == 2
    assert frame.loc["first", "start_time"] == pd.Timestamp("2026-05-28 20:26:40", tz="UTC")
    assert frame.loc["second", "metrics.loss"] == -math.inf
    assert pd.isna(frame.loc["open", "params.layers"])
    assert [path.name for path in path.parent.iterdir()] == ["runs.parquet"]


def test_numbers_are_typed_where_all_values_are(server, tmp_path):
    path = tmp_path / "runs.parquet"
    invoke("export", "--output", path, "--where", "params.layers LIKE '%'")
    assert str(pd.read_parquet(path).dtypes["params.lr"]) == "float64"


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["1", "20", "-3"], export.INTEGER),
        (["1", "0.5"], export.NUMBER),
        (["1e-05", "inf", "nan"], export.NUMBER),
        (["007", "8"], export.TEXT),
        (["00.5"], export.TEXT),
        (["1_000"], export.TEXT),
        (["12345678901234567890"], export.NUMBER),
        (["True", "False"], export.FLAG),
        (["True", "1"], export.TEXT),
        (["[6, 16]"], export.TEXT),
        ([""], export.TEXT),
    ],
)
def test_kind_of_a_parameter(values, kind):
    columns = export.Columns()
    for value in values:
        columns.see({"params.x": value})
    assert columns.kinds == {"params.x": kind}


def test_history_has_every_value(server):
    lines = list(csv.DictReader(io.StringIO(invoke("export", "--history", "--where", "params.layers = 2"))))
    assert [(line["metric"], line["step"], line["value"]) for line in lines] == [
        ("acc", "0", "0.5"),
        ("acc", "1", "0.7"),
        ("acc.best", "1", "0.7"),
        ("loss", "0", "nan"),
    ]
    assert lines[1]["timestamp"] == "2026-05-28T20:26:40.001+00:00"


@pytest.mark.parametrize(("sort", "expected"), [("acc", ["third", "first"]), ("-metrics.acc", ["second", "first"])])
def test_the_server_sorts_and_limits(server, sort, expected):
    lines = list(csv.DictReader(io.StringIO(invoke("export", "--sort", sort, "--limit", 2))))
    assert [line["run_name"] for line in lines] == expected


def test_pages_are_read_one_after_another(server, monkeypatch):
    whole = invoke("export")
    monkeypatch.setattr(runs, "PAGE", 1)
    monkeypatch.setattr(export, "CHUNK", 1)
    assert invoke("export") == whole


def test_no_more_than_a_chunk_is_held(tmp_path, monkeypatch):
    """Records are made as they are asked for; at most one is alive while the spool is written."""
    alive = 0

    class Record(dict):
        def __init__(self, number):
            nonlocal alive
            alive += 1
            super().__init__({"run_id": str(number), "metrics.x": float(number)})

        def __del__(self):
            nonlocal alive
            alive -= 1

    most = 0

    def records():
        nonlocal most
        for number in range(500):
            yield Record(number)
            most = max(most, alive)

    monkeypatch.setattr(export, "CHUNK", 10)
    assert export.write(records(), "parquet", tmp_path / "x.parquet") == 500
    assert most <= 2
    assert pd.read_parquet(tmp_path / "x.parquet")["metrics.x"].sum() == 499 * 500 / 2


def test_a_failed_export_leaves_nothing(tmp_path):
    def records():
        yield {"run_id": "a"}
        raise RuntimeError("server gone")

    with pytest.raises(RuntimeError):
        export.write(records(), "csv", tmp_path / "x.csv")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--output", "runs.xlsx"), ".csv or .parquet"),
        (("--format", "parquet"), "--output"),
        (("--where", "lr ="), "bad filter"),
        (("--experiment", "nine"), "two, with a comma"),
        (("--since", "yesterday"), "ISO date"),
    ],
)
def test_bad_input_is_one_line(server, arguments, expected):
    assert expected in refused("export", *arguments)


# diff


def test_differences_of_two_runs(server):
    found = json.loads(invoke("diff", server.first, server.second, "--format", "json"))
    values = {(each["part"], each["name"]): (each["left"], each["right"]) for each in found["differences"]}
    assert values == {
        ("run", "experiment"): ("one", "two, with a comma"),
        ("parameters", "code"): ("007", "8"),
        ("parameters", "layers"): ("2", "3"),
        ("parameters", "lr"): ("0.001", "1e-05"),
        ("parameters", "name"): ('a,b\n"c"', "x"),
        ("parameters", "shuffle"): ("True", "False"),
        ("metrics", "acc"): (0.7, 0.9),
        ("metrics", "acc.best"): (0.7, None),
        ("metrics", "loss"): ("nan", None),
        ("data", "datasets"): ("pjm:d1", "pjm:d2"),
        ("environment", "torch"): ("2.13", "2.14"),
    }
    assert found["alike"] == {"run": 2, "parameters": 0, "metrics": 0, "data": 0, "code": 1, "environment": 0}


def test_differences_for_readers(server):
    text = invoke("diff", server.first, server.second)
    assert "| acc | 0.7 | 0.9 |" in text
    assert "| acc.best | 0.7 | – |" in text
    assert "Alike: 2 run, 1 code." in text


def test_a_run_is_no_different_from_itself(server):
    found = json.loads(invoke("diff", server.first, server.first, "--format", "json"))
    assert found["differences"] == []
    assert found["alike"]["parameters"] == 5


def test_an_unknown_run_is_one_line(server):
    assert "no run abc" in refused("diff", server.first, "abc")


# sweep


@pytest.fixture
def own_server(tmp_path, monkeypatch):
    uri = f"sqlite:///{tmp_path / 'runs.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(uri)
    yield Server(uri)
    mlflow.set_tracking_uri(before)


def process_of(pid: int) -> dict:
    """Tags of a process of this boot and PID namespace."""
    started = Path(f"/proc/{pid}/stat").read_text().split()[21]
    return replace(identity.own(), pid=pid, ticks=started).tags


def test_runs_whose_process_is_gone_are_marked(own_server):
    ended = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    gone, me = process_of(ended.pid), process_of(os.getpid())
    ended.communicate(b"\n")
    before_boots = {name: gone[name] for name in ("host", "pid", "process_start")}
    made = {
        "gone": own_server.run("gone", tags=gone, metrics=[("x", 0, 1.0)], status="RUNNING"),
        "number given again": own_server.run("again", tags=me | {"process_ticks": "1"}, status="RUNNING"),
        "alive": own_server.run("alive", tags=me, status="RUNNING"),
        "elsewhere": own_server.run("elsewhere", tags=gone | {"host": "other.example"}, status="RUNNING"),
        "of an older version": own_server.run("older", tags=before_boots, status="RUNNING"),
        "foreign": own_server.run("foreign", status="RUNNING"),
        "nonsense": own_server.run("nonsense", tags={"host": "h", "pid": "x", "process_start": "y"}, status="RUNNING"),
        "finished": own_server.run("finished", tags=gone),
    }

    def statuses() -> dict:
        return {name: own_server.client.get_run(run).info.status for name, run in made.items()}

    before = statuses()
    said = invoke("sweep", "--dry-run")
    assert statuses() == before
    assert said.count("would mark KILLED") == 2
    said = invoke("sweep")
    assert said.count("marked KILLED") == 2
    assert "7 running: 2 gone, 1 alive, 1 on another host, 3 unknown" in said
    assert statuses() == before | {"gone": "KILLED", "number given again": "KILLED"}
    swept = own_server.client.get_run(made["gone"])
    assert str(ended.pid) in swept.data.tags["failure"]
    assert swept.data.metrics == {"x": 1.0}
    assert "5 running: 0 gone" in invoke("sweep")
