"""Runs of earlier versions beside those of this one: their metrics are the same, whatever name these were logged by."""

import csv
import io
import json

import pytest
from click.testing import CliRunner
from support.tracked import Tracked, tracking

from analysis.__main__ import cli
from analysis.runs import earlier
from pipelines import names

EARLIER = {"smape.AEP": 1.0, "smape_curve.first": 50.0, "parameters": 10.0, "peak_memory_mb": 100.0}
PRESENT = {"series/smape.AEP": 3.0, "first/smape_curve": 60.0, "cost/weights": 30.0, "cost/peak_memory_mb": 300.0}


@pytest.fixture(scope="module")
def store(tmp_path_factory, blank_database):
    """Two seeds of one row by an earlier version and one by this one; a launch, and a run of another project."""
    store = Tracked(tmp_path_factory.mktemp("store"), blank_database, names.EXPERIMENT, "theirs")

    def row(seed, metrics):
        tags = {"entry": "recurrent", "row": "gru-2", "dataset": "pjm", "training": "dense", "seed": seed}
        return store.run(f"gru-2-seed{seed}", tags, {"lr": 0.1}, {"smape_report": 0.2 + seed / 100} | metrics)

    store.old = row(0, EARLIER)
    store.new = row(1, PRESENT)
    # Begun by an earlier version, continued by this one.
    store.mixed = row(2, EARLIER | {"cost/peak_memory_mb": 200.0, "micro_batch": [(7, 4.0), (9, 2.0)]})
    store.run("launch", {"entry": "ablation", "dataset": "sample"}, {}, {"test_accuracy.cnn": 55.0})
    store.run("theirs", {}, {"lr": 0.1}, {"parameters": 20.0, "auc.best": 0.5}, experiment="theirs")
    with tracking(store.uri):
        yield store


def output(*arguments):
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def lines(*arguments):
    return list(csv.DictReader(io.StringIO(output(*arguments))))


@pytest.mark.parametrize(
    "asked", ["smape.AEP,parameters", "series/smape.AEP,cost/weights", "metrics.smape.AEP,parameters"]
)
def test_they_stand_in_one_line_whatever_is_asked_for(store, asked):
    (line,) = lines("compare", "--format", "csv", "--metrics", asked)
    assert (line["n"], float(line["series/smape.AEP.mean"]), line["series/smape.AEP.n"]) == ("3", 5 / 3, "3")
    assert float(line["cost/weights.mean"]) == 50 / 3


@pytest.mark.parametrize(
    ("where", "seeds"),
    [
        ("metrics.parameters < 20", [0, 2]),
        ("metrics.`cost/weights` > 5", [0, 1, 2]),
        ("metrics.`smape.AEP` > 2 and metrics.smape_report > 0", [1]),
        ("metrics.smape_report > 0.205 and params.lr = 0.1", [1, 2]),
        ('metric."first/smape_curve" < 55', [0, 2]),
    ],
)
def test_a_condition_holds_for_either_name(store, where, seeds):
    found = lines("export", "--entry", "recurrent", "--where", where)
    assert [line["run_name"] for line in found] == [f"gru-2-seed{seed}" for seed in seeds]


@pytest.mark.parametrize("sort", ["{}peak_memory_mb", "{}metrics.cost/peak_memory_mb"])
def test_they_are_sorted_together_and_those_without_a_value_come_last(store, sort):
    def order(*arguments):
        return [line["run_name"] for line in lines("export", *arguments)]

    assert order("--sort", sort.format(""))[:3] == ["gru-2-seed0", "gru-2-seed2", "gru-2-seed1"]
    assert order("--sort", sort.format("-"), "--limit", "2") == ["gru-2-seed1", "gru-2-seed2"]
    # Another project's metric of that name counts as what it is.
    assert order("--sort", "parameters", "--experiment", "theirs") == ["theirs"]
    assert order("--sort", "-parameters")[:2] == ["gru-2-seed1", "theirs"]


def test_a_table_is_sorted_by_either_name(store):
    for name in ("parameters", "cost/weights"):
        options = ("--metrics", "cost/weights", "--sort", f"-{name}", "--group-by", "seed")
        assert [line["seed"] for line in lines("compare", "--format", "csv", *options)] == ["1", "0", "2"]


def test_an_export_has_the_present_names_of_ours_and_others_as_they_are(store):
    found = {line["run_name"]: line for line in lines("export")}
    assert "metrics.smape.AEP" not in found["launch"]
    for seed, weights in ((0, "10.0"), (1, "30.0"), (2, "10.0")):
        assert found[f"gru-2-seed{seed}"]["metrics.cost/weights"] == weights
        assert found[f"gru-2-seed{seed}"]["metrics.parameters"] == ""
    # Of a run that was continued, what was logged later.
    assert found["gru-2-seed2"]["metrics.cost/peak_memory_mb"] == "200.0"
    assert (found["theirs"]["metrics.parameters"], found["theirs"]["metrics.auc.best"]) == ("20.0", "0.5")
    # Of a launch it was the mean of a row.
    assert found["launch"]["metrics.test_accuracy.cnn"] == "55.0"


def test_a_history_is_found_under_either_name(store):
    points = lines("export", "--history", "--entry", "recurrent", "--where", "metrics.micro_batch > 0")
    assert {line["run_id"] for line in points} == {store.mixed}
    found = [(line["step"], line["value"]) for line in points if line["metric"] == "cost/micro_batch"]
    assert found == [("7", "4.0"), ("9", "2.0")]
    assert {line["metric"] for line in points} == {"smape_report", "cost/micro_batch", *PRESENT}


def test_two_runs_differ_in_values_not_in_names(store):
    found = json.loads(output("diff", store.old, store.new, "--format", "json"))
    named = {each["name"]: (each["left"], each["right"]) for each in found["differences"] if each["part"] == "metrics"}
    assert named["cost/weights"] == (10.0, 30.0)
    assert set(named) == {"smape_report", *PRESENT}


def test_metrics_of_other_projects_and_of_launches_are_as_they_were_logged():
    assert earlier.present(EARLIER, {}) == EARLIER
    assert earlier.present(EARLIER, {"entry": "recurrent", "dataset": "pjm"}) == EARLIER
    trial = {"entry": "tune", "trial": "0"}
    assert earlier.present({"parameters": 1.0, "objective": 2.0}, trial) == {"cost/weights": 1.0, "objective": 2.0}
