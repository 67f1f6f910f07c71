"""The recurrent entry point from end to end on the embedded data: what a launch leaves in the tracking server."""

import contextlib
import csv
import io
import json
import re

import mlflow
import numpy as np
import pandas as pd
import pytest
import torch
from support.place import ROOT, plain

pytestmark = pytest.mark.slow

NETWORKS = ["gru-2-seed0", "gru-2-seed1"]
ROWS = [*NETWORKS, "persistence"]


@pytest.fixture(scope="module")
def launched(tmp_path_factory, small, alone):
    """gru-2 with two seeds and persistence, two jobs at a time, in an empty folder."""
    place = type(alone)(tmp_path_factory.mktemp("launched"))
    assert place.invoke(*small, "--models", "gru-2,persistence", "--seeds", "2", "--jobs", "2") == 0, place.stderr
    return place


@pytest.fixture(scope="module")
def project(tmp_path_factory, alone):
    """`mlflow run` of the project with window training, which is the report's."""
    place = type(alone)(tmp_path_factory.mktemp("project"))
    parameters = {"dataset": "sample", "models": "rnn-2", "training": "window", "hidden": 8, "epochs": 1, "lr": "1e-3"}
    given = [part for name, value in parameters.items() for part in ("-P", f"{name}={value}")]
    code = place.launch("run", str(ROOT), "-e", "recurrent", "--env-manager", "local", *given, module="mlflow")
    assert code == 0, place.stderr
    return place


@pytest.fixture(scope="module")
def hours() -> pd.DataFrame:
    """The embedded series as published, hour by hour: load and calendar features, made without the project's code."""
    with (ROOT / "pipelines" / "data" / "energy" / "taylor.csv").open() as file:
        half_hours = [float(line[0]) for line in list(csv.reader(file))[1:]]
    load = [(first + second) / 2 for first, second in zip(half_hours[::2], half_hours[1::2], strict=True)]
    times = pd.date_range("2000-06-05", periods=len(load), freq="h")
    calendar = {"hour": times.hour, "weekday": times.day_of_week, "month": times.month, "yearday": times.day_of_year}
    return pd.DataFrame({"load": load, **calendar}, index=times)


def test_a_launch_is_a_parent_with_a_nested_run_for_each_row_and_seed(launched):
    runs = launched.runs()
    assert sorted(runs) == sorted(["recurrent sample", *ROWS])
    parent = runs["recurrent sample"]
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    assert {runs[name].data.tags["mlflow.parentRunId"] for name in ROWS} == {parent.info.run_id}
    assert "row" not in parent.data.tags
    for run, expected in (
        (parent, {"entry": "recurrent", "dataset": "sample", "training": "dense"}),
        (runs["gru-2-seed1"], {"row": "gru-2", "seed": "1", "training": "dense", "dataset": "sample"}),
        (runs["persistence"], {"row": "persistence", "seed": "0", "training": "none", "dataset": "sample"}),
    ):
        assert expected.items() <= run.data.tags.items()
        assert run.data.tags["entry"] == "recurrent"
        assert {"host", "pid", "torch", "isa", "cores", "mlflow.user", "mlflow.note.content"} <= run.data.tags.keys()


def test_every_setting_is_a_parameter(launched):
    runs = launched.runs()
    given = {"models": "gru-2,persistence", "seeds": "2", "jobs": "2", "hidden": "8", "epochs": "6"}
    assert given.items() <= runs["recurrent sample"].data.params.items()
    params = runs["gru-2-seed1"].data.params
    expected = {"row": "gru-2", "seed": "1", "cell": "GRU", "layers": "2", "hidden": "8", "epochs": "6"}
    expected |= {"dataset": "sample", "training": "dense", "fraction": "1.0", "lookback": "90"}
    assert (expected | {"precision": "fp32", "device": "cpu"}).items() <= params.items()
    rest = {"lr", "batch_size", "dropout", "loss", "schedule", "beta2", "standardise", "segment", "burn_in"}
    assert rest | {"threads", "replicas"} <= params.keys()


def test_every_run_has_the_command_that_made_it(launched, project):
    typed = "python -m pipelines recurrent --dataset sample --models gru-2,persistence --epochs 6 --hidden 8"
    typed += " --seeds 2 --jobs 2 --precision fp32"
    assert {run.data.tags["command"] for run in launched.runs().values()} == {typed}
    # `mlflow run` types every option: those at their defaults are left out.
    equivalent = "python -m pipelines recurrent --dataset sample --models rnn-2 --training window --epochs 1 --lr 0.001"
    assert {run.data.tags["command"] for run in project.runs().values()} == {f"{equivalent} --hidden 8"}


@pytest.mark.parametrize("name", ROWS)
def test_every_row_has_its_errors_and_its_cost(launched, name):
    metrics = launched.runs()[name].data.metrics
    assert 0 < metrics["smape"] < 200
    assert metrics["smape_report"] == pytest.approx(metrics["smape"] / 4)
    assert metrics["series/smape.TAYLOR"] == pytest.approx(metrics["smape"])
    assert metrics["rmse_mw"] >= metrics["mae_mw"] > 0
    assert metrics["training_time_s"] >= 0
    assert metrics["evaluation_time_s"] > 0
    assert metrics["cost/peak_memory_mb"] > 50


