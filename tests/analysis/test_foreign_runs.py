"""Runs of other projects on the same server: compared by their parameters where asked for, and never in the way."""

import io
import json
import math
import re
import shutil

import pandas as pd
import pytest
from click.testing import CliRunner
from support.stores import Logged, insert
from support.tracked import Tracked, tracking

from analysis.__main__ import cli


@pytest.fixture(scope="module")
def server(tmp_path_factory, blank_database):
    """An experiment of another project's runs beside one with a run, a launch and a trial of ours."""
    store = Tracked(tmp_path_factory.mktemp("foreign"), blank_database, "churn", "ours", "gone")

    def run(experiment, status="FINISHED", tags=None, params=None, **metrics):
        return store.run("fancy-fox-12", tags, params, metrics, status, experiment)

    for seed, auc in enumerate((0.70, 0.72, 0.74)):
        run("churn", params={"depth": 3, "random_state": seed}, auc=auc, loss=1.0)
    for seed, auc in enumerate((0.80, math.nan, math.inf)):
        run("churn", params={"depth": 5, "random_state": seed}, auc=auc)
    run("churn")
    run("churn", "FAILED", params={"depth": 3, "random_state": 9}, auc=0.1)
    run("churn", "RUNNING", params={"depth": 3, "random_state": 9}, auc=0.1)
    store.client.delete_run(run("churn", params={"depth": 3, "random_state": 8}, auc=0.1))
    run("gone", params={"depth": 3}, auc=0.1)
    store.client.delete_experiment(store.experiments["gone"])
    own = {"entry": "recurrent", "row": "gru-2", "seed": "0", "training": "dense", "dataset": "pjm"}
    run("ours", tags=own, smape_report=0.2)
    run("ours", tags={"entry": "recurrent"})
    run("ours", tags={"entry": "tune", "trial": "3"}, objective=0.1)
    run("ours", tags={"entry": "tune", "finalist": "3"}, val_smape=0.1)
    with tracking(store.uri):
        yield store.client


def compare(*arguments: str) -> pd.DataFrame:
    result = CliRunner().invoke(cli, ["compare", "--format", "csv", *arguments])
    assert result.exit_code == 0, result.output
    return pd.read_csv(io.StringIO(result.stdout), dtype=dict.fromkeys(("seed", "verified"), str))


def test_runs_of_another_project_are_grouped_by_all_but_their_seed(server):
    lines = compare("--experiment", "churn").set_index("depth")
    assert list(lines["entry"]) == ["churn"] * 3
    assert list(zip(lines.index.fillna(0), lines["n"], strict=True)) == [(3, 3), (5, 3), (0, 1)]
    assert lines.loc[3, "auc.mean"] == pytest.approx(0.72)
    assert lines.loc[3, "auc.std"] == pytest.approx(0.02)
    assert (lines.loc[5, "auc.mean"], lines.loc[5, "auc.n"]) == (0.8, 1)
    assert math.isnan(lines.loc[5, "loss.mean"])


def test_our_launches_and_trials_are_no_foreign_runs(server):
    lines = compare("--experiment", "ours")
    assert list(lines["row"]) == ["gru-2"]


def test_without_an_experiment_only_catalogue_rows_count(server):
    assert list(compare()["row"]) == ["gru-2"]


@pytest.mark.parametrize("form", ["markdown", "terminal", "latex", "html", "json"])
def test_every_format_shows_them(server, form):
    result = CliRunner().invoke(cli, ["compare", "--experiment", "churn", "--format", form])
    assert result.exit_code == 0, result.output
    assert "0.72" in result.stdout


def test_an_unknown_experiment_is_refused_in_one_line(server):
    result = CliRunner().invoke(cli, ["compare", "--experiment", "chrun"])
    assert result.exit_code == 2
    (line,) = result.stderr.strip().splitlines()
    assert "chrun" in line
    assert "churn" in line


# Whatever they call their parameters, tags and metrics.


@pytest.fixture
def theirs(tmp_path, blank_database, at):
    """A function that logs finished runs of another project in the experiment ``theirs`` of an empty server."""
    path = tmp_path / "theirs.db"
    shutil.copy(blank_database, path)
    at(tmp_path, f"sqlite:///{path}")

    def log(*runs, experiment="theirs"):
        """Each run is its parameters, its metrics and, where it has any, its tags."""
        logged = (Logged({name: str(value) for name, value in params.items()}, *rest) for params, *rest in runs)
        insert(path, logged, experiment)

    return log


