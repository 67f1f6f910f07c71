"""The training loop and its engines, on a task small enough to be computed by a plain loop beside them.

The tasks stand at module level, where the spawned replicas find them.
"""

import copy
import math
import multiprocessing
import os
import signal
import time
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own convention

from pipelines.processes import watchdog
from pipelines.training import checkpoint
from pipelines.training import loop as training
from pipelines.training import replicas as engines
from pipelines.training.loop import Callback, DivergedError, Progress, derived_seed, fit
from pipelines.training.replicas import Replicas

pytestmark = pytest.mark.usefixtures("torch_threads")

SEED = 3
FEATURES = 3
CLOSE = {"rtol": 1e-5, "atol": 1e-7}


class Regression:
    """Least squares on `items` points of a noisy plane."""

    targets_per_item = 1

    def __init__(self, items: int = 20):
        generator = torch.Generator().manual_seed(0)
        self.items = items
        self.x = torch.randn(items, FEATURES, generator=generator)
        self.y = self.x @ torch.tensor([[1.0], [-2.0], [0.5]]) + 0.1 * torch.randn(items, 1, generator=generator)

    def epoch(self, rng: np.random.Generator) -> np.ndarray:
        return rng.permutation(self.items)

    def loss(self, model: nn.Module, items: Tensor) -> Tensor:
        return F.mse_loss(model(self.x[items]), self.y[items])

    def outputs(self, model: nn.Module, items: Tensor) -> Tensor:
        return model(self.x[items])


class Failing(Regression):
    """Raises `error` for more than `limit` items at once, in the first process, the other one or both.

    Where it is given, `other` is raised in those processes that do not raise `error`.
    """

    def __init__(self, limit: int, error: str = "CUDA error: out of memory", where: str = "both", other: str = ""):
        super().__init__()
        self.limit, self.error, self.where, self.other = limit, error, where, other

    def loss(self, model: nn.Module, items: Tensor) -> Tensor:
        here = "first" if multiprocessing.parent_process() is None else "other"
        if len(items) > self.limit and self.where in (here, "both"):
            raise RuntimeError(self.error)
        if self.other:
            raise RuntimeError(self.other)
        return super().loss(model, items)


class Interrupted(Regression):
    """Is interrupted in the first process while the other one is busy."""

    def loss(self, model: nn.Module, items: Tensor) -> Tensor:
        if multiprocessing.parent_process() is None:
            raise KeyboardInterrupt
        time.sleep(0.2)
        return super().loss(model, items)


def plane() -> nn.Module:
    torch.manual_seed(SEED)
    return nn.Linear(FEATURES, 1)


def network(dropout: float = 0.0) -> nn.Module:
    torch.manual_seed(SEED)
    return nn.Sequential(nn.Linear(FEATURES, 8), nn.Tanh(), nn.Dropout(dropout), nn.Linear(8, 1))


def parameters(model: nn.Module) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in model.parameters()]


def left_in(model: nn.Module) -> list[Tensor]:
    """The gradients that an engine left in `model`."""
    return [parameter.grad.clone() for parameter in model.parameters()]


def plain_gradients(model: nn.Module, task: Regression, items: np.ndarray) -> tuple[float, list[Tensor]]:
    """Loss and gradients of `items` as a whole, by autograd alone."""
    model = copy.deepcopy(model)
    loss = F.mse_loss(model(task.x[items]), task.y[items])
    return loss.item(), list(torch.autograd.grad(loss, list(model.parameters())))


def replica_processes() -> list[psutil.Process]:
    """Live replicas of this process; multiprocessing's resource tracker, which stays, is none."""
    return [child for child in psutil.Process().children() if "spawn_main" in " ".join(child.cmdline())]


@pytest.fixture
def engine():
    """Makes engines, and closes them after the test."""
    engines = []

    def make(*args, **kwargs) -> Replicas:
        engines.append(Replicas(*args, **kwargs))
        return engines[-1]

    yield make
    for each in engines:
        each.close()


