"""Names of the runs of a launch: the contract's for a row as it is, else with the settings that replace its own."""

import pytest

from pipelines.experiments.ablation.experiment import plan as ablation
from pipelines.experiments.ablation.options import AblationOptions
from pipelines.experiments.pretrain.experiment import plan as pretrain
from pipelines.experiments.pretrain.options import PretrainOptions
from pipelines.experiments.recurrent.experiment import plan as recurrent
from pipelines.experiments.recurrent.options import RecurrentOptions
from pipelines.experiments.recurrent.rows import RECURRENT
from pipelines.experiments.resnet.experiment import _overridden
from pipelines.experiments.resnet.options import ResnetOptions
from pipelines.launching.jobs import summary


def names(plan, options, folder):
    return [job.name for job in plan(options, folder).jobs]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, ["persistence", "gru-2-seed0", "gru-2-seed1"]),
        ({"training": "window", "device": "cpu", "precision": "fp32"}, ["persistence", "gru-2-seed0", "gru-2-seed1"]),
        # Its own number of epochs, width and dropout on the sample.
        ({"epochs": 60, "hidden": 256, "dropout": 0.0}, ["persistence", "gru-2-seed0", "gru-2-seed1"]),
        ({"hidden": 64}, ["persistence", "gru-2 hidden=64 seed0", "gru-2 hidden=64 seed1"]),
        (
            {"lr": 0.0031234567, "fraction": 0.5, "hidden": 256, "seeds": 1},
            ["persistence fraction=0.5", "gru-2 fraction=0.5 lr=0.003123 seed0"],
        ),
    ],
)
def test_a_forecaster_is_named_after_what_replaces_its_own_settings(tmp_path, given, expected):
    options = RecurrentOptions.of({"dataset": "sample", "models": "persistence,gru-2", "seeds": 2} | given)
    assert names(recurrent, options, tmp_path) == expected


def test_a_setting_that_is_one_rows_own_is_named_with_the_others_only(tmp_path):
    options = AblationOptions.of({"dataset": "sample", "variants": "cnn,cnn-lr-high", "lr": 0.01})
    assert names(ablation, options, tmp_path) == ["cnn lr=0.01 seed0", "cnn-lr-high-seed0"]


def test_a_list_is_named_with_commas(tmp_path):
    options = PretrainOptions.of({"dataset": "sample", "models": "resnet20", "sides": "16,32", "epochs": 2})
    assert names(pretrain, options, tmp_path) == ["resnet20 epochs=2 sides=16,32 seed0"]


def test_an_evaluation_is_named_after_the_weights_it_was_given():
    assert _overridden("resnet20", ResnetOptions()) == {}
    assert _overridden("resnet20", ResnetOptions(device="cpu", precision="fp32")) == {}
    given = ResnetOptions(weights="/some/where/a.pt", stem="plain", batch_size=7)
    assert _overridden("resnet20", given) == {"weights": "a.pt", "stem": "plain", "batch_size": 7}


def test_no_two_runs_of_a_launch_have_the_same_name(tmp_path):
    options = RecurrentOptions.of({"dataset": "sample", "lr": 0.006, "dropout": 0.1, "seeds": 3})
    found = names(recurrent, options, tmp_path)
    assert len(set(found)) == len(found) > 20


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "all rows"),
        ({"models": "lstm-2,gru-2", "seeds": 2}, "lstm-2, gru-2, 2 seeds"),
        ({"models": "persistence", "training": "window"}, "persistence"),
        ({"models": "gru-2,persistence", "training": "window"}, "gru-2, persistence, training=window"),
        # A baseline has no width.
        ({"models": "persistence,gru-2", "hidden": 64, "lr": 0.01}, "persistence, gru-2, hidden=64, lr=0.01"),
        ({"models": "persistence,gru-2,lstm-2,rnn-2,gru-3"}, "persistence, gru-2, lstm-2 and 2 more"),
    ],
)
def test_a_launch_is_named_after_its_rows_and_what_replaces_their_settings(tmp_path, given, expected):
    jobs = recurrent(RecurrentOptions.of({"dataset": "sample"} | given), tmp_path).jobs
    assert summary(jobs, RECURRENT, "dense") == expected
