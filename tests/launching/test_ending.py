"""The end of a launch on the terminal."""

import re
import shlex
from types import SimpleNamespace

import pytest

from analysis.__main__ import cli as analysis
from pipelines.common import screen
from pipelines.experiments.ablation.experiment import EXPERIMENT as ABLATION
from pipelines.experiments.pretrain.experiment import EXPERIMENT as PRETRAIN
from pipelines.experiments.recurrent.experiment import EXPERIMENT as RECURRENT
from pipelines.experiments.resnet.experiment import EXPERIMENT as RESNET
from pipelines.launching.ending import _best, _next, pointers, ranked, shown, table
from pipelines.tracking.record import Snapshot


def run(row: str, **metrics: float) -> Snapshot:
    return Snapshot("FINISHED", "1", {"row": row, "mlflow.runName": row}, {}, metrics)


RUNS = [
    run("gru-2", smape_report=0.25, training_time_s=50.0),
    run("gru-2", smape_report=0.24, training_time_s=52.0),
    run("gru-2", smape_report=0.26, training_time_s=54.0),
    run("linear-ar", smape_report=0.2, training_time_s=1.5),
    run("mine", smape_report=0.9, evaluation_time_s=100.0),
    run("broken", training_time_s=3.0),
]


def lines(experiment, dataset, runs, width=80):
    drawn = screen.draw([table(experiment, dataset, ranked(experiment, runs))], screen.Screen(width))
    return [re.split(r"  +", line.strip()) for line in drawn.splitlines()]


def test_rows_are_ranked_beside_the_published_figures():
    """0.239 is published of gru-2; the mean and deviation of 0.24, 0.25, 0.26 are 0.25 and 0.01."""
    title, header, _, *rows = lines(RECURRENT, "pjm", RUNS)
    assert title == ["recurrent on pjm: smape_report, lowest first"]
    assert header == ["row", "smape_report", "n", "published", "training time"]
    assert rows == [
        ["* linear-ar", "0.2", "1", "1.5 s"],
        ["gru-2", "0.250 ± 0.010", "3", "0.239", "52 s"],
        ["mine", "0.9", "1"],
    ]


def test_published_figures_stand_beside_their_own_data_only():
    assert lines(RECURRENT, "sample", RUNS)[1] == ["row", "smape_report", "n", "training time"]


def test_the_time_is_that_of_the_evaluation_where_nothing_is_trained():
    _, header, _, row = lines(RESNET, "sample", [run("resnet20", test_accuracy=90.0, evaluation_time_s=2.5)])
    assert header == ["row", "test_accuracy", "n", "evaluation time"]
    assert row == ["resnet20", "90", "1", "2.5 s"]


def test_the_highest_accuracy_comes_first():
    runs = [run(row, test_accuracy=accuracy) for row, accuracy in (("mlp-2", 51.0), ("cnn", 58.0), ("cnn-tanh", 57.0))]
    assert [line[0] for line in lines(ABLATION, "sample", runs)[3:]] == ["* cnn", "cnn-tanh", "mlp-2"]


@pytest.mark.parametrize(
    ("values", "text"),
    [([0.25], "0.25"), ([0.25, 0.25], "0.25 ± 0"), ([61.0, 63.0], "62.0 ± 1.4"), ([9, 35], "22 ± 18")],
)
def test_the_spread_is_that_of_several_seeds_with_two_digits(values, text):
    assert shown(values) == text


@pytest.mark.parametrize(
    ("experiment", "rows", "command"),
    [
        (RECURRENT, ["gru-2", "lstm-2"], "python -m analysis compare --entry recurrent"),
        (
            RECURRENT,
            ["gru-2", "linear-ar-hourly"],
            "python -m analysis compare --entry recurrent --baseline linear-ar-hourly",
        ),
        (PRETRAIN, ["resnet20"], "python -m pipelines resnet --dataset sample --data-dir mine --models resnet20"),
    ],
)
def test_the_next_command_compares_to_a_baseline_that_is_there_or_uses_what_was_trained(experiment, rows, command):
    assert _next(experiment, "--dataset sample --data-dir mine", rows) == command


@pytest.mark.parametrize(
    ("experiment", "metric", "best"), [(RECURRENT, "smape_report", "low"), (ABLATION, "test_accuracy", "high")]
)
def test_the_best_run_has_the_lowest_error_or_the_highest_accuracy(experiment, metric, best):
    states = {"0" * 32: run("low", **{metric: 0.2}), "1" * 32: run("high", **{metric: 0.3}), "2" * 32: run("none")}
    digit, value = {"low": ("0", 0.2), "high": ("1", 0.3)}[best]
    assert _best(experiment, states) == f"best run  {best}, run {digit * 8}: {metric} {value}\n"
    assert _best(experiment, {"2" * 32: run("none")}) == ""


@pytest.mark.parametrize(
    ("address", "base", "after"),
    [
        ("https://host.example/team", "https://host.example/team", ""),
        ("sqlite:///mlflow.db", "http://127.0.0.1:5000", "  (after: python -m analysis ui)"),
    ],
)
def test_pages_that_have_to_be_served_first_are_said_to(monkeypatch, address, base, after):
    monkeypatch.setattr("pipelines.launching.ending.server.address", lambda: address)
    look = SimpleNamespace(id="ab", record=SimpleNamespace(read=lambda: run("gru-2")))
    link = f"{base}/#/experiments/1/runs/ab?workflowType=machine_learning"
    assert pointers(look, "a command") == f"look      {link}{after}\nnext      a command\n"


@pytest.mark.parametrize("width", [36, 48])
def test_a_narrow_terminal_keeps_the_row_and_its_metric(width):
    drawn = screen.draw([table(RECURRENT, "pjm", ranked(RECURRENT, RUNS))], screen.Screen(width))
    assert all(len(line) <= width for line in drawn.splitlines())
    assert re.search(r"gru-2 +0.250 ± 0.010", drawn)


def row_of(place):
    (row,) = (run for run in place.runs().values() if run.data.tags.get("row") == "gru-2")
    return row


@pytest.mark.medium
def test_a_launch_ends_with_what_is_on_the_server(alone):
    """The figure, the id and the experiment of the link are those of MLflow; the next command is one that there is."""
    row, launch = row_of(alone), alone.runs()["recurrent sample"]
    error = row.data.metrics["smape_report"]
    text = alone.stdout
    assert re.search(rf"^gru-2 +{error:.4g} +1 +\S+ s$", text, re.MULTILINE)
    assert f"\nbest run  {row.info.run_name}, run {row.info.run_id[:8]}: smape_report {error:.4g}\n" in text
    page = f"#/experiments/{launch.info.experiment_id}/runs/{launch.info.run_id}?"
    assert f"\nlook      http://127.0.0.1:5000/{page}" in text
    (command,) = re.findall(r"^next +(.*)$", text, re.MULTILINE)
    python, dash, module, name, *arguments = shlex.split(command)
    assert (python, dash, module) == ("python", "-m", "analysis")
    assert analysis.commands[name].make_context(name, arguments).params["entry"] == "recurrent"


@pytest.mark.medium
def test_a_launch_says_in_a_log_what_became_of_each_row(alone):
    row = row_of(alone)
    error = row.data.metrics["smape_report"]
    name = re.escape(row.info.run_name)
    assert re.search(
        rf"^{name}: finished in \S+ (s|min) overall, smape_report {error:.4g}$", alone.stderr, re.MULTILINE
    )
    # MLflow would draw a bar for each artifact that it reads.
    assert "Downloading" not in alone.stderr