# The loop.


@pytest.mark.parametrize("scheduled", [True, False])
def test_fit_is_the_plain_loop(engine, scheduled):
    """20 items in batches of 6: the fourth and last of an epoch has two."""
    task, batch_size, epochs = Regression(), 6, 3

    def optimizer_and_schedule(model):
        optimizer = torch.optim.Adam(model.parameters(), 0.05)
        if not scheduled:
            return optimizer, None
        return optimizer, torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.05, total_steps=12)

    model = plane()
    progress = Progress(epochs, updates=12)
    fit(task, engine(model, task, SEED), *optimizer_and_schedule(model), batch_size, SEED, progress)

    expected = plane()
    optimizer, schedule = optimizer_and_schedule(expected)
    for epoch in range(epochs):
        order = np.random.default_rng([SEED, epoch]).permutation(20)
        for start in range(0, 20, batch_size):
            items = order[start : start + batch_size]
            optimizer.zero_grad()
            F.mse_loss(expected(task.x[items]), task.y[items]).backward()
            optimizer.step()
            if schedule is not None:
                schedule.step()
    torch.testing.assert_close(parameters(model), parameters(expected), rtol=0, atol=0)
    assert (progress.epoch, progress.update, progress.items) == (3, 12, 60)


def test_fit_learns_the_plane(engine):
    task, model = Regression(200), plane()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    fit(task, engine(model, task, SEED), optimizer, None, 10, SEED, Progress(5, updates=100))
    x = torch.cat([task.x, torch.ones(200, 1)], dim=1).numpy()
    least_squares = np.linalg.lstsq(x, task.y.numpy(), rcond=None)[0].flatten()
    np.testing.assert_allclose([*model.weight[0].tolist(), model.bias.item()], least_squares, atol=0.03)


def test_an_epoch_has_no_more_than_the_items_of_the_task(engine):
    """A dense task gives a few segments more in some epochs; a larger last batch would weigh them less."""

    class Longer(Regression):
        def epoch(self, rng):
            return np.concatenate([super().epoch(rng), np.arange(5)])

    task, model = Longer(20), plane()
    progress = Progress(epochs=2, updates=4)
    fit(task, engine(model, task, SEED), torch.optim.SGD(model.parameters(), 0.1), None, 15, SEED, progress)
    assert (progress.update, progress.items) == (4, 40)


class Recorder(Callback):
    """Writes down what it is called with; the progress as it was then."""

    def __init__(self, name: str, events: list):
        self._name, self._events = name, events

    def _record(self, event: str, progress: Progress) -> None:
        self._events.append((self._name, event, replace(progress)))

    def on_start(self, progress: Progress) -> None:
        self._record("start", progress)

    def on_update(self, progress: Progress) -> None:
        self._record("update", progress)

    def on_epoch(self, progress: Progress) -> None:
        self._record("epoch", progress)


class Given:
    """An engine without gradients, whose losses are given."""

    def __init__(self, *losses: float):
        self._losses = iter(losses)
        self.updates = []

    def gradients(self, items: np.ndarray, update: int) -> float:
        self.updates.append(update)
        return next(self._losses)


def fit_given(engine: Given, progress: Progress, *callbacks: Callback) -> None:
    """20 items in batches of 15: two updates an epoch, of 15 and 5 items."""
    optimizer = torch.optim.SGD(plane().parameters(), 0.1)
    fit(Regression(), engine, optimizer, None, 15, SEED, progress, callbacks)


