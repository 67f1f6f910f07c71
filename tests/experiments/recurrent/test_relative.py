"""Networks of relative changes: their training data, on series small enough to see, and what they forecast."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nnmodels.relative import Encoder, Encoding, Item, LagForecaster, RelativeForecaster
from pipelines.data.datasets import load_energy
from pipelines.data.energy.series import EnergyDataset, split
from pipelines.errors import UserError
from pipelines.experiments.base import changed
from pipelines.experiments.recurrent.forecaster import actual, forecaster, updates
from pipelines.experiments.recurrent.relative import RelativeTask, days, raw_hours, scales
from pipelines.experiments.recurrent.rows import AVERAGE, RELATIVES, resolve_network
from pipelines.training.metrics import forecast_metrics

LENGTHS = (300, 230)
HISTORY, SEGMENT, BURN_IN = 48, 12, 4
ENCODING = Encoding("change", "target", (24, 48), True)


@pytest.fixture
def toy() -> EnergyDataset:
    """Two series whose loads are 1.001 to the power of their hour's number, times 1 and 100."""
    loads = [1.001 ** np.arange(length) * 100**number * 50 for number, length in enumerate(LENGTHS)]
    values = np.zeros((sum(LENGTHS), 5), np.float32)
    values[:, 0] = np.concatenate(loads)
    times = np.datetime64("2020-01-01T00", "s") + np.concatenate([np.arange(n) for n in LENGTHS]) * np.timedelta64(
        1, "h"
    )
    return EnergyDataset("toy", ("A", "B"), values, times.astype("datetime64[s]"), (0, 300, 530), "", {})


@pytest.fixture
def train(toy) -> tuple[range, ...]:
    return split(toy)["train"]


class Fixed(nn.Module):
    """Forecasts `value` for every hour, and keeps what it was shown."""

    def __init__(self, encoder: Encoder, value: float = 0.0):
        super().__init__()
        self.encoder, self.value = encoder, value

    def forward(self, hours: Tensor, first: int = 0, item: Item | None = None) -> Tensor:
        self.hours, self.first = hours, first
        return torch.full((len(hours) - HISTORY - 1 - first, hours.shape[1]), self.value)


def task(toy: EnergyDataset, train: tuple[range, ...], loss: str = "relative") -> RelativeTask:
    return RelativeTask(raw_hours(toy), train, 90, HISTORY, SEGMENT, BURN_IN, loss)


def test_raw_hours_are_load_time_and_series(toy):
    raw = raw_hours(toy).numpy()
    assert raw[[0, 299, 300], 1].tolist() == [438288, 438587, 438288]  # hours from 1970 to 2020
    assert raw[[0, 299, 300], 2].tolist() == [0, 0, 1]
    assert (raw[:, 0] == toy.values[:, 0]).all()


def test_an_epoch_has_each_target_about_once_within_its_series(toy, train):
    each = task(toy, train)
    for seed in range(8):
        starts = each.epoch(np.random.default_rng(seed))
        targets = np.concatenate([start + np.arange(BURN_IN + 1, SEGMENT + 1) for start in starts])
        assert len(set(targets)) == len(targets) >= 0.6 * sum(map(len, train))
        for start in starts:
            series = int(start >= 300)
            assert start - HISTORY >= toy.offsets[series]
            assert start + SEGMENT < train[series][-1] + 1
        assert len(starts) >= each.items


def test_no_segment_and_none_of_its_history_crosses_a_gap(toy):
    broken = replace(toy, breaks=(140,))
    train = split(broken)["train"]
    each = task(broken, train)
    starts = np.concatenate([each.epoch(np.random.default_rng(seed)) for seed in range(8)])
    edges = np.array([0, 140, 300, 530])
    before, after = (np.searchsorted(edges, rows, "right") for rows in (starts - HISTORY, starts + SEGMENT))
    assert (before == after).all()
    assert {1, 2, 3} == set(before)


def test_the_scales_do_not_see_the_jump_over_a_gap(toy):
    toy.values[140:300, 0] *= 1000
    broken = replace(toy, breaks=(140,))
    found = scales(broken, split(broken)["train"])
    assert found.change[0].item() == pytest.approx(1, rel=1e-3)  # all changes alike: no typical one, no deviation


@pytest.mark.parametrize(("loss", "expected"), [("mse", 0.25), ("mae", 0.5)])
def test_a_loss_in_the_networks_own_units(toy, train, loss, expected):
    encoder = Encoder(ENCODING, scales(toy, train), days(toy))
    model = Fixed(encoder)
    hours = raw_hours(toy)[:300, None]
    model.value = encoder.targets(hours, encoder.item(hours)).mean().item() + 0.5
    each = task(toy, train, loss)
    items = torch.from_numpy(each.epoch(np.random.default_rng(0)))[:8]
    assert each.loss(model, items).item() == pytest.approx(expected, rel=0.02)


