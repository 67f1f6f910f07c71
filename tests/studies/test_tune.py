"""Studies: that trials and runs tell the same, that none is lost, doubled or left running, and what the winner gets."""

import math
import os
import pickle
import re
import shutil
import signal
import sqlite3
import time
import warnings
from contextlib import closing, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from wsgiref.util import setup_testing_defaults

import numpy as np
import optuna
import pandas as pd
import pytest
import sqlalchemy
from mlflow import MlflowClient
from optuna.trial import TrialState
from support.hosts import hosts
from support.launches import until, without_progress
from support.place import ROOT, Place
from support.shared import SharedServer, shared_server
from support.warm import Forked

from nnmodels.cnn import cnn
from nnmodels.mlp import mlp
from pipelines import names
from pipelines.__main__ import cli
from pipelines.cli.declare import kind_of
from pipelines.data.datasets import REPORTED
from pipelines.data.energy import taylor
from pipelines.data.energy.series import split
from pipelines.data.images import digits
from pipelines.errors import Interrupted, UserError
from pipelines.experiments.ablation import study as ablation_study
from pipelines.experiments.base import changed
from pipelines.experiments.index import STUDIED, experiment_of, search_of
from pipelines.experiments.recurrent.forecaster import forecaster
from pipelines.experiments.recurrent.rows import BASELINES
from pipelines.experiments.recurrent.study import forecaster_parts
from pipelines.experiments.spaces import Depending, LogUniform, OneOf, Steps, Whole
from pipelines.experiments.study import study_of
from pipelines.processes import identity
from pipelines.studies import storage as storing
from pipelines.studies.command import _is_orphan
from pipelines.studies.monitor import best_note, importance_note, importances_of
from pipelines.studies.options import TuneOptions
from pipelines.studies.plan import Plan, plan_of
from pipelines.studies.storage import GRACE_S, PROCESS, begun
from pipelines.studies.worker import run_trials, suggest
from pipelines.tracking.run import CutShort

SMALL = ("tune", "--study", "ablation", "--dataset", "sample", "--fraction", "0.1")
STUDY = "ablation-sample"
ONE_SEED = {"pipelines.studies.command.WINNER_SEEDS": 1}  # of the winner


def own_settings(entry, row="", dataset=""):
    """Settings of a row, the usual one unless it is named, on the report's data."""
    search = search_of(entry)
    return search.own(row or search.row, dataset or REPORTED[experiment_of(entry).data], "")


def space(entry, names, row=""):
    """Dimensions by name."""
    return search_of(entry).dimensions(own_settings(entry, row), names)


def resolved(entry, chosen, row="", dataset=""):
    """Settings of a trial."""
    return search_of(entry).resolve(own_settings(entry, row, dataset), chosen)


COUNTS = {"cnn": 62_006, "cnn-double-channel": 117_678, "cnn-1conv": 152_710, "cnn-3conv": 28_432}
PERCEPTRONS = {1: 369_970, 2: 375_320, 3: 376_650, 4: 377_170}  # by hidden layers: mlp-2 to mlp-5


def parameters(settings):
    """Of the network with these settings, on 3x32x32 images and ten classes."""
    if settings.channels:
        network = cnn(settings.channels, settings.kernel, settings.hidden, settings.activation)
    else:
        network = mlp((3072, *settings.hidden, 10), settings.activation)
    return sum(parameter.numel() for parameter in network.parameters())


# Spaces and settings.


def test_the_default_space_is_learning_rate_and_depth_and_wide_is_everything_asked_for():
    for study in STUDIED:
        assert list(space(study, "default")) == ["lr", "depth"]
        assert isinstance(space(study, "wide")["lr"], LogUniform)
    assert set(space("recurrent", "wide")) == {"lr", "depth", "cell", "hidden", "dropout"}
    assert set(space("ablation", "wide")) == {"lr", "family", "depth", "width", "activation"}
    assert space("recurrent", "wide")["depth"] == Whole(1, 4)
    assert list(space("ablation", "activation, lr")) == ["lr", "activation"]


RELATIVE = {"head", "weight_decay", "warm_up", "average", "lags", "calendar", "target", "identity", "loss"}


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("gru-relative", {"lr", "cell", "depth", "hidden", "dropout", "segment", *RELATIVE}),
        ("ladder-change", {"lr", "cell", "depth", "hidden", "dropout", "segment", *RELATIVE}),
        ("mlp-lags", {"lr", "depth", "hidden", *RELATIVE}),
        ("average-relative", {"lr", "depth", "hidden", "dropout", "segment", *RELATIVE}),
        ("lstm-3", {"lr", "cell", "depth", "hidden", "dropout"}),
    ],
)
def test_what_is_searched_is_what_the_row_has(row, expected):
    assert set(space("recurrent", "wide", row)) == expected
    assert list(space("recurrent", "default", row)) == ["lr", "depth"]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("gru-relative", ("none", "24", "24+48")),
        ("gru-relative-336", ("none", "24", "24+48", "24+48+168")),
        ("mlp-lags", ("none", "24", "24+48")),
    ],
)
def test_lags_reach_no_further_back_than_the_rows_hours(row, expected):
    assert space("recurrent", "lags", row) == {"lags": OneOf(expected)}


@pytest.mark.parametrize("entry", STUDIED)
def test_a_study_can_begin_with_every_trained_row(entry):
    search = search_of(entry)
    assert set(search.rows) == {row for row in experiment_of(entry).rows if row not in BASELINES}
    for row in search.rows:
        for dataset in ("sample", REPORTED[experiment_of(entry).data]):
            own = search.own(row, dataset, "")
            assert search.resolve(own, search.usual(own)) == changed(own, row="tuned"), row


def test_a_row_of_your_own_keeps_the_shape_that_no_choice_gives():
    search, cnn = search_of("ablation"), own_settings("ablation")
    odd = changed(cnn, channels=(7, 9), activation="GELU", lr=0.2)
    assert search.dimensions(odd, "default") == {"lr": LogUniform(0.0001, 0.2)}
    assert list(search.dimensions(odd, "wide")) == ["lr", "activation"]
    assert search.dimensions(odd, "activation")["activation"].options[-1] == "GELU"
    assert search.resolve(odd, {"activation": "Tanh"}) == changed(odd, activation="Tanh", row="tuned")