def test_callbacks_are_called_in_order_with_the_progress():
    events = []
    engine = Given(4.0, 2.0, 1.0, 0.5)
    fit_given(engine, Progress(epochs=2, updates=4), Recorder("a", events), Recorder("b", events), Callback())
    assert [name for name, _, _ in events] == ["a", "b"] * 7
    seen = [(event, p.epoch, p.update, p.items, p.loss, p.epoch_loss) for name, event, p in events if name == "a"]
    nan = pytest.approx(math.nan, nan_ok=True)
    assert seen == [
        ("start", 0, 0, 0, nan, nan),
        ("update", 0, 1, 15, 4.0, nan),
        ("update", 0, 2, 20, 2.0, nan),
        ("epoch", 1, 2, 20, 2.0, 3.0),
        ("update", 1, 3, 35, 1.0, 3.0),
        ("update", 1, 4, 40, 0.5, 3.0),
        ("epoch", 2, 4, 40, 0.5, 0.75),
    ]
    assert engine.updates == [0, 1, 2, 3]


def test_a_resumed_training_starts_where_its_progress_stands():
    events = []
    engine = Given(1.0, 0.5)
    fit_given(engine, Progress(epochs=3, updates=6, epoch=2, update=4, items=40), Recorder("a", events))
    assert [(event, p.epoch, p.update) for _, event, p in events] == [
        ("start", 2, 4),
        ("update", 2, 5),
        ("update", 2, 6),
        ("epoch", 3, 6),
    ]
    assert engine.updates == [4, 5]


def test_only_updates_count_as_training_time(monkeypatch):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(training, "time", SimpleNamespace(perf_counter=lambda: clock.now))

    class Slow(Given):
        def gradients(self, items, update):
            clock.now += 1
            return super().gradients(items, update)

    class Evaluation(Callback):
        def on_update(self, progress):
            clock.now += 100

        on_start = on_epoch = on_update

    progress = Progress(epochs=2, updates=4)
    fit_given(Slow(1.0, 1.0, 1.0, 1.0), progress, Evaluation())
    assert progress.seconds == 4


@pytest.mark.parametrize(("value", "wording"), [(math.nan, "nan"), (1e30, "inf")])
def test_a_diverged_loss_stops_before_its_update(engine, value, wording):
    """The item 7 goes bad after the first epoch of four updates; its loss overflows or is not a number."""
    task, model, weights = Regression(), plane(), []

    class Poison(Callback):
        def on_update(self, progress):
            weights.append(parameters(model))

        def on_epoch(self, progress):
            task.y[7] = value

    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    progress = Progress(epochs=2, updates=8)
    order = np.random.default_rng([SEED, 1]).permutation(20).tolist()
    update = 4 + order.index(7) // 6 + 1
    with pytest.raises(DivergedError, match=rf"^the loss is {wording} at update {update} \(epoch 2\)$"):
        fit(task, engine(model, task, SEED), optimizer, None, 6, SEED, progress, [Poison()])
    assert len(weights) == progress.update == update - 1
    torch.testing.assert_close(parameters(model), weights[-1], rtol=0, atol=0)


@pytest.mark.fault(10)
def test_weights_that_the_last_update_ruined_are_found_before_anything_is_told_of_the_epoch(engine):
    """The loss of an update is that of the weights before it: all of them are finite here."""
    task, model, told = Regression(), plane(), []

    class Epochs(Callback):
        def on_epoch(self, progress):
            told.append(progress.epoch)

    class Ruin(torch.optim.SGD):
        steps = 0

        def step(self, closure=None):
            super().step()
            self.steps += 1
            if self.steps == 8:
                model.weight.data[0, 1] = math.inf

    progress = Progress(epochs=2, updates=8)
    with pytest.raises(DivergedError, match=r"^weights are NaN or infinite after update 8 \(epoch 2\)$"):
        fit(task, engine(model, task, SEED), Ruin(model.parameters(), 0.01), None, 6, SEED, progress, [Epochs()])
    assert math.isfinite(progress.loss)
    assert told == [1]


