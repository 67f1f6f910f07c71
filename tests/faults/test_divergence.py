"""A training that goes wrong: its run fails, with the reason, and keeps what was measured."""

import math
import re

import numpy as np
import optuna
import pytest
import torch
from support.launches import complaint, statuses

from pipelines.data.energy import taylor
from pipelines.experiments.base import Context
from pipelines.experiments.pretrain import row as pretrain_row
from pipelines.experiments.pretrain.rows import resolve_pretraining
from pipelines.experiments.recurrent import baselines
from pipelines.experiments.recurrent import row as recurrent_row
from pipelines.experiments.recurrent.rows import resolve
from pipelines.studies.storage import best_of
from pipelines.tracking.models import log_model, register
from pipelines.tracking.run import Run
from pipelines.training.loop import DivergedError

PARENT = "recurrent sample"
ROW = "gru-2-seed0"


@pytest.mark.fault(10)
@pytest.mark.slow
def test_a_diverging_row_fails_with_its_reason(place, small):
    assert place.invoke(*small, "--models", "gru-2", "--lr", "1e38") == 1
    assert statuses(place) == {PARENT: "FAILED", ROW: "FAILED"}
    run = place.runs()[ROW]
    # Whatever is looked at first after the update that ruined the weights.
    expected = r"the loss is (nan|inf) at update \d+ \(epoch \d\)|smape_curve is (nan|inf) at step \d+"
    assert re.search(expected, run.data.tags["failure"])
    assert place.history(run, "smape_curve")[0] == (0, run.data.metrics["first/smape_curve"])
    assert f"1 of 1 runs failed: {run.info.run_name}" in complaint(place)


@pytest.mark.fault(10)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_no_metric_is_ever_logged_that_is_not_finite(place, at, value):
    at(place.folder, place.uri)
    run = Run.launch("row", {})
    with pytest.raises(DivergedError, match=rf"^val_loss is {value} at step 7$"), run.active():  # noqa: PT012 - the first is none
        run.log_metrics({"train_loss": 1.0}, step=7)
        run.log_metrics({"train_accuracy": 5.0, "val_loss": value}, step=7)
    assert run.status == "FAILED"
    assert run.tags["failure"] == f"DivergedError: val_loss is {value} at step 7"
    assert run.metrics == {"train_loss": 1.0}


@pytest.mark.fault(10)
def test_a_network_that_its_only_update_ruined_fails_and_is_not_registered(place, at):
    """Its only loss is that of the weights before the update, and finite."""
    at(place.folder, place.uri)
    run = Run.launch("resnet20-seed0", {"row": "resnet20"})
    settings = resolve_pretraining("resnet20", "sample", 0, 0.02, epochs=1, batch_size=2000, lr=1e38, threads=1)
    with pytest.raises(DivergedError), run.active():
        pretrain_row.run_row(run, settings, Context(data_dir="data"))
    assert run.status == "FAILED"
    assert re.search(r"(weights|val_loss|val_accuracy) (is|are) .*(update|step) 1", run.tags["failure"])
    assert place.client.search_registered_models() == []


@pytest.mark.fault(10)
def test_a_baseline_whose_forecasts_are_not_finite_fails(place, at, monkeypatch):
    at(place.folder, place.uri)
    run = Run.launch("persistence", {"row": "persistence"})

    class Broken:
        def fit(self, dataset, train):
            pass

        def predict(self, dataset, targets):
            return [np.full(len(rows), np.nan) for rows in targets]

    monkeypatch.setattr(baselines, "forecaster", lambda row: Broken())
    settings = resolve("persistence", "sample", "dense", 0, 1.0)
    with pytest.raises(DivergedError, match=r"^smape is nan$"), run.active():
        recurrent_row.run_row(run, settings, Context(data_dir="data"))
    assert run.status == "FAILED"
    assert taylor.load().series == ("TAYLOR",)


@pytest.mark.fault(10)
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_champion_has_a_finite_figure(place, at, value):
    at(place.folder, place.uri)
    run = Run.launch("row", {})
    with run.active():
        log_model(run, torch.nn.Flatten(), np.zeros((2, 3, 4, 4), np.float32))
        with pytest.raises(DivergedError, match=f"^val_accuracy is {value}: such a model is not registered$"):
            register(run, "some", "val_accuracy", value, "data", "0" * 64)
        assert place.client.search_registered_models() == []
        assert register(run, "some", "val_accuracy", 90.0, "data", "0" * 64) == (1, True)
        # As earlier versions registered it.
        place.client.set_model_version_tag("some", "1", "val_accuracy", repr(value))
        assert register(run, "some", "val_accuracy", 10.0, "data", "0" * 64) == (2, True)
        place.client.delete_model_version_tag("some", "2", "val_accuracy")
        assert register(run, "some", "val_accuracy", 9.0, "data", "0" * 64) == (3, True)


@pytest.mark.fault(10)
@pytest.mark.parametrize(
    ("direction", "values", "best"),
    [
        ("minimize", [3.0, -math.inf, 2.0, math.inf, 2.0], 2),
        ("maximize", [-math.inf, math.inf, 1.0, 4.0], 3),
        ("minimize", [math.inf], None),
        ("maximize", [], None),
    ],
)
def test_the_best_trial_of_a_study_is_a_finite_one(direction, values, best):
    study = optuna.create_study(direction=direction)
    for value in values:
        study.add_trial(optuna.trial.create_trial(value=value))
    found = best_of(study)
    assert (found and found.number) == best