def test_every_choice_of_a_relative_row_trains():
    """The values at the ends of every range, on data of a size that a test can wait for."""
    dataset = taylor.load()
    part, _ = forecaster_parts(dataset, 1.0)
    for row in ("gru-relative", "mlp-lags"):
        own = own_settings("recurrent", row, "sample")
        for name, dimension in space("recurrent", "wide", row).items():
            if name in ("lr", "hidden", "dropout"):
                continue
            values = dimension.options if isinstance(dimension, OneOf) else (dimension.low, dimension.high)
            for value in values:
                settings = changed(search_of("recurrent").resolve(own, {name: value}), hidden=3, batch_size=256)
                network = forecaster(changed(settings, epochs=1, replicas=1), dataset, part)
                assert network.training.progress.updates > 0, (name, value)
                with network.training as training:
                    training.fit([])


def test_a_choice_of_a_relative_row_is_its_setting():
    own = own_settings("recurrent", "gru-relative")
    chosen = {"depth": 2, "lags": "24", "segment": 96, "identity": False, "average": 0.99, "target": "level"}
    settings = search_of("recurrent").resolve(own, chosen)
    expected = {"layers": 2, "lags": (24,), "segment": 96, "burn_in": 24, "identity": False, "average": 0.99}
    assert settings == changed(own, row="tuned", target="level", **expected)
    assert search_of("recurrent").resolve(own, {"lags": "none"}).lags == ()


def test_an_experiment_with_a_search_and_a_study_is_offered():
    folders = {path.parent.name for path in (ROOT / "pipelines" / "experiments").glob("*/search.py")}
    assert set(kind_of(TuneOptions, "study").choices) == folders == {"recurrent", "ablation"}
    for entry in folders:
        assert study_of(entry).search is search_of(entry)


@pytest.mark.parametrize(
    ("chosen", "count"),
    [
        ({"depth": 1}, COUNTS["cnn-1conv"]),
        ({"depth": 2}, COUNTS["cnn"]),
        ({"depth": 3}, COUNTS["cnn-3conv"]),
        ({"depth": 2, "width": 2}, COUNTS["cnn-double-channel"]),
        *[({"family": "mlp", "depth": depth}, count) for depth, count in PERCEPTRONS.items()],
    ],
)
def test_a_classifier_of_each_depth_is_the_reports_row(chosen, count):
    assert parameters(resolved("ablation", chosen)) == count


def test_every_point_of_the_widest_space_gives_settings_that_can_be_built():
    wide = space("ablation", "wide")
    for family in wide["family"].options:
        depths = wide["depth"].cases[family]
        for depth in range(depths.low, depths.high + 1):
            for width in wide["width"].options:
                chosen = {"family": family, "depth": depth, "width": width, "activation": "Tanh", "lr": 0.01}
                settings = resolved("ablation", chosen)
                assert parameters(settings) > 0
                assert (settings.activation, settings.lr) == ("Tanh", 0.01)


@pytest.fixture
def real_plan() -> Plan:
    """Of a recurrent study on the sample, whose trials and winner are trained on other numbers of windows."""
    return Plan(
        study="recurrent",
        row="gru-2",
        name="s",
        space="default",
        dataset="sample",
        n_trials=1,
        fraction=1.0,
        finalists=0,
        storage="",
        seed=0,
        deadline=float("inf"),
        device="cpu",
        precision="fp32",
        data_dir="",
    )


def test_a_forecaster_has_what_was_chosen_and_the_rows_own_for_the_rest():
    chosen = {"lr": 0.01, "depth": 4, "cell": "LSTM", "hidden": 64, "dropout": 0.25}
    settings = resolved("recurrent", chosen)
    assert (settings.layers, settings.cell, settings.hidden) == (4, "LSTM", 64)
    assert (settings.lr, settings.dropout) == (0.01, 0.25)
    assert (settings.row, settings.training, settings.epochs) == ("tuned", "dense", 3)
    # The catalogue's gru-2.
    own = resolved("recurrent", {})
    assert (own.cell, own.layers, own.hidden, own.lr) == ("GRU", 2, 256, 0.006)


@pytest.mark.parametrize(
    ("fraction", "expected"),
    # Of 1,734 windows a trial has 1,561, and of these the fraction: (1561 - 24) / 80 = 19 and (312 - 24) / 80 = 3
    # segments of 96 hours, in batches of 8, which are 3 updates an epoch and 1; the winner has 3.
    [(1.0, 1.0), (0.2, (1 / 3) ** 0.5)],
)
def test_a_winner_that_is_trained_longer_has_a_smaller_learning_rate(real_plan, fraction, expected):
    plan = replace(real_plan, fraction=fraction)
    factor = plan.lr_factor({"lr": 0.01}, validated=False)
    assert factor == pytest.approx(expected, rel=0.02)
    assert plan.with_lr({"lr": 0.01, "depth": 1}, factor) == {
        "lr": pytest.approx(0.01 * expected, rel=0.02),
        "depth": 1,
    }
    assert plan.trial_settings({"lr": 0.01}).lr == 0.01
    assert plan.lr_factor({"depth": 3}, validated=False) == 1
    assert plan.settings(plan.with_lr({"depth": 3}, 1), 0, 1.0).lr == 0.006  # the row's own


def test_a_training_with_the_validation_part_has_more_updates_than_one_without(real_plan):
    """Batches of 64 of 1,561 windows are 25, of all 1,734 they are 28."""
    plan = replace(real_plan, row="mlp-lags")
    assert plan.lr_factor({"lr": 0.01}, validated=True) == 1
    assert plan.lr_factor({"lr": 0.01}, validated=False) == pytest.approx((25 / 28) ** 0.5)


