"""Finalists: which trials are trained again, at which learning rates, that none is trained twice, and who wins."""

import math
from dataclasses import replace

import optuna
import pytest

from pipelines.errors import FailedRunsError, Interrupted
from pipelines.experiments.ablation import study as ablation_study
from pipelines.launching.jobs import nested
from pipelines.studies import finalists, storage
from pipelines.studies.finalists import elect, finalists_of
from pipelines.studies.plan import Plan
from pipelines.tracking.run import Run


@pytest.fixture
def plan(plan) -> Plan:
    """Of a study whose trials see half of the data, with two finalists."""
    return replace(plan, fraction=0.5, finalists=2)


@pytest.fixture
def trained(monkeypatch):
    """Learning rates of the finalists that were trained, each to the value of `accuracy` or with its exception.

    They run in this process, one after the other, and none is begun after an exception that is no Exception.
    """
    rates = []

    def train(run, settings, data_dir, report, watchers):
        rates.append(settings.lr)
        assert settings.fraction == 1.0
        assert not report(1, 0.0)
        found = accuracy(settings.lr)
        if isinstance(found, BaseException):
            raise found
        return found

    def in_turn(parent, entry, jobs, work, context, parallel, main, launcher):
        failed = []
        for job in jobs:
            run = nested(parent, entry, job)
            try:
                with run.active():
                    work(run, job.settings, context)
            except Exception as error:
                failed.append(error)
        if failed:
            raise FailedRunsError(str(failed))

    monkeypatch.setattr(ablation_study, "STUDY", replace(ablation_study.STUDY, train=train))
    monkeypatch.setattr(finalists, "fan_out", in_turn)
    return rates


OUTCOMES = {}


def accuracy(lr):
    return OUTCOMES.get(lr, 50.0)


@pytest.fixture
def outcomes():
    """Values, or exceptions, by learning rate; 50 where there is none."""

    def put(values):
        OUTCOMES.clear()
        OUTCOMES.update(values)

    yield put
    OUTCOMES.clear()


def with_trials(plan, *pairs):
    """The study of a plan, with trials of these learning rates and values."""
    study = storage.open_study(plan, "d" * 64)
    for lr, value in pairs:
        add(study, lr, value)
    return study


def add(study, lr, value, **choices):
    learning_rate, whole = optuna.distributions.FloatDistribution, optuna.distributions.IntDistribution
    distributions = {"lr": learning_rate(0.0001, 0.05, log=True)} | {name: whole(1, 512) for name in choices}
    study.add_trial(optuna.trial.create_trial(params={"lr": lr, **choices}, distributions=distributions, value=value))


def elected(plan, study):
    winner = elect(plan, study, Run.existing(plan.parent), workers=1)
    return winner.trial, winner.chosen["lr"]


TRIALS = ((0.001, 10.0), (0.004, 40.0), (0.004, 40.0), (0.002, 20.0), (0.003, math.inf), (0.008, 30.0))
# The first trial, which waits, is the row's own. Trial 6 has twice the rate of trial 2, so they share two settings.
EXPECTED = [(2, 0.004), (2, 0.002), (2, 0.008), (6, 0.016), (0, 0.001)]


def test_the_best_trials_with_different_settings_are_trained_at_three_learning_rates(plan):
    study = with_trials(plan, *TRIALS)
    assert [(each.trial, each.chosen["lr"]) for each in finalists_of(plan, study)] == EXPECTED
    assert [each.settings.lr for each in finalists_of(plan, study)] == [lr for _, lr in EXPECTED]
    assert all(math.isnan(each.value) for each in finalists_of(plan, study))


@pytest.mark.parametrize("maximise", [True, False])
def test_better_is_what_the_study_seeks(plan, maximise):
    seeks = plan if maximise else replace(plan, study="recurrent", row="gru-2", name="errors", precision="fp32")
    study = with_trials(seeks, (0.001, 10.0), (0.002, 20.0), (0.004, 15.0))
    trials = dict.fromkeys(each.trial for each in finalists_of(seeks, study))
    assert list(trials)[:2] == ([2, 3] if maximise else [1, 3])