def test_the_relative_loss_is_in_percent_and_weights_a_series_by_the_root_of_its_length(toy, train):
    encoder = Encoder(ENCODING, scales(toy, train), days(toy))
    each = task(toy, train)
    a, b = torch.tensor([60, 70]), torch.tensor([360, 370])
    # Every hour the load grows by ln 1.001; a forecast of no change is wrong by that, for both series.
    losses = [each.loss(Fixed(encoder), items).item() for items in (a, b)]
    n = np.array([len(targets) for targets in train])
    weights = n**-0.5 / ((n**0.5).sum() / n.sum())
    assert losses == pytest.approx((100 * np.log(1.001) * weights).tolist(), rel=0.01)
    assert sum(loss * len(targets) for loss, targets in zip(losses, train, strict=True)) / n.sum() == pytest.approx(
        100 * np.log(1.001), rel=0.01
    )


def test_an_evaluation_shows_the_hours_before_and_gives_megawatts(toy, train):
    model = Fixed(Encoder(ENCODING, scales(toy, train), days(toy)))
    target = 150
    loads = task(toy, train).outputs(model, torch.tensor([target]))
    assert model.hours.shape == (91, 1, 3)
    assert model.hours[-1, 0, 0] == toy.values[target, 0]
    assert model.first == 90 - HISTORY - 1
    assert loads.tolist() == pytest.approx([toy.values[target - 1, 0]])


def test_scales_are_of_the_training_part(toy, train):
    before = scales(toy, train)
    toy.values[train[0][-1] + 1 : 300] = 1e6
    toy.values[train[1][-1] + 1 :] = 1e6
    for one, other in zip(before, scales(toy, train), strict=True):
        assert torch.equal(one, other)
    log = np.log(toy.values[: train[0][-1] + 1, 0].astype(float))
    assert before.mean[0].item() == pytest.approx(log.mean())
    assert before.deviation[0].item() == pytest.approx(log.std())


def test_a_constant_load_has_scales_of_one(toy, train):
    toy.values[:300, 0] = 77
    found = scales(toy, train)
    assert (found.change[0].item(), found.deviation[0].item()) == (1, 1)


@pytest.mark.parametrize("row", [row for row, network in RELATIVES.items() if network.cell != "MLP"])
def test_too_few_hours_are_refused_in_one_line(row):
    settings = resolve_network(row, "sample", "dense", 0, 1.0)
    with pytest.raises(UserError, match=r"longer series: the longest has 95 training hours"):
        updates(settings, (range(90, 95),))


@pytest.mark.parametrize("row", RELATIVES)
def test_the_logged_model_gives_the_forecasts_of_the_evaluation(row):
    dataset = load_energy("sample")
    parts = split(dataset)
    settings = changed(resolve_network(row, "sample", "dense", 0, 1.0), epochs=1, hidden=8, head=4)
    network = forecaster(settings, dataset, parts["train"])
    with network.training as training:
        training.fit()
        assert isinstance(training.model, RelativeForecaster | LagForecaster)
        some = (parts["test"][0][::20],)
        (forecasts,) = network.forecast(some)
        windows = np.stack([network.window(target, 0) for target in some[0]])
        with torch.no_grad():
            again = network.whole()(torch.from_numpy(windows)).numpy()
    assert windows.shape == (10, settings.lookback + 1, 3)
    assert again == pytest.approx(forecasts, rel=1e-5)


@pytest.mark.medium
def test_a_network_of_the_changes_beats_persistence_by_far_on_the_sample():
    dataset = load_energy("sample")
    parts = split(dataset)
    settings = changed(resolve_network("gru-relative", "sample", "dense", 0, 1.0), epochs=20, hidden=32)
    network = forecaster(settings, dataset, parts["train"])
    with network.training as training:
        training.fit()
        error = network.metrics(parts["test"])["smape"]
    (load,) = actual(dataset, parts["test"])
    before = dataset.values[parts["test"][0] - 1, 0]
    assert error < 0.25 * forecast_metrics([before], [load], dataset.series)["smape"]


def test_members_of_an_average_end_as_they_would_alone():
    """Adam does not care how large a gradient is, and each member has the gradient of its own error."""
    dataset = load_energy("sample")
    parts = split(dataset)
    alone = changed(resolve_network("gru-relative", "sample", "dense", 0, 1.0), epochs=3, hidden=8, head=4)
    both = forecaster(changed(alone, cell=AVERAGE, members=("GRU", "LSTM")), dataset, parts["train"])
    singles = [forecaster(changed(alone, cell=cell), dataset, parts["train"]) for cell in ("GRU", "LSTM")]
    for single, member in zip(singles, both.training.model.members, strict=True):
        single.training.model.members[0].load_state_dict(member.state_dict())
        with single.training as training:
            training.fit()
    with both.training as training:
        training.fit()
    for single, member in zip(singles, both.training.model.members, strict=True):
        for ours, theirs in zip(member.parameters(), single.training.model.members[0].parameters(), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)
    forecasts = [single.forecast(parts["test"])[0] for single in singles]
    assert abs(forecasts[0] - forecasts[1]).max() > 10  # MW
    assert both.forecast(parts["test"])[0] == pytest.approx((forecasts[0] + forecasts[1]) / 2, rel=1e-4)