def test_a_learning_rate_that_does_not_follow_the_updates_is_kept(real_plan):
    plan = replace(real_plan, study="ablation", row="cnn", precision="", fraction=0.2)
    assert plan.lr_factor({"lr": 0.01}, validated=False) == plan.lr_factor({"lr": 0.01}, validated=True) == 1


# What a trial sees.


def test_the_test_part_takes_no_part_in_a_forecasters_trial():
    dataset = taylor.load()
    train, validation = forecaster_parts(dataset, 0.5)
    test = split(dataset)["test"]
    for series in range(len(test)):
        assert max(train[series]) < min(validation[series]) <= max(validation[series]) < min(test[series])


class WatchedError(Exception):
    """Ends a training as soon as its data have been seen."""


def test_a_classifiers_trial_has_the_training_part_alone(monkeypatch):
    seen = []

    def spy(settings, dataset):
        seen.append(dataset)
        raise WatchedError

    monkeypatch.setattr(ablation_study, "classifier", spy)
    with pytest.raises(WatchedError):
        ablation_study.train_classifier(
            None, resolved("ablation", {}, dataset="sample"), "", lambda epoch, value: False
        )
    whole, (part,) = digits.load(), seen
    together = np.concatenate([part.train_images, part.test_images])
    assert sorted(map(bytes, together)) == sorted(map(bytes, whole.train_images))
    assert len(part.test_labels) == 200
    assert set(np.bincount(part.test_labels)) <= {19, 20, 21}


# The bridge between Optuna and MLflow, with trials that train nothing.


@pytest.fixture
def train(monkeypatch):
    """A function that takes the place of training: what it is given is called with the number of calls before."""

    def put(behave):
        calls = []

        def fake(run, settings, data_dir, report, watchers):
            calls.append(settings.lr)
            return behave(len(calls) - 1, settings.lr, report)

        monkeypatch.setattr(ablation_study, "STUDY", replace(ablation_study.STUDY, train=fake))
        return calls

    return put


def accuracy(lr):
    """Best at 0.01."""
    return 60 - 20 * abs(np.log10(lr) + 2)


def to_the_end(number, lr, report):
    for epoch in range(1, 11):
        if report(epoch, accuracy(lr) * epoch / 10):
            raise CutShort
    return accuracy(lr)


def open_study(plan):
    return storing.open_study(plan, "d" * 64)


def states(study):
    return [each.state for each in study.trials]


@pytest.mark.medium
def test_each_trial_has_a_run_that_tells_the_same(plan, train, place):
    train(to_the_end)
    study = open_study(plan)
    run_trials(plan, 0, 0)
    assert len(study.trials) == 12
    assert {TrialState.COMPLETE, TrialState.PRUNED} == set(states(study))
    for each in study.trials:
        run = place.client.get_run(each.user_attrs["run_id"])
        tags, metrics = run.data.tags, run.data.metrics
        assert tags["mlflow.parentRunId"] == plan.parent
        assert (tags["entry"], tags["study"], tags["trial"]) == ("tune", "s", str(each.number))
        assert "row" not in tags
        assert float(run.data.params["lr"]) == each.params["lr"]
        if each.state == TrialState.COMPLETE:
            assert run.info.status == "FINISHED"
            assert metrics["objective"] == each.value == accuracy(each.params["lr"])
        else:
            assert run.info.status == "KILLED"
            assert "objective" not in metrics
            # Not before a third of its epochs, and not after more than it took.
            assert 4 <= max(each.intermediate_values) < 10
    assert study.best_value == max(accuracy(each.params["lr"]) for each in study.trials if each.value)


def test_a_trial_that_fails_is_failed_and_the_study_goes_on(plan, train, place):
    def behave(number, lr, report):
        if number == 1:
            raise ValueError("the loss is nan")
        return accuracy(lr)

    train(behave)
    study = open_study(plan)
    run_trials(replace(plan, n_trials=3), 0, 0)
    assert states(study) == [TrialState.COMPLETE, TrialState.FAIL, TrialState.COMPLETE]
    run = place.client.get_run(study.trials[1].user_attrs["run_id"])
    assert run.info.status == "FAILED"
    assert run.data.tags["failure"] == "ValueError: the loss is nan"


@pytest.mark.fault(2)
def test_an_interrupted_trial_is_killed_and_done_again_when_the_study_goes_on(plan, train, place):
    def behave(number, lr, report):
        if number == 1:
            raise Interrupted(signal.SIGTERM)
        return accuracy(lr)

    train(behave)
    study = open_study(plan)
    three = replace(plan, n_trials=3)
    with pytest.raises(Interrupted):
        run_trials(three, 0, 0)
    assert states(study) == [TrialState.COMPLETE, TrialState.FAIL, TrialState.WAITING]
    run = place.client.get_run(study.trials[1].user_attrs["run_id"])
    assert run.info.status == "KILLED"
    run_trials(three, 1, 0)
    assert states(study) == [TrialState.COMPLETE, TrialState.FAIL, TrialState.COMPLETE, TrialState.COMPLETE]
    assert study.trials[2].params == study.trials[1].params
    assert study.trials[2].user_attrs["run_id"] != study.trials[1].user_attrs["run_id"]
    assert begun(study) == 3


@pytest.mark.fault(29)
def test_a_trial_is_given_to_another_once_only(plan, train):
    def behave(number, lr, report):
        raise Interrupted(signal.SIGTERM)

    train(behave)
    study = open_study(plan)
    one = replace(plan, n_trials=1)
    for worker in range(2):
        with pytest.raises(Interrupted):
            run_trials(one, worker, 0)
    run_trials(one, 2, 0)
    assert states(study) == [TrialState.FAIL, TrialState.FAIL]


