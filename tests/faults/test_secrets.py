"""A secret is planted in every address that is taken, and looked for wherever anything is stored, printed or shown."""

import gc
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner
from mlflow import MlflowClient
from support.postgresql import postgresql
from support.servers import behind_login, serving

from analysis.__main__ import cli as analysis
from pipelines.__main__ import cli
from pipelines.cli.declare import Options, option
from pipelines.common.origins import Origin
from pipelines.launching.launch import launch
from pipelines.studies import command as tune
from pipelines.tracking.artifacts import log_dataset, log_json, log_table, read_json
from pipelines.tracking.run import FINISHED, Run
from pipelines.tracking.server import connect

pytestmark = pytest.mark.fault(37)

SECRET = "s3cr3t-W0rd"
STORAGE = f"postgresql+psycopg://me:{SECRET}@127.0.0.1:9/studies?sslpassword={SECRET}"
SOURCE = f"https://me:{SECRET}@example.invalid/data.zip?token={SECRET}"
REMOTE = f"https://{SECRET}@github.com/me/nn.git"


@pytest.fixture(autouse=True)
def planted(monkeypatch, closed_port):
    """Secrets in the environment; no test may leave the ones that it sets there."""
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "OPTUNA_STORAGE", "MLFLOW_RUN_ID"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, f"http://me:{SECRET}@127.0.0.1:{closed_port}")


