"""A training session: what its checkpoints hold, what it restores, and what it calls and closes."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn

from nnmodels.images import ImageClassifier
from pipelines.data.images.batches import ImageTask, on_device
from pipelines.training.average import WeightAverage
from pipelines.training.hand_derived import HandDerived
from pipelines.training.loop import Callback, Progress
from pipelines.training.session import Training, one_cycle

ITEMS, BATCH, EPOCHS = 10, 4, 2
UPDATES = 6  # two batches of four and one of two, twice
LR = 0.1


class Line:
    """Items are points of a line, whose slope is to be learnt."""

    items, targets_per_item = ITEMS, 1

    def epoch(self, rng):
        return rng.permutation(ITEMS)

    def loss(self, model, items):
        x = items.float().view(-1, 1)
        return (model(x) - 2 * x).square().mean()

    def outputs(self, model, items):
        return model(items.float().view(-1, 1))


class Plain:
    """An engine that takes a batch whole."""

    def __init__(self, model, task):
        self.model, self.task, self.closed = model, task, 0
        self.on_shrink = lambda size: None

    def gradients(self, items, update):
        self.model.zero_grad()
        loss = self.task.loss(self.model, torch.from_numpy(items))
        loss.backward()
        return loss.item()

    def outputs(self, items, batch_size, precision):
        return self.task.outputs(self.model, torch.from_numpy(items)).detach().numpy()

    def close(self):
        self.closed += 1


def session(scheduled: bool = False, callbacks=()) -> Training:
    torch.manual_seed(0)
    model, task = nn.Linear(1, 1), Line()
    optimizer = torch.optim.SGD(model.parameters(), 1e-3, 0.9)
    return Training(
        model=model,
        task=task,
        engine=Plain(model, task),
        optimizer=optimizer,
        schedule=one_cycle(optimizer, UPDATES) if scheduled else None,
        batch_size=BATCH,
        seed=3,
        progress=Progress.planned(ITEMS, BATCH, EPOCHS),
        callbacks=callbacks,
    )


class Calls(Callback):
    """Notes a name after each epoch."""

    def __init__(self, name: str, calls: list):
        self.name, self.calls = name, calls

    def on_epoch(self, progress):
        self.calls.append((self.name, progress.epoch))


class Keep(Callback):
    """Keeps a checkpoint of each epoch."""

    def __init__(self, training: Training):
        self.training, self.kept = training, []

    def on_epoch(self, progress):
        self.kept.append(copy.deepcopy(self.training.checkpoint()))


def test_a_planned_training_counts_the_smaller_last_batch_of_each_epoch():
    progress = Progress.planned(ITEMS, BATCH, EPOCHS, [1.0, 4.0])
    assert (progress.epochs, progress.updates, progress.epoch, progress.update) == (EPOCHS, UPDATES, 0, 0)
    assert progress.costs == [1.0, 4.0]
    assert Progress.planned(8, 4, 3).updates == 6


def test_the_parameters_are_counted():
    assert session().parameter_count == 2


@pytest.mark.parametrize(
    ("scheduled", "keys"),
    [
        (False, ["model", "optimizer", "progress", "evaluation_seconds"]),
        (True, ["model", "optimizer", "schedule", "progress", "evaluation_seconds"]),
    ],
)
def test_a_checkpoint_is_plain(tmp_path, scheduled, keys):
    training = session(scheduled)
    training.fit()
    assert list(training.checkpoint()) == keys
    torch.save(training.checkpoint(), tmp_path / "checkpoint.pt")
    loaded = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert loaded["progress"]["update"] == UPDATES


@pytest.mark.fault(33)
@pytest.mark.parametrize("scheduled", [False, True])
@pytest.mark.parametrize("seconds", [{"evaluation_seconds": 5.0}, {}], ids=["timed", "older"])
def test_a_restored_training_ends_with_the_bits_of_an_undisturbed_one(scheduled, seconds):
    undisturbed = session(scheduled)
    keep = Keep(undisturbed)
    undisturbed.fit([keep])
    saved = {name: part for name, part in keep.kept[0].items() if name != "evaluation_seconds"}
    restored = session(scheduled)
    # It continues wherever it stands itself.
    nn.init.zeros_(restored.model.weight)
    restored.restore(saved | seconds)
    assert (restored.progress.epoch, restored.progress.update) == (1, UPDATES // EPOCHS)
    assert restored.evaluation_seconds == seconds.get("evaluation_seconds", 0.0)
    restored.fit()
    for name, value in undisturbed.model.state_dict().items():
        assert torch.equal(value, restored.model.state_dict()[name])
    assert restored.optimizer.param_groups[0]["lr"] == undisturbed.optimizer.param_groups[0]["lr"]


def test_its_own_callbacks_are_called_after_those_of_fit():
    calls = []
    session(callbacks=[Calls("own", calls)]).fit([Calls("given", calls)])
    assert calls == [("given", 1), ("own", 1), ("given", 2), ("own", 2)]


@pytest.mark.parametrize("fails", [False, True])
def test_the_engine_is_closed_at_the_end(fails):
    training = session()

    def use():
        with training as entered:
            assert entered is training
            assert training.engine.closed == 0
            if fails:
                raise KeyError

    if fails:
        with pytest.raises(KeyError):
            use()
    else:
        use()
    assert training.engine.closed == 1


def test_evaluations_are_timed_together(monkeypatch):
    now = iter([10.0, 12.0, 20.0, 20.5])
    monkeypatch.setattr("pipelines.training.session.time.perf_counter", lambda: next(now))
    training = session()
    for _ in range(2):
        with training.evaluating():
            pass
    assert training.evaluation_seconds == 2.5


@pytest.mark.parametrize("updates", [1, 2, 3, 4, 5, 8, 100])
@pytest.mark.parametrize("warm_up", [0.25, 0.3, 0.5])
def test_a_cycle_of_any_length_ends(updates, warm_up):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], LR)
    schedule = one_cycle(optimizer, updates, warm_up)
    rates = []
    for _ in range(updates):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert max(rates) <= LR * (1 + 1e-9)
    assert all(math.isfinite(rate) and rate > 0 for rate in rates)


def test_one_cycle_rises_to_its_peak_and_falls_to_nearly_nothing():
    """Cosines from lr / 25 over 30 % of the updates to lr, then to lr / 250,000, as in torch's documentation."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], LR, 0.9)
    updates = 11
    schedule = one_cycle(optimizer, updates)
    rates = []
    for _ in range(updates):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if len(rates) < updates:
            schedule.step()
    peak, last = 0.3 * updates - 1, updates - 1
    for step, rate in enumerate(rates):
        if step <= peak:
            start, end, share = LR / 25, LR, step / peak
        else:
            start, end, share = LR, LR / 25e4, (step - peak) / (last - peak)
        assert rate == pytest.approx(end + (start - end) * (1 + math.cos(math.pi * share)) / 2)
    assert optimizer.param_groups[0]["momentum"] == 0.9