@pytest.mark.fault(29)
@pytest.mark.medium
@pytest.mark.parametrize("reports", [True, False], ids=["before a report", "before its result"])
def test_a_worker_that_was_given_up_leaves_its_trial_to_another(plan, train, place, reports):
    """As after a machine that slept, or a network that was away."""

    def behave(number, lr, report):
        if number == 1:
            study.tell(1, state=TrialState.FAIL)
            storing.give_to_another(study, study.trials[1])
            if not reports:
                return accuracy(lr)
        return to_the_end(number, lr, report)

    rates = train(behave)
    study = open_study(plan)
    run_trials(replace(plan, n_trials=3), 0, 0)
    complete = TrialState.COMPLETE
    assert states(study) == [complete, TrialState.FAIL, complete, complete]
    assert rates[1] == rates[2]
    runs = place.runs()
    assert [runs[f"trial-{number}"].info.status for number in range(4)] == ["FINISHED", "KILLED", *["FINISHED"] * 2]
    assert "objective" not in runs["trial-1"].data.metrics
    assert "failure" not in runs["trial-1"].data.tags


@pytest.mark.medium
def test_the_first_trial_has_the_rows_own_settings_so_that_the_winner_is_no_worse(plan, train):
    rates = train(to_the_end)
    open_study(plan)
    open_study(plan)  # as another launch would at the same time
    run_trials(plan, 0, 0)
    assert rates.index(0.001) == 0  # the CNN report's
    assert rates.count(0.001) == 1
    assert len(rates) == 12
    assert storing.best_of(open_study(plan)).value >= accuracy(0.001)


@pytest.mark.parametrize(
    ("study", "row", "expected"),
    [
        ("ablation", "cnn", {"lr": 0.001, "family": "cnn", "depth": 2, "width": 1, "activation": "ReLU"}),
        ("ablation", "mlp-4", {"lr": 0.001, "family": "mlp", "depth": 3, "width": 1, "activation": "ReLU"}),
        (
            "ablation",
            "cnn-double-channel",
            {"lr": 0.001, "family": "cnn", "depth": 2, "width": 2, "activation": "ReLU"},
        ),
        ("recurrent", "gru-2", {"lr": 0.006, "cell": "GRU", "depth": 2, "hidden": 256, "dropout": 0.0}),
    ],
)
def test_the_usual_choices_are_those_of_the_row(study, row, expected):
    assert search_of(study).usual(own_settings(study, row)) == expected


def test_the_first_trial_of_a_relative_row_has_its_settings(plan):
    relative = replace(plan, study="recurrent", row="gru-relative", name="relative", space="wide", precision="fp32")
    (first,) = open_study(relative).get_trials(states=(TrialState.WAITING,))
    chosen = first.system_attrs["fixed_params"]
    assert chosen["lags"] == "24+48"
    assert set(chosen) == set(relative.dimensions)
    own = search_of("recurrent").own("gru-relative", "sample", "")
    assert relative.trial_settings(chosen) == changed(own, row="tuned", study="relative")


@pytest.mark.medium
@pytest.mark.fault(31)
def test_no_trial_is_replayed_by_another_worker_or_a_resumed_study(plan, train):
    rates = train(to_the_end)
    open_study(plan)
    for worker, total in ((0, 4), (1, 8), (2, 12)):
        run_trials(replace(plan, n_trials=total), worker, 0)
    assert len(rates) == len(set(rates)) == 12


@pytest.mark.medium
def test_the_same_worker_draws_the_same_in_another_study_of_the_same_name(plan, train, place):
    rates = train(to_the_end)
    for storage in ("a", "b"):
        elsewhere = replace(plan, n_trials=4, storage=f"sqlite:///{place.folder}/{storage}.db")
        open_study(elsewhere)
        run_trials(elsewhere, 0, 0)
    assert rates[:4] == rates[4:]


def test_no_trial_is_begun_after_the_deadline(plan, train):
    train(to_the_end)
    study = open_study(plan)
    run_trials(replace(plan, deadline=time.monotonic() - 1), 0, 0)
    assert storing.begun(study) == 0


def test_a_clock_that_is_set_back_by_a_day_gives_no_further_trials(plan, train, monkeypatch):
    """The third trial begins after the time is over, and the clock is set during the first."""
    now, back = [time.monotonic()], []

    def behave(number, lr, report):
        now[0] += 60
        back.append(86400)
        return accuracy(lr)

    train(behave)
    study = open_study(plan)
    clock = SimpleNamespace(**{**vars(time), "monotonic": lambda: now[0], "time": lambda: time.time() - sum(back)})
    monkeypatch.setattr(storing, "time", clock)
    run_trials(replace(plan, n_trials=40, deadline=now[0] + 100), 0, 0)
    assert len(study.trials) == 2


def test_a_plan_that_is_sent_to_another_machine_has_that_machines_deadline(plan, monkeypatch):
    sent = replace(plan, deadline=1000.0 + 60)
    clocks = {"monotonic": 1000.0, "time": 1.5e9}
    for name in clocks:
        monkeypatch.setattr(f"pipelines.studies.plan.time.{name}", lambda name=name: clocks[name])
    message = pickle.dumps([sent, plan])
    # 40 s of the 60 s have passed in a queue.
    clocks |= {"monotonic": 5.0, "time": 1.5e9 + 40}
    assert pickle.loads(message) == [replace(plan, deadline=25.0), plan]


def running(**attributes):
    """A trial that runs, of a worker that tells what is given."""
    return optuna.trial.create_trial(state=TrialState.RUNNING, user_attrs=attributes)


def test_a_trial_is_an_orphan_if_its_worker_is_surely_gone():
    mine = identity.own()
    gone = replace(mine, ticks=str(int(mine.ticks) + 1))
    for worker, orphan in ((mine, False), (gone, True), (replace(gone, host="other.example"), False)):
        assert _is_orphan(running(run_id="x", process=worker.tags), 10_000) is orphan
    # Of a version that did not record it, Optuna's own signs of life tell.
    assert not _is_orphan(running(run_id="x"), 10_000)


def test_a_trial_whose_worker_never_gave_a_sign_of_life_is_an_orphan_after_a_while():
    """By the watch of who looks, whatever the database says of its begin."""
    begun = running()
    begun.datetime_start -= timedelta(days=1)
    assert not _is_orphan(begun, 2 * GRACE_S)
    assert _is_orphan(begun, 2 * GRACE_S + 1)


