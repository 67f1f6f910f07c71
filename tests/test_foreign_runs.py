"""Runs of other projects on the same server: compared by their parameters where asked for, and never in the way."""

import io
import math

import mlflow
import pandas as pd
import pytest
from click.testing import CliRunner
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag

from analysis.__main__ import cli

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """An experiment of another project's runs beside one with a run, a launch and a trial of ours."""
    uri = f"sqlite:///{tmp_path_factory.mktemp('foreign') / 'runs.db'}"
    client = MlflowClient(uri)
    theirs, ours, gone = (client.create_experiment(name) for name in ("churn", "ours", "gone"))

    def run(experiment, status="FINISHED", tags=None, params=None, **metrics):
        made = client.create_run(experiment, run_name="fancy-fox-12").info.run_id
        client.log_batch(
            made,
            [Metric(name, value, 0, 0) for name, value in metrics.items()],
            [Param(name, str(value)) for name, value in (params or {}).items()],
            [RunTag(name, value) for name, value in (tags or {}).items()],
        )
        if status != "RUNNING":
            client.set_terminated(made, status)
        return made

    for seed, auc in enumerate((0.70, 0.72, 0.74)):
        run(theirs, params={"depth": 3, "random_state": seed}, auc=auc, loss=1.0)
    for seed, auc in enumerate((0.80, math.nan, math.inf)):
        run(theirs, params={"depth": 5, "random_state": seed}, auc=auc)
    run(theirs)
    run(theirs, "FAILED", params={"depth": 3, "random_state": 9}, auc=0.1)
    run(theirs, "RUNNING", params={"depth": 3, "random_state": 9}, auc=0.1)
    client.delete_run(run(theirs, params={"depth": 3, "random_state": 8}, auc=0.1))
    run(gone, params={"depth": 3}, auc=0.1)
    client.delete_experiment(gone)
    own = {"entry": "recurrent", "row": "gru-2", "seed": "0", "training": "dense", "dataset": "pjm"}
    run(ours, tags=own, smape_report=0.2)
    run(ours, tags={"entry": "recurrent"})
    run(ours, tags={"entry": "tune", "trial": "3"}, objective=0.1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", uri)
        before = mlflow.get_tracking_uri()
        mlflow.set_tracking_uri(uri)
        yield client
        mlflow.set_tracking_uri(before)


def compare(*arguments: str) -> pd.DataFrame:
    result = CliRunner().invoke(cli, ["compare", "--format", "csv", *arguments])
    assert result.exit_code == 0, result.output
    return pd.read_csv(io.StringIO(result.stdout))


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
