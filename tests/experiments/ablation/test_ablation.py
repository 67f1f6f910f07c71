"""The ablation entry point from end to end on the embedded data: what a launch leaves behind, and what faults do to it.

What the runs tell of their models is checked against what their logged models say of the raw images.
"""

import json
import os
import re
import shutil
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from matplotlib.image import imread
from support.launches import checkpoint_of, complaint, require_nothing_left, statuses, until
from support.place import ROOT, Place

from analysis.__main__ import cli as analysis
from pipelines.common.origins import Origin
from pipelines.data.images import cifar10, digits
from pipelines.data.images.dataset import ImageDataset
from pipelines.errors import Interrupted
from pipelines.experiments.ablation.row import run_row
from pipelines.experiments.ablation.rows import resolve_classifier
from pipelines.experiments.base import Context
from pipelines.tracking.artifacts import log_dataset, log_json
from pipelines.tracking.models import log_model
from pipelines.tracking.run import FINISHED, Run

PARENT = "ablation sample"
ROWS = ["cnn-seed0", "mlp-3-seed0"]
EPOCHS = 4
COMMAND = ("ablation", "--dataset", "sample", "--epochs", str(EPOCHS))
CURVES = ["train_loss", "train_accuracy", "test_loss", "test_accuracy"]
COST = {"training_time_s", "evaluation_time_s", "images_per_s", "cost/peak_memory_mb", "cost/cpu_s"}


@pytest.fixture(scope="module")
def place_with(tmp_path_factory):
    """A function that makes a place, for all of this module, with a copy of a database."""
    places = []

    def make(database: Path) -> Place:
        places.append(Place(tmp_path_factory.mktemp("place")))
        shutil.copy(database, places[-1].database)
        return places[-1]

    yield make
    for place in places:
        place.end()


@pytest.fixture(scope="module")
def launched(place_with, blank_database):
    """cnn and mlp-3, two jobs at a time."""
    place = place_with(blank_database)
    assert place.invoke(*COMMAND, "--variants", "mlp-3,cnn", "--jobs", "2") == 0, place.stderr
    return place


@pytest.fixture(scope="module")
def one_by_one(place_with, blank_database):
    """The same with one job at a time, on the default data set: in an empty folder that is the sample."""
    place = place_with(blank_database)
    command = ("ablation", "--epochs", str(EPOCHS), "--variants", "cnn,mlp-3", "--jobs", "1")
    assert place.invoke(*command) == 0, place.stderr
    return place


@pytest.fixture(scope="module")
def project(launched, place_with):
    """The same mlp-3 by the derived formulas, as `mlflow run` of the project, after what was launched before."""
    place = place_with(launched.database)
    parameters = {"dataset": "sample", "variants": "mlp-3", "epochs": EPOCHS, "backprop": "manual"}
    given = [part for name, value in parameters.items() for part in ("-P", f"{name}={value}")]
    code = place.launch("run", str(ROOT), "-e", "ablation", "--env-manager", "local", *given, module="mlflow")
    assert code == 0, place.stderr
    return place


@pytest.fixture(scope="module")
def dataset() -> ImageDataset:
    return digits.load()