def test_a_clock_set_forward_takes_no_running_trial_away(plan, monkeypatch):
    """Every sign of life looks old until the next one."""
    storage = storing.open_storage(plan)
    looks = iter([[1, 2], [2]])
    monkeypatch.setattr(storing.RDBStorage, "_get_stale_trial_ids", lambda self, study_id: next(looks))
    monkeypatch.setattr(storing.time, "sleep", lambda seconds: None)
    assert storage._get_stale_trial_ids(1) == [2]


@pytest.mark.medium
def test_a_locked_database_is_one_line_in_time(place, at, capsys, monkeypatch):
    at(place.folder, place.uri)
    assert storing.FIRST_LOCK_S == 10
    monkeypatch.setattr(storing, "FIRST_LOCK_S", 1)
    database = place.folder / "studies.db"
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("CREATE TABLE x (y)")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(SystemExit) as end:
            cli(["tune", "--dataset", "sample", "--study", "ablation", "--storage", f"sqlite:///{database}"])
    (line,) = without_progress(capsys.readouterr().err)
    assert end.value.code == 2
    assert "has been locked by another process for 1 s" in line
    assert f"fuser {database}" in line
    assert not place.runs()


@pytest.mark.fault(30)
def test_a_study_that_is_continued_must_be_the_same(plan, train):
    train(to_the_end)
    open_study(plan)
    for change, named in (
        ({"space": "lr,depth"}, "space was"),
        ({"fraction": 0.5}, "fraction was 1.0"),
        ({"study": "recurrent", "row": "gru-2"}, "maximize"),
        ({"row": "mlp-3"}, "row was cnn"),
    ):
        with pytest.raises(UserError, match=named):
            open_study(replace(plan, **change))
    with pytest.raises(UserError, match="data was"):
        storing.open_study(plan, "e" * 64)
    assert open_study(plan).study_name == "s"


def test_a_study_of_an_earlier_version_is_of_the_usual_row(plan):
    study = open_study(plan)
    study.set_user_attr("recipe", {key: value for key, value in study.user_attrs["recipe"].items() if key != "row"})
    assert open_study(plan).study_name == "s"
    with pytest.raises(UserError, match="row was cnn"):
        open_study(replace(plan, row="cnn-tanh"))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"study": "ablation"}, ("ablation-sample", "cnn")),
        ({"study": "ablation", "row": "cnn"}, ("ablation-cnn-sample", "cnn")),
        ({"row": "gru-relative"}, ("recurrent-gru-relative-sample", "gru-relative")),
        ({"row": "gru-relative", "name": "mine"}, ("mine", "gru-relative")),
    ],
)
def test_a_study_is_named_after_the_row_that_it_was_given(place, at, options, expected):
    at(place.folder, place.uri)
    made = plan_of(TuneOptions(dataset="sample", **options))
    assert (made.name, made.row) == expected


def test_a_study_from_elsewhere_is_not_taken_over(plan):
    foreign = optuna.create_study(storage=plan.storage, study_name="s", direction="maximize")
    foreign.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
    with pytest.raises(UserError, match="elsewhere"):
        open_study(plan)


def test_every_kind_of_dimension_is_suggested_within_its_range():
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(0))
    space = {
        "a": LogUniform(0.001, 0.1),
        "b": Steps(0.0, 0.3, 0.1),
        "c": OneOf(("x", "y")),
        "d": Depending("c", {"x": Whole(1, 2), "y": Whole(3, 4)}),
    }
    drawn = []
    for _ in range(40):
        asked, chosen = study.ask(), {}
        for name, dimension in space.items():
            chosen[name] = suggest(asked, name, dimension, chosen)
        drawn.append(chosen)
        study.tell(asked, 0)
    assert all(0.001 <= each["a"] <= 0.1 for each in drawn)
    assert 10 < sum(each["a"] < 0.01 for each in drawn) < 30
    assert {round(each["b"], 6) for each in drawn} == {0.0, 0.1, 0.2, 0.3}
    assert {(each["c"], each["d"]) for each in drawn} == {("x", 1), ("x", 2), ("y", 3), ("y", 4)}


@pytest.mark.parametrize("decisive", ["lr", "depth"])
def test_importance_finds_what_matters_and_waits_for_enough_trials(decisive):
    """Optuna's own method gives lr, which is continuous, the larger share of eight trials in both cases."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(0))

    def objective(each):
        chosen = {"lr": each.suggest_float("lr", 0, 1), "depth": each.suggest_int("depth", 1, 4) / 4}
        return chosen[decisive]

    study.optimize(objective, n_trials=5)
    assert importances_of(study).empty
    study.optimize(objective, n_trials=3)
    table = importances_of(study)
    shares = table.set_index("hyperparameter")["importance"]
    assert shares[decisive] > 0.6
    assert shares.sum() == pytest.approx(1)
    assert set(table["method"]) == {"fANOVA"}


def test_what_the_importances_leave_out_is_said():
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(0))

    def objective(each):
        family = each.suggest_categorical("family", ("cnn", "mlp"))
        depth = each.suggest_int("depth", 1, 3 if family == "cnn" else 4)
        return each.suggest_float("lr", 0, 1) + depth

    study.optimize(objective, n_trials=5)
    note = importance_note(study, ("lr", "family", "depth"))
    assert note == (
        "No importances of the hyperparameters: they take 6 trials that ran to their end, and the study has 5; "
        "the same command with a larger --n-trials goes on."
    )
    study.optimize(objective, n_trials=20)
    note = importance_note(study, ("lr", "family", "depth"))
    assert note == "The importances leave out depth: the range depends on another choice."


def test_the_best_trial_is_a_table_with_importances_where_there_are_some():
    study = optuna.create_study(direction="maximize")
    dimensions = {"lr": LogUniform(0.001, 1), "dropout": Steps(0, 0.3, 0.05), "depth": Whole(1, 4)}
    plan = SimpleNamespace(dimensions=dimensions, search=search_of("ablation"))
    none = pd.DataFrame(columns=["hyperparameter", "importance"])
    assert best_note(plan, study, none) == ""
    for lr, value in ((0.25, 10.0), (0.0123456, 61.23456), (0.5, 20.0)):
        # Optuna's sum of steps.
        study.enqueue_trial({"lr": lr, "dropout": 0.15000000000000002, "depth": 2})
        trial = study.ask()
        trial.suggest_float("lr", 0.001, 1, log=True)
        trial.suggest_float("dropout", 0, 0.3, step=0.05)
        trial.suggest_int("depth", 1, 4)
        study.tell(trial, value)
    study.tell(study.ask(), state=TrialState.FAIL)
    assert best_note(plan, study, none).splitlines() == [
        "| best of 3 that ran to their end: trial 1 | value |",
        "| --- | ---: |",
        "| val_accuracy | 61.23 |",
        "| lr | 0.01235 |",
        "| dropout | 0.15 |",
        "| depth | 2 |",
    ]
    shares = pd.DataFrame({"hyperparameter": ["lr", "dropout"], "importance": [0.831, 0.169], "method": "fANOVA"})
    assert best_note(plan, study, shares).splitlines() == [
        "| best of 3 that ran to their end: trial 1 | value | importance |",
        "| --- | ---: | ---: |",
        "| val_accuracy | 61.23 |  |",
        "| lr | 0.01235 | 0.83 |",
        "| dropout | 0.15 | 0.17 |",
        "| depth | 2 |  |",
    ]


# From end to end.


def trials_of(place, name=STUDY):
    return optuna.load_study(study_name=name, storage=f"sqlite:///{place.folder}/optuna.db").trials


@pytest.fixture(scope="module")
def tuned(tmp_path_factory, blank_database):
    """Five trials of the whole space by two workers, and the winner's training."""
    place = Place(tmp_path_factory.mktemp("tuned"))
    shutil.copy(blank_database, place.database)
    arguments = ("--n-trials", "5", "--workers", "2", "--space", "wide", "--finalists", "1")
    assert place.invoke(*SMALL, *arguments) == 0, place.stderr
    yield place
    place.end()


