"""Training data of a forecaster of relative changes: raw hours, the scales of the series, and their segments."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from nnmodels.relative import Days, Encoder, Scales
from pipelines.data.energy.calendar import day_facts
from pipelines.data.energy.series import HOUR, EnergyDataset, Part, log_floor
from pipelines.data.energy.windows import gather, runs
from pipelines.data.protocol import LOOKBACK
from pipelines.errors import UserError

SMALLEST = 1e-6  # of a relative change; a load in float32 is no finer
MAD_OF_NORMAL = 1.4826  # standard deviation over median absolute deviation, of a normal distribution


def raw_hours(dataset: EnergyDataset) -> Tensor:
    """All hours as (N, 3) float32: load (MW), hours since 1970-01-01 00:00, and the number of the series."""
    hours = (dataset.times - np.datetime64(0, "s")) / HOUR
    series = np.repeat(np.arange(len(dataset.series)), np.diff(dataset.offsets))
    return torch.from_numpy(np.column_stack([dataset.values[:, 0], hours, series]).astype(np.float32))


def scales(dataset: EnergyDataset, train: Part) -> Scales:
    """Scales of each series, from the hours that its training windows and their targets cover."""
    found = [
        scales_of([dataset.values[run.start - LOOKBACK : run.stop, 0] for run in runs(targets)]) for targets in train
    ]
    return Scales(*torch.from_numpy(np.array(found, np.float32).T.copy()))


def scales_of(loads: Sequence[np.ndarray]) -> tuple[float, float, float, float]:
    """Scales of one series, in the order of Scales, from its stretches of consecutive hours, MW."""
    floor = log_floor(np.concatenate(loads))
    logs = [np.log(np.maximum(each, floor, dtype=np.float64)) for each in loads]
    log, change = np.concatenate(logs), np.concatenate([np.diff(each) for each in logs])
    typical = MAD_OF_NORMAL * np.median(np.abs(change - np.median(change)))
    # A series that mostly stands still has no typical change: then its deviation.
    return _size(typical, change.std()), log.mean(), _size(log.std()), floor


def _size(*candidates: float) -> float:
    """The first that is no rounding error, 1 where all are: a constant load."""
    return next((each for each in candidates if each > SMALLEST), 1.0)


def days(dataset: EnergyDataset) -> Days:
    """Facts about the days of the data set's place."""
    first, _, facts = day_facts(dataset.country, dataset.timezone)
    return Days(first, torch.from_numpy(facts.copy()))


class RelativeTask:
    """Targets of a forecaster of changes: at every hour of a segment after a burn-in, or one at a time.

    An error counts by `loss`: "mse" or "mae" of the network's own unit, every target alike; "relative" the absolute
    error in percent of the load, a series of n targets weighted by n^-1/2, between every target alike and every series
    alike, over the mean weight.

    Args:
        hours: (N, 3) raw hours.
        train: target rows to train on.
        lookback: hours before a target that its forecast may depend on.
        history: of the network, see its attribute.
        segment: steps of a segment; 1 for a network without memory, whose items are targets.
        burn_in: first steps, whose forecasts do not count in the loss.
        loss: see above.

    Raises:
        UserError: no series is long enough for one segment.
    """

    def __init__(
        self, hours: Tensor, train: Part, lookback: int, history: int, segment: int, burn_in: int, loss: str
    ) -> None:
        self.hours = hours
        self.runs = [run for targets in train for run in runs(targets)]
        self.lookback = lookback
        self.history = history
        self.segment = segment
        self.burn_in = burn_in
        self.loss_name = loss
        self.targets_per_item = segment - burn_in
        counts = np.array([len(targets) for targets in train])
        weights = counts**-0.5
        self._weights = torch.from_numpy(weights / np.average(weights, weights=counts)).float().to(hours.device)
        last_phase = self.targets_per_item - 1
        self.items = sum(len(self._starts(run, last_phase)) for run in self.runs)
        if not self.items:
            raise UserError(
                f"a segment of {segment} hours and {history} before it need a longer series: the longest has "
                f"{max(map(len, self.runs), default=0) + LOOKBACK} training hours; give more data"
            )

    def epoch(self, rng: np.random.Generator) -> np.ndarray:
        """First steps of the segments, in random order; each run of targets is cut from a random phase on."""
        starts = [self._starts(run, int(rng.integers(self.targets_per_item))) for run in self.runs]
        return rng.permutation(np.concatenate(starts))

    def _starts(self, run: range, phase: int) -> np.ndarray:
        """Rows of the first steps; the first has its history within the series."""
        first = run.start - LOOKBACK + self.history + phase
        return np.arange(first, run.stop - self.segment, self.targets_per_item)

    def loss(self, model: nn.Module, items: Tensor) -> Tensor:
        """Mean error over all targets of the segments whose first steps are `items` (B,)."""
        encoder = _encoder(model)
        hours = self.hours[gather(items - self.history, self.history + self.segment + 1)]
        item = encoder.item(hours)
        forecast = model(hours, first=self.burn_in, item=item)
        # Of several networks that are averaged each has its own error.
        error = forecast - encoder.targets(hours, item)[-forecast.shape[-2] :]
        if self.loss_name == "mse":
            return error.square().mean()
        if self.loss_name == "mae":
            return error.abs().mean()
        return 100 * (error.abs() * encoder.unit(item) * self._weights[hours[0, :, 2].long()]).mean()

    def outputs(self, model: nn.Module, items: Tensor) -> Tensor:
        """Forecasts (B,), MW, of the target rows `items`, each from the `lookback` rows before it and a zero state."""
        hours = self.hours[gather(items - self.lookback, self.lookback + 1)]
        item = _encoder(model).item(hours)
        forecast = model(hours, first=self.lookback - self.history - 1, item=item)
        return _encoder(model).load(forecast, hours, item)[0]


def _encoder(model: nn.Module) -> Encoder:
    encoder = model.encoder
    assert isinstance(encoder, Encoder)  # a session pairs this task with a network that has one
    return encoder
