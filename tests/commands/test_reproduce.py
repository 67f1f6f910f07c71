"""The command that makes the run of a row again: what it compares, tags and refuses."""

import csv

import pytest
from support.commands import invoke
from support.launches import complaint
from support.place import ROOT

from pipelines.commands import replay, reproduce
from pipelines.data.datasets import find
from pipelines.errors import AwayError
from pipelines.experiments.ablation.rows import resolve_classifier
from pipelines.experiments.base import changed
from pipelines.experiments.index import experiment_of
from pipelines.experiments.pretrain.rows import resolve_pretraining
from pipelines.experiments.recurrent.rows import resolve
from pipelines.experiments.resnet.experiment import settings_of
from pipelines.experiments.resnet.options import ResnetOptions
from pipelines.experiments.resnet.weights import Weights
from pipelines.launching.jobs import job, nested
from pipelines.tracking.run import FINISHED, Run

LAUNCH = ("recurrent", "--dataset", "sample", "--models", "gru-2", "--hidden", "8", "--epochs", "2")
LOADS = {"_time_s", "_per_s", "_mb", "cpu_s", "energy_j"}  # endings of metrics that no two runs share


def of_entry(place, entry: str) -> list:
    """Runs with that entry, oldest first."""
    experiments = [each.experiment_id for each in place.client.search_experiments()]
    return place.client.search_runs(experiments, f"tags.entry = '{entry}'", order_by=["start_time ASC"])


def rows(place) -> list:
    return [run for run in of_entry(place, "recurrent") if "row" in run.data.tags]


@pytest.mark.slow
def test_a_run_is_made_again_to_the_bit_and_an_altered_metric_is_seen(place, monkeypatch):
    assert place.invoke(*LAUNCH) == 0, place.stderr
    assert place.invoke("reproduce", "gru-2 hidden=8 epochs=2 seed0") == 0, place.stderr
    assert "code, data, software and processor are those of then" in place.stderr
    assert "verdict   identical, judged to the bit" in place.stdout
    first, second = rows(place)
    (launch,) = of_entry(place, "reproduce")
    kept = {name for name in first.data.metrics if not any(name.endswith(ending) for ending in LOADS)}
    assert {"smape_report", "train_loss", "smape_curve", "cost/weights"} <= kept
    assert {name: second.data.metrics[name] for name in kept} == {name: first.data.metrics[name] for name in kept}
    assert second.data.params == first.data.params
    first_id, second_id = first.info.run_id, second.info.run_id
    assert (second.data.tags["reproduces"], second.data.tags["reproduction"]) == (first_id, "identical")
    assert (first.data.tags["reproduced_by"], first.data.tags["reproduced"]) == (second_id, "identical")
    assert (launch.data.tags["reproduces"], launch.data.tags["reproduction"]) == (first_id, "identical")
    assert launch.data.tags["command"] == f"python -m pipelines reproduce {first_id}"
    with place.artifact(launch, "tables/agreement.csv").open() as file:
        table = {line["metric"]: line for line in csv.DictReader(file)}
    assert table.keys() == kept
    assert {line["verdict"] for line in table.values()} == {"identical"}

    changed = first.data.metrics["smape_report"] * (1 + 1e-12)
    place.client.log_metric(first_id, "smape_report", changed)
    assert place.invoke("reproduce", first_id[:10]) == 1
    assert complaint(place) == (
        "error: gru-2 hidden=8 epochs=2 seed0 is not reproduced: the metrics of run "
        f"{first_id[:8]} differ, see the table"
    )
    *_, third = rows(place)
    assert third.data.tags["reproduction"] == "different"
    assert place.client.get_run(first_id).data.tags["reproduced_by"] == third.info.run_id
    assert [run.info.status for run in of_entry(place, "reproduce")] == ["FINISHED", "FINISHED"]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", place.uri)
    (line,) = [line for line in invoke("compare", "--entry", "recurrent").splitlines() if "gru-2" in line]
    assert "| 1 |" in line


@pytest.mark.slow
def test_by_mlflow_run(place):
    assert place.invoke("recurrent", "--dataset", "sample", "--models", "persistence") == 0, place.stderr
    (first,) = rows(place)
    given = ("-e", "reproduce", "--env-manager", "local", "-P", f"run={first.info.run_id[:8]}")
    assert place.start("run", str(ROOT), *given, module="mlflow").wait(300) == 0, place.stderr
    assert "verdict   identical" in place.stdout
    (launch,) = of_entry(place, "reproduce")
    assert launch.data.tags["reproduces"] == first.info.run_id


# A run that was logged, but not made: of two classifiers that differ in their seeds.


@pytest.fixture
def launched(place, at) -> Run:
    at(place.folder, place.uri)
    return Run.launch("mlp-2 (ablation on sample)", {"entry": "ablation"})


def made(launched: Run, seed: int = 0, status: str = FINISHED, accuracy: float = 90.0, **tags: str) -> Run:
    run = nested(launched, "ablation", job(resolve_classifier("mlp-2", "sample", "autograd", seed, 1.0), {}))
    run.set_tags({"data_digest": find("sample", "images").load().digest, **tags})
    run.log_metrics({"test_accuracy": accuracy})
    run.end(status)
    return run


def again(original: Run, accuracy: float) -> Run:
    """A launch of the command whose run has ended with this accuracy."""
    launch = Run.launch("again", {"entry": "reproduce", "reproduces": original.id, "mlflow.note.content": "Repeats."})
    made(launch, accuracy=accuracy, isa="another", reproduces=original.id)
    return launch