@pytest.mark.medium
def test_a_study_has_its_trials_and_its_winner_is_trained_with_three_seeds(tuned):
    runs, trials = tuned.runs(), trials_of(tuned)
    assert len(trials) == 5
    assert all(each.state in (TrialState.COMPLETE, TrialState.PRUNED) for each in trials)
    parent = runs[f"tune {STUDY}"]
    assert all(run.info.status in ("FINISHED", "KILLED") for run in runs.values())
    best = max((each for each in trials if each.state == TrialState.COMPLETE), key=lambda each: each.value)
    assert parent.data.metrics["best_val_accuracy"] == best.value
    # The best finalist, by what it logged on validation data: of the best trial at its learning rate, half and twice
    # it, or of the row.
    judged = [(int(run.data.tags["finalist"]), float(run.data.params["lr"])) for run in finalists_of(tuned)]
    assert {number for number, _ in judged} == {best.number, 0}
    for factor in (0.5, 1, 2):
        assert any(lr == pytest.approx(best.params["lr"] * factor, rel=1e-3) for _, lr in judged)
    found = {name: value for name, value in parent.data.params.items() if name.startswith("best_")}
    number, lr = int(found["best_trial"]), found["best_lr"]
    values = {run.data.params["lr"]: run.data.metrics["val_accuracy"] for run in finalists_of(tuned)}
    assert values[lr] == max(values.values())
    chosen = {f"best_{name}": str(value) for name, value in trials[number].params.items()}
    assert found == {"best_trial": str(number)} | chosen | {"best_lr": lr}
    # It is between two rates that are no better, unless it has been gone beyond twice.
    tried = {round(math.log2(rate / float(lr))) for trial, rate in judged if trial == number}
    assert {-1, 1} <= tried or len(tried) >= 4
    for seed in range(3):
        run = runs[f"tuned-seed{seed}"]
        tags, params = run.data.tags, run.data.params
        assert run.info.status == "FINISHED"
        assert (tags["entry"], tags["row"], tags["study"]) == ("ablation", "tuned", STUDY)
        assert (params["fraction"], params["seed"], params["lr"]) == ("1.0", str(seed), lr)
        assert [step for step, _ in tuned.history(run, "test_accuracy")] == list(range(1, 11))


def finalists_of(place):
    """Runs of the finalists."""
    experiments = [each.experiment_id for each in place.client.search_experiments()]
    return place.client.search_runs(experiments, "tags.finalist LIKE '%'")


@pytest.mark.medium
def test_a_finalist_is_trained_at_full_length_and_is_neither_trial_nor_row(tuned):
    for run in finalists_of(tuned):
        tags = run.data.tags
        assert (run.info.status, tags["entry"], tags["study"]) == ("FINISHED", "tune", STUDY)
        assert not {"row", "trial"} & tags.keys()
        assert not [name for name in run.data.metrics if name.startswith("test") or name == "objective"]
        assert [step for step, _ in tuned.history(run, "val_accuracy")] == list(range(1, 11))
        assert run.data.params["fraction"] == "1.0"
        roles = {tag.value for given in run.inputs.dataset_inputs for tag in given.tags}
        assert roles == {"training", "validation"}
    table = pd.read_csv(tuned.artifact(tuned.runs()[f"tune {STUDY}"], names.FINALISTS))
    assert table["val_accuracy"].is_monotonic_decreasing
    assert sorted(table["val_accuracy"]) == sorted(run.data.metrics["val_accuracy"] for run in finalists_of(tuned))


@pytest.mark.medium
def test_a_trial_leaves_the_values_it_was_judged_by_and_nothing_of_the_test_part(tuned):
    runs = tuned.runs()
    for each in trials_of(tuned):
        run = runs[f"trial-{each.number}"]
        assert dict(tuned.history(run, "val_accuracy")) == each.intermediate_values
        assert not [name for name in run.data.metrics if name.startswith("test")]
        roles = {tag.value for given in run.inputs.dataset_inputs for tag in given.tags}
        assert roles == {"training", "validation"}


