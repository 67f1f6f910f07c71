"""The competition for the champion: what its validation error and intervals are of, and which runs are not entered."""

from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from pipelines.data.energy.series import EnergyDataset, split
from pipelines.errors import UserError
from pipelines.experiments import tracked
from pipelines.experiments.base import Context, changed
from pipelines.experiments.recurrent import compete as competition
from pipelines.experiments.recurrent.compete import LEADS, _example, compete, competes, entrant, validate
from pipelines.experiments.recurrent.forecaster import Forecaster, forecaster
from pipelines.experiments.recurrent.rows import resolve_network
from pipelines.processes.reports import Reports

LENGTHS = (2500, 1500)


def dataset(lengths: tuple[int, ...] = LENGTHS, breaks: tuple[int, ...] = ()) -> EnergyDataset:
    """Series whose loads are 1,000 MW and a millionth more with each row of all, by which a row is told."""
    count = sum(lengths)
    values = np.zeros((count, 5), np.float32)
    values[:, 0] = 1000 + 0.01 * np.arange(count)
    times = np.datetime64("2020-01-01T00", "s") + np.concatenate(
        [np.arange(each) for each in lengths]
    ) * np.timedelta64(3600, "s")
    names = tuple("ABC"[: len(lengths)])
    return EnergyDataset("toy", names, values, times, (0, *np.cumsum(lengths).tolist()), "d", {}, breaks=breaks)


def network(data: EnergyDataset, **changes) -> Forecaster:
    own = resolve_network("gru-relative", "sample", "dense", 0, 1.0)
    settings = changed(own, hidden=4, head=0, epochs=1, batch_size=64, segment=24, burn_in=2, **changes)
    return forecaster(settings, data, split(data)["train"])


def row_of(load: np.ndarray) -> np.ndarray:
    return np.rint((load - 1000) / 0.01).astype(int)


def test_what_is_held_out_is_the_validation_part_without_gaps():
    data = dataset(breaks=(2150,))
    parts = split(data, 0.1)
    found = validate(network(data))
    assert found.windows == sum(map(len, parts["validation"]))
    for (forecast, actual), targets in zip(found.held_out, parts["validation"], strict=True):
        rows = row_of(actual)
        assert forecast.shape == actual.shape
        assert actual.shape[1] == LEADS
        assert set(rows.ravel()) <= set(range(targets[0], targets[-1] + 1))
        assert (np.diff(rows) == 1).all()
        # An hour ahead a network that was trained a little is not far off loads that hardly change.
        assert np.abs(forecast[:, 0] / actual[:, 0] - 1).max() < 0.1
    crossing = (row_of(found.held_out[0][1]) == 2149).any(axis=1) & (row_of(found.held_out[0][1]) == 2150).any(axis=1)
    assert not crossing.any()
    assert 0 < found.smape < 10


def test_hours_that_a_long_lookback_does_not_reach_are_left_out():
    data = dataset(breaks=(2150,))
    reached = [targets[(targets < 2150) | (targets >= 2150 + 150) | (targets >= 2500)] for targets in _validation(data)]
    assert validate(network(data, lookback=150)).windows == sum(map(len, reached)) < sum(map(len, _validation(data)))


def test_without_any_hour_to_validate_on_nothing_is_entered():
    data = dataset((2500, 300))
    with pytest.raises(UserError, match="no hour with 280 hours before it"):
        validate(network(data, lookback=280))


def _validation(data: EnergyDataset) -> tuple[np.ndarray, ...]:
    return split(data, 0.1)["validation"]


def test_a_series_with_few_errors_has_the_intervals_of_all():
    data = dataset()
    trained = network(data)
    rng = np.random.default_rng(0)
    loads = [np.full((count, LEADS), 1000.0) for count in (200, 20)]
    held_out = [(each, each * (1 + 0.05 * rng.normal(size=each.shape))) for each in loads]
    champion = entrant(trained, held_out, {})
    first, second = champion.known
    assert (first.intervals.errors, champion.pooled.errors) == (200, 220)
    assert second.intervals is champion.pooled
    train = split(data)["train"]
    assert [each.seen for each in champion.known] == [data.times[targets[-1]] for targets in train]


@pytest.mark.parametrize(
    ("row", "changes", "expected"),
    [
        ("gru-relative", {}, True),
        ("mlp-lags", {}, True),
        ("gru-relative", {"seed": 1}, False),
        ("gru-relative", {"fraction": 0.5}, False),
        ("ladder-change", {}, False),
        ("gru-2", {}, False),
    ],
)
def test_who_competes(row, changes, expected):
    assert competes(changed(resolve_network(row, "sample", "dense", 0, 1.0), **changes)) is expected


def test_the_example_is_of_hours_that_follow_each_other():
    data = dataset()
    targets = split(data)["test"][0]
    times = data.times.copy()
    times[targets[0] - 10 : LENGTHS[0]] += np.timedelta64(3600, "s")  # an hour is missing shortly before the test part
    found = _example(replace(data, times=times), 90)
    assert row_of(found["load"].to_numpy()).tolist() == list(range(targets[0] - 10, targets[0] + 80))
    assert (pd.to_datetime(found["time"]).diff()[1:] == pd.Timedelta(hours=1)).all()
    times[targets[0] : LENGTHS[0] : 50] += np.timedelta64(3600, "s")
    with pytest.raises(UserError, match="no hour with 90 hours before it that follow each other"):
        _example(replace(data, times=times), 90)


def test_its_training_is_told_from_the_rows_own_and_costs_the_run_nothing(monkeypatch):
    heard, inside = [], []

    class Hearing(Reports):
        def progress(self, report, now=False):
            heard.append(report)
            super().progress(report, now)

    reports = Hearing()
    data = dataset()
    own = network(data)
    own.training.fit()
    monkeypatch.setattr(tracked, "save_checkpoint", lambda run, state, epoch: None)

    @contextmanager
    def apart():
        inside.append("in")
        yield
        inside.append("out")

    def fails(network, fit):
        assert inside == ["in"]
        fit(forecaster(network.settings, data, split(data, 0.1)["train"]).training)
        raise UserError("the data are too few")

    monkeypatch.setattr(competition, "validate", fails)
    compete(None, own, Context(data_dir="", reports=reports, apart=apart), {})
    assert inside == ["in", "out"]
    assert list(dict.fromkeys(each.phase for each in heard)) == [
        "training for validation",
        "forecasting for validation",
    ]
    assert all(each.follows for each in heard if each.epochs)
    assert (reports.last.epoch, reports.last.epochs) == (1, 1)
    reports.phase("registering")
    assert reports.last.follows
