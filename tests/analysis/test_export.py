"""Exports of runs of every kind, as CSV and as Parquet."""

import csv
import io
import math

import pandas as pd
import pytest
from support.commands import invoke, refused

from analysis import export
from analysis.runs import search


def test_every_run_that_is_not_deleted_is_a_line(mixed_store):
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


def test_columns_come_in_a_fixed_order(mixed_store):
    header = invoke("export").splitlines()[0].split(",")
    assert header == [
        *("run_id", "run_name", "experiment", "status", "start_time", "end_time", "duration_s", "parent_run_id"),
        *("datasets", "models", "params.code", "params.layers", "params.lr", "params.name", "params.shuffle"),
        *("metrics.acc", "metrics.acc.best", "metrics.loss"),
        *("tags.mlflow.source.git.commit", "tags.pid", "tags.row", "tags.torch"),
    ]


def test_parquet_has_types(mixed_store, tmp_path):
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


def test_numbers_are_typed_where_all_values_are(mixed_store, tmp_path):
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


def test_history_has_every_value(mixed_store):
    lines = list(csv.DictReader(io.StringIO(invoke("export", "--history", "--where", "params.layers = 2"))))
    assert [(line["metric"], line["step"], line["value"]) for line in lines] == [
        ("acc", "0", "0.5"),
        ("acc", "1", "0.7"),
        ("acc.best", "1", "0.7"),
        ("loss", "0", "nan"),
    ]
    assert lines[1]["timestamp"] == "2026-05-28T20:26:40.001+00:00"


@pytest.mark.parametrize(("sort", "expected"), [("acc", ["third", "first"]), ("-metrics.acc", ["second", "first"])])
def test_the_server_sorts_and_limits(mixed_store, sort, expected):
    lines = list(csv.DictReader(io.StringIO(invoke("export", "--sort", sort, "--limit", 2))))
    assert [line["run_name"] for line in lines] == expected


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("params.layers", ["first", "second"]),
        ("-tags.torch", ["second", "first"]),
        ("-start_time", ["open", "third", "second", "first"]),
        ("attributes.start_time", ["first", "second", "third", "open"]),
        ("loss", ["second", "first"]),
    ],
)
def test_what_some_run_has_sorts(mixed_store, sort, expected):
    lines = list(csv.DictReader(io.StringIO(invoke("export", "--sort", sort))))
    assert [line["run_name"] for line in lines][: len(expected)] == expected


def test_pages_are_read_one_after_another(mixed_store, monkeypatch):
    whole = invoke("export")
    monkeypatch.setattr(search, "PAGE", 1)
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
        (("--sort", "acd"), "sort: these runs have no 'acd'; did you mean acc?"),
        (("--sort", "-params.layer"), "no 'params.layer'; did you mean params.layers?"),
        (("--sort", "lr"), "did you mean params.lr?"),
        (("--sort", "attributes.start_tim"), "did you mean start_time?"),
        (("--sort", "tags.nonsense", "--limit", 1), "known are "),
    ],
)
def test_bad_input_is_one_line(mixed_store, arguments, expected):
    assert expected in refused("export", *arguments)