@pytest.fixture(scope="module", params=ROWS)
def name(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def logits(launched, name, dataset):
    """What the logged model says of the raw test and training images, float64."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(launched.folder)
        mlflow.set_tracking_uri(launched.uri)
        info = launched.runs()[name].info
        model = mlflow.pyfunc.load_model(f"runs:/{info.run_id}/{info.run_name.replace(' ', '-').replace('=', '-')}")
        mlflow.set_tracking_uri(None)
    images = {"test": dataset.test_images, "train": dataset.train_images}
    return {part: model.predict(np.array(pixels)).astype(np.float64) for part, pixels in images.items()}


def histories(place, run) -> dict:
    """Every point of every metric that does not depend on the machine's load."""
    return {metric: place.history(run, metric) for metric in run.data.metrics.keys() - COST}


def checkpoint(place, run) -> dict:
    newest = json.loads(run.data.tags["checkpoint"])
    return torch.load(place.artifact(run, newest["path"]), weights_only=True)


def require_same_training(place, other, name):
    """The same bits: all metrics without a step twice, and the last checkpoint's model and optimiser."""
    run, expected = place.runs()[name], other.runs()[name]
    assert run.info.status == expected.info.status == "FINISHED"
    assert histories(place, run) == histories(other, expected)
    state, expected_state = checkpoint(place, run), checkpoint(other, expected)
    for part in ("model", "optimizer"):
        torch.testing.assert_close(state[part], expected_state[part], rtol=0, atol=0)
    for part in ("epoch", "update", "items"):
        assert state["progress"][part] == expected_state["progress"][part]
    assert state["progress"]["epoch"] == EPOCHS


# What a launch leaves behind.


@pytest.mark.slow
def test_a_launch_is_a_parent_with_a_nested_run_for_each_row(launched):
    runs = launched.runs()
    assert sorted(runs) == [PARENT, *ROWS]
    assert set(statuses(launched).values()) == {"FINISHED"}
    parent = runs[PARENT]
    assert {runs[name].data.tags["mlflow.parentRunId"] for name in ROWS} == {parent.info.run_id}
    assert "row" not in parent.data.tags
    common = {"entry": "ablation", "dataset": "sample", "training": "autograd"}
    assert common.items() <= parent.data.tags.items()
    for name in ROWS:
        tags = runs[name].data.tags
        assert (common | {"row": name.removesuffix("-seed0"), "seed": "0", "verified": "true"}).items() <= tags.items()
        assert {"host", "pid", "torch", "isa", "cores", "mlflow.user", "mlflow.note.content"} <= tags.keys()


@pytest.mark.slow
def test_the_resolved_row_is_the_parameters(launched):
    runs = launched.runs()
    common = {
        "dataset": "sample",
        "training": "autograd",
        "seed": "0",
        "fraction": "1.0",
        "epochs": "4",
        "batch_size": "8",
        "lr": "0.001",
        "momentum": "0.9",
        "normalisation": "half",
        "activation": "ReLU",
        "threads": "1",
        "device": "cuda" if torch.cuda.is_available() else "cpu",
    }
    cnn = {"row": "cnn", "channels": "[6, 16]", "kernel": "5", "hidden": "[120, 84]"}
    mlp = {"row": "mlp-3", "channels": "[]", "kernel": "0", "hidden": "[120, 50]"}
    assert runs["cnn-seed0"].data.params == common | cnn
    assert runs["mlp-3-seed0"].data.params == common | mlp
    given = {"variants": "mlp-3,cnn", "jobs": "2", "epochs": "4", "backprop": "autograd", "dataset": "sample"}
    assert given.items() <= runs[PARENT].data.params.items()


@pytest.mark.slow
def test_the_default_in_an_empty_folder_is_the_sample_and_says_so(one_by_one):
    first = one_by_one.stderr.splitlines()[0]
    assert first.startswith("dataset=auto: no cifar10 data in data, using the embedded sample")
    assert "python -m pipelines prepare --dataset cifar10" in first
    assert {run.data.tags["dataset"] for run in one_by_one.runs().values()} == {"sample"}
    assert {one_by_one.runs()[name].data.params["dataset"] for name in ROWS} == {"sample"}


@pytest.mark.slow
def test_the_curves_and_their_best_points(launched, name):
    run = launched.runs()[name]
    table = pd.read_csv(launched.artifact(run, "tables/epochs.csv"))
    assert list(table.columns) == ["epoch", *CURVES]
    for metric in CURVES:
        points = launched.history(run, metric)
        assert [step for step, _ in points] == [1, 2, 3, 4]
        assert table["epoch"].tolist() == [1, 2, 3, 4]
        assert table[metric].tolist() == pytest.approx([value for _, value in points])
        best = max if metric.endswith("accuracy") else min
        step, value = best(points, key=lambda point: point[1])
        assert (run.data.metrics[f"best_step/{metric}"], run.data.metrics[f"best/{metric}"]) == (step, value)
    assert run.data.metrics["train_loss"] < launched.history(run, "train_loss")[0][1]
    # Ten classes: it has learnt.
    assert run.data.metrics["test_accuracy"] > 50


@pytest.mark.slow
def test_what_a_row_cost(launched, name):
    run = launched.runs()[name]
    metrics = run.data.metrics
    assert metrics["cost/weights"] == {"cnn-seed0": 62_006, "mlp-3-seed0": 375_320}[name]
    assert f"{metrics['cost/weights']:,.0f} parameters" in run.data.tags["mlflow.note.content"]
    # Four epochs of 1,438 images.
    assert metrics["images_per_s"] == pytest.approx(4 * 1438 / metrics["training_time_s"], rel=1e-6)
    assert metrics["evaluation_time_s"] > 0
    assert metrics["cost/peak_memory_mb"] > 50


@pytest.mark.slow
def test_the_data_are_logged_with_their_digest(launched, name, dataset):
    run = launched.runs()[name]
    assert run.data.tags["data_digest"] == dataset.digest
    parts = {}
    for entry in run.inputs.dataset_inputs:
        assert entry.dataset.name == "sample"
        assert entry.dataset.digest.startswith(f"{dataset.digest[:12]}-")
        (context,) = [tag.value for tag in entry.tags if tag.key == "mlflow.data.context"]
        parts[context] = json.loads(entry.dataset.profile)["shape"]
    # 1,797 digits, a fifth of them for the test.
    assert parts == {"training": [1438, 3, 32, 32], "evaluation": [359, 3, 32, 32]}
    counts = json.loads(launched.artifact(run, "tables/data_counts.json").read_text())
    assert (counts["train"]["images"], counts["test"]["images"]) == (1438, 359)


@pytest.mark.slow
@pytest.mark.parametrize("part", ["train", "test"])
def test_the_logged_model_has_the_last_loss_and_accuracy(launched, name, logits, dataset, part):
    given, labels = logits[part], np.asarray(getattr(dataset, f"{part}_labels"))
    assert given.shape == (len(labels), 10)
    probabilities = np.exp(given) / np.exp(given).sum(axis=1, keepdims=True)
    loss = -np.log(probabilities[np.arange(len(labels)), labels]).mean()
    metrics = launched.runs()[name].data.metrics
    assert metrics[f"{part}_loss"] == pytest.approx(loss, rel=1e-5)
    assert metrics[f"{part}_accuracy"] == pytest.approx(100 * np.mean(given.argmax(axis=1) == labels), rel=1e-9)


@pytest.mark.slow
def test_the_classes_told_apart(launched, name, logits, dataset):
    run = launched.runs()[name]
    predictions, labels = logits["test"].argmax(axis=1), np.asarray(dataset.test_labels)
    digits = [str(digit) for digit in range(10)]
    matrix = pd.read_csv(launched.artifact(run, "tables/confusion.csv"), dtype={"class": str})
    assert matrix["class"].tolist() == matrix.columns[1:].tolist() == digits
    expected = [[np.sum((labels == true) & (predictions == said)) for said in range(10)] for true in range(10)]
    assert matrix[digits].to_numpy().tolist() == expected
    logged = pd.read_parquet(launched.artifact(run, "tables/predictions.parquet"))
    assert list(logged) == ["label", *(f"probability.{digit}" for digit in digits)]
    assert logged["label"].tolist() == labels.tolist()
    odds = np.exp(logits["test"] - logits["test"].max(axis=1, keepdims=True))
    assert logged.iloc[:, 1:].to_numpy() == pytest.approx(odds / odds.sum(axis=1, keepdims=True), abs=1e-6)
    by_class = pd.read_csv(launched.artifact(run, "tables/per_class.csv"))
    assert by_class["images"].tolist() == np.bincount(labels).tolist()
    for digit, accuracy in enumerate(by_class["test_accuracy"]):
        share = 100 * np.mean(predictions[labels == digit] == digit)
        assert run.data.metrics[f"class/test_accuracy.{digit}"] == pytest.approx(share)
        assert accuracy == pytest.approx(share)


@pytest.mark.slow
def test_the_sheet(launched, name, logits, dataset):
    run = launched.runs()[name]
    sheet = pd.read_csv(launched.artifact(run, "tables/sheet.csv"))
    drawn = sheet["image"].to_numpy()
    assert sheet["label"].tolist() == [digit for digit in range(10) for _ in range(2)]
    assert len(set(drawn)) == 20
    assert sheet["label"].tolist() == dataset.test_labels[drawn].tolist()
    assert sheet["prediction"].tolist() == logits["test"][drawn].argmax(axis=1).tolist()
    assert run.data.metrics["sheet_accuracy"] == pytest.approx(100 * np.mean(sheet["label"] == sheet["prediction"]))
    images = np.load(launched.artifact(run, "tables/sheet.npy"))
    assert (images.dtype, images.shape) == (np.uint8, (20, 32, 32, 3))
    for image, number in zip(images, drawn, strict=True):
        for channel in range(3):
            assert np.array_equal(image[:, :, channel], dataset.test_images[number, channel])


@pytest.mark.slow
def test_all_rows_have_the_same_sheet(launched):
    tables = [pd.read_csv(launched.artifact(launched.runs()[name], "tables/sheet.csv")) for name in ROWS]
    assert tables[0]["image"].tolist() == tables[1]["image"].tolist()


@pytest.mark.slow
def test_the_figures_are_pictures(launched):
    of_a_row = ["loss", "accuracy", "sheet", "confusion"]
    for name, figures in ({PARENT: ["loss", "accuracy", "flips"]} | dict.fromkeys(ROWS, of_a_row)).items():
        for figure in figures:
            path = launched.artifact(launched.runs()[name], f"figures/{figure}.png")
            assert path.read_bytes().startswith(b"\x89PNG")
            assert imread(path)[:, :, :3].std() > 0.01


@pytest.mark.slow
def test_the_images_that_one_row_gets_right_and_the_other_wrong(launched, dataset):
    runs = launched.runs()
    flips = pd.read_csv(launched.artifact(runs[PARENT], "tables/flips.csv"))
    right = {}
    for name in ROWS:
        made = pd.read_parquet(launched.artifact(runs[name], "tables/predictions.parquet"))
        right[name] = set(np.flatnonzero(made.iloc[:, 1:].to_numpy().argmax(1) == dataset.test_labels))
    assert set(flips["against"]) == {"cnn"}
    assert set(flips["row"]) == {"mlp-3"}
    cnn, mlp = (right[name] for name in ("cnn-seed0", "mlp-3-seed0"))
    assert set(flips["image"][flips["right"] == "cnn"]) == cnn - mlp
    assert set(flips["image"][flips["right"] == "mlp-3"]) == mlp - cnn
    # By the difference of the accuracies as many more are right of one than of the other.
    images = (
        runs["cnn-seed0"].data.metrics["test_accuracy"] - runs["mlp-3-seed0"].data.metrics["test_accuracy"]
    ) * 3.59
    assert len(cnn - mlp) - len(mlp - cnn) == pytest.approx(images)


@pytest.mark.slow
def test_the_parent_compares_its_rows(launched):
    runs = launched.runs()
    table = pd.read_csv(launched.artifact(runs[PARENT], "tables/comparison.csv"))
    # In the order of the catalogue, whatever was asked for first.
    assert list(zip(table["row"], table["seed"], strict=True)) == [("cnn", 0), ("mlp-3", 0)]
    for metric in (*CURVES, "sheet_accuracy", "training_time_s", "evaluation_time_s"):
        assert table[metric].tolist() == pytest.approx([runs[name].data.metrics[metric] for name in ROWS])
    plan = json.loads(launched.artifact(runs[PARENT], "plan.json").read_text())
    # The slow one first, though it was asked for last.
    assert [job["name"] for job in plan] == [f"{row} epochs={EPOCHS} seed0" for row in ("cnn", "mlp-3")]


@pytest.mark.fault(32)
@pytest.mark.slow
def test_the_same_seed_gives_the_same_bits_whatever_jobs_is(launched, one_by_one, name):
    require_same_training(launched, one_by_one, name)


# By hand, and as an MLflow project.


@pytest.mark.slow
def test_mlflow_run_makes_the_parent(project):
    (row,) = manual_runs(project)
    parent = project.client.get_run(row.data.tags["mlflow.parentRunId"])
    assert parent.data.tags["mlflow.project.entryPoint"] == "ablation"
    assert {"entry": "ablation", "training": "manual", "dataset": "sample"}.items() <= parent.data.tags.items()
    assert row.info.experiment_id == parent.info.experiment_id
    assert {parent.info.status, row.info.status} == {"FINISHED"}
    assert (row.data.tags["row"], row.data.tags["training"]) == ("mlp-3", "manual")
    assert row.data.params["training"] == "manual"
    assert "without autograd" in row.data.tags["mlflow.note.content"]


@pytest.mark.slow
def test_the_derived_formulas_train_as_autograd_does(project, launched):
    (by_hand,) = manual_runs(project)
    by_autograd = launched.runs()["mlp-3-seed0"]
    for metric in CURVES:
        steps, values = zip(*project.history(by_hand, metric), strict=True)
        expected_steps, expected = zip(*launched.history(by_autograd, metric), strict=True)
        assert steps == expected_steps
        assert values == pytest.approx(expected, rel=1e-4)


@pytest.mark.slow
def test_both_trainings_stand_in_one_table(project, at):
    at(project.folder, project.uri)
    text = CliRunner().invoke(analysis, ["compare", "--entry", "ablation"]).stdout
    table = text.split("\n\n")[0].splitlines()
    header, _, *lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    columns = [header.index(column) for column in ("row", "training", "n")]
    found = [[line[column] for column in columns] for line in lines]
    assert found == [["cnn", "autograd", "1"], ["mlp-3", "autograd", "1"], ["mlp-3", "manual", "1"]]


def manual_runs(place) -> list:
    experiments = [experiment.experiment_id for experiment in place.client.search_experiments()]
    return place.client.search_runs(experiments, "tags.training = 'manual' and tags.row LIKE '%'")


# Faults.


@pytest.mark.fault(12)
@pytest.mark.fault(33)
@pytest.mark.slow
def test_after_kill_9_each_row_is_resumed_to_the_bits_of_an_undisturbed_one(place, one_by_one, settled):
    process = place.fork(*COMMAND, "--variants", "cnn,mlp-3", "--jobs", "1", module="support.held")
    until(checkpoint_of(place, "cnn-seed0"), process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    require_nothing_left(place)
    killed = place.runs()
    assert statuses(place) == {PARENT: "RUNNING", "cnn-seed0": "RUNNING"}
    assert json.loads(killed["cnn-seed0"].data.tags["checkpoint"])["epoch"] < EPOCHS
    began = time.time() * 1000

    # One row alone: the other one, which had not begun, is still to be done.
    assert place.invoke("ablation", "--resume", killed["cnn-seed0"].info.run_id) == 0, place.stderr
    assert statuses(place) == {PARENT: "KILLED", "cnn-seed0": "FINISHED"}
    assert place.runs()["cnn-seed0"].info.run_id == killed["cnn-seed0"].info.run_id
    require_same_training(place, one_by_one, "cnn-seed0")
    sent = place.client.get_metric_history(killed["cnn-seed0"].info.run_id, "test_loss")
    assert next(point for point in sent if point.step == 1).timestamp < began
    assert len(place.runs()["cnn-seed0"].inputs.dataset_inputs) == 2

    # The rest.
    assert place.invoke("ablation", "--resume", killed[PARENT].info.run_id) == 0, place.stderr
    assert "cnn seed 0" not in place.stderr
    assert statuses(place) == {PARENT: "FINISHED", "cnn-seed0": "FINISHED", "mlp-3-seed0": "FINISHED"}
    require_same_training(place, one_by_one, "mlp-3-seed0")
    table = pd.read_csv(place.artifact(place.runs()[PARENT], "tables/comparison.csv"))
    assert table["row"].tolist() == ["cnn", "mlp-3"]


@pytest.mark.slow
def test_diverging_rows_fail_with_their_reason(place):
    rows = ["mlp-2-seed0", "mlp-2-seed1"]
    assert place.invoke(*COMMAND, "--variants", "mlp-2", "--lr", "1e30", "--fraction", "0.1", "--seeds", "2") == 1
    assert statuses(place) == {PARENT: "FAILED"} | dict.fromkeys(rows, "FAILED")
    for seed, name in enumerate(rows):
        run = place.runs()[name]
        assert run.data.params["seed"] == run.data.tags["seed"] == str(seed)
        assert re.search(r"the loss is (nan|inf) at update \d+ \(epoch \d\)", run.data.tags["failure"])
    # A sentence, without the name of a class before it.
    assert complaint(place).startswith("error: 2 of 2 runs failed: mlp-2 fraction=0.1 lr=1e+30 epochs=4 seed")


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("--variants", "cnn-9"), "unknown 'cnn-9'; did you mean cnn? Known are all, cnn, mlp-2"),
        (("--variants", ","), "no name is given"),
        (("--variants", "mlp-3,cnn", "--backprop", "manual"), "cnn has convolutions; give variants=mlp-2,mlp-3,mlp-4"),
        (("--backprop", "foo"), "unknown 'foo'; known are autograd, manual"),
        (("--lr", "-1"), "--lr"),
        (("--lr", "nan"), "--lr"),
        (("--lr", "abc"), "'abc' is not a number"),
        (("--epochs", "-1"), "--epochs"),
        (("--batch-size", "-1"), "--batch-size"),
        (("--fraction", "0"), "--fraction"),
        (("--fraction", "1.5"), "--fraction"),
        (("--seeds", "0"), "--seeds"),
        (("--jobs", "0"), "--jobs"),
        (("--dataset", "pjm"), "dataset pjm holds hourly load, not images; give one of cifar10, sample"),
        (("--device", "tpu"), "none of auto, cpu, cuda"),
        (("--device", "cuda"), "device=cuda is not available on this machine"),
        (("--resume", "nonexistent"), "there is no database"),
    ],
)
def test_bad_input_leaves_nothing_behind(tmp_path, refused, arguments, what):
    if arguments == ("--device", "cuda") and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    line = refused(tmp_path, f"sqlite:///{tmp_path}/mlflow.db", "ablation", "--dataset", "sample", *arguments)
    assert what in line
    assert not list(tmp_path.iterdir())