@pytest.mark.parametrize("name", NETWORKS)
def test_the_curves_of_a_network(launched, name):
    run = launched.runs()[name]
    # MLflow opens a comparison of runs with the first.
    assert next(iter(run.data.metrics)) == "smape_curve"
    losses = launched.history(run, "train_loss")
    assert [step for step, _ in losses] == [1, 2, 3, 4, 5, 6]
    assert losses[-1][1] < losses[0][1]
    curve = launched.history(run, "smape_curve")
    steps = [step for step, _ in curve]
    assert steps[0] == 0
    assert len(set(steps)) == len(steps) > 5
    assert curve[0][1] == run.data.metrics["first/smape_curve"]
    for metric in ("smape_curve", "train_loss"):
        best = (run.data.metrics[f"best_step/{metric}"], run.data.metrics[f"best/{metric}"])
        assert best in launched.history(run, metric)
        assert best[1] == min(value for _, value in launched.history(run, metric))
    # The sample has fewer test windows than the curve may use: its last point is the final error.
    assert curve[-1][1] == pytest.approx(run.data.metrics["smape"], rel=1e-6)


def test_the_data_are_logged_with_their_digest(launched):
    runs = launched.runs()
    digests = {runs[name].data.tags["data_digest"] for name in ROWS}
    assert len(digests) == 1
    (digest,) = digests
    assert len(digest) == 64
    for name in ROWS:
        parts = {}
        for entry in runs[name].inputs.dataset_inputs:
            assert entry.dataset.name == "sample"
            assert entry.dataset.digest.startswith(f"{digest[:12]}-")
            (context,) = [tag.value for tag in entry.tags if tag.key == "mlflow.data.context"]
            parts[context] = json.loads(entry.dataset.profile)["shape"]
        # 2,016 hours, 90 of them before the first target, a tenth of the 1,926 windows for the test.
        assert parts == {"training": [1734, 90, 5], "evaluation": [192, 90, 5]}


def test_figures_and_their_data(launched):
    runs = launched.runs()
    common = ["figures/forecasts_first.png", "tables/forecasts.csv", "figures/breakdown.png", "tables/breakdown.csv"]
    curve = ["figures/smape_curve.png", "tables/smape_curve.csv"]
    per_row = [*common, "tables/per_series.csv", "tables/data_counts.json"]
    expected = {name: [*per_row, *curve] for name in NETWORKS} | {"persistence": per_row}
    expected["recurrent sample"] = ["figures/forecasts_first.png", "figures/smape_curve.png", "tables/comparison.csv"]
    for name, paths in expected.items():
        for path in paths:
            content = launched.artifact(runs[name], path).read_bytes()
            assert len(content) > 20
            assert not path.endswith(".png") or content.startswith(b"\x89PNG")