def test_derived_seed_depends_on_every_part_and_on_nothing_else():
    # The first 16 digits of `printf '0,1' | sha256sum`, byte by byte from the last.
    assert derived_seed(0, 1) == int.from_bytes(bytes.fromhex("83b97b859aa5f81b"), "little")
    assert derived_seed("0", "1") == derived_seed(0, 1)
    assert len({derived_seed(*parts) for parts in [(0, 1), (1, 0), (0, 1, 0), (1,), ("initialisation",)]}) == 5
    assert derived_seed(1, 23) != derived_seed(12, 3)


# Replicas.


@pytest.mark.medium
def test_two_replicas_give_the_gradients_of_the_whole_batch(engine):
    """Even, odd, and smaller than the number of replicas, as the last batch of an epoch can be."""
    task, model = Regression(), network()
    replicas = engine(model, task, SEED, count=2)
    for update, size in enumerate([20, 8, 7, 3, 1]):
        items = np.arange(20)[-size:]
        loss = replicas.gradients(items, update)
        expected_loss, expected = plain_gradients(model, task, items)
        assert loss == pytest.approx(expected_loss, rel=1e-5)
        torch.testing.assert_close(left_in(model), expected, **CLOSE)
        # The replica must see what the optimiser of the first process does.
        with torch.no_grad():
            for parameter in model.parameters():
                parameter -= 0.1 * parameter.grad


@pytest.mark.medium
def test_each_replica_and_update_has_its_own_dropout(engine):
    task, model = Regression(), network(dropout=0.5)
    replicas = engine(model, task, SEED, count=2)
    items = np.array([4, 9, 1, 7, 2])
    seen = []
    for update in (0, 1):
        replicas.gradients(items, update)
        seen.append(left_in(model))
        expected = [torch.zeros_like(parameter) for parameter in model.parameters()]
        for rank, shard in enumerate([[4, 9, 1], [7, 2]]):
            torch.manual_seed(derived_seed(SEED, update, rank))
            for total, gradient in zip(expected, plain_gradients(model, task, np.array(shard))[1], strict=True):
                total += gradient * len(shard) / 5
        torch.testing.assert_close(seen[-1], expected, **CLOSE)
    assert not torch.equal(seen[0][0], seen[1][0])
    # The same update again, whatever random numbers were drawn in between: the same bits.
    torch.rand(10)
    replicas.gradients(items, 0)
    torch.testing.assert_close(left_in(model), seen[0], rtol=0, atol=0)


