"""A dry run says what would be run, and how long that took earlier; it makes no run, and no database."""

import pytest
from mlflow import MlflowClient

from pipelines.__main__ import cli
from pipelines.errors import UserError
from pipelines.experiments.ablation.experiment import run
from pipelines.experiments.ablation.rows import resolve_classifier
from pipelines.experiments.base import changed
from pipelines.tracking.run import shown

DRY = ("--dataset", "sample", "--device", "cpu", "--dry-run", "true")


@pytest.fixture
def told(capsys, at):
    """A function that makes a dry run in a place: what it printed."""

    def give(place, *arguments: str) -> str:
        at(place.folder, place.uri)
        capsys.readouterr()
        cli([*arguments, *DRY], standalone_mode=False)
        return capsys.readouterr().out

    return give


def log(place, status="FINISHED", seconds=(3.0, 1.0), **changes) -> None:
    """Log a run of the row cnn with one seed, as a launch leaves it."""
    settings = changed(resolve_classifier("cnn", "sample", "autograd", 0, 1.0, epochs=2), **changes)
    client = MlflowClient(place.uri)
    tags = {"entry": "ablation", "row": settings.row, "dataset": settings.dataset}
    run_id = client.create_run("0", tags=tags).info.run_id
    for name, value in shown(settings.params()).items():
        client.log_param(run_id, name, value)
    for name, value in zip(("training_time_s", "evaluation_time_s"), seconds, strict=False):
        client.log_metric(run_id, name, value)
    client.set_terminated(run_id, status)


def test_without_a_tracking_database_there_are_no_earlier_runs_and_none_is_made(place, told):
    place.database.unlink()
    text = told(place, "ablation", "--variants", "cnn,mlp-2", "--seeds", "3", "--epochs", "2")
    assert "ablation on sample: 6 runs to make; none was made" in text
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "cnn 0–2 epochs=2 no earlier runs" in lines
    assert "mlp-2 0–2 epochs=2 no earlier runs" in lines
    assert not list(place.folder.glob("mlflow.db*"))
    assert not (place.folder / "mlruns").exists()


def test_the_time_is_the_median_of_earlier_runs_with_the_same_settings(place, told):
    for seed, seconds in enumerate([(3.0, 1.0), (5.0, 1.0), (100.0, 1.0)]):
        log(place, seconds=seconds, seed=seed)
    log(place, seconds=(1000.0, 1.0), lr=0.5)
    log(place, seconds=(1000.0, 1.0), status="FAILED")
    log(place, seconds=(1000.0, 1.0), dataset="cifar10")
    log(place, seconds=())
    before = {run.info.run_id for run in place.client.search_runs(["0"])}
    text = told(place, "ablation", "--variants", "cnn,mlp-2", "--seeds", "2", "--epochs", "2", "--jobs", "1")
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "cnn 0, 1 epochs=2 6.0 s (median of 3 runs)" in lines
    assert "mlp-2 0, 1 epochs=2 no earlier runs" in lines
    assert (
        "- 2 of the runs, one after the other: 12 s of training and evaluation, without what comes before and " in text
    )
    assert "; 1 at a time here" in text
    assert {run.info.run_id for run in place.client.search_runs(["0"])} == before


def test_a_row_of_the_users_own_is_told_by_what_it_is_like(place, told):
    (place.folder / "mine.toml").write_text('[recurrent.mine]\nlike = "gru-2"\nhidden = 8\n')
    text = told(place, "recurrent", "--rows", "mine.toml", "--epochs", "1")
    (line,) = (line for line in text.splitlines() if line.startswith("mine "))
    assert line.split() == ["mine", "0", "like", "gru-2:", "hidden=8", "epochs=1", "no", "earlier", "runs"]


def test_seeds_that_would_be_added_are_named(place, told):
    text = told(place, "ablation", "--variants", "mlp-2", "--seeds", "auto", "--width", "0.5")
    assert "3 runs to make" in text
    assert "then seeds are added to each row until its 95 % interval is narrower than 0.5" in text


def test_nothing_is_downloaded(place, at, refused):
    line = refused(place.folder, place.uri, "ablation", "--dataset", "cifar10", "--dry-run", "true")
    assert "cifar10 is not prepared in data, which a launch would do first: python -m pipelines prepare" in line
    assert not (place.folder / "data").exists()


def test_all_input_is_checked(place, refused):
    line = refused(place.folder, place.uri, "ablation", *DRY, "--device", "cuda:9")
    assert "cuda:9" in line


def test_a_launch_is_not_continued_by_a_dry_run(place, at):
    at(place.folder, place.uri)
    with pytest.raises(UserError, match=r"^dry_run=true: a launch that is continued runs what its plan lists"):
        run(resume="0" * 32, dry_run=True)


def test_weights_are_looked_for_without_a_registry(place, refused):
    place.database.unlink()
    given = ("resnet", "--models", "resnet20", *DRY)
    assert "there are no weights of resnet20 for sample" in refused(place.folder, place.uri, *given)
    assert not place.database.exists()