@pytest.mark.medium
def test_the_launch_shows_its_trials_as_a_table_and_figures(tuned):
    run = tuned.runs()[f"tune {STUDY}"]
    table = pd.read_csv(tuned.artifact(run, names.TRIALS))
    assert table["trial"].tolist() == list(range(5))
    assert table["run_id"].tolist() == [tuned.runs()[f"trial-{number}"].info.run_id for number in range(5)]
    for figure in (names.HISTORY_FIGURE, names.SLICE_FIGURE, names.CONTOUR_FIGURE, names.TRIAL_VALUES_FIGURE):
        assert tuned.artifact(run, figure).read_bytes().startswith(b"\x89PNG")
    note = run.data.tags["mlflow.note.content"]
    # First what was found, without markdown, and in the end the winner's own results, each a table of its own.
    best = max((each for each in trials_of(tuned) if each.state == TrialState.COMPLETE), key=lambda each: each.value)
    winner = r"best: tuned, test_accuracy \d[^\n]*\n\n"
    finalists = r"\| finalist: trial \| val_accuracy \|[^*]*\n\n"
    found = (
        rf"{winner}{finalists}\| best of \d .*: trial {best.number} \|.*\n\n\*\*Study .*\n\n\| row \|.*\| tuned \| \d"
    )
    assert re.match(found, note, re.DOTALL)
    assert f"| val_accuracy | {best.value:.4g} |" in note
    # Five trials are too few for importances: there is no file without a line, and the description says why.
    assert [file.path for file in tuned.client.list_artifacts(run.info.run_id, "tables") if "import" in file.path] == []
    assert "No importances of the hyperparameters: they take 6 trials" in note


@pytest.mark.medium
def test_optunas_own_pages_name_the_metric_also_of_a_study_that_was_begun_without(tuned):
    storage = f"sqlite:///{tuned.folder}/optuna.db"
    assert optuna.load_study(study_name=STUDY, storage=storage).metric_names == ["val_accuracy"]
    with closing(sqlite3.connect(tuned.folder / "optuna.db")) as connection, connection:
        connection.execute("DELETE FROM study_system_attributes WHERE key LIKE '%metric_names'")
    assert optuna.load_study(study_name=STUDY, storage=storage).metric_names is None
    assert tuned.invoke(*SMALL, "--n-trials", "5", "--space", "wide", "--finalists", "1") == 0, tuned.stderr
    assert optuna.load_study(study_name=STUDY, storage=storage).metric_names == ["val_accuracy"]


@pytest.mark.medium
def test_the_winner_stands_in_the_comparison(tuned):
    assert tuned.invoke("compare", "--entry", "ablation", module="analysis") == 0, tuned.stderr
    lines = (tuned.folder / "stdout").read_text().splitlines()
    # Finalists are not tested, so they are no lines of it.
    (line,) = (line for line in lines if line.startswith(("| tuned", "| finalist")))
    assert "| 3 |" in line


@pytest.mark.medium
def test_a_longer_launch_continues_the_study_and_the_same_one_has_nothing_to_do(tuned):
    before, finalists = trials_of(tuned), len(finalists_of(tuned))
    assert tuned.invoke(*SMALL, "--n-trials", "5", "--space", "wide", "--finalists", "1") == 0, tuned.stderr
    assert "was trained and tested before" in tuned.stderr
    assert trials_of(tuned) == before
    assert len(finalists_of(tuned)) == finalists
    assert tuned.invoke(*SMALL, "--n-trials", "7", "--space", "wide", "--finalists", "0") == 0, tuned.stderr
    after = trials_of(tuned)
    assert after[:5] == before
    assert len(after) == 7
    assert len({each.params["lr"] for each in after}) == 7


@pytest.mark.medium
def test_optunas_dashboard_shows_the_study(tuned):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from optuna_dashboard import wsgi

        app = wsgi(f"sqlite:///{tuned.folder}/optuna.db")
        answer = []
        environment = {"PATH_INFO": "/api/studies"}
        setup_testing_defaults(environment)
        body = b"".join(app(environment, lambda status, headers, error=None: answer.append(status)))
    assert answer == ["200 OK"]
    assert STUDY.encode() in body


@pytest.mark.medium
def test_two_launches_of_one_study_on_new_databases_both_succeed(tmp_path):
    place = Place(tmp_path)
    place.alter(ONE_SEED)
    processes = [place.fork(*SMALL, "--n-trials", "4", "--finalists", "0", module="support.altered") for _ in range(2)]
    try:
        assert [process.wait(timeout=400) for process in processes] == [0, 0], place.stderr
    finally:
        place.end()
    trials = trials_of(place)
    assert len(trials) == 4
    assert all(each.state in (TrialState.COMPLETE, TrialState.PRUNED) for each in trials)
    assert len({each.params["lr"] for each in trials}) == 4
    experiments = [each.experiment_id for each in place.client.search_experiments()]
    runs = place.client.search_runs(experiments)
    assert sorted(run.info.run_name for run in runs if "row" in run.data.tags) == ["tuned-seed0"]
    assert not [run for run in runs if run.info.status not in ("FINISHED", "KILLED")]


