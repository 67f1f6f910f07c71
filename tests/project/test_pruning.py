"""benchmarks/pruning.py: what its replay says of curves whose fate can be told by hand."""

import math
from dataclasses import replace

import optuna
import pandas as pd
import pytest
from optuna.pruners import NopPruner

from benchmarks import pruning
from pipelines.experiments.ablation import study as ablation_study
from pipelines.studies.options import TuneOptions
from pipelines.studies.plan import plan_of
from pipelines.studies.worker import pruner_of
from pipelines.training.loop import DivergedError


@pytest.fixture(autouse=True)
def quiet():
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    yield
    optuna.logging.set_verbosity(before)


# Accuracies over six epochs. Five trials decide before any is given up, and none is in its first two epochs.
FLAT = [[float(value)] * 6 for value in (10, 20, 30, 40, 50)]
LATE = [0.0, 0.0, 0.0, 0.0, 0.0, 90.0]  # the best in the end, the worst before


def test_without_a_pruner_nothing_is_lost_or_saved():
    assert pruning.replay([*FLAT, LATE], NopPruner(), True) == pruning.Outcome(False, 0.0, 0.0)


def test_a_winner_that_is_late_is_lost_if_others_came_before():
    found = pruning.replay([*FLAT, LATE], pruner_of(6), True)
    # Given up after its third epoch: three of 36 are saved, and the best that is left reaches 50.
    assert found == pruning.Outcome(True, 40.0, pytest.approx(3 / 36))
    assert pruning.replay([LATE, *FLAT], pruner_of(6), True).lost is False


def test_for_an_error_the_lowest_is_the_best():
    errors = [[100 - value for value in curve] for curve in (*FLAT, LATE)]
    assert pruning.replay(errors, pruner_of(6), False) == pruning.Outcome(True, 40.0, pytest.approx(3 / 36))


def test_trials_are_trained_to_their_end_from_the_rows_own_settings_on(place, at, monkeypatch):
    at(place.folder, place.uri)
    rates = []

    def train(run, settings, data_dir, report, watchers):
        rates.append(settings.lr)
        if len(rates) == 2:
            report(1, 10.0)
            raise DivergedError("the loss is nan")
        assert not any(report(epoch, 10.0 * epoch) for epoch in (1, 2))
        return 20.0

    monkeypatch.setattr(ablation_study, "STUDY", replace(ablation_study.STUDY, train=train))
    plan = plan_of(TuneOptions(study="ablation", dataset="sample", space="lr"))
    values = pruning.trained(plan, 3)
    assert rates[0] == 0.001
    assert len(set(rates)) == 3
    assert pruning.whole(values, "val_accuracy") == [[10.0, 20.0]] * 2


def test_only_curves_with_a_value_for_every_epoch_count():
    rows = [(0, 1, 5.0), (0, 2, 6.0), (1, 1, 7.0), (2, 2, math.nan), (2, 1, 1.0), (3, 2, 9.0), (3, 1, 8.0)]
    values = pd.DataFrame(rows, columns=["trial", "epoch", "val_smape"])
    assert pruning.whole(values, "val_smape") == [[5.0, 6.0], [8.0, 9.0]]


def test_every_pruner_has_a_line_and_tries_the_same_orders():
    table = pruning.compared([*FLAT, LATE], True, orders=10).set_index("pruner")
    assert list(table.index) == list(pruning.PRUNERS)
    assert table.loc["none"].tolist() == [0.0, 0.0, 0.0]
    median = table.loc["median, from a third of the epochs on (tune)"]
    assert 0 < median["winners lost, %"] < 100
    assert table.equals(pruning.compared([*FLAT, LATE], True, orders=10).set_index("pruner"))