def test_a_learning_rate_is_brought_down_for_the_updates_of_a_whole_training(plan):
    """Of 1,561 windows a fifth is 312: (312 - 24) / 80 = 3 segments, so an update an epoch; all have 19, 3 batches."""
    recurrent = replace(plan, study="recurrent", row="gru-2", name="r", precision="fp32", fraction=0.2, finalists=1)
    study = with_trials(recurrent, (0.01, 5.0))
    expected = [0.01 / 3**0.5 * factor for factor in (1, 0.5, 2)]
    *trial, row = finalists_of(recurrent, study)
    assert [each.settings.lr for each in trial] == pytest.approx(expected, rel=1e-3)
    assert (row.trial, row.settings.lr) == (0, recurrent.own.lr)


def test_the_row_is_a_finalist_as_it_is_whatever_its_trial_reached(plan):
    """Few updates ask for another network, and a higher learning rate, than many: the row's own trial is the worst."""
    recurrent = replace(plan, study="recurrent", row="gru-2", space="lr,hidden", name="r", precision="fp32")
    study = storage.open_study(recurrent, "d" * 64)
    add(study, recurrent.own.lr, 99.0, hidden=recurrent.own.hidden)
    add(study, recurrent.own.lr, 20.0, hidden=8)
    add(study, recurrent.own.lr, 30.0, hidden=16)
    found = finalists_of(recurrent, study)
    assert [(each.trial, each.chosen["hidden"]) for each in found] == [(2, 8)] * 3 + [(3, 16)] * 3 + [
        (0, recurrent.own.hidden)
    ]
    assert found[-1].settings == replace(recurrent.trial_settings(recurrent.usual), fraction=1.0)
    whole, none = replace(recurrent, fraction=1.0), replace(recurrent, finalists=0)
    assert 0 not in [each.trial for each in finalists_of(whole, study)]
    assert finalists_of(none, study) == []


def test_the_best_learning_rate_lies_between_two_that_are_no_better(plan, trained, outcomes):
    outcomes({0.004: 51.0, 0.008: 60.0, 0.016: 70.0, 0.032: 65.0})
    one = replace(plan, finalists=1)
    study = with_trials(one, (0.004, 40.0))
    assert elected(one, study) == (1, 0.016)
    assert trained == [0.004, 0.002, 0.008, 0.001, 0.016, 0.032]
    assert elected(one, study) == (1, 0.016)
    assert len(trained) == 6


def test_the_row_is_tried_at_half_and_at_twice_its_rate_where_it_is_the_best(plan, trained, outcomes):
    outcomes({0.001: 60.0, 0.0005: 61.0, 0.002: 59.0, 0.00025: 60.5})
    one = replace(plan, space="lr,depth", finalists=1)
    study = storage.open_study(one, "d" * 64)
    add(study, 0.004, 40.0, depth=1)
    assert elected(one, study) == (0, 0.0005)
    assert trained == [0.004, 0.002, 0.008, 0.001, 0.0005, 0.002, 0.00025]


def test_a_learning_rate_is_gone_beyond_twice_at_most(plan, trained, outcomes):
    outcomes({0.004 * 2**power: 50.0 + power for power in range(6)})
    one = replace(plan, finalists=1)
    assert elected(one, with_trials(one, (0.004, 40.0))) == (1, 0.032)


def test_a_rate_beyond_that_diverges_is_no_better(plan, trained, outcomes):
    outcomes({0.008: 60.0, 0.016: ValueError("the loss is nan")})
    one = replace(plan, finalists=1)
    assert elected(one, with_trials(one, (0.004, 40.0))) == (1, 0.008)


def test_half_of_twice_a_rate_is_known_as_that_rate(plan, trained, outcomes):
    """0.002755 and its half and twice: 0.001378, 0.00551, of which the half is 0.002755 again."""
    outcomes({0.001378: 60.0, 0.000689: 55.0})
    one = replace(plan, finalists=1)
    assert elected(one, with_trials(one, (0.002755, 40.0))) == (1, 0.001378)
    assert trained == [0.002755, 0.001378, 0.00551, 0.001, 0.000689]


def test_the_row_wins_where_no_trial_is_better_at_full_length(plan, trained, outcomes):
    outcomes({0.001: 60.0, 0.002: 59.0})
    assert elected(plan, with_trials(plan, *TRIALS)) == (0, 0.001)


