"""Gradients of a multilayer perceptron by the hand-derived formulas, without autograd."""

from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from nnmodels import backprop
from nnmodels.images import ImageClassifier
from pipelines.training.loop import Task
from pipelines.training.machine import peak_memory
from pipelines.training.memory import within_memory
from pipelines.training.replicas import outputs_of


class Labelled(Task, Protocol):
    """A task whose items are images with a label each."""

    def batch(self, items: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels (B, C, H, W) and labels (B,) of `items` (B,)."""
        ...


class HandDerived:
    """An engine whose gradients come from the derived formulas (nnmodels/backprop.py) instead of autograd.

    Args:
        model: a multilayer perceptron.
        task: gives the images, on the model's device.
        activation: of its hidden layers, class of torch.nn.
        threads: of this process.
        on_shrink: called with the new micro-batch when memory ran out; may be replaced.
    """

    def __init__(
        self,
        model: ImageClassifier,
        task: Labelled,
        activation: str,
        threads: int,
        on_shrink: Callable[[int], None] = lambda size: None,
    ):
        self._model, self._task, self._activation = model, task, activation
        self._layers = [layer for layer in model.network.children() if isinstance(layer, nn.Linear)]
        self.on_shrink = on_shrink
        self._micro_batch: int | None = None
        for parameter in model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        torch.set_num_threads(threads)

    def gradients(self, items: np.ndarray, update: int) -> float:
        """Leave the gradients of the mean loss of `items` in the model's parameters; return that loss.

        Raises:
            RuntimeError: memory runs out with a micro-batch of one item.
        """
        chosen = self._on_device(items)
        return within_memory(
            lambda size: self._accumulated(chosen, size), self._micro_batch or len(items), self._shrink
        )

    def outputs(self, items: np.ndarray, batch_size: int, precision: str) -> np.ndarray:
        """The model's outputs for `items` in evaluation mode, `batch_size` at a time, in their order.

        Raises:
            RuntimeError: memory runs out with one item at a time.
        """
        chosen = self._on_device(items)
        return within_memory(lambda size: outputs_of(self._model, self._task, chosen, size, precision), batch_size)

    def peak_memory(self) -> float:
        """Peak resident memory of this process, MB."""
        return peak_memory()

    def close(self) -> None:
        """Do nothing: there are no processes to end."""

    def _on_device(self, items: np.ndarray) -> Tensor:
        return torch.from_numpy(items).to(self._layers[0].weight.device)

    def _shrink(self, micro_batch: int) -> None:
        self._micro_batch = micro_batch
        self.on_shrink(micro_batch)

    def _accumulated(self, items: Tensor, micro_batch: int) -> float:
        if len(items) <= micro_batch:
            return self._backpropagated(items)
        parameters = list(self._model.parameters())
        totals = [torch.zeros_like(parameter) for parameter in parameters]
        loss = 0.0
        for chunk in items.split(micro_batch):
            share = len(chunk) / len(items)
            loss += share * self._backpropagated(chunk)
            for total, parameter in zip(totals, parameters, strict=True):
                total.add_(backprop.gradient_of(parameter), alpha=share)
        for total, parameter in zip(totals, parameters, strict=True):
            backprop.gradient_of(parameter).copy_(total)
        return loss

    def _backpropagated(self, items: Tensor) -> float:
        pixels, labels = self._task.batch(items)
        return backprop.backpropagate(self._layers, self._model.normalised(pixels), labels, self._activation)
