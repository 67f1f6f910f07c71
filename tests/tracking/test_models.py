"""What the page of a model in MLflow shows: its name, and the final metrics of its run with the data they are of."""

import mlflow
import numpy as np
import pytest
import torch
from mlflow import MlflowClient
from mlflow.utils.time import get_current_time_millis

from pipelines.common.origins import Origin
from pipelines.tracking.artifacts import log_dataset
from pipelines.tracking.models import log_model, register
from pipelines.tracking.run import Run
from pipelines.tracking.senders import SENDERS

EXAMPLE = np.zeros((2, 3, 4, 4), np.float32)
DIGEST = "0123456789abcdef"


@pytest.fixture
def run(place, at) -> Run:
    at(place.folder, place.uri)
    run = Run.launch("mlp-2-seed0", {"mlflow.note.content": "A perceptron."})
    with run.active():
        for part, items in (("training", 30), ("validation", 5), ("evaluation", 10)):
            log_dataset(run, "digits", DIGEST * 4, Origin("somewhere"), (items, 2), part)
        for epoch in (0, 1, 2):
            figures = {"train_loss": 3.0, "val_loss": 3.5, "test_accuracy": 10.0, "smape_curve": 40.0}
            run.log_metrics({metric: value - epoch for metric, value in figures.items()}, step=epoch)
        run.log_metrics({"training_time_s": 7.0})
        yield run


def model_of(place, run):
    (output,) = place.client.get_run(run.id).outputs.model_outputs
    return place.client.get_logged_model(output.model_id)


def test_its_metrics_are_the_last_ones_and_name_the_part_of_the_data(place, run):
    log_model(run, torch.nn.Flatten(), EXAMPLE)
    model = model_of(place, run)
    assert model.name == "mlp-2-seed0"
    read = place.client.get_run(run.id).inputs.dataset_inputs
    parts = {tag.value: each.dataset.digest for each in read for tag in each.tags}
    assert {each.key: (each.step, each.value, each.dataset_name, each.dataset_digest) for each in model.metrics} == {
        "train_loss": (2, 1.0, "digits", parts["training"]),
        "val_loss": (2, 1.5, "digits", parts["validation"]),
        "test_accuracy": (2, 8.0, "digits", parts["evaluation"]),
        "smape_curve": (2, 38.0, "digits", parts["evaluation"]),
        "training_time_s": (0, 7.0, None, None),
    }
    # The run itself has no point twice.
    assert len(place.client.get_metric_history(run.id, "test_accuracy")) == 3


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a/b:c.d%e\"f'g", "a-b-c-d-e-f-g"),  # all that MLflow refuses
        ("gru-2 hidden=64 lr=0.003 seed0", "gru-2-hidden-64-lr-0-003-seed0"),
    ],
)
def test_it_has_the_name_of_its_run_with_hyphens(place, run, name, expected):
    run.set_tags({"mlflow.runName": name})
    log_model(run, torch.nn.Flatten(), EXAMPLE)
    assert model_of(place, run).name == expected


def test_its_page_has_the_description_of_its_run(place, run):
    """MLflow shows the tag as the model's description, as it does for runs."""
    log_model(run, torch.nn.Flatten(), EXAMPLE)
    assert model_of(place, run).tags["mlflow.note.content"] == "A perceptron."


def test_a_registered_model_says_what_it_is_and_each_version_how_good(place, run):
    run.set_tags({"row": "mlp-2", "dataset": "digits"})
    run.log_metrics({"val_accuracy": 61.254, "test_accuracy": 60.0}, step=3)
    log_model(run, torch.nn.Flatten(), EXAMPLE)
    register(run, "digits-mlp-2", "val_accuracy", 61.254, "data", "0" * 64)
    about = place.client.get_registered_model("digits-mlp-2").description
    assert all(each in about for each in ("digits", "champion", "highest val_accuracy"))
    (version,) = place.client.search_model_versions("name='digits-mlp-2'")
    assert version.description == "mlp-2-seed0: val_accuracy 61.25 %, test_accuracy 60.00 %"


def test_the_best_of_rows_that_end_at_the_same_time_is_champion(place, run, monkeypatch):
    """Each finds no champion; a second registers before the first has the alias, a third before it is given back."""
    log_model(run, torch.nn.Flatten(), EXAMPLE)
    others = [70.0, 80.0]
    set_alias = MlflowClient.set_registered_model_alias

    def interrupted(client, name, alias, version):
        if others:
            value = others.pop(0)
            tags = {"val_accuracy": repr(value), "compared_on": "data"}
            made = client.create_model_version(name, f"models:/{run.model_id}", run.id, tags=tags)
            set_alias(client, name, alias, made.version)
        set_alias(client, name, alias, version)

    monkeypatch.setattr(MlflowClient, "set_registered_model_alias", interrupted)
    assert register(run, "digits-mlp-2", "val_accuracy", 61.0, "data", "0" * 64) == (1, False)
    champion = place.client.get_model_version_by_alias("digits-mlp-2", "champion")
    assert champion.tags["val_accuracy"] == "80.0"
    assert place.client.get_run(run.id).data.tags["registered"] == "digits-mlp-2 version 1"


def test_a_champion_that_a_user_chose_stays_until_one_is_better(place, run):
    log_model(run, torch.nn.Flatten(), EXAMPLE)
    for value in (61.0, 70.0):
        register(run, "digits-mlp-2", "val_accuracy", value, "data", "0" * 64)
    place.client.set_registered_model_alias("digits-mlp-2", "champion", "1")
    assert register(run, "digits-mlp-2", "val_accuracy", 60.0, "data", "0" * 64) == (3, False)
    assert str(place.client.get_model_version_by_alias("digits-mlp-2", "champion").version) == "1"


def test_the_description_that_a_user_gave_a_registered_model_stays(place, run):
    place.client.create_registered_model("mine", description="My own words.")
    log_model(run, torch.nn.Flatten(), EXAMPLE)
    register(run, "mine", "val_accuracy", 61.0, "data", "0" * 64)
    assert place.client.get_registered_model("mine").description == "My own words."


def test_a_model_that_an_earlier_version_kept_for_later_has_no_name(place, run, tmp_path):
    run.flush()
    mlflow.pytorch.save_model(torch.nn.Flatten(), tmp_path / "kept", input_example=EXAMPLE, pip_requirements=["torch"])
    content = {"tags": {"row": "mlp-2"}, "time": get_current_time_millis()}
    # Twice, as when the answer to the first was lost.
    for again in (False, True):
        SENDERS["model"](place.client, run.id, content, tmp_path / "kept", again)
    model = model_of(place, run)
    assert (model.name, str(model.status), model.tags["row"]) == ("model", "READY", "mlp-2")
    assert {each.key: each.value for each in model.metrics}["test_accuracy"] == 8.0