@pytest.mark.medium
def test_running_statistics_are_the_mean_of_those_of_the_replicas(engine):
    """Each normalises its part by itself; what a checkpoint restores is where both go on from."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(FEATURES, 4), nn.BatchNorm1d(4, momentum=0.3), nn.Linear(4, 1))
    twin = copy.deepcopy(model)
    task = Regression()
    replicas = engine(model, task, SEED, count=2)
    items = np.arange(9)
    for update in range(3):
        if update == 2:  # as of a checkpoint
            saved = {key: value.clone() + 0.5 for key, value in twin.state_dict().items()}
            model.load_state_dict(saved)
            twin.load_state_dict(saved)
        replicas.gradients(items, update)
        parts = [copy.deepcopy(twin) for _ in range(2)]
        expected = [torch.zeros_like(parameter) for parameter in twin.parameters()]
        for part, shard in zip(parts, np.array_split(items, 2), strict=True):
            for total, gradient in zip(expected, plain_gradients(part, task, shard)[1], strict=True):
                total += gradient * len(shard) / 9
            part(task.x[shard])
        torch.testing.assert_close(left_in(model), expected, **CLOSE)
        for name in ("running_mean", "running_var"):
            mean = sum(share * getattr(part[1], name) for share, part in zip((5 / 9, 4 / 9), parts, strict=True))
            setattr(twin[1], name, mean)
            torch.testing.assert_close(getattr(model[1], name), mean)
            torch.testing.assert_close(model.state_dict()[f"1.{name}"], mean)


def test_bf16_gives_fp32_gradients_near_those_of_fp32(engine):
    task, model = Regression(), network()
    engine(model, task, SEED, precision="bf16").gradients(np.arange(20), 0)
    expected = plain_gradients(model, task, np.arange(20))[1]
    for gradient, reference in zip(left_in(model), expected, strict=True):
        assert gradient.dtype == torch.float32
        assert 0 < (gradient - reference).norm() < 0.02 * reference.norm()


def test_threads_are_those_of_the_row(engine):
    engine(plane(), Regression(), SEED, threads=1)
    assert torch.get_num_threads() == 1
    engine(plane(), Regression(), SEED, threads=2)
    assert torch.get_num_threads() == 2


# Memory.


@pytest.mark.fault(28)
def test_out_of_memory_halves_the_micro_batch_and_keeps_the_gradients(engine):
    task, model, shrunk = Failing(limit=3), network(), []
    replicas = engine(model, task, SEED, on_shrink=shrunk.append)
    items = np.arange(10)
    loss = replicas.gradients(items, 0)
    expected_loss, expected = plain_gradients(model, task, items)
    assert shrunk == [5, 2]
    assert loss == pytest.approx(expected_loss, rel=1e-5)
    torch.testing.assert_close(left_in(model), expected, **CLOSE)
    # It stays at two, also for a batch that two does not divide.
    replicas.gradients(np.arange(7), 1)
    torch.testing.assert_close(left_in(model), plain_gradients(model, task, np.arange(7))[1], **CLOSE)
    assert shrunk == [5, 2]


@pytest.mark.medium
@pytest.mark.fault(28)
def test_out_of_memory_in_the_other_replica(engine):
    task, model, shrunk = Failing(limit=2, where="other"), network(), []
    replicas = engine(model, task, SEED, count=2, on_shrink=shrunk.append)
    items = np.arange(9)
    replicas.gradients(items, 0)
    assert shrunk == [2]
    torch.testing.assert_close(left_in(model), plain_gradients(model, task, items)[1], **CLOSE)


@pytest.mark.fault(28)
def test_out_of_memory_with_one_item_is_raised(engine):
    shrunk = []
    replicas = engine(plane(), Failing(limit=0), SEED, on_shrink=shrunk.append)
    with pytest.raises(RuntimeError, match=r"even with one item at a time \(.*out of memory.*\): run fewer jobs"):
        replicas.gradients(np.arange(10), 0)
    assert shrunk == [5, 2, 1]


@pytest.mark.medium
@pytest.mark.fault(28)
def test_another_error_goes_before_want_of_memory(engine):
    """One replica lacks memory, the other one's data are wrong: smaller parts would not help."""
    shrunk = []
    task = Failing(limit=0, error="out of memory", where="first", other="shapes cannot be multiplied")
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        engine(plane(), task, SEED, count=2, on_shrink=shrunk.append).gradients(np.arange(10), 0)
    assert shrunk == []


@pytest.mark.fault(28)
def test_evaluation_takes_fewer_items_at_a_time_where_memory_runs_out(engine):
    model, task, sizes = network(), Regression(), []
    outputs = task.outputs

    def limited(model, items):
        if len(items) > 3:
            raise RuntimeError("could not create a primitive")
        sizes.append(len(items))
        return outputs(model, items)

    task.outputs = limited
    found = engine(model, task, SEED).outputs(np.arange(8), 8, "fp32")
    assert sizes == [2, 2, 2, 2]
    np.testing.assert_allclose(found, model(task.x[:8]).detach().numpy(), rtol=1e-5)
    assert model.training


@pytest.mark.medium
@pytest.mark.parametrize(("count", "where"), [(1, "first"), (2, "other")])
def test_other_errors_are_raised_at_once(engine, count, where):
    shrunk = []
    task = Failing(limit=0, error="mat1 and mat2 shapes cannot be multiplied", where=where)
    replicas = engine(plane(), task, SEED, count=count, on_shrink=shrunk.append)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        replicas.gradients(np.arange(10), 0)
    assert shrunk == []