@pytest.mark.parametrize("name", ROWS)
def test_every_forecast_is_logged_with_its_hour_and_the_actual_load(launched, hours, name):
    run = launched.runs()[name]
    logged = pd.read_parquet(launched.artifact(run, "tables/predictions.parquet"))
    tested = hours[-((len(hours) - 90) // 10) :]
    assert set(logged["series"]) == {"TAYLOR"}
    assert list(logged["time"]) == list(tested.index)
    assert set(logged["time"][logged["holiday"]].dt.strftime("%m-%d")) == set()  # the next is on 28 August
    assert logged["actual_mw"].to_numpy() == pytest.approx(tested["load"].to_numpy())
    assert logged["forecast_mw"].dtype == np.float32
    gaps = (logged["forecast_mw"] - logged["actual_mw"]).abs()
    assert run.data.metrics["mae_mw"] == pytest.approx(gaps.mean(), rel=1e-5)


def test_the_parent_compares_its_rows(launched):
    runs = launched.runs()
    table = pd.read_csv(launched.artifact(runs["recurrent sample"], "tables/comparison.csv"))
    assert list(zip(table["row"], table["seed"], strict=True)) == [("gru-2", 0), ("gru-2", 1), ("persistence", 0)]
    assert list(table["smape"]) == [runs[name].data.metrics["smape"] for name in ROWS]
    plan = json.loads(launched.artifact(runs["recurrent sample"], "plan.json").read_text())
    assert [plain(job["name"]) for job in plan] == ROWS


def test_persistence_is_the_hour_before(launched, hours):
    run = launched.runs()["persistence"]
    tested = (len(hours) - 90) // 10
    load = hours["load"].to_numpy()
    actual, forecast = load[-tested:], load[-tested - 1 : -1]
    smape = 100 * np.mean(np.abs(forecast - actual) / ((forecast + actual) / 2))
    assert run.data.metrics["smape"] == pytest.approx(smape, rel=1e-6)
    assert run.data.metrics["mae_mw"] == pytest.approx(np.mean(np.abs(forecast - actual)), rel=1e-6)


@pytest.mark.parametrize("flavour", ["pyfunc", "pytorch"])
def test_the_logged_model_forecasts_from_raw_windows(launched, hours, at, flavour):
    run = launched.runs()["gru-2-seed0"]
    logged = pd.read_csv(launched.artifact(run, "tables/forecasts.csv"), parse_dates=["time"])
    raw = np.column_stack([hours.to_numpy(), np.zeros(len(hours))]).astype(np.float32)
    ends = hours.index.get_indexer(logged["time"])
    windows = np.stack([raw[end - 90 : end] for end in ends])
    assert windows.shape == (100, 90, 6)
    at(launched.folder, launched.uri)
    if flavour == "pyfunc":
        forecast = mlflow.pyfunc.load_model(f"runs:/{run.info.run_id}/gru-2-hidden-8-epochs-6-seed0").predict(windows)
    else:
        model = mlflow.pytorch.load_model(f"runs:/{run.info.run_id}/gru-2-hidden-8-epochs-6-seed0")
        forecast = model(torch.from_numpy(windows)).detach().numpy()
    np.testing.assert_allclose(logged["actual_mw"], hours["load"].to_numpy()[ends], rtol=1e-7)
    np.testing.assert_allclose(forecast, logged["forecast_mw"], rtol=1e-5)


@pytest.mark.medium
@pytest.mark.parametrize("row", ["gru-relative", "mlp-lags"])
def test_a_network_of_changes_is_logged_with_all_that_it_takes_to_forecast_from_loads_and_times(place, hours, at, row):
    asked = ("recurrent", "--dataset", "sample", "--models", row, "--hidden", "8", "--epochs", "2")
    assert place.invoke(*asked) == 0, place.stderr
    run = place.runs()[f"{row}-seed0"]
    logged = pd.read_parquet(place.artifact(run, "tables/predictions.parquet"))
    time = (hours.index - pd.Timestamp(0)) / pd.Timedelta("1h")
    raw = np.column_stack([hours["load"], time, np.zeros(len(hours))]).astype(np.float32)
    ends = hours.index.get_indexer(logged["time"])[::10]
    windows = np.stack([raw[end - 90 : end + 1] for end in ends])
    windows[:, -1, 0] = -1  # the load that is to be forecast
    at(place.folder, place.uri)
    model = mlflow.pyfunc.load_model(f"runs:/{run.info.run_id}/{row}-hidden-8-epochs-2-seed0")
    np.testing.assert_allclose(model.predict(windows), logged["forecast_mw"][::10], rtol=1e-5)
    # The example of the page, of this run and its only series.
    examples = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "mlflow.md").read_text("utf-8"), re.DOTALL)
    (example,) = (each for each in examples if "gru-relative" in each)
    example = example.replace("RUN_ID/gru-relative-seed0", f"{run.info.run_id}/{row}-hidden-8-epochs-2-seed0")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(example.replace("2] = 11", "2] = 0"), {})
    # A load of 30,000 MW that has stood still for days is forecast to be near it.
    assert float(printed.getvalue().strip("[]\n")) == pytest.approx(30_000, rel=0.2)


@pytest.mark.fault(32)
def test_the_same_seed_gives_the_same_bits_whatever_runs_beside_it(launched, alone):
    one, other = launched.runs()["gru-2-seed0"], alone.runs()["gru-2-seed0"]
    assert one.data.metrics["smape"] == other.data.metrics["smape"]
    for metric in ("smape_curve", "train_loss"):
        assert launched.history(one, metric) == alone.history(other, metric)
    assert one.data.metrics["smape"] != launched.runs()["gru-2-seed1"].data.metrics["smape"]


def test_mlflow_run_makes_the_parent(project):
    runs = project.runs()
    assert sorted(runs) == ["recurrent sample", "rnn-2-seed0"]
    parent, row = runs["recurrent sample"], runs["rnn-2-seed0"]
    assert parent.data.tags["mlflow.project.entryPoint"] == "recurrent"
    assert parent.data.tags["entry"] == "recurrent"
    assert row.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert row.info.experiment_id == parent.info.experiment_id
    assert {parent.info.status, row.info.status} == {"FINISHED"}
    # The launcher has logged its own texts; the row's are resolved.
    assert parent.data.params["lr"] == "1e-3"
    assert row.data.params["lr"] == "0.001"


def test_window_training(project):
    row = project.runs()["rnn-2-seed0"]
    assert row.data.tags["training"] == row.data.params["training"] == "window"
    assert {"segment": "0", "burn_in": "0", "loss": "mse", "schedule": "constant"}.items() <= row.data.params.items()
    assert [step for step, _ in project.history(row, "train_loss")] == [1]
    # One target for each of the 1,734 training windows of the series.
    updates = project.history(row, "smape_curve")[-1][0]
    assert updates == -(-1734 // int(row.data.params["batch_size"]))
    assert row.data.metrics["smape"] < row.data.metrics["first/smape_curve"]