@pytest.mark.medium
def test_data_that_cannot_be_had(tmp_path, refused, monkeypatch):
    monkeypatch.setattr(cifar10, "URL", "http://127.0.0.1:9/cifar-10-binary.tar.gz")
    line = refused(tmp_path, f"sqlite:///{tmp_path}/mlflow.db", "ablation", "--dataset", "cifar10")
    for way_on in ("python -m pipelines prepare --dataset cifar10", "--source", "--dataset sample"):
        assert way_on in line
    assert not (tmp_path / "mlflow.db").exists()


def test_damaged_data_are_not_replaced_by_the_sample(tmp_path, refused):
    (tmp_path / "data" / "cifar10").mkdir(parents=True)
    (tmp_path / "data" / "cifar10" / "meta.json").write_text('{"format": 1}')
    line = refused(tmp_path, f"sqlite:///{tmp_path}/mlflow.db", "ablation")
    assert "damaged" in line
    assert "python -m pipelines prepare --dataset cifar10" in line
    assert not (tmp_path / "mlflow.db").exists()


@pytest.mark.parametrize(("made_by", "asked"), [("recurrent", "ablation"), ("ablation", "recurrent")])
def test_a_run_of_the_other_entry_is_not_resumed(place, at, refused, made_by, asked):
    at(place.folder, place.uri)
    parent = Run.launch("other", {"entry": made_by})
    log_json(parent, [{"name": "cnn-seed0", "settings": {"row": "cnn", "dataset": "sample"}}], "plan.json")
    line = refused(place.folder, place.uri, asked, "--resume", parent.id)
    assert f"resume={parent.id}: not a run of {asked}" in line
    assert list(place.runs()) == ["other"]