# The end.


@pytest.mark.medium
@pytest.mark.parametrize("items", [[7, 3, 0, 12, 5], [4]])
def test_outputs_are_those_of_the_model_in_evaluation_in_the_order_of_the_items(engine, items):
    task, model = Regression(), network(dropout=0.5)
    outputs = engine(model, task, SEED, count=2).outputs(np.array(items), 2, "fp32")
    assert model.training
    with torch.no_grad():
        expected = copy.deepcopy(model).eval()(task.x[items])
    np.testing.assert_allclose(outputs, expected.numpy(), rtol=1e-6)


@pytest.mark.medium
def test_close_leaves_no_process():
    replicas = Replicas(plane(), Regression(), SEED, count=2)
    assert len(replica_processes()) == 1
    replicas.close()
    assert replica_processes() == []


@pytest.mark.medium
def test_an_interrupt_while_the_other_replica_works_is_quiet(capfd):
    replicas = Replicas(plane(), Interrupted(), SEED, count=2)
    with pytest.raises(KeyboardInterrupt):
        replicas.gradients(np.arange(10), 0)
    replicas.close()
    assert replica_processes() == []
    assert capfd.readouterr().err == ""


@pytest.mark.medium
def test_a_killed_replica_fails_the_training_and_not_for_ever():
    replicas = Replicas(plane(), Regression(), SEED, count=2)
    (process,) = multiprocessing.active_children()
    process.kill()
    process.join()
    with pytest.raises(RuntimeError, match="replica"):
        replicas.gradients(np.arange(10), 0)
    replicas.close()
    assert replica_processes() == []


# Bits.

EPOCHS, BATCH_SIZE = 4, 6
PER_EPOCH = 4


class CrashError(Exception):
    pass


class Crash(Callback):
    """Keeps a checkpoint an epoch, and ends the training in the middle of the third."""

    def __init__(self, path: Path, state: dict):
        self._path, self._state = path, state

    def on_epoch(self, progress: Progress) -> None:
        parts = {name: part.state_dict() for name, part in self._state.items()}
        self.sha256 = checkpoint.save(self._path, parts | {"progress": vars(progress)})

    def on_update(self, progress: Progress) -> None:
        if progress.update == 2 * PER_EPOCH + 2:
            raise CrashError


def new_state() -> dict:
    model = network(dropout=0.3)
    optimizer = torch.optim.Adam(model.parameters(), 0.02, (0.9, 0.99), fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.02, total_steps=EPOCHS * PER_EPOCH)
    return {"model": model, "optimizer": optimizer, "schedule": schedule}


def train(state: dict, progress: Progress, count: int, *callbacks: Callback) -> None:
    task = Regression()
    replicas = Replicas(state["model"], task, SEED, count)
    try:
        fit(task, replicas, state["optimizer"], state["schedule"], BATCH_SIZE, SEED, progress, callbacks)
    finally:
        replicas.close()


@cache
def undisturbed(count: int) -> tuple[dict, Progress]:
    """State and progress of a training from beginning to end."""
    state, progress = new_state(), Progress(EPOCHS, EPOCHS * PER_EPOCH)
    train(state, progress, count)
    return state, progress


def assert_same_bits(state: dict, expected: dict) -> None:
    same = partial(torch.testing.assert_close, rtol=0, atol=0)
    same(parameters(state["model"]), parameters(expected["model"]))
    same(state["optimizer"].state_dict()["state"], expected["optimizer"].state_dict()["state"])
    assert state["schedule"].get_last_lr() == expected["schedule"].get_last_lr()


@pytest.mark.fault(32)
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.medium
def test_two_runs_with_dropout_are_the_same_bits(count):
    expected, _ = undisturbed(count)
    state = new_state()
    torch.manual_seed(12345)
    train(state, Progress(EPOCHS, EPOCHS * PER_EPOCH), count)
    assert_same_bits(state, expected)


