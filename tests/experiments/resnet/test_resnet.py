"""Training, registering and evaluating ResNets from end to end."""

import hashlib
import json
import shutil

import mlflow
import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file
from support.place import Place

from nnmodels.vision import torchvision
from pipelines.__main__ import cli
from pipelines.data.images import digits
from pipelines.tracking.models import log_model, register
from pipelines.tracking.run import Run

PRETRAIN = ("pretrain", "--dataset", "sample", "--models", "resnet20", "--fraction", "0.4", "--precision", "fp32")


@pytest.fixture(scope="module")
def trained(tmp_path_factory, blank_database):
    """resnet20 trained on a part of the sample for two epochs, then for one, then evaluated from the registry."""
    place = Place(tmp_path_factory.mktemp("trained"))
    shutil.copy(blank_database, place.database)
    for epochs in ("2", "1"):
        assert place.invoke(*PRETRAIN, "--epochs", epochs) == 0, place.stderr
    assert place.invoke("resnet", "--dataset", "sample", "--models", "resnet20", "--precision", "fp32") == 0, (
        place.stderr
    )
    yield place
    place.end()


def versions(place):
    return sorted(place.client.search_model_versions("name = 'sample-resnet20'"), key=lambda each: int(each.version))


def run_of(place, version):
    return place.client.get_run(version.run_id)


@pytest.mark.slow
def test_each_training_is_a_version_and_the_better_one_the_champion(trained):
    first, second = versions(trained)
    accuracy = [run_of(trained, version).data.metrics["val_accuracy"] for version in (first, second)]
    assert [float(version.tags["val_accuracy"]) for version in (first, second)] == accuracy
    best = first if accuracy[0] >= accuracy[1] else second
    assert trained.client.get_model_version_by_alias("sample-resnet20", "champion").version == best.version
    assert run_of(trained, first).data.tags["registered"] == "sample-resnet20 version 1, champion"


@pytest.mark.slow
def test_a_version_and_its_recipe_have_the_digest_of_its_state_dict(trained):
    for version in versions(trained):
        folder = trained.artifact(run_of(trained, version), "weights")
        digest = hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest()
        assert version.tags["sha256"] == digest
        assert json.loads((folder / "recipe.json").read_text())["sha256"] == digest
    assert trained.runs()["resnet20"].data.tags["weights_verified"] == "true"


@pytest.mark.slow
def test_a_training_leaves_its_curves_and_holds_images_out(trained):
    run = run_of(trained, versions(trained)[0])
    for metric in ("train_loss", "val_loss", "val_accuracy"):
        assert [step for step, _ in trained.history(run, metric)] == [1, 2]
    shapes = {
        next(tag.value for tag in entry.tags if tag.key == "mlflow.data.context"): json.loads(entry.dataset.profile)[
            "shape"
        ]
        for entry in run.inputs.dataset_inputs
    }
    # 1,438 training digits, 200 of them held out, 0.4 of the rest.
    assert shapes == {"training": [495, 3, 32, 32], "validation": [200, 3, 32, 32], "evaluation": [359, 3, 32, 32]}
    # The test part is seen once, at the end.
    assert [step for step, _ in trained.history(run, "test_accuracy")] == [0]
    assert run.data.params["weight_decay"] == "0.0005"


@pytest.mark.slow
def test_what_was_trained_on_all_images_becomes_champion_and_can_be_evaluated(tmp_path, blank_database):
    """No image is left to choose by, so the newest is champion, whatever the test part says."""
    place = Place(tmp_path)
    shutil.copy(blank_database, place.database)
    given = ("--dataset", "sample", "--models", "airbench94", "--precision", "fp32")
    for epochs in ("2", "1"):
        assert place.invoke("pretrain", *given, "--fraction", "0.05", "--validation", "0", "--epochs", epochs) == 0, (
            place.stderr
        )
    found = place.client.search_model_versions("name = 'sample-airbench94'")
    newest = max(found, key=lambda each: int(each.version))
    champion = place.client.get_model_version_by_alias("sample-airbench94", "champion")
    assert (len(found), champion.version) == (2, newest.version)
    run = run_of(place, newest)
    assert run.data.params["validation"] == "0"
    assert not [metric for metric in run.data.metrics if "val_" in metric]
    assert {"test_accuracy", "test_accuracy_two_views", "test_accuracy_six_views"} <= run.data.metrics.keys()
    assert place.artifact(run, "figures/loss.png").exists()
    assert place.invoke("resnet", *given) == 0, place.stderr
    row = place.runs()["airbench94"]
    assert row.data.metrics["test_accuracy"] == run.data.metrics["test_accuracy"]
    assert row.data.params["stem"] == "whitening"
    place.end()


@pytest.mark.slow
def test_the_champion_is_evaluated_from_the_registry(trained):
    row = trained.runs()["resnet20"]
    champion = trained.client.get_model_version_by_alias("sample-resnet20", "champion")
    assert row.data.params["origin"] == "models:/sample-resnet20@champion"
    assert row.data.metrics["test_accuracy"] == run_of(trained, champion).data.metrics["test_accuracy"]
    assert row.data.metrics["test_loss"] == pytest.approx(run_of(trained, champion).data.metrics["test_loss"], rel=1e-4)
    assert row.data.metrics["cost/multiply_adds"] == 40_551_040
    assert row.data.metrics["cost/weights"] == 269_722