def test_the_seeds_of_the_row_are_the_tolerance(launched):
    """The deviation of 90, 91 and 92 is 1; neither an unfinished run nor another reproduction counts as a seed."""
    original, *_ = [made(launched, seed, accuracy=90.0 + seed) for seed in range(3)]
    made(launched, 3, status="KILLED", accuracy=10.0)
    for accuracy, verdict in ((92.9, "within tolerance"), (93.1, "different"), (90.0, "identical")):
        found = reproduce.compare(again(original, accuracy))
        assert found.verdict == verdict
        assert found.measure.startswith("within 3 standard deviations of the 3 seeds")


def test_one_seed_has_no_spread(launched):
    assert reproduce.compare(again(made(launched), 89.0)).measure.startswith("within 2%")


def test_what_could_not_be_compared_is_compared_by_the_replay(place, launched, monkeypatch):
    original = made(launched)
    launch = again(original, 90.0)
    put_off = []

    def away(parent):
        raise AwayError("the tracking server is away")

    with monkeypatch.context() as patched:
        patched.setattr(reproduce, "compare", away)
        patched.setattr(reproduce, "put_off_summary", lambda *given: put_off.append(given))
        reproduce._conclude(launch)
    assert put_off == [(launch, "reproduce")]
    replay._summarise(*put_off[0])
    assert place.client.get_run(original.id).data.tags["reproduced"] == "identical"


OWN = {"row": "mine", "like": "mlp-2", "changes": "hidden=16,8", "hidden": (16, 8)}
WEIGHTS = Weights({}, "0f" * 32, "somebody, [a].pt", "plain", "A", (0.1, 0.2, 0.3), (0.4, 0.5, 0.6), None, "akamaster")


@pytest.mark.parametrize(
    ("entry", "settings"),
    [
        ("recurrent", resolve("gru-relative-336", "sample", "dense", 2, 0.5)),
        ("recurrent", resolve("average-relative", "sample", "dense", 0, 1.0)),
        ("recurrent", resolve("linear-ar-hourly", "sample", "dense", 0, 1.0)),
        ("ablation", changed(resolve_classifier("mlp-2", "sample", "manual", 1, 1.0), **OWN)),
        ("pretrain", resolve_pretraining("resnet20", "sample", 0, 1.0, sides=[16, 32])),
        ("resnet", settings_of("resnet20", WEIGHTS, "sample", ResnetOptions(weights="[a].pt"), "cpu", "int8,fp32")),
    ],
)
def test_settings_are_read_back_from_what_a_run_has_logged(launched, entry, settings):
    run = nested(launched, entry, job(settings, {}))
    assert reproduce._settings(Run(run.id), experiment_of(entry)) == settings


# What is refused, in one line and with exit code 2, before any run is made.


@pytest.fixture
def refusal(place, launched, refused):
    """The line by which the command refuses its arguments."""

    def of(*given: str) -> str:
        before = len(place.client.search_runs(["0", "1"]))
        line = refused(place.folder, place.uri, "reproduce", *given)
        assert len(place.client.search_runs(["0", "1"])) == before
        return line

    return of


def test_an_unknown_run(refusal):
    assert "there is no run 'nonexistent'" in refusal("nonexistent")
    assert "there is no run" in refusal("0" * 32)
    assert "give the run of a row" in refusal()


def test_a_launch_names_its_rows(launched, refusal):
    row = made(launched)
    assert refusal(launched.id).endswith(f"it is a launch; give one of its rows: {row.id[:8]} (mlp-2-seed0)")


def test_a_run_that_is_no_rows(place, launched, refusal):
    trial = launched.child("trial-0", {"entry": "tune", "trial": "0"})
    assert "it is no run of a row of recurrent, ablation, resnet, pretrain" in refusal(trial.id)
    theirs = place.client.create_run("0", run_name="theirs").info.run_id
    assert "it is no run of a row" in refusal(theirs)


@pytest.mark.parametrize("status", ["KILLED", "FAILED", "RUNNING"])
def test_a_run_that_has_not_finished(launched, refusal, status):
    assert f"it is {status}, and only a run that has finished" in refusal(made(launched, status=status).id)


def test_a_name_that_several_runs_have(launched, refusal):
    ids = [made(launched).id for _ in range(2)]
    line = refusal("mlp-2-seed0")
    assert all(each[:8] in line for each in ids)


def test_a_run_made_from_other_data(launched, refusal):
    line = refusal(made(launched, data_digest="f" * 64).id)
    assert f"it was made from other data: sample had the digest {'f' * 12}, in data it has " in line


def test_a_run_of_another_version(launched, refusal):
    run = made(launched)
    run.log_params({"dropout": 0.5})
    line = refusal(run.id)
    assert "its settings are not those of this version (unknown setting 'dropout'; " in line
    assert "take the code of commit " in line


def test_without_a_database(tmp_path, refused):
    line = refused(tmp_path, f"sqlite:///{tmp_path}/none.db", "reproduce", "1234567")
    assert f"there is no database {tmp_path}/none.db" in line
    assert not list(tmp_path.glob("*.db"))


def test_without_an_answer_of_the_tracking_server(tmp_path, refused, closed_port):
    assert f"127.0.0.1:{closed_port}" in refused(tmp_path, f"http://127.0.0.1:{closed_port}", "reproduce", "1234567")