@pytest.mark.fault(29)
@pytest.mark.slow
def test_after_kill_9_of_one_of_two_workers_no_trial_is_lost_doubled_or_running(place):
    place.alter(ONE_SEED)
    process = place.fork(*SMALL, "--n-trials", "6", "--workers", "2", "--space", "lr", module="support.held")

    def two_at_work():
        running = [
            run
            for name, run in place.runs().items()
            if name.startswith("trial-") and run.info.status == "RUNNING" and "val_accuracy" in run.data.metrics
        ]
        return running if len(running) == 2 else None

    killed, _ = until(two_at_work, process)
    os.kill(int(killed.data.tags["pid"]), signal.SIGKILL)
    (place.folder / "go").touch()
    assert process.wait(timeout=400) == 0, place.stderr
    trials = trials_of(place)
    number = int(killed.data.tags["trial"])
    assert trials[number].state == TrialState.FAIL
    assert place.runs()[f"trial-{number}"].info.status == "KILLED"
    whole = [each for each in trials if each.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    assert len(whole) == 6
    assert len(trials) == 7
    assert len({each.params["lr"] for each in whole}) == 6
    # What was begun has been done again.
    assert trials[number].params["lr"] in {each.params["lr"] for each in whole}


@pytest.mark.slow
def test_four_workers_share_a_study_on_postgresql(place, postgresql):
    # A process of its own closes its connections when it ends.
    place.alter(ONE_SEED)
    study = (*SMALL, "--n-trials", "8", "--workers", "4", "--finalists", "1", "--storage", postgresql)
    code = place.fork(*study, module="support.altered").wait(timeout=400)
    assert code == 0, place.stderr
    assert not (place.folder / "optuna.db").exists()
    storage = optuna.storages.RDBStorage(postgresql)
    trials = optuna.load_study(study_name=STUDY, storage=storage).trials
    storage.engine.dispose()
    assert len(trials) == len({each.params["lr"] for each in trials}) == 8
    assert all(each.state in (TrialState.COMPLETE, TrialState.PRUNED) for each in trials)
    pids = {run.data.tags["pid"] for name, run in place.runs().items() if name.startswith("trial-")}
    assert len(pids) > 1


# So that a silent trial is soon another's.
HURRIED = {"pipelines.studies.storage.HEARTBEAT_S": 2, "pipelines.studies.storage.GRACE_S": 15}


def on_host(server: SharedServer, folder: Path, name: str) -> tuple[Forked, Place]:
    """The launch of a study on a host of that name, which shares no folder with others: its process and its folder."""
    host = Place(folder / name, **server.variables())
    (host.folder / "tmp").mkdir(parents=True)
    for variable, inside in {"HOME": ".", "TMPDIR": "tmp"}.items():
        host.set(variable, str(host.folder / inside))
    host.alter(ONE_SEED | HURRIED)
    study = (*SMALL, "--n-trials", "8", "--workers", "2", "--space", "lr", "--finalists", "0")
    return host.fork(name, *study, module="support.on_host"), host


@hosts
@pytest.mark.fault(29)
@pytest.mark.slow
def test_a_study_on_two_machines_has_its_trials_though_one_machine_dies(tmp_path, monkeypatch):
    with shared_server() as server:
        for name, value in server.variables().items():
            monkeypatch.setenv(name, value)
        launches = {name: on_host(server, tmp_path, name) for name in ("first", "second")}
        address = os.environ["OPTUNA_STORAGE"]
        engine, opened = sqlalchemy.create_engine(address), []

        def at_work():
            if not opened:
                # Opened earlier, without the launches' lock, it would make tables while they do; this one is the last.
                if not sqlalchemy.inspect(engine).has_table("alembic_version"):
                    return None
                opened.append(optuna.storages.RDBStorage(address))
            with suppress(KeyError):
                trials = optuna.load_study(study_name=STUDY, storage=opened[0]).trials
                on = [each.user_attrs[PROCESS]["host"] for each in trials if PROCESS in each.user_attrs]
                return sorted(on) == ["first", "first", "second", "second"]

        try:
            until(at_work, launches["first"][0])
            launches["second"][1].end()
            process, first = launches["first"]
            (first.folder / "go").touch()
            assert process.wait(timeout=400) == 0, first.stderr
        finally:
            for _, host in launches.values():
                host.end()
        trials = optuna.load_study(study_name=STUDY, storage=opened[0]).trials
        for each in (engine, opened[0].engine):
            each.dispose()
        client = MlflowClient(os.environ["MLFLOW_TRACKING_URI"])
        runs = client.search_runs([each.experiment_id for each in client.search_experiments()])
    assert not list(tmp_path.rglob("*.db*"))
    whole = [each for each in trials if each.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    lost = [each for each in trials if each.state == TrialState.FAIL]
    assert (len(whole), len(lost), len(trials)) == (8, 2, 10)
    assert {each.user_attrs[PROCESS]["host"] for each in lost} == {"second"}
    assert {each.user_attrs[PROCESS]["host"] for each in whole} == {"first"}
    # What was begun has been done again, and nothing else twice.
    assert len({each.params["lr"] for each in whole}) == 8
    assert {each.params["lr"] for each in lost} < {each.params["lr"] for each in whole}
    numbers = [int(run.data.tags["trial"]) for run in runs if "trial" in run.data.tags]
    assert sorted(numbers) == list(range(10))
    tried = {int(run.data.tags["trial"]): run for run in runs if "trial" in run.data.tags}
    assert {tried[each.number].info.status for each in lost} == {"KILLED"}
    assert {tried[each.number].info.status for each in whole} <= {"FINISHED", "KILLED"}
    assert [run.info.run_name for run in runs if "row" in run.data.tags] == ["tuned-seed0"]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (
            ["--space", "lr,momentum"],
            "row=gru-2: unknown 'momentum'; known are default, wide, lr, cell, depth, hidden, dropout",
        ),
        (["--space", "lr,lag", "--row", "mlp-lags"], "row=mlp-lags: unknown 'lag'; did you mean lags?"),
        (["--space", "cell", "--row", "mlp-lags"], "row=mlp-lags: unknown 'cell'"),
        (["--row", "persistence"], "row=persistence: not a trained row of study=recurrent"),
        (["--row", "gru-relativ"], "did you mean gru-relative?"),
        (["--study", "ablation", "--dataset", "pjm"], "dataset pjm holds hourly load, not images"),
        (["--storage", "sqlite:///nowhere/there/optuna.db"], "storage="),
        (["--storage", "mlflow"], "MLflow's own database"),
        (["--n-trials", "0"], "n-trials"),
        (["--fraction", "0.01", "--study", "recurrent"], "dense training needs"),
    ],
)
def test_bad_input_is_one_line_before_any_run(place, at, capsys, arguments, named):
    at(place.folder, place.uri)
    arguments = [place.uri if each == "mlflow" else each for each in arguments]
    with pytest.raises(SystemExit) as end:
        cli(["tune", "--dataset", "sample", *arguments])
    lines = capsys.readouterr().err.splitlines()
    assert end.value.code == 2
    assert [line[:7] for line in lines] == ["error: "], lines
    assert named in lines[0]
    assert not place.runs()
