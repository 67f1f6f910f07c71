"""Scaling, parts and gathered rows against scikit-learn and numpy's sliding windows, on series small enough to see."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view
from sklearn.preprocessing import MinMaxScaler
from torch import Tensor, nn

from pipelines.data.energy import taylor
from pipelines.data.energy.series import EnergyDataset, split
from pipelines.data.energy.windows import DenseTask, Scaler, WindowTask, gather, latest, require_reach, room, runs
from pipelines.data.protocol import LOOKBACK
from pipelines.errors import UserError

LENGTHS = (230, 140, 310)
SEGMENT, BURN_IN = 12, 4


def dataset_of(*series: np.ndarray) -> EnergyDataset:
    """A data set of hand-made series (L, 5)."""
    offsets = (0, *np.cumsum([len(values) for values in series]).tolist())
    values = np.concatenate(series).astype(np.float32)
    times = np.datetime64("2020-01-01T00", "s") + np.arange(len(values)) * np.timedelta64(3600, "s")
    names = tuple(f"S{number}" for number in range(len(series)))
    return EnergyDataset("toy", names, values, times, offsets, "", {})


@pytest.fixture
def toy() -> EnergyDataset:
    """Three series of random features, each of its own scale."""
    rng = np.random.default_rng(0)
    return dataset_of(*(rng.uniform(-1, 1, (length, 5)) * 10 ** (k + 1) for k, length in enumerate(LENGTHS)))


@pytest.fixture
def train(toy) -> tuple[range, ...]:
    return split(toy, validation=0.1)["train"]


@pytest.fixture
def numbered() -> Tensor:
    """As many rows as the toy has; the load of each is its row number."""
    rows = torch.zeros(sum(LENGTHS), 5)
    rows[:, 0] = torch.arange(len(rows))
    return rows


class Recorder(nn.Module):
    """Forecasts `step` more than the load of each hour, and keeps what it was shown."""

    def __init__(self, step: float = 0.0):
        super().__init__()
        self.step = step

    def forward(self, x: Tensor, first: int = 0) -> Tensor:
        self.x, self.first = x, first
        return x[first:, :, 0] + self.step


# Scaling.


@pytest.mark.parametrize("name", ["sample", "toy"])
def test_scales_as_sklearn_fitted_on_the_training_windows(name, toy):
    dataset = taylor.load() if name == "sample" else toy
    train = split(dataset, validation=0.2)["train"]
    scaled = Scaler.fit(dataset, train).scaled(dataset)
    assert scaled.dtype == np.float32
    for start, end, targets in zip(dataset.offsets, dataset.offsets[1:], train, strict=False):
        # The windows of all targets together begin with the series; the last target ends what is seen.
        reference = MinMaxScaler().fit(dataset.values[start : targets[-1] + 1].astype(np.float64))
        expected = reference.transform(dataset.values[start:end].astype(np.float64))
        np.testing.assert_allclose(scaled[start:end], expected, rtol=1e-5, atol=1e-6)


def test_never_sees_what_comes_after_the_training_part(toy, train):
    before = Scaler.fit(toy, train)
    for targets, end in zip(train, toy.offsets[1:], strict=True):
        toy.values[targets[-1] + 1 : end] = 1e6
    after = Scaler.fit(toy, train)
    np.testing.assert_array_equal(after.minimum, before.minimum)
    np.testing.assert_array_equal(after.maximum, before.maximum)


def test_sees_the_first_window_and_the_last_target(toy, train):
    toy.values[train[1][0] - LOOKBACK, 2] = -1e6
    toy.values[train[1][-1], 2] = 1e6
    scaler = Scaler.fit(toy, train)
    assert (scaler.minimum[1, 2], scaler.maximum[1, 2]) == (-1e6, 1e6)


def test_sees_only_the_part_of_a_fraction(toy, train):
    part = latest(train, 0.25)
    toy.values[part[0][0] - LOOKBACK - 1] = 1e6
    assert Scaler.fit(toy, part).maximum[0].max() < 1e6


def test_a_constant_feature_is_zero(toy, train):
    toy.values[: toy.offsets[1], 3] = 8
    scaled = Scaler.fit(toy, train).scaled(toy)
    np.testing.assert_array_equal(scaled[: toy.offsets[1], 3], 0)
    assert np.isfinite(scaled).all()


@pytest.mark.parametrize("constant", [False, True])
def test_load_gives_the_megawatts_back(toy, train, constant):
    if constant:
        toy.values[train[1][0] - LOOKBACK : train[1][-1] + 1, 0] = 700
    scaler = Scaler.fit(toy, train)
    scaled = scaler.scaled(toy)
    for series, (start, end) in enumerate(zip(toy.offsets, toy.offsets[1:], strict=False)):
        loads = scaler.load(scaled[start:end, 0], series)
        np.testing.assert_allclose(loads, toy.values[start:end, 0], rtol=1e-5, atol=1e-3)


# Parts.


def test_latest_is_the_end_of_each_series():
    part = (range(90, 190), range(300, 310), range(500, 501))
    assert latest(part, 0.25) == (range(165, 190), range(308, 310), range(500, 501))
    assert latest(part, 0.001) == (range(189, 190), range(309, 310), range(500, 501))
    assert latest(part, 1.0) == part


def test_gather_counts_on_from_each_first_row():
    assert gather(torch.tensor([5, 2]), 3).tolist() == [[5, 2], [6, 3], [7, 4]]


# Windows.


def test_windows_are_numpys_sliding_windows(toy, train):
    scaled = torch.from_numpy(toy.values)
    task = WindowTask(scaled, train, "mse")
    for (start, end), targets in zip(zip(toy.offsets, toy.offsets[1:], strict=False), train, strict=True):
        inputs = sliding_window_view(toy.values[start : end - 1], LOOKBACK, axis=0)[: len(targets)]
        labels = toy.values[start + LOOKBACK : end][: len(targets), 0]
        model = Recorder()
        loss = task.loss(model, torch.arange(targets[0], targets[-1] + 1))
        np.testing.assert_array_equal(model.x.permute(1, 2, 0), inputs)
        # The recorder forecasts the load of the window's last hour.
        assert loss.item() == pytest.approx(np.mean((inputs[:, 0, -1] - labels) ** 2), rel=1e-5)


def test_losses_are_the_squared_and_the_absolute_error(numbered):
    items = torch.tensor([90, 120, 200])
    for loss, expected in (("mse", 9.0), ("mae", 3.0)):
        # The next hour is one more than the last; the recorder says four more.
        assert WindowTask(numbered, (range(90, 201),), loss).loss(Recorder(4), items).item() == expected
        dense = DenseTask(numbered, (range(90, 201),), SEGMENT, BURN_IN, loss)
        assert dense.loss(Recorder(4), items).item() == expected


def test_an_epoch_of_windows_is_every_target_once(toy, train):
    task = WindowTask(torch.from_numpy(toy.values), train, "mse")
    epoch = task.epoch(np.random.default_rng(0))
    assert task.items == len(epoch) == sum(map(len, train))
    assert task.targets_per_item == 1
    assert sorted(epoch.tolist()) == [row for targets in train for row in targets]
    assert sorted(epoch.tolist()) != epoch.tolist()


# Dense targets.


def pairs(task: DenseTask, items: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First input rows and target rows (targets_per_item, B) of `items`, as `loss` takes them from numbered rows."""
    model = Recorder(1)
    # Zero only if each forecast, one more than the hour's own number, is compared with the next hour's.
    assert task.loss(model, torch.from_numpy(items)).item() == 0
    assert model.x.shape[:2] == (task.segment, len(items))
    assert model.first == task.burn_in
    rows = model.x[..., 0].long().numpy()
    assert (np.diff(rows, axis=0) == 1).all()
    return rows[0], rows[model.first :] + 1


