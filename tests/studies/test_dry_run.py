"""A dry run of a study says what is searched and what is left to train; it makes no run, no study and no database."""

from datetime import datetime, timedelta

import optuna
import pytest
from mlflow import MlflowClient
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState, create_trial

from pipelines.__main__ import cli
from pipelines.data.images import digits
from pipelines.experiments.ablation.rows import resolve_classifier
from pipelines.studies import storage as storing
from pipelines.studies.options import TuneOptions
from pipelines.studies.plan import plan_of
from pipelines.tracking.run import shown

GIVEN = {"study": "ablation", "dataset": "sample", "space": "lr", "n_trials": 6, "device": "cpu"}
ANY_SPACE = ("tune", "--study", "ablation", "--dataset", "sample", "--n-trials", "6", "--device", "cpu")
COMMAND = (*ANY_SPACE, "--space", "lr")


@pytest.fixture
def told(capsys, at):
    """A function that makes a dry run in a place: the lines that it printed, without the spaces between columns."""

    def give(place, *arguments):
        at(place.folder, place.uri)
        capsys.readouterr()
        cli([*arguments, "--dry-run", "true"], standalone_mode=False)
        return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]

    return give


def begun(seconds, finalists=0):
    """The study of COMMAND with a trial of each duration that has ended, here, and its plan."""
    plan = plan_of(TuneOptions(**GIVEN, finalists=finalists))
    study = storing.open_study(plan, digits.load().digest)
    (waiting,) = study.trials
    study._storage.set_trial_state_values(waiting._trial_id, TrialState.FAIL)
    start = datetime(2026, 1, 1)
    for number, each in enumerate(seconds):
        trial = create_trial(
            value=50.0 + number,
            params={"lr": 0.001 * (number + 1)},
            distributions={"lr": FloatDistribution(0.0001, 0.05, log=True)},
        )
        trial.datetime_start, trial.datetime_complete = start, start + timedelta(seconds=each)
        study.add_trial(trial)
    return plan, study


def test_a_new_study_is_told_and_nothing_is_made(place, told):
    place.database.unlink()
    lines = told(place, *ANY_SPACE, "--space", "wide", "--fraction", "0.4")
    assert "study ablation-sample on sample, for the highest val_accuracy; no run was made" in lines
    assert "lr 0.0001 … 0.05, by the logarithm 0.001" in lines
    assert "depth 1 … 3 for family cnn; 1 … 4 for family mlp 2" in lines
    assert "activation ReLU, LeakyReLU, Tanh ReLU" in lines
    assert "trials 6 10 40 % of the training part without its validation part no earlier ones" in lines
    assert "finalists at most 14 10 the training part without its validation part no earlier ones" in lines
    assert "winner, tested 3 10 the whole training part no earlier ones" in lines
    assert "- a new study in sqlite:///optuna.db" in lines
    assert not [path.name for path in place.folder.iterdir() if path.suffix == ".db" or path.name == "mlruns"]


def test_what_is_left_of_a_study_and_what_its_trials_took(place, told, at):
    at(place.folder, place.uri)
    begun([4.0, 6.0, 50.0])
    before = (place.folder / "optuna.db").read_bytes()
    lines = told(place, *COMMAND, "--finalists", "0", "--workers", "2")
    # The trial that failed was begun, too.
    assert "trials 2 10 the training part without its validation part 6.0 s (median of 3)" in lines
    assert "finalists 0 10 the training part without its validation part no earlier ones" in lines
    assert "- the study is in sqlite:///optuna.db" in lines
    assert "- trials, 2 at a time: 6.0 s, less what is saved by giving up the worst" in lines
    assert (place.folder / "optuna.db").read_bytes() == before
    assert not place.runs()


