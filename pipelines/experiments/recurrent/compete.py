"""Entering a trained network into the competition for the champion of its data: its validation error and intervals.

The network itself has seen all hours before the test part. So another one is trained with the same settings, but
without the last tenth of these hours: its error there is that by which champions are chosen, and the errors of its
forecasts there are those that intervals are calibrated on. The test part chooses nothing.
"""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from nnmodels.relative import AnyForecaster, LagForecaster, RelativeForecaster
from pipelines import names
from pipelines.common.streams import announce
from pipelines.data.energy.gaps import elapsed
from pipelines.data.energy.series import EnergyDataset, part_size, split
from pipelines.data.energy.windows import latest, room
from pipelines.data.protocol import VALIDATION_FRACTION
from pipelines.errors import UserError
from pipelines.experiments import tracked
from pipelines.experiments.base import Context
from pipelines.experiments.recurrent.forecaster import Forecaster, forecaster
from pipelines.experiments.recurrent.rows import LADDER, RelativeSettings, TrainedSettings
from pipelines.forecasting.card import card
from pipelines.forecasting.champion import FEWEST_ERRORS, Champion, Known, ahead, calibrating
from pipelines.forecasting.history import LOAD, SERIES, TIME
from pipelines.forecasting.intervals import calibrated
from pipelines.forecasting.models import SeriesNetwork
from pipelines.tracking.models import log_served, register, tag_registered
from pipelines.tracking.run import Run
from pipelines.training.loop import DivergedError
from pipelines.training.session import Training

SECOND = "training for validation"  # name of the phase of the second training
JUDGING = "forecasting for validation"  # and of that after it, which takes minutes for a large network
EXAMPLE_HOURS = 24  # of the forecast that is logged as an example
LEADS = 48  # hours ahead for which intervals are calibrated
SERVED = "pipelines.forecasting.champion:load"


class Validation(NamedTuple):
    """What a network forecasts of hours that it has not seen.

    Attributes:
        smape: percent, 0-200, of the next hour.
        windows: number of the forecasts that this is the mean of.
        held_out: of each series forecasts and actual loads, (n, LEADS) MW, of hours that follow each other.
    """

    smape: float
    windows: int
    held_out: list[tuple[np.ndarray, np.ndarray]]


def name_of(dataset: str) -> str:
    """The name of the registered forecasters of a data set."""
    return f"load-forecaster-{dataset}"


def competes(settings: TrainedSettings) -> bool:
    """Whether a run is entered: the first seed of a network of relative changes that has seen the whole training part.

    The steps of the ladder show what a change is worth, and are not.
    """
    is_whole = settings.seed == 0 and settings.fraction == 1
    return isinstance(settings, RelativeSettings) and is_whole and settings.row not in LADDER


def compete(run: Run, network: Forecaster, context: Context, saved: tracked.State) -> None:
    """Log the validation error of a trained network and register it, as champion if none on these data is better.

    What it takes is not counted as the run's, or the first seed would look twice as dear as the others.

    Args:
        run: the active run.
        network: trained.
        context: surroundings of the run, which get the progress of the second training.
        saved: the checkpoint that the row went on from, empty without one.
    """
    with context.apart():
        _compete(run, network, context, saved)


def _compete(run: Run, network: Forecaster, context: Context, saved: tracked.State) -> None:
    s, dataset = network.settings, network.dataset
    context.reports.phase(SECOND)

    def fit(second: Training) -> None:
        tracked.train_after(run, network.training, second, context, SECOND, saved)
        context.reports.phase(JUDGING)

    try:
        validation = validate(network, fit)
        champion = entrant(network, validation.held_out, _about(run, dataset, validation))
        example = _example(dataset, s.lookback)
        answer = champion.forecast(example, EXAMPLE_HOURS)
    except (UserError, DivergedError) as error:
        # The row itself is trained and tested.
        announce(f"{s.row} is trained, but is not registered as a forecaster: {error}")
        return
    run.log_metrics({names.VAL_SMAPE: validation.smape})
    context.reports.phase("registering")
    with tempfile.TemporaryDirectory() as folder:
        champion.save(Path(folder))
        sha256 = log_served(run, Path(folder), SERVED, example, answer)
    data = f"{dataset.digest}-{validation.windows}"
    register(run, name_of(dataset.name), names.VAL_SMAPE, validation.smape, data, sha256, card(champion))


def tell_seeds(finished: Sequence[Run]) -> None:
    """Tag the registered forecasters among the finished runs of a launch with the test error of all their seeds."""
    for run in finished:
        if names.REGISTERED in run.tags:
            errors = [
                each.metrics[names.SMAPE_REPORT] for each in finished if each.tags[names.ROW] == run.tags[names.ROW]
            ]
            spread = f" ± {np.std(errors, ddof=1):.4f}" if len(errors) > 1 else ""
            tag_registered(run, {names.SMAPE_REPORT: f"{np.mean(errors):.4f}{spread} %, n = {len(errors)}"})