@pytest.mark.parametrize("training", [(12, 4), (96, 16), (30, 0), (5, 4)])
def test_dense_targets_are_the_next_hours_of_the_training_part(numbered, toy, train, training):
    task = DenseTask(numbered, train, *training, "mse")
    assert task.targets_per_item == training[0] - training[1]
    allowed = {row for start, t in zip(toy.offsets, train, strict=False) for row in range(start, t[-1] + 1)}
    series = np.repeat(np.arange(len(LENGTHS)), LENGTHS)
    for seed in range(10):
        first, targets = pairs(task, task.epoch(np.random.default_rng(seed)))
        assert allowed.issuperset(targets.flatten().tolist())
        # A segment stays in its series.
        assert (series[first] == series[targets[-1]]).all()
        # No hour twice an epoch.
        assert len(np.unique(targets)) == targets.size


def test_dense_training_reads_nothing_before_the_windows_of_a_fraction(numbered, train):
    part = latest(train, 0.4)
    task = DenseTask(numbered, part, SEGMENT, BURN_IN, "mse")
    allowed = {row for t in part for row in range(t[0] - LOOKBACK, t[-1] + 1)}
    for seed in range(10):
        first, targets = pairs(task, task.epoch(np.random.default_rng(seed)))
        assert allowed.issuperset(first.tolist())
        assert allowed.issuperset(targets.flatten().tolist())


def test_segments_cross_no_gap_and_over_the_phases_every_target_is_trained_on(numbered, toy):
    # Stretches of 130, 100 and 140 rows, then of 160, 5 and 145.
    broken = replace(toy, breaks=(130, 530, 535))
    edges = np.array([0, 130, 230, 370, 530, 535, 680])
    train = split(broken, validation=0.1)["train"]
    task = DenseTask(numbered, train, SEGMENT, BURN_IN, "mse")
    seen = set()
    for seed in range(60):
        first, targets = pairs(task, task.epoch(np.random.default_rng(seed)))
        assert (np.searchsorted(edges, first, "right") == np.searchsorted(edges, targets[-1], "right")).all()
        seen.update(targets.flatten().tolist())
    assert seen.issuperset(row for targets in train for row in targets)