def test_without_a_search_for_it_the_learning_rate_is_the_rows_and_each_is_trained_once(plan):
    fixed = replace(plan, space="activation", name="fixed")
    study = storage.open_study(fixed, "d" * 64)
    distribution = optuna.distributions.CategoricalDistribution(("ReLU", "LeakyReLU", "Tanh"))
    for value, activation in enumerate(("ReLU", "Tanh")):
        trial = optuna.trial.create_trial(
            params={"activation": activation}, distributions={"activation": distribution}, value=float(value)
        )
        study.add_trial(trial)
    assert [(each.name, each.settings.activation, each.settings.lr) for each in finalists_of(fixed, study)] == [
        ("finalist-2", "Tanh", 0.001),
        ("finalist-1", "ReLU", 0.001),
    ]


def test_the_winner_is_the_best_on_validation_data(plan, trained, outcomes):
    outcomes({0.002: 60.0, 0.016: 55.0})
    study = with_trials(plan, *TRIALS)
    assert elected(plan, study) == (2, 0.002)
    assert trained == [lr for _, lr in EXPECTED]


def test_what_was_trained_at_full_length_as_a_trial_is_not_trained_again(plan, trained):
    whole = replace(plan, fraction=1.0, finalists=1)
    study = with_trials(whole, (0.004, 90.0))
    assert elected(whole, study) == (1, 0.004)
    assert trained == [0.002, 0.008]


@pytest.mark.fault(31)
def test_a_finalist_that_is_done_is_not_trained_again(plan, trained, outcomes):
    """The first launch is stopped at its second training."""
    outcomes({0.004: 70.0, 0.002: Interrupted(15)})
    one = replace(plan, finalists=1)
    study = with_trials(one, (0.004, 40.0))
    with pytest.raises(Interrupted):
        elected(one, study)
    outcomes({0.008: 60.0})
    assert elected(one, study) == (1, 0.004)
    assert trained == [0.004, 0.002, 0.002, 0.008, 0.001]
    assert elected(one, study) == (1, 0.004)
    assert len(trained) == 5
    # A better trial is a further finalist.
    add(study, 0.02, 50.0)
    assert elected(replace(one, finalists=2), study) == (1, 0.004)
    assert trained[5:] == [0.02, 0.01, 0.04]


@pytest.mark.fault(10)
def test_a_finalist_that_fails_loses_and_is_not_trained_again(plan, trained, outcomes):
    outcomes({0.004: ValueError("the loss is nan"), 0.002: 30.0, 0.008: 0.0, 0.001: 10.0})
    one = replace(plan, finalists=1)
    study = with_trials(one, (0.004, 40.0))
    assert elected(one, study) == elected(one, study) == (1, 0.002)
    assert len(trained) == 4
    values = [value for _, value in elect(one, study, Run.existing(plan.parent), 1).judged]
    assert values[:3] == [30.0, 10.0, 0.0]
    assert math.isnan(values[3])


def test_where_every_finalist_fails_the_best_trial_wins(plan, trained, outcomes):
    outcomes(dict.fromkeys((0.004, 0.002, 0.008, 0.001), ValueError("the loss is nan")))
    one = replace(plan, finalists=1)
    assert elected(one, with_trials(one, (0.001, 10.0), (0.004, 40.0))) == (2, 0.004)


def test_a_finalist_whose_process_was_killed_is_trained_when_the_study_goes_on(plan, trained, monkeypatch):
    one = replace(plan, finalists=1)
    study = with_trials(one, (0.004, 40.0))
    in_turn = finalists.fan_out

    def killed(parent, entry, jobs, work, context, parallel, main, launcher):
        in_turn(parent, entry, jobs[:-1], work, context, parallel, main, launcher)
        raise FailedRunsError("1 of 4 runs failed: finalist-0 lr=0.001")

    with monkeypatch.context() as patched:
        patched.setattr(finalists, "fan_out", killed)
        with pytest.raises(FailedRunsError, match="1 of 4"):
            elected(one, study)
    elected(one, study)
    assert trained == [0.004, 0.002, 0.008, 0.001]


def test_without_finalists_the_winner_is_the_best_trial(plan, trained):
    none = replace(plan, finalists=0)
    assert elected(none, with_trials(none, *TRIALS)) == (2, 0.004)
    assert not trained


def test_a_winner_that_was_tested_is_known_by_its_settings(plan):
    study, parent = with_trials(plan, *TRIALS), Run.existing(plan.parent)
    settings = plan.settings({"lr": 0.004}, 0, 1.0)
    assert storage.retrained(study, settings) == ""
    storage.remember_retrained(study, settings, parent)
    assert storage.retrained(study, replace(settings, device="cuda")) == parent.id
    assert storage.retrained(study, replace(settings, lr=0.002)) == ""
