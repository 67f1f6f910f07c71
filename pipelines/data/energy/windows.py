"""Training data of a forecaster from raw series: scaling, parts, and windows gathered by index.

Windows are not stored: a batch of them is one fancy index into the scaled array. Every random order follows from
(seed, epoch) alone, so that a resumed training sees the same data as an uninterrupted one.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - torch's own convention

from pipelines.data.energy.series import EnergyDataset, Part, part_size
from pipelines.data.protocol import LOOKBACK
from pipelines.errors import UserError

LOSSES = {"mse": F.mse_loss, "mae": F.l1_loss}


@dataclass(frozen=True)
class Scaler:
    """MinMax scaling of every feature of every series to 0-1, fitted on the rows up to the last training target.

    Attributes:
        minimum, maximum: (S, 5) float32, raw units.
    """

    minimum: np.ndarray
    maximum: np.ndarray

    @classmethod
    def fit(cls, dataset: EnergyDataset, train: Part) -> "Scaler":
        """Scaler of the rows that the training windows and their targets cover."""
        covered = [dataset.values[covered_rows(targets)] for targets in train]
        return cls(np.stack([rows.min(0) for rows in covered]), np.stack([rows.max(0) for rows in covered]))

    @property
    def span(self) -> np.ndarray:
        """Range of each feature in raw units, (S, 5); 1 for a constant feature."""
        return np.where(self.maximum > self.minimum, self.maximum - self.minimum, 1)

    def scaled(self, dataset: EnergyDataset) -> np.ndarray:
        """Scale all rows of `dataset`: (N, 5) float32, 0-1 within the fitted range; 0 for a constant feature."""
        lengths = np.diff(dataset.offsets)
        return (dataset.values - np.repeat(self.minimum, lengths, 0)) / np.repeat(self.span, lengths, 0)

    def load(self, scaled: np.ndarray, series: int) -> np.ndarray:
        """Loads of one series in MW from scaled ones."""
        return scaled * self.span[series, 0] + self.minimum[series, 0]


def runs(targets: np.ndarray) -> list[range]:
    """Runs of consecutive rows of which the ascending `targets` consist."""
    breaks = np.flatnonzero(np.diff(targets) != 1) + 1
    return [range(run[0], run[-1] + 1) for run in np.split(np.asarray(targets), breaks) if len(run)]


def covered_rows(targets: np.ndarray) -> np.ndarray:
    """The rows of the windows of `targets` and these themselves, where windows of two runs share none."""
    return np.concatenate([np.arange(run.start - LOOKBACK, run.stop) for run in runs(targets)])


def require_reach(dataset: EnergyDataset, part: Part, lookback: int) -> None:
    """Require that the `lookback` rows before each target are of its own series, with no gap between.

    Raises:
        UserError: they are not; names the series.
    """
    for series, targets in zip(dataset.series, part, strict=True):
        if len(targets):
            reach = int(room(dataset, targets)[0].min())
            if reach < lookback:
                raise UserError(
                    f"{dataset.name}: an hour to forecast in series {series} has {reach} hours before it without a "
                    f"gap, not {lookback}; give a longer series, or rows that look back less"
                )


def room(dataset: EnergyDataset, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of rows before each target, and from it on, of its own series, with no gap between: (n,) each."""
    edges = np.array(sorted({*dataset.offsets, *dataset.breaks}))
    following = np.searchsorted(edges, targets, "right")
    return targets - edges[following - 1], edges[following] - targets


def latest(part: Part, fraction: float) -> Part:
    """The most recent `fraction` (0-1] of each series' targets, at least one: a smaller training set."""
    return tuple(targets[-max(1, round(fraction * len(targets))) :] for targets in part)


def spread(part: Part, size: int) -> Part:
    """About `size` of the targets, evenly spread over each series: a quick evaluation of all series."""
    step = max(1, part_size(part) // size)
    return tuple(targets[::step] for targets in part)


class _ForecastTask:
    """Evaluation, which is common to both ways of training."""

    scaled: Tensor

    def outputs(self, model: torch.nn.Module, items: Tensor) -> Tensor:
        """Scaled forecasts (B,) of the target rows `items`, each from its own window and a zero state."""
        return model(self.scaled[gather(items - LOOKBACK, LOOKBACK)], first=LOOKBACK - 1)[0]


class WindowTask(_ForecastTask):
    """The report's protocol: an item is a target row, its input the `LOOKBACK` rows before it.

    Args:
        scaled: (N, 5) scaled rows.
        train: target rows to train on.
        loss: key of LOSSES.
    """

    def __init__(self, scaled: Tensor, train: Part, loss: str):
        self.scaled = scaled
        self._loss = LOSSES[loss]
        self.train = train
        self.items = part_size(train)
        self.targets_per_item = 1

    def epoch(self, rng: np.random.Generator) -> np.ndarray:
        """Item numbers of one epoch: each once, in random order."""
        return rng.permutation(np.concatenate(self.train))

    def loss(self, model: torch.nn.Module, items: Tensor) -> Tensor:
        """Mean error of the scaled load over `items` (B,)."""
        return self._loss(self.outputs(model, items), self.scaled[items, 0])


class DenseTask(_ForecastTask):
    """A target at every hour of a contiguous segment after a burn-in.

    Args:
        scaled: (N, 5) scaled rows.
        train: target rows to train on.
        segment: hours of input, T.
        burn_in: first hours, whose forecasts do not count in the loss.
        loss: key of LOSSES.

    Raises:
        UserError: no series is long enough for one segment.
    """

    def __init__(self, scaled: Tensor, train: Part, segment: int, burn_in: int, loss: str):
        self.scaled = scaled
        self._loss = LOSSES[loss]
        self.runs = [run for targets in train for run in runs(targets)]
        self.segment = segment
        self.burn_in = burn_in
        self.targets_per_item = segment - burn_in
        # Number of segments for the phase with the fewest, so that every epoch has as many, whatever its phase.
        last_phase = self.targets_per_item - 1
        self.items = sum(len(self._starts(run, last_phase)) for run in self.runs)
        if not self.items:
            least = segment + self.targets_per_item
            raise UserError(
                f"dense training needs a series of at least {least} training hours, the longest has "
                f"{max(map(len, self.runs), default=0) + LOOKBACK}: give more data or training=window"
            )

    def epoch(self, rng: np.random.Generator) -> np.ndarray:
        """First rows of the segments, in random order.

        Each run is cut into segments from a random phase on, so that every target occurs about once an epoch, each
        time at another position in its segment.
        """
        starts = [self._starts(run, int(rng.integers(self.targets_per_item))) for run in self.runs]
        return rng.permutation(np.concatenate(starts))

    def _starts(self, run: range, phase: int) -> np.ndarray:
        return np.arange(run.start - LOOKBACK + phase, run.stop - self.segment, self.targets_per_item)

    def loss(self, model: torch.nn.Module, items: Tensor) -> Tensor:
        """Mean error of the scaled load over all targets of the segments that begin at `items` (B,)."""
        rows = gather(items, self.segment)
        forecast = model(self.scaled[rows], first=self.burn_in)
        return self._loss(forecast, self.scaled[rows[self.burn_in :] + 1, 0])


def gather(first: Tensor, length: int) -> Tensor:
    """Row numbers (length, B) of the runs of `length` rows that begin at `first` (B,)."""
    return first + torch.arange(length, device=first.device).unsqueeze(1)
