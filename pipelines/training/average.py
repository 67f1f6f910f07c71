"""Exponential moving average of a model's weights during training (Polyak and Juditsky 1992; torch's swa_utils)."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from pipelines.training.loop import Callback, Progress

Weights = tuple[Tensor, ...] | list[Tensor]


class WeightAverage(Callback):
    """Averages the weights after each update, and puts the averages in their place for evaluations and the end.

    Args:
        model: the model in training.
        decay: weight of the previous average in the next, 0 to 1; less in the first updates, (1 + n) / (10 + n) after
            n of them, as in TensorFlow, so that the weights of the start are soon forgotten.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        def average(averages: Weights, present: Weights, updates: Tensor | int) -> None:
            n = int(updates)
            torch._foreach_lerp_(averages, present, 1 - min(decay, (1 + n) / (10 + n)))

        self._model = model
        self._average = AveragedModel(model, multi_avg_fn=average)

    def on_update(self, progress: Progress) -> None:
        """Take the present weights into the average."""
        self._average.update_parameters(self._model)

    @contextmanager
    def used(self) -> Iterator[None]:
        """Evaluate the block with the average weights, those of the start before the first update."""
        if not self.updates:
            yield
            return
        own = [parameter.detach().clone() for parameter in self._model.parameters()]
        self.take()
        try:
            yield
        finally:
            _copy(own, self._model)

    @property
    def updates(self) -> int:
        """Number of updates in the average."""
        return int(self._average.n_averaged)

    def take(self) -> None:
        """Give the model the average weights; in place, so that they stay where other processes see them."""
        _copy(self._average.module.parameters(), self._model)

    def state(self) -> dict[str, torch.Tensor]:
        """State for a checkpoint."""
        return self._average.state_dict()

    def restore(self, saved: dict[str, torch.Tensor]) -> None:
        """Restore what `state` returned."""
        self._average.load_state_dict(saved)


@torch.no_grad()
def _copy(values: Iterable[Tensor], model: nn.Module) -> None:
    for parameter, value in zip(model.parameters(), values, strict=True):
        parameter.copy_(value)