def test_dropout_matters_to_the_bits():
    expected, _ = undisturbed(1)
    state = new_state()
    state["model"].eval()
    train(state, Progress(EPOCHS, EPOCHS * PER_EPOCH), 1)
    with pytest.raises(AssertionError):
        assert_same_bits(state, expected)


@pytest.mark.fault(33)
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.medium
def test_a_crashed_training_ends_with_the_bits_of_an_undisturbed_one(count, tmp_path):
    crashed = new_state()
    crash = Crash(tmp_path / "checkpoint.pt", crashed)
    with pytest.raises(CrashError):
        train(crashed, Progress(EPOCHS, EPOCHS * PER_EPOCH), count, crash)

    saved = checkpoint.load(tmp_path / "checkpoint.pt", crash.sha256)
    torch.manual_seed(12345)
    state, progress = new_state(), Progress(EPOCHS, EPOCHS * PER_EPOCH)
    for name, part in state.items():
        part.load_state_dict(saved[name])
    vars(progress).update(saved["progress"])
    assert (progress.epoch, progress.update) == (2, 2 * PER_EPOCH)
    train(state, progress, count)

    expected, expected_progress = undisturbed(count)
    assert_same_bits(state, expected)
    assert replace(progress, seconds=0) == replace(expected_progress, seconds=0)


@pytest.mark.parametrize(
    ("update", "seconds", "costs", "left"),
    [
        pytest.param(1, 2.0, [], 6.0, id="equal"),
        pytest.param(2, 10.0, [1, 3], 30.0, id="before the dear epoch"),
        pytest.param(3, 25.0, [1, 3], 15.0, id="within it"),
        pytest.param(4, 40.0, [1, 3], 0.0, id="at the end"),
    ],
)
def test_what_is_left_follows_from_what_the_epochs_cost(update, seconds, costs, left):
    """Two epochs of two updates."""
    progress = Progress(epochs=2, updates=4, update=update, seconds=seconds, costs=costs)
    assert progress.remaining_seconds() == pytest.approx(left)


class Hanging(Regression):
    """Never answers in the other replica."""

    def loss(self, model, items):
        if multiprocessing.parent_process() is not None:
            time.sleep(3600)
        return super().loss(model, items)


@pytest.mark.medium
def test_a_stopped_replica_is_ended_and_fails_the_training(monkeypatch):
    monkeypatch.setattr(watchdog, "POLL_S", 0.1)
    monkeypatch.setattr(watchdog, "STOPPED_S", 0.5)
    replicas = Replicas(plane(), Regression(), SEED, count=2)
    (process,) = multiprocessing.active_children()
    os.kill(process.pid, signal.SIGSTOP)
    with pytest.raises(RuntimeError, match=r"does not answer: it was stopped .* and was ended"):
        replicas.gradients(np.arange(10), 0)
    replicas.close()
    assert replica_processes() == []


@pytest.mark.medium
def test_a_replica_that_hangs_is_ended_and_fails_the_training(monkeypatch):
    monkeypatch.setattr(watchdog, "POLL_S", 0.1)
    monkeypatch.setattr(engines, "HUNG_S", 1)
    replicas = Replicas(plane(), Hanging(), SEED, count=2)
    with pytest.raises(RuntimeError, match="does not answer: it has computed nothing for 1 s, and was ended"):
        replicas.gradients(np.arange(10), 0)
    replicas.close()
    assert replica_processes() == []


@pytest.mark.medium
def test_a_stopped_replica_does_not_hold_up_the_end(monkeypatch):
    monkeypatch.setattr(engines, "_CLOSE_S", 0.5)
    replicas = Replicas(plane(), Regression(), SEED, count=2)
    (process,) = multiprocessing.active_children()
    os.kill(process.pid, signal.SIGSTOP)
    replicas.close()
    assert replica_processes() == []