def test_the_winner_takes_as_long_as_the_row_did_and_a_finalist_as_the_others(place, told, at):
    at(place.folder, place.uri)
    client = MlflowClient(place.uri)

    def log(tags, seconds, **params):
        run = client.create_run("0", tags=tags).info.run_id
        for name, value in params.items():
            client.log_param(run, name, value)
        client.log_metric(run, "training_time_s", seconds)
        client.set_terminated(run)

    row = {"entry": "ablation", "row": "cnn", "dataset": "sample"}
    settings = resolve_classifier("cnn", "sample", "autograd", 0, 1.0)
    log(row, 20.0, **shown(settings.params()))
    log(row, 90.0, **shown({**settings.params(), "epochs": 1}))
    for seconds in (7.0, 9.0):
        log({"entry": "tune", "study": "ablation-sample", "finalist": "1"}, seconds)
    log({"entry": "tune", "study": "another", "finalist": "1"}, 70.0)
    lines = told(place, *COMMAND)
    assert "winner, tested 3 10 the whole training part 20 s (as cnn, by 1)" in lines
    assert "finalists at most 13 10 the training part without its validation part 8.0 s (median of 2)" in lines


def test_a_finished_study_has_nothing_left_and_needs_no_run(place, told, at, capsys):
    at(place.folder, place.uri)
    plan, study = begun([1.0] * 5)
    launched = MlflowClient(place.uri).create_run("0").info.run_id
    best = storing.best_of(study)
    storing.remember_retrained(study, plan.settings(best.params, 0, 1.0), storing.Run.existing(launched))
    lines = told(place, *COMMAND, "--finalists", "0")
    assert [line.split()[:2] for line in lines if line.startswith("trials")] == [["trials", "0"]]
    assert [line for line in lines if line.startswith("winner, tested 0 ")]
    assert f"- the winner was trained and tested under run {launched}" in lines
    cli([*COMMAND, "--finalists", "0", "--needed", "true"], standalone_mode=False)
    expected = f"nothing is left of study ablation-sample: its winner was trained and tested under run {launched}"
    assert expected in capsys.readouterr().err
    assert [run.info.run_id for run in place.client.search_runs(["0"])] == [launched]


def test_without_a_tracking_database_the_winner_is_to_come_and_none_is_made(place, told, at):
    at(place.folder, place.uri)
    plan, study = begun([1.0] * 5)
    run = storing.Run.existing(MlflowClient(place.uri).create_run("0").info.run_id)
    storing.remember_retrained(study, plan.settings(storing.best_of(study).params, 0, 1.0), run)
    place.database.unlink()
    lines = told(place, *COMMAND, "--finalists", "0")
    assert [line for line in lines if line.startswith("winner, tested 3 ")]
    assert not place.database.exists()


def test_finalists_that_are_left_are_counted(place, told, at):
    at(place.folder, place.uri)
    begun([1.0] * 5, finalists=2)
    lines = told(place, *COMMAND, "--finalists", "2")
    # Of 0.004 and 0.005, at once, half and twice these; the trials themselves were whole trainings.
    assert "finalists at least 4 10 the training part without its validation part no earlier ones" in lines


def test_a_study_of_something_else_is_refused(place, at, refused):
    at(place.folder, place.uri)
    begun([])
    line = refused(place.folder, place.uri, *ANY_SPACE, "--space", "lr,depth", "--dry-run", "true")
    assert "name=ablation-sample: not the study that is in sqlite:///optuna.db, whose space was" in line
    optuna.create_study(study_name="mine", storage=f"sqlite:///{place.folder}/optuna.db", direction="maximize")
    line = refused(place.folder, place.uri, *COMMAND, "--name", "mine", "--dry-run", "true")
    assert "name=mine: there is a study of that name from elsewhere" in line


def test_nothing_is_downloaded(place, refused):
    given = ("tune", "--study", "ablation", "--dataset", "cifar10", "--dry-run", "true")
    assert "cifar10 is not prepared in data, which a launch would do first" in refused(place.folder, place.uri, *given)
    assert not (place.folder / "data").exists()