# Every name that a column of ours has, or that our own code looks for.
OUR_WORDS = [
    *("entry", "row", "dataset", "training", "n", "line", "study", "trial", "verified", "run_id", "status", "test"),
    *("data_digest", "start_time", "foreign", "auc", "auc.mean", "n.mean", "params.n", "tags.row"),
]


def shown(*arguments: str) -> pd.DataFrame:
    return compare("--experiment", "theirs", *arguments)


@pytest.mark.parametrize("name", OUR_WORDS)
@pytest.mark.medium
def test_a_parameter_of_theirs_is_a_parameter_whatever_its_name(theirs, name):
    values = {"mnist": (0.9, 0.8), "none": (0.3, 0.2)}
    theirs(*(({name: value, "seed": 0}, {"auc": auc}) for value, aucs in values.items() for auc in aucs))
    table = shown()
    (column,) = {name, f"params.{name}"} & {each for each in table if set(table[each].astype(str)) == set(values)}
    found = {line[column]: (line["n"], line["auc.mean"]) for line in table.to_dict("records")}
    assert found == {value: (2, pytest.approx(sum(aucs) / 2)) for value, aucs in values.items()}


@pytest.mark.parametrize("form", ["markdown", "terminal", "html", "latex", "json"])
def test_every_format_tells_them_apart_by_it(theirs, form):
    theirs(*(({"dataset": value, "n": 1}, {"auc": 0.5}) for value in ("mnist", "cifar100")))
    result = CliRunner().invoke(cli, ["compare", "--experiment", "theirs", "--format", form])
    assert result.exit_code == 0, result.output
    assert {"mnist", "cifar100"} <= set(re.findall(r"\w+", result.stdout))


@pytest.mark.parametrize("name", ["entry", "row", "dataset", "seed", "n", "status"])
def test_lines_can_be_grouped_and_sorted_by_it(theirs, name):
    theirs(*(({name: value, "lr": lr}, {"loss": lr}) for value in ("mnist", "cifar100") for lr in (1, 2)))
    table = shown("--group-by", name, "--sort", f"params.{name}")
    (column,) = {name, f"params.{name}"} & {each for each in table if set(table[each].astype(str)) > {"mnist"}}
    assert list(table[column]) == ["cifar100", "mnist"]
    assert list(table["n"]) == [2, 2]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("row", "gru-2"), ("dataset", "pjm"), ("training", "none"), ("training", "dense"), ("entry", "cli")),
        *(("seed", "0"), ("verified", "false"), ("data_digest", "a"), ("study", "s")),
    ],
)
@pytest.mark.medium
def test_a_tag_of_theirs_is_no_word_of_ours(theirs, name, value):
    theirs(
        ({"lr": 1}, {"auc": 0.5}, {name: value}),
        ({"lr": 1}, {"auc": 0.7}, {name: "other"}),
        ({"lr": 1}, {"auc": 0.9}),
    )
    table = shown()
    assert (list(table["n"]), table["auc.mean"][0]) == ([3], pytest.approx(0.7))
    result = CliRunner().invoke(cli, ["compare", "--experiment", "theirs"])
    assert "not the published ones" not in result.stdout
    assert "protocol" not in result.stdout
    for asked in (name, f"tags.{name}"):
        table = shown("--group-by", asked)
        table = table.set_index("tags.entry" if name == "entry" else name)
        assert list(table["n"]) == [1, 1, 1]
        assert table["auc.mean"].to_dict()[value] == 0.5
    without = CliRunner().invoke(cli, ["compare"])
    assert without.exit_code == 1
    assert "no finished runs" in without.stderr


def test_an_experiment_called_as_an_entry_of_ours_has_a_table_of_its_own(theirs):
    own = {"entry": "recurrent", "row": "gru-2", "seed": "0", "training": "dense", "dataset": "pjm"}
    theirs(({}, {"smape_report": 0.2}, own), ({}, {"loss": 1.0, "smape_report": 9.0}), experiment="recurrent")
    lines = compare("--experiment", "recurrent")
    assert [line["smape_report.mean"] for line in lines.to_dict("records")] == [0.2, 9.0]
    assert list(lines["n"]) == [1, 1]
    assert list(lines["row"].fillna("")) == ["gru-2", ""]


