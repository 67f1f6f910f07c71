"""The same row with the same seed gives the same bits: twice undisturbed, and killed in the middle and resumed."""

import json
import os
import shutil
import signal

import pytest
import torch
from support.launches import checkpoint_of, require_nothing_left, statuses, until
from support.place import Place

from pipelines.data.energy import taylor
from pipelines.data.energy.series import split
from pipelines.data.images import digits
from pipelines.experiments.ablation.classifier import classifier
from pipelines.experiments.ablation.rows import AUTOGRAD, MANUAL, resolve_classifier
from pipelines.experiments.base import changed
from pipelines.experiments.pretrain.rows import resolve_pretraining
from pipelines.experiments.pretrain.trainer import pretraining
from pipelines.experiments.recurrent.forecaster import forecaster
from pipelines.experiments.recurrent.rows import DENSE, WINDOW, resolve
from pipelines.training.session import Training

pytestmark = pytest.mark.usefixtures("torch_threads")

MACHINE = {"device": "cpu", "precision": "fp32", "threads": 1}


def forecasting(row: str, training: str, seed: int) -> Training:
    settings = resolve(row, "sample", training, seed, 0.5, epochs=1, hidden=4)
    train = split(taylor.load())["train"]
    return forecaster(changed(settings, **MACHINE, replicas=1), taylor.load(), train).training


def classification(row: str, training: str, seed: int) -> Training:
    settings = resolve_classifier(row, "sample", training, seed, 0.05, epochs=1)
    return classifier(changed(settings, threads=1), digits.load()).training


def resnet(row: str, training: str, seed: int) -> Training:
    settings = resolve_pretraining(row, "sample", seed, 0.03, epochs=1, **MACHINE)
    return pretraining(settings, digits.load()).training


KINDS = [
    (forecasting, "rnn-2", DENSE),
    (forecasting, "lstm-2", DENSE),
    (forecasting, "gru-3", DENSE),
    (forecasting, "gru-2", WINDOW),
    (classification, "cnn", AUTOGRAD),
    (classification, "mlp-3", AUTOGRAD),
    (classification, "mlp-3", MANUAL),
    (resnet, "resnet20", ""),
]


def trained(make, row: str, training: str, seed: int) -> dict[str, torch.Tensor]:
    """The weights after an epoch; the global random numbers stand elsewhere every time."""
    torch.seed()
    session = make(row, training, seed)
    session.fit()
    return {name: value.clone() for name, value in session.model.state_dict().items()}


@pytest.mark.fault(32)
@pytest.mark.parametrize(("make", "row", "training"), KINDS, ids=lambda each: getattr(each, "__name__", each))
@pytest.mark.medium
def test_the_same_seed_gives_the_same_bits_twice_and_another_seed_others(make, row, training):
    first, again, other = (trained(make, row, training, seed) for seed in (3, 3, 4))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


PRETRAIN = ("pretrain", "--dataset", "sample", "--models", "resnet20", "--epochs", "3", "--fraction", "0.1")
PRETRAIN += ("--precision", "fp32", "--device", "cpu")
ROW = "resnet20-seed0"
PARENT = "pretrain sample"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, blank_database):
    place = Place(tmp_path_factory.mktemp("undisturbed"))
    shutil.copy(blank_database, place.database)
    assert place.invoke(*PRETRAIN) == 0, place.stderr
    yield place
    place.end()


@pytest.mark.fault(33)
@pytest.mark.slow
def test_a_resnet_that_is_killed_and_resumed_ends_with_the_bits_of_an_undisturbed_one(place, undisturbed, settled):
    process = place.fork(*PRETRAIN, module="support.held")
    until(checkpoint_of(place, ROW), process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    require_nothing_left(place)
    killed = place.runs()
    assert statuses(place) == {PARENT: "RUNNING", ROW: "RUNNING"}
    assert json.loads(killed[ROW].data.tags["checkpoint"])["epoch"] < 3
    assert place.invoke("pretrain", "--resume", killed[PARENT].info.run_id) == 0, place.stderr
    run, expected = place.runs()[ROW], undisturbed.runs()[ROW]
    assert run.info.run_id == killed[ROW].info.run_id
    assert run.info.status == "FINISHED"
    for metric in ("test_loss", "test_accuracy", "val_loss"):
        assert run.data.metrics[metric] == expected.data.metrics[metric]
    history = place.history(run, "train_loss")
    assert [step for step, _ in history] == [1, 2, 3]
    assert history == undisturbed.history(expected, "train_loss")
    weights = [
        where.artifact(each, "weights/weights.safetensors").read_bytes()
        for where, each in ((place, run), (undisturbed, expected))
    ]
    assert weights[0] == weights[1]