@pytest.mark.slow
def test_a_finished_launch_is_not_resumed(launched, refused):
    before = launched.database.read_bytes()
    for name in (PARENT, "cnn-seed0"):
        line = refused(launched.folder, launched.uri, "ablation", "--resume", launched.runs()[name].info.run_id)
        assert "nothing is left to do" in line
    assert launched.database.read_bytes() == before


def test_a_launch_within_a_larger_one_is_resumed_by_its_own_id(place, at, refused):
    at(place.folder, place.uri)
    launch = Run.launch("main demo", {"entry": "main"}).child(PARENT, {"entry": "ablation"})
    settings = resolve_classifier("cnn", "sample", "autograd", 0, 1.0).params()
    log_json(launch, [{"name": "cnn-seed0", "settings": settings}], "plan.json")
    row = launch.child("cnn-seed0", {"row": "cnn"})
    row.end(FINISHED)
    launch.end(FINISHED)
    for asked in (row, launch):
        assert "nothing is left to do" in refused(place.folder, place.uri, "ablation", "--resume", asked.id)


@pytest.mark.fault(12)
@pytest.mark.medium
def test_a_row_stopped_at_its_end_has_no_point_twice_when_it_is_resumed(place, at, monkeypatch):
    at(place.folder, place.uri)
    settings = resolve_classifier("mlp-2", "sample", "autograd", 0, 0.02, epochs=2)
    run = Run.launch("mlp-2-seed0", {})

    def stop(*args):
        raise Interrupted(signal.SIGTERM)

    for step in (stop, log_model):
        monkeypatch.setattr("pipelines.experiments.ablation.row.log_model", step)
        # A new process each time.
        run = Run(run.id)
        with suppress(Interrupted), run.active():
            run_row(run, settings, Context(data_dir="data"))
    found = place.runs()["mlp-2-seed0"]
    assert found.info.status == "FINISHED"
    for metric in found.data.metrics:
        steps = [step for step, _ in place.history(found, metric)]
        assert len(set(steps)) == len(steps), metric


def test_two_rows_that_log_the_same_new_data_at_once_both_have_them(place, at):
    at(place.folder, place.uri)
    runs = [Run.launch(f"row {number}", {}) for number in range(2)]
    barrier = threading.Barrier(2)

    def log(run):
        for number in range(10):
            barrier.wait(timeout=60)
            log_dataset(run, "data", f"{number:012}", Origin("somewhere"), (10, 2), "training")

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(log, run) for run in runs]:
            done.result(timeout=120)
    for run in runs:
        assert len(place.client.get_run(run.id).inputs.dataset_inputs) == 10
