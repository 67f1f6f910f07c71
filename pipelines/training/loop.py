"""The training loop. It does not depend on the model: a task gives items and their loss, an engine computes the
gradients of a batch, callbacks see the progress.

Random numbers follow from (seed, epoch) for the order of the items and from (seed, update, replica) for dropout, never
from earlier random numbers, so a resumed training ends with the same bits as an uninterrupted one.
"""

import hashlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn


class Task(Protocol):
    """Data and loss of a training: `items` an epoch, each with `targets_per_item` forecasts or labels."""

    items: int
    targets_per_item: int

    def epoch(self, rng: np.random.Generator) -> np.ndarray:
        """Item numbers of one epoch, in the order of training."""
        ...

    def loss(self, model: nn.Module, items: Tensor) -> Tensor:
        """Mean loss of `items`."""
        ...

    def outputs(self, model: nn.Module, items: Tensor) -> Tensor:
        """Outputs of `model` for `items` (B,) in an evaluation, first dimension B."""
        ...


class Engine(Protocol):
    """Computation of gradients and outputs: by one process or several (replicas.py), or by formulas (hand_derived.py).

    Attributes:
        on_shrink: called with the new micro-batch when memory ran out.
    """

    on_shrink: Callable[[int], None]

    def gradients(self, items: np.ndarray, update: int) -> float:
        """Leave the gradients of the mean loss of `items` in the model's parameters; return that loss."""
        ...

    def outputs(self, items: np.ndarray, batch_size: int, precision: str) -> np.ndarray:
        """The model's outputs for `items` in evaluation mode, `batch_size` at a time, in their order."""
        ...

    def peak_memory(self) -> float:
        """Peak resident memory of its processes, MB."""
        ...

    def close(self) -> None:
        """End its processes, if it has any."""
        ...


class DivergedError(Exception):
    """The loss, the weights or a metric became NaN or infinite."""


@dataclass
class Progress:
    """Progress of a training. `seconds` is the time of updates only, without evaluations and checkpoints.

    `costs` are the relative times of an update in each of the epochs; empty if they are all the same.
    """

    epochs: int
    updates: int
    epoch: int = 0
    update: int = 0
    loss: float = math.nan
    epoch_loss: float = math.nan
    items: int = 0
    seconds: float = 0.0
    costs: Sequence[float] = ()

    @classmethod
    def planned(cls, items: int, batch_size: int, epochs: int, costs: Sequence[float] = ()) -> "Progress":
        """A training that has not begun: `epochs` epochs of `items` items in batches of `batch_size`."""
        return cls(epochs=epochs, updates=_updates_per_epoch(items, batch_size) * epochs, costs=costs)

    def remaining_seconds(self) -> float:
        """Estimated time of the remaining updates, from `seconds`; needs at least one update."""
        costs = self.costs or [1.0] * self.epochs
        per_epoch = self.updates / self.epochs
        started = int(self.update / per_epoch)
        done = sum(costs[:started]) + sum(costs[started : started + 1]) * (self.update / per_epoch - started)
        return self.seconds * (sum(costs) / done - 1)


class Callback:
    """Sees a training at its start, after each update and after each epoch; does nothing unless overridden."""

    def on_start(self, progress: Progress) -> None:
        """Called before the first update, also of a resumed training."""

    def on_update(self, progress: Progress) -> None:
        """Called after each update."""

    def on_epoch(self, progress: Progress) -> None:
        """Called after each epoch."""


def derived_seed(*parts: int | str) -> int:
    """A seed (64 bits) that depends on all `parts`, for random numbers that must not depend on anything else."""
    text = ",".join(map(str, parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


def fit(
    task: Task,
    engine: Engine,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler | None,
    batch_size: int,
    seed: int,
    progress: Progress,
    callbacks: Sequence[Callback] = (),
) -> None:
    """Train from the epoch of `progress` to its last epoch, on batches of `batch_size` items.

    Raises:
        DivergedError: the loss of an update is NaN or infinite, and the weights are those before that update; or the
            weights are after the last update of an epoch.
    """
    per_epoch = _updates_per_epoch(task.items, batch_size)
    for callback in callbacks:
        callback.on_start(progress)
    while progress.epoch < progress.epochs:
        order = task.epoch(np.random.default_rng([seed, progress.epoch]))[: task.items]
        total = 0.0
        for batch in range(per_epoch):
            began = time.perf_counter()
            items = order[batch * batch_size : (batch + 1) * batch_size]
            loss = engine.gradients(items, progress.update)
            if not math.isfinite(loss):
                raise DivergedError(f"the loss is {loss} at update {progress.update + 1} (epoch {progress.epoch + 1})")
            optimizer.step()
            if schedule is not None:
                schedule.step()
            progress.seconds += time.perf_counter() - began
            progress.update += 1
            progress.items += len(items)
            progress.loss = loss
            total += loss
            for callback in callbacks:
                callback.on_update(progress)
        progress.epoch += 1
        progress.epoch_loss = total / per_epoch
        _require_finite_weights(optimizer, progress)
        for callback in callbacks:
            callback.on_epoch(progress)


def _updates_per_epoch(items: int, batch_size: int) -> int:
    """Number of updates; the last batch of an epoch may be smaller."""
    return math.ceil(items / batch_size)


def _require_finite_weights(optimizer: torch.optim.Optimizer, progress: Progress) -> None:
    """Raises a DivergedError if weights are not finite; the loss of an update is that of the weights before it."""
    weights = (weight for group in optimizer.param_groups for weight in group["params"])
    if not all(torch.isfinite(weight).all() for weight in weights):
        raise DivergedError(f"weights are NaN or infinite after update {progress.update} (epoch {progress.epoch})")
