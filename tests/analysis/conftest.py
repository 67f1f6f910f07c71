"""Fixtures of the analysis: small tracking stores with the runs that it must and must not count."""

import io
import math

import pandas as pd
import pytest
from click.testing import CliRunner
from support.tracked import Tracked, tracking

from analysis.__main__ import cli
from pipelines import names

DENSE = {"epochs": 4, "batch_size": 32, "lr": 0.005, "hidden": 256, "dropout": 0.2, "fraction": 1.0}


def row(store, row, seed=0, smape=None, training="dense", dataset="pjm", params=None, curve=(), **kwargs) -> str:
    """A nested run of a catalogue row; `smape` is the report's convention, `curve` has a point every 10 updates."""
    status, experiment = kwargs.pop("status", "FINISHED"), kwargs.pop("experiment", "")
    metrics = {names.SMAPE: 4 * smape, names.SMAPE_REPORT: smape} | kwargs if smape is not None else kwargs
    if curve:
        points = [(10 * index, value) for index, value in enumerate(curve)]
        metrics = metrics | {names.SMAPE_CURVE: points, names.first(names.SMAPE_CURVE): curve[0]}
    tags = {names.ENTRY: "recurrent", names.ROW: row, names.SEED: str(seed)}
    tags |= {names.TRAINING: training, names.DATASET: dataset, names.PARENT_RUN: store.parent, names.HOST: "a|b"}
    settings = {"row": row, "seed": seed} | (DENSE if training == "dense" else {}) | (params or {})
    return store.run(f"{row}-seed{seed}", tags, settings, metrics, status, experiment)


@pytest.fixture(scope="module")
def rows_store(tmp_path_factory, blank_database):
    """Runs of rows of recurrent on pjm and on the sample, among others that are no result."""
    store = Tracked(tmp_path_factory.mktemp("store"), blank_database, names.EXPERIMENT, "elsewhere")
    store.parent = store.run("launch", {names.ENTRY: "recurrent", names.DATASET: "pjm"})
    falling, rising = (90.0, 8.0, 6.0, 4.0, 4.0), (80.0, 2.0, 2.0, 3.0, 4.0)
    row(store, "gru-2", 0, 0.9, training_time_s=900.0, evaluation_time_s=9.0)  # repeated below
    row(store, "gru-2", 0, 0.230, training_time_s=100.0, evaluation_time_s=5.0, curve=falling)
    row(store, "gru-2", 1, 0.232, training_time_s=110.0, evaluation_time_s=5.0, curve=falling)
    row(store, "gru-2", 2, 0.234, training_time_s=120.0, evaluation_time_s=5.0, curve=falling, experiment="elsewhere")
    row(store, "gru-2", 3, 9.0, status="FAILED")
    row(store, "gru-2", 4, 9.0, status="RUNNING")
    row(store, "gru-2", 0, 0.280, params={"lr": 0.01}, training_time_s=101.0)
    row(store, "lstm-2", 0, 0.250, training_time_s=140.0, evaluation_time_s=7.0)
    row(store, "lstm-2", 1, math.nan, training_time_s=140.0, evaluation_time_s=7.0)
    row(store, "rnn-2", 0, 0.300, training_time_s=40.0, evaluation_time_s=2.0, mae_mw=math.inf, curve=rising)
    row(store, "rnn-3", 0, 0.310, curve=rising)
    row(store, "gru-2", 0, 0.5, dataset="sample")
    row(store, "persistence", 0, 0.823, training="none")
    row(store, "linear-ar-hourly", 0, 0.193, training="none", training_time_s=5.0)
    row(store, "my-own", 0, 0.5)
    store.run("foreign", {}, {"lr": 1}, {names.SMAPE_REPORT: 0.001})
    store.run("foreign", {names.ENTRY: "recurrent"}, {}, {names.SMAPE_REPORT: 0.001}, experiment="elsewhere")
    with tracking(store.uri):
        yield store


@pytest.fixture
def run_cli(rows_store):
    """A function that runs a command of the analysis on `rows_store`."""

    def run(*arguments):
        return CliRunner().invoke(cli, [str(argument) for argument in arguments])

    return run


@pytest.fixture
def read_csv(run_cli):
    """A function that compares the runs of `rows_store`: the table."""

    def read(*arguments):
        result = run_cli("compare", "--format", "csv", *arguments)
        assert result.exit_code == 0, result.output
        return pd.read_csv(io.StringIO(result.stdout))

    return read


@pytest.fixture(scope="module")
def mixed_store(tmp_path_factory, blank_database):
    """Runs of every status in two experiments, with odd parameters and values, and one that is deleted."""
    store = Tracked(tmp_path_factory.mktemp("mixed"), blank_database, "one", "two, with a comma")
    environment = {"torch": "2.13", "mlflow.source.git.commit": "aaa", "row": "gru-2", "pid": "1"}
    store.first = store.run(
        "first",
        environment,
        {"lr": 0.001, "layers": 2, "shuffle": True, "code": "007", "name": 'a,b\n"c"'},
        {"acc": [(0, 0.5), (1, 0.7)], "acc.best": [(1, 0.7)], "loss": math.nan},
        data="d1",
    )
    store.second = store.run(
        "second",
        environment | {"torch": "2.14", "pid": "2"},
        {"lr": 1e-05, "layers": 3, "shuffle": False, "code": "8", "name": "x"},
        {"acc": 0.9, "loss": [(0, math.inf), (1, -math.inf)]},
        experiment="two, with a comma",
        data="d2",
    )
    store.run("third", {}, {"lr": "adaptive?"}, {"acc": 0.1}, "FAILED", "two, with a comma")
    store.run("open", status="RUNNING")
    store.client.delete_run(store.run("gone", params={"secret": 1}))
    with tracking(store.uri):
        yield store