def test_nothing_of_theirs_is_dropped_as_a_repeat(theirs):
    theirs(*(({"seed": 1, "lr": 1}, {"auc": auc}) for auc in (0.5, 0.6, 0.7)))
    table = shown()
    assert (list(table["n"]), table["auc.mean"][0]) == ([3], pytest.approx(0.6))


METRICS = ("val.auc", "train.loss", "n", "n.mean", "a.best", "a", "x/y", "f1-score", "params.lr", "metrics.loss")


def test_metrics_of_theirs_are_shown_whatever_their_names(theirs):
    theirs(({"lr": 1}, {name: index for index, name in enumerate(METRICS)}))
    table = shown()
    assert {name: table[f"{name}.mean"][0] for name in METRICS} == {name: i for i, name in enumerate(METRICS)}
    assert table["n"][0] == 1
    markdown = CliRunner().invoke(cli, ["compare", "--experiment", "theirs"]).stdout
    header = [cell.strip() for cell in markdown.splitlines()[0].strip("|").split("|")]
    assert len(set(header)) == len(header)
    assert {"val.auc", "train.loss", "f1-score"} < set(header)


@pytest.mark.parametrize("name", ["val.auc", "n", "n.mean", "f1-score", "metrics.loss"])
def test_lines_can_be_sorted_and_chosen_by_such_a_metric(theirs, name):
    theirs(*(({"lr": lr}, {name: value}) for lr, value in ((1, 5.0), (2, 7.0), (3, 6.0))))
    wanted = f"metrics.{name}" if name == "n" else name  # a plain n is the number of runs
    assert list(shown("--sort", f"-{wanted}")["lr"]) == [2, 3, 1]
    assert list(shown("--metrics", name)[f"{name}.mean"]) == [5, 7, 6]


def test_a_long_parameter_is_short_for_readers_and_whole_for_programs(theirs):
    prompts = [f"{'x' * 4999}{end}" for end in "ab"]
    theirs(*(({"prompt": prompt}, {"auc": auc}) for prompt, auc in zip(prompts, (0.25, 0.75), strict=True)))
    assert set(shown()["prompt"]) == set(prompts)
    written = CliRunner().invoke(cli, ["compare", "--experiment", "theirs", "--format", "json"]).stdout
    assert {line["prompt"] for line in json.loads(written)} == set(prompts)
    for form in ("markdown", "terminal", "html", "latex"):
        text = CliRunner().invoke(cli, ["compare", "--experiment", "theirs", "--format", form]).stdout
        lines = [line for line in text.splitlines() if "xxx" in line]
        assert max(map(len, lines)) < 250, form
        short = {re.search(r"x{40}… \(5,000 letters, [0-9a-f]{6}\)", line)[0] for line in lines}
        assert len(short) == 2, form  # and still told apart


def test_a_long_parameter_that_all_share_is_short_in_the_notes(theirs):
    theirs(({"prompt": "x" * 5000}, {"auc": 0.5}))
    text = CliRunner().invoke(cli, ["compare", "--experiment", "theirs"]).stdout
    assert "(5,000 letters" in text
    assert max(map(len, text.splitlines())) < 250


def test_they_have_no_baseline(theirs):
    theirs(({"row": "a"}, {"auc": 0.5}))
    result = CliRunner().invoke(cli, ["compare", "--experiment", "theirs", "--baseline", "a"])
    assert result.exit_code == 2
    assert "have no rows" in result.stderr


@pytest.mark.parametrize(
    "where", ['params."x y" = 1', "params.`x y` = 1", "params.`x y` = '1' and metrics.`f1-score` > 0"]
)
def test_names_with_spaces_are_found(theirs, where):
    theirs(({"x y": 1}, {"f1-score": 0.5}), ({"x y": 2}, {"f1-score": 0.7}))
    assert list(shown("--where", where)["f1-score.mean"]) == [0.5]


@pytest.mark.parametrize("where", ["f1-score > 0.4", "metrics.f1-score > 0.4", "params.x y = 1", "metrics.val/auc > 1"])
def test_a_name_that_needs_backticks_is_told_so(theirs, where):
    theirs(({"x y": 1}, {"f1-score": 0.5}))
    result = CliRunner().invoke(cli, ["compare", "--experiment", "theirs", "--where", where])
    assert result.exit_code == 2
    (line,) = result.stderr.strip().splitlines()
    assert "params.`x y` = 1" in line
    assert "metrics.`f1-score`" in line