def require_none_below(folder: Path) -> None:
    """No file below `folder` holds the secret: the database of runs, artifacts, exports, what was printed."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    assert [str(path) for path in files if SECRET.encode() in path.read_bytes()] == []


def test_nothing_that_a_run_stores_holds_a_secret(place, at):
    at(place.folder, place.uri)
    connect()
    with pytest.raises(ConnectionError):
        _launch_that_fails()
    found = place.runs()
    assert found["a launch"].data.params["storage"] == "postgresql+psycopg://127.0.0.1:9/studies?sslpassword=***"
    assert found["a launch"].data.tags["failure"].startswith("ConnectionError: POST https://example.invalid/data.zip")
    assert found["a row"].data.tags["remote"] == "https://github.com/me/nn.git"
    assert read_json(Run(found["a row"].info.run_id), "plan.json")["all"] == ["https://github.com/me/nn.git"]
    require_none_below(place.folder)


@dataclass(frozen=True, kw_only=True)
class _Sourced(Options):
    storage: str = option("", str, "A database.")
    source: str = option("", str, "A file.")


def _launch_that_fails() -> None:
    tags = {"weights": SOURCE, "mlflow.note.content": f"from {SOURCE} and [here]({REMOTE})"}
    options = _Sourced(storage=STORAGE, source=SOURCE)
    with launch("tune", "a launch", {"entry": "tune", **tags}, options, "made by a test") as run:
        child = run.child("a row", {**tags, "remote": REMOTE})
        child.log_params({"storage": STORAGE})
        log_json(child, {"source": SOURCE, "all": [REMOTE]}, "plan.json")
        log_table(child, pd.DataFrame({"source": [SOURCE], "n": [1]}), "table.csv")
        log_dataset(child, "data", "0" * 64, Origin(SOURCE), (1, 2), "training")
        child.end(FINISHED)
        raise ConnectionError(f"POST {SOURCE} failed, Authorization: Bearer {SECRET}")


def test_what_mlflow_run_has_logged_of_a_git_remote_loses_its_token(place, at, monkeypatch):
    at(place.folder, place.uri)
    tags = {"mlflow.source.git.repoURL": REMOTE, "mlflow.gitRepoURL": REMOTE, "mlflow.project.entryPoint": "recurrent"}
    made = place.client.create_run("0", tags=tags)
    monkeypatch.setenv("MLFLOW_RUN_ID", made.info.run_id)
    run = Run.launch("a launch", {})
    assert run.tags["mlflow.source.git.repoURL"] == run.tags["mlflow.gitRepoURL"] == "https://github.com/me/nn.git"


def test_a_password_that_mlflow_run_would_log_is_refused(place, at, capsys, monkeypatch):
    at(place.folder, place.uri)
    monkeypatch.setenv("MLFLOW_RUN_ID", "f" * 32)
    with pytest.raises(SystemExit) as end:
        cli(["tune", "--dataset", "sample", "--storage", STORAGE])
    said = capsys.readouterr().err
    assert end.value.code == 2
    assert "OPTUNA_STORAGE in the environment" in said
    assert SECRET not in said


@pytest.mark.parametrize(
    "arguments",
    [
        ("tune", "--dataset", "sample", "--storage", STORAGE),
        ("resnet", "--dataset", "sample", "--models", "resnet20", "--weights", SOURCE),
        ("prepare", "--dataset", "pjm", "--source", SOURCE),
        ("recurrent", "--dataset", "sample", "--models", SOURCE),
        ("recurrent", "--dataset", "sample", "--resume", SOURCE),
        ("recurrent", "--dataset", SOURCE),
        ("recurrent", "--dataset", "sample", "--data-dir", f"x\0{SOURCE}", "--models", "gru-2", "--epochs", SOURCE),
    ],
)
def test_no_complaint_about_an_address_shows_its_password(place, at, capfd, arguments):
    at(place.folder, place.uri)
    with pytest.raises(SystemExit) as end:
        cli(list(arguments))
    assert end.value.code in (1, 2)
    out, err = capfd.readouterr()
    assert "error: " in err
    assert SECRET not in out + err


@pytest.mark.parametrize("command", ["compare", "export", "claims"])
@pytest.mark.parametrize("scheme", ["http", "postgresql+psycopg", "mysql+pymysql", "what"])
def test_no_complaint_of_the_analysis_shows_the_password_of_the_server(at, closed_port, tmp_path, command, scheme):
    at(tmp_path, f"{scheme}://me:{SECRET}@127.0.0.1:{closed_port}/runs?password={SECRET}")
    result = CliRunner().invoke(analysis, [command])
    assert result.exit_code == 2
    assert "cannot reach the tracking server" in result.stderr
    assert SECRET not in result.output


def test_what_others_have_logged_is_shown_without_its_secrets(place, at):
    at(place.folder, place.uri)
    client = MlflowClient(place.uri)
    experiment = client.create_experiment("theirs")
    run_id = client.create_run(experiment, tags={"origin": REMOTE, "mlflow.source.name": SOURCE}).info.run_id
    client.log_param(run_id, "database", STORAGE)
    client.log_param(run_id, "seed", "1")
    client.log_metric(run_id, "accuracy", 0.5)
    client.set_terminated(run_id)
    for arguments in (
        ["export", "--output", "runs.csv"],
        ["export", "--output", "runs.parquet"],
        ["export"],
        ["compare", "--experiment", "theirs", "--columns", "database,origin"],
        ["compare", "--experiment", "theirs", "--format", "json", "--output", "table.json"],
    ):
        result = CliRunner().invoke(analysis, arguments)
        assert result.exit_code == 0, result.output
        assert SECRET not in result.output
    exported = pd.read_parquet(place.folder / "runs.parquet")
    assert exported["params.database"].tolist() == ["postgresql+psycopg://127.0.0.1:9/studies?sslpassword=***"]
    for name in ("runs.csv", "runs.parquet", "table.json"):
        assert SECRET.encode() not in (place.folder / name).read_bytes()


@pytest.mark.slow
def test_a_launch_on_a_server_with_a_password_leaves_it_nowhere(place, mlflow_server):
    port = mlflow_server
    inside = MlflowClient(f"http://127.0.0.1:{port}")
    with serving(behind_login("me", SECRET, "/team", port)) as front:
        place.set("MLFLOW_TRACKING_URI", f"http://me:{SECRET}@127.0.0.1:{front.port}/team")
        assert place.invoke("recurrent", "--dataset", "sample", "--models", "persistence") == 0, place.stderr
        printed = place.stdout + place.stderr
        for arguments in (["compare"], ["export"], ["report", "--output", "report"]):
            assert place.invoke(*arguments, module="analysis") == 0, place.stderr
            printed += place.stdout + place.stderr
    runs = inside.search_runs([each.experiment_id for each in inside.search_experiments()])
    assert {run.info.run_name for run in runs} >= {"persistence (recurrent on sample)", "persistence"}
    assert SECRET not in printed
    require_none_below(place.folder)


@pytest.mark.filterwarnings("ignore:.*psycopg.Connection:ResourceWarning")
@pytest.mark.medium
def test_a_study_in_a_database_with_a_password_leaves_it_nowhere(place, at, capfd, monkeypatch):
    monkeypatch.setattr(tune, "_search", _fails)
    arguments = ["tune", "--study", "ablation", "--dataset", "sample", "--n-trials", "1", "--finalists", "0"]
    at(place.folder, place.uri)
    with postgresql(SECRET) as uri:
        for storage in (["--storage", uri], []):
            with pytest.raises(SystemExit):
                cli([*arguments, *storage])
            gc.collect()  # Optuna leaves its connections open
            monkeypatch.setenv("OPTUNA_STORAGE", uri)
        shown = uri.replace(f"postgres:{SECRET}@", "")
    out, err = capfd.readouterr()
    assert "shows the password in --storage; in OPTUNA_STORAGE it is not seen" in err
    runs = place.client.search_runs([each.experiment_id for each in place.client.search_experiments()])
    assert sorted(run.data.params["storage"] for run in runs) == ["", shown]
    assert [run.data.tags["failure"] for run in runs] == [f"OSError: lost {shown}"] * 2
    assert [run.data.tags["command"].endswith(f"--storage {shown}") for run in runs].count(True) == 1
    assert SECRET not in out + err
    require_none_below(place.folder)


def _fails(plan, *arguments):
    raise OSError(f"lost {plan.storage}")