def test_the_hand_derived_engine_evaluates_the_model():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.ReLU(), nn.Dropout(0.5), nn.Linear(5, 3))
    model = ImageClassifier(network, (0.5,) * 3, (0.5,) * 3)
    pixels = np.random.default_rng(0).integers(0, 256, (7, 3, 2, 2), dtype=np.uint8)
    engine = HandDerived(model, ImageTask(on_device("cpu", pixels, np.zeros(7, np.int64))), "ReLU", threads=1)
    outputs = engine.outputs(np.array([5, 0, 3]), 2, "fp32")
    assert model.training
    with torch.no_grad():
        expected = copy.deepcopy(model).eval()(torch.from_numpy(pixels[[5, 0, 3]]))
    np.testing.assert_allclose(outputs, expected.numpy(), rtol=1e-6)
    engine.close()


def averaged() -> Training:
    training = session()
    training.average = WeightAverage(training.model, 0.9)
    return training


def test_a_training_with_averaged_weights_ends_with_the_average_also_where_it_was_resumed():
    whole, last = averaged(), session()
    keep = Keep(whole)
    whole.fit([keep])
    last.fit()
    # The average lags behind the last weights.
    assert not torch.equal(whole.model.weight, last.model.weight)
    for saved in keep.kept:
        resumed = averaged()
        resumed.restore(saved)
        resumed.fit()
        assert torch.equal(resumed.model.weight, whole.model.weight)
        assert torch.equal(resumed.model.bias, whole.model.bias)