def test_the_scaler_sees_the_windows_on_both_sides_of_a_gap(toy):
    broken = replace(toy, breaks=(130,))
    train = split(broken)["train"]
    rows = [*range(train[0][0] - LOOKBACK, 130), *range(130, train[0][-1] + 1)]
    assert (Scaler.fit(broken, train).maximum[0] == toy.values[rows].max(0)).all()


def test_runs_are_those_of_consecutive_rows():
    assert runs(np.array([3, 4, 5, 9, 11, 12])) == [range(3, 6), range(9, 10), range(11, 13)]
    assert runs(np.arange(0)) == []


def test_a_look_back_over_a_gap_or_the_beginning_is_refused(toy):
    part = split(toy)["test"]
    require_reach(toy, part, 135)  # the 5 test windows of the second series begin after 135 rows
    with pytest.raises(UserError, match="series S1 has 135 hours before it without a gap, not 136"):
        require_reach(toy, part, 136)
    broken = replace(toy, breaks=(part[2][0] - 100,))
    with pytest.raises(UserError, match="series S2 has 100 hours"):
        require_reach(broken, part, 101)
    require_reach(broken, (part[0][:0], *part[1:]), LOOKBACK)


def test_over_the_phases_every_target_is_trained_on(numbered, train):
    task = DenseTask(numbered, train, SEGMENT, BURN_IN, "mse")
    seen = set()
    for seed in range(60):
        seen.update(pairs(task, task.epoch(np.random.default_rng(seed)))[1].flatten().tolist())
    assert seen.issuperset(row for targets in train for row in targets)


class Phase:
    """A generator that always draws the same phase, and shuffles nothing."""

    def __init__(self, phase: int):
        self._phase = phase

    def integers(self, high: int) -> int:
        assert 0 <= self._phase < high
        return self._phase

    def permutation(self, items: np.ndarray) -> np.ndarray:
        return items


def test_every_phase_has_the_segments_of_an_epoch(numbered, train):
    task = DenseTask(numbered, train, SEGMENT, BURN_IN, "mse")
    counts = [len(task.epoch(Phase(phase))) for phase in range(SEGMENT - BURN_IN)]
    assert min(counts) == task.items


def test_segments_by_hand(numbered):
    """Rows 0 to 109, segments of 12 hours with 8 targets: the last begins at 97, its last target is row 109."""
    task = DenseTask(numbered, (range(90, 110),), 12, 4, "mse")
    assert task.epoch(Phase(0)).tolist() == [0, 8, 16, 24, 32, 40, 48, 56, 64, 72, 80, 88, 96]
    assert task.epoch(Phase(1)).tolist() == [1, 9, 17, 25, 33, 41, 49, 57, 65, 73, 81, 89, 97]
    assert task.epoch(Phase(2)).tolist() == [2, 10, 18, 26, 34, 42, 50, 58, 66, 74, 82, 90]
    assert task.items == 12
    first, targets = pairs(task, np.array([97]))
    assert first.tolist() == [97]
    assert targets[:, 0].tolist() == [102, 103, 104, 105, 106, 107, 108, 109]


def test_a_series_too_short_for_a_segment_is_left_out_or_refused(numbered):
    # 90 + 9 rows are one too few for a segment of 60 hours with 40 targets in its last phase, 60 + 40.
    with pytest.raises(UserError, match=r"at least 100 training hours, the longest has 99: .*training=window"):
        DenseTask(numbered, (range(90, 99), range(300, 305)), 60, 20, "mse")
    assert DenseTask(numbered, (range(90, 100),), 60, 20, "mse").items == 1
    assert DenseTask(numbered, (range(90, 100), range(300, 305)), 60, 20, "mse").items == 1


# Order.


@pytest.mark.parametrize("dense", [True, False])
def test_the_order_of_an_epoch_follows_from_its_generator(numbered, train, dense):
    task = DenseTask(numbered, train, SEGMENT, BURN_IN, "mse") if dense else WindowTask(numbered, train, "mse")
    orders = [task.epoch(np.random.default_rng([seed, epoch])).tolist() for seed, epoch in [(0, 0), (0, 1), (1, 0)]]
    assert orders[0] == task.epoch(np.random.default_rng([0, 0])).tolist()
    assert orders[0] != orders[1]
    assert orders[0] != orders[2]


def test_room_is_counted_within_a_stretch(toy):
    # Series of 230, 140 and 310 rows; a gap before row 300 of all, which is the 70th of the second.
    before, after = room(replace(toy, breaks=(300,)), np.array([5, 229, 230, 299, 300, 369, 679]))
    assert before.tolist() == [5, 229, 0, 69, 0, 69, 309]
    assert after.tolist() == [225, 1, 70, 1, 70, 1, 1]