def validate(network: Forecaster, fit: Callable[[Training], None] = Training.fit) -> Validation:
    """Train another network with the settings of `network`, but without the validation part, and forecast that.

    Args:
        network: trained.
        fit: trains the other one.

    Raises:
        UserError: the data are too few for that.
    """
    dataset = network.dataset
    parts = split(dataset, VALIDATION_FRACTION)
    lookback = network.settings.lookback
    validation = tuple(targets[room(dataset, targets)[0] >= lookback] for targets in parts["validation"])
    if not all(map(len, validation)):
        raise UserError(f"the validation part of a series has no hour with {lookback} hours before it without a gap")
    judge = forecaster(network.settings, dataset, parts["train"])
    with judge.training as training:
        fit(training)
        error = judge.metrics(validation)[names.SMAPE]
    held_out = [_held_out(judge, number, targets) for number, targets in enumerate(validation)]
    return Validation(error, part_size(validation), held_out)


def entrant(
    network: Forecaster, held_out: Sequence[tuple[np.ndarray, np.ndarray]], about: Mapping[str, object]
) -> Champion:
    """A forecaster to be used of a trained network.

    Args:
        network: trained.
        held_out: of each series forecasts and actual loads, (n, H) MW, by which intervals are calibrated.
        about: see Champion.
    """
    s, dataset = network.settings, network.dataset
    assert isinstance(s, RelativeSettings)
    forecast, actual = (np.concatenate(each) for each in zip(*held_out, strict=True))
    pooled = calibrated(forecast, actual)
    train = latest(split(dataset)["train"], s.fraction)
    known = tuple(
        Known(name, scales, dataset.times[targets[-1]], calibrated(*held) if len(held[0]) >= FEWEST_ERRORS else pooled)
        for name, scales, targets, held in zip(dataset.series, _scales(network), train, held_out, strict=True)
    )
    return Champion(s, _any(network), known, pooled, dataset.timezone, about)


def _any(network: Forecaster) -> AnyForecaster:
    model = network.training.model
    assert isinstance(model, RelativeForecaster | LagForecaster)
    return AnyForecaster(model.cpu(), network.settings.lookback).eval()


def _held_out(judge: Forecaster, number: int, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Forecasts and actual loads, (n, LEADS) MW, of one series from hours of its validation part on."""
    dataset = judge.dataset
    _, after = room(dataset, targets)
    origins = calibrating(targets[(after >= LEADS) & (targets + LEADS <= targets[-1] + 1)])
    model = SeriesNetwork(_any(judge), _scales(judge)[number], np.eye(len(dataset.series))[[number]])
    return ahead(model, dataset.values[:, 0].astype(np.float64), dataset.times, origins, LEADS)


def _scales(network: Forecaster) -> list[tuple[float, float, float, float]]:
    encoder = _any(network).network.encoder
    each = zip(encoder.change, encoder.mean, encoder.deviation, encoder.floor, strict=True)
    return [(float(a), float(b), float(c), float(d)) for a, b, c, d in each]


def _example(dataset: EnergyDataset, lookback: int) -> pd.DataFrame:
    """A table of hours to forecast from: the first ones before the test part that the clocks count without a jump.

    Raises:
        UserError: there are none.
    """
    (start, end), (targets, *_) = dataset.offsets[:2], split(dataset)["test"]
    steps = np.diff(elapsed(dataset.times[start:end], dataset.timezone))
    jumps = np.concatenate([[0], np.cumsum(steps != 1)])  # before each row of the series
    first = targets - start - lookback
    even = targets[(first >= 0) & (jumps[targets - start - 1] == jumps[first])]
    if not len(even):
        raise UserError(f"its test part has no hour with {lookback} hours before it that follow each other")
    rows = slice(even[0] - lookback, even[0])
    return pd.DataFrame(
        {
            SERIES: dataset.series[0],
            TIME: dataset.times[rows].astype("datetime64[us]").astype(str),
            LOAD: dataset.values[rows, 0].astype(np.float64),
        }
    )


def _about(run: Run, dataset: EnergyDataset, validation: Validation) -> dict[str, object]:
    """What else is worth knowing of a champion, beside the description of its run."""
    return {
        "dataset": dataset.name,
        "digest": dataset.digest,
        "row": run.tags[names.ROW],
        "run": run.id,
        "country": dataset.country,
        names.VAL_SMAPE: validation.smape,
        "validation windows": validation.windows,
        "series": {
            name: {"from": str(dataset.times[start]), "to": str(dataset.times[end - 1])}
            for name, (start, end) in zip(dataset.series, pairwise(dataset.offsets), strict=True)
        },
    }
