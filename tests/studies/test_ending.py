"""The end of a study on the terminal."""

import optuna
import pytest

from pipelines.common.screen import Screen
from pipelines.studies import ending, storage
from pipelines.studies.finalists import Finalist, Winner
from pipelines.tracking.run import Run


@pytest.fixture
def told(plan, monkeypatch):
    """A function: the text, so many columns wide, for a study of a trial at 0.004 whose winner has a learning rate."""

    def give(lr: float, width: int) -> list[str]:
        monkeypatch.setattr(ending.screen, "screen", lambda: Screen(width))
        study = storage.open_study(plan, "d" * 64)
        distribution = optuna.distributions.FloatDistribution(0.0001, 0.05, log=True)
        study.add_trial(optuna.trial.create_trial(params={"lr": 0.004}, distributions={"lr": distribution}, value=50.0))
        finalist = Finalist(0 if lr == plan.own.lr else 1, {"lr": lr}, plan.finalist_settings({"lr": lr}), 60.0)
        winner = Winner(finalist.trial, finalist.chosen, [(finalist, 60.0)])
        return ending.ending(plan, study, Run.existing(plan.parent), winner, [], "test_accuracy").splitlines()

    return give


def test_the_best_is_told_and_whether_it_is_the_row(told, plan):
    assert "best      trial 1: val_accuracy 60 on validation data, lr 0.004" in told(0.004, 200)
    assert "best      trial 0, row cnn as it was: val_accuracy 60 on validation data, lr 0.001" in told(
        plan.own.lr, 200
    )


def test_a_line_that_is_too_long_is_broken_between_words(told):
    lines = told(0.004, 45)
    first = lines.index("best      trial 1: val_accuracy 60 on")
    assert lines[first + 1] == "          validation data, lr 0.004"
