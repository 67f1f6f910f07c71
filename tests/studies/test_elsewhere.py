"""Studies whose workers run on other machines, which submitit's local executor and Ray on this one stand for."""

import pickle
from dataclasses import replace

import mlflow
import optuna
import pytest
from optuna.trial import TrialState
from support.launches import require_nothing_left, statuses

from pipelines.errors import UserError
from pipelines.launching.launchers import is_installed
from pipelines.studies.plan import StudyContext, Surroundings, require_shared

STUDY = ("tune", "--study", "ablation", "--dataset", "sample", "--fraction", "0.1", "--space", "lr", "--finalists", "1")
ONE_SEED = {"pipelines.studies.command.WINNER_SEEDS": 1}  # of the winner
on_slurm = pytest.mark.skipif(not is_installed("submitit"), reason="there is no submitit: pip install -e '.[slurm]'")
on_ray = pytest.mark.skipif(not is_installed("ray"), reason="ray is not installed: pip install -e '.[ray]'")


def trials_of(place, database="optuna"):
    storage = optuna.storages.RDBStorage(f"sqlite:///{place.folder}/{database}.db")
    trials = optuna.load_study(study_name="ablation-sample", storage=storage).trials
    storage.engine.dispose()
    return trials


def outcomes(trials):
    return [(each.params, each.value, each.state) for each in trials]


@on_slurm
@pytest.mark.slow
def test_a_study_on_slurm_is_that_of_this_machine(place):
    place.alter(ONE_SEED)
    for name, launcher in (("there", "slurm"), ("here", "local")):
        arguments = ("--space", "depth", "--n-trials", "2", "--storage", f"sqlite:///{name}.db")
        process = place.fork(*STUDY, *arguments, "--launcher", launcher, module="support.altered")
        assert process.wait(400) == 0, place.stderr
    require_nothing_left(place)
    assert len(trials_of(place, "there")) == 2
    assert outcomes(trials_of(place, "there")) == outcomes(trials_of(place, "here"))
    runs = place.client.search_runs([each.experiment_id for each in place.client.search_experiments()])
    there, here = (run.data.metrics["test_accuracy"] for run in runs if run.data.tags.get("row") == "tuned")
    assert there == here
    there, here = (run.data.metrics["val_accuracy"] for run in runs if "finalist" in run.data.tags)
    assert there == here
    # One of the worker, one of the finalist, one of the winner.
    assert len([*(place.folder / "slurm").glob("*_submitted.pkl")]) == 3


@on_ray
@pytest.mark.slow
def test_workers_on_ray_share_a_study(place):
    place.alter(ONE_SEED)
    arguments = ("--n-trials", "4", "--workers", "2", "--launcher", "ray")
    process = place.fork(*STUDY, *arguments, module="support.altered")
    assert process.wait(400) == 0, place.stderr
    require_nothing_left(place)
    trials = trials_of(place)
    assert len(trials) == len({each.params["lr"] for each in trials}) == 4
    assert {each.state for each in trials} <= {TrialState.COMPLETE, TrialState.PRUNED}
    assert len({each.user_attrs["process"]["pid"] for each in trials}) == 2
    assert set(statuses(place).values()) <= {"FINISHED", "KILLED"}


@pytest.fixture
def sbatch(tmp_path, monkeypatch):
    """A program by that name, so that jobs would go to other machines."""
    program = tmp_path / "bin" / "sbatch"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")


@on_slurm
def test_a_file_as_database_of_studies_is_refused_where_several_machines_would_write_it(
    sbatch, place, refused, mlflow_server
):
    line = refused(place.folder, place.uri, *STUDY, "--launcher", "slurm")
    assert f"launcher=slurm: sqlite:///{place.database} is a file" in line
    line = refused(place.folder, f"http://127.0.0.1:{mlflow_server}", *STUDY, "--launcher", "slurm")
    assert "launcher=slurm: storage=sqlite:///optuna.db is a file, which several nodes cannot write" in line
    assert "OPTUNA_STORAGE" in line
    assert place.runs() == {}


def test_a_password_on_the_command_line_is_refused_where_it_would_be_sent_to_nodes(place, refused):
    storage = "postgresql://me:kept-from-files@host/studies"
    line = refused(place.folder, place.uri, *STUDY, "--launcher", "ray", "--storage", storage)
    assert "give the address as OPTUNA_STORAGE in the environment" in line
    assert "kept-from-files" not in line


def test_what_is_sent_has_no_password_and_a_worker_finds_it_in_its_environment(plan, monkeypatch):
    address = "postgresql://me:kept-from-files@host/studies"
    monkeypatch.setenv("OPTUNA_STORAGE", address)
    sent = pickle.dumps(Surroundings(replace(plan, storage=address)))
    assert b"kept-from-files" not in sent
    settings = plan.trial_settings({})
    context = pickle.loads(sent)(settings, "/there/data", None)
    assert context == StudyContext(data_dir="/there/data", plan=replace(plan, storage=address, data_dir="/there/data"))
    # One that was given otherwise is sent.
    monkeypatch.delenv("OPTUNA_STORAGE")
    assert pickle.loads(pickle.dumps(Surroundings(plan))) == Surroundings(plan)


def test_a_database_of_this_machine_is_refused_where_the_nodes_are_others(plan, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://first-node:5000")
    mlflow.set_tracking_uri("http://first-node:5000")
    own = replace(plan, storage="postgresql://me:kept-from-files@localhost/studies")
    require_shared(own, "ray", False)
    with pytest.raises(UserError, match=r"storage=.* is another machine on each of the nodes") as error:
        require_shared(own, "ray", True)
    assert "kept-from-files" not in str(error.value)
    require_shared(replace(plan, storage="postgresql://first-node/studies"), "ray", True)