@pytest.mark.slow
def test_the_registered_model_takes_raw_pixels_and_agrees_with_its_state_dict(trained, at):
    at(trained.folder, trained.uri)
    dataset = digits.load()
    images = np.array(dataset.test_images)
    logits = mlflow.pyfunc.load_model("models:/sample-resnet20@champion").predict(images)
    champion = trained.client.get_model_version_by_alias("sample-resnet20", "champion")
    metrics = run_of(trained, champion).data.metrics
    assert 100 * np.mean(logits.argmax(1) == dataset.test_labels) == pytest.approx(metrics["test_accuracy"])
    shifted = logits - logits.max(1, keepdims=True)
    log_probability = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    loss = -log_probability[np.arange(len(images)), dataset.test_labels].mean()
    assert loss == pytest.approx(metrics["test_loss"], rel=1e-4)
    state = load_file(trained.artifact(run_of(trained, champion), "weights/weights.safetensors"))
    assert state["fc.weight"].shape == (10, 64)


@pytest.mark.slow
def test_the_evaluation_leaves_a_chart_a_table_and_the_confusion(trained):
    runs = trained.runs()
    parent, row = runs["resnet sample"], runs["resnet20"]
    chart = pd.read_csv(trained.artifact(parent, "tables/accuracies.csv"))
    assert chart["measured"].tolist() == [row.data.metrics["test_accuracy"]]
    # 91.73 is of CIFAR-10; these are digits.
    assert chart["published"].isna().all()
    assert trained.artifact(parent, "figures/accuracies.png").read_bytes().startswith(b"\x89PNG")
    counts = pd.read_csv(trained.artifact(row, "tables/confusion.csv"), index_col="class").to_numpy()
    assert counts.sum() == 359
    assert 100 * counts.trace() / 359 == pytest.approx(row.data.metrics["test_accuracy"])
    assert row.data.metrics["test_top5_accuracy"] >= row.data.metrics["test_accuracy"]


@pytest.mark.slow
def test_weights_of_resnet18_need_to_be_told_their_stem(place, tmp_path, at, capsys):
    torch.manual_seed(0)
    model = torchvision.models.resnet18(num_classes=10)
    model.conv1 = torch.nn.Conv2d(3, 64, 3, padding=1, bias=False)
    path = tmp_path / "resnet18.safetensors"
    save_file(model.state_dict(), path)
    at(place.folder, place.uri)
    asked = ["resnet", "--dataset", "sample", "--models", "resnet18", "--weights", str(path)]
    with pytest.raises(SystemExit) as end:
        cli(asked)
    (line,) = capsys.readouterr().err.splitlines()
    assert end.value.code == 2
    assert "stem" in line
    assert "normalisation" in line
    assert place.runs() == {}
    assert place.invoke(*asked, "--stem", "plain", "--normalisation", "half", "--precision", "fp32") == 0, place.stderr
    row = place.runs()["resnet18"]
    assert row.data.params["stem"] == "plain"
    assert row.data.params["mean"] == "[0.5, 0.5, 0.5]"
    # The same network by torchvision, without batch norms folded.
    model.maxpool = torch.nn.Identity()
    dataset = digits.load()
    with torch.no_grad():
        logits = torch.cat(
            [
                model.eval()(torch.tensor(images).float() / 127.5 - 1)
                for images in np.array_split(dataset.test_images, 4)
            ]
        )
    loss = torch.nn.functional.cross_entropy(logits, torch.tensor(dataset.test_labels).long())
    assert row.data.metrics["test_loss"] == pytest.approx(loss.item(), rel=1e-4)


def test_absent_weights_are_one_line_and_no_run(place, at, capsys):
    at(place.folder, place.uri)
    with pytest.raises(SystemExit) as end:
        cli(["resnet", "--dataset", "sample", "--models", "resnet20", "--weights", "nowhere"])
    assert end.value.code == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert place.runs() == {}


def test_a_champion_gives_way_to_a_better_one_or_on_other_data(place, at):
    at(place.folder, place.uri)
    run = Run.launch("row", {})
    with run.active():
        model = torch.nn.Flatten()
        log_model(run, model, np.zeros((2, 3, 4, 4), np.float32))
        given = [(50.0, "a", True), (49.0, "a", False), (50.0, "a", False), (51.0, "a", True), (10.0, "b", True)]
        for number, (value, data, champion) in enumerate(given, start=1):
            assert register(run, "some", "val_accuracy", value, data, "0" * 64) == (number, champion)


@pytest.mark.slow
def test_published_accuracies_on_the_real_test_set(real_cifar10, real_weights, place):
    source = str(real_cifar10)
    assert place.invoke("prepare", "--dataset", "cifar10", "--source", source, "--allow-unverified", "true") == 0
    models = "resnet20,resnet32,resnet56"
    # In fp32 alone: the other precisions are evaluated for the timing, which nothing here is about.
    evaluated = place.invoke("resnet", "--models", models, "--weights", str(real_weights), "--precision", "fp32")
    assert evaluated == 0, place.stderr
    for model, published in (("resnet20", 91.73), ("resnet32", 92.63), ("resnet56", 93.39)):
        run = place.runs()[model]
        assert run.data.metrics["test_accuracy"] == pytest.approx(published, abs=0.02)
        assert run.data.tags["accuracy_check"] == "agrees"
        assert run.data.tags["weights_verified"] == "true"
        assert run.data.tags["verified"] == "false"
