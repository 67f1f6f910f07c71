"""A classifier of images put together from a row's settings: data, network, optimiser, training. Tracks nothing."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nnmodels import backprop
from nnmodels.cnn import cnn
from nnmodels.images import ImageClassifier
from nnmodels.mlp import mlp
from pipelines.data.images.batches import Images, ImageTask, logits, loss_and_accuracy, on_device
from pipelines.data.images.cifar10 import ImageDataset
from pipelines.experiments.ablation.rows import MANUAL, ClassifierSettings
from pipelines.training.loop import Callback, Progress, derived_seed, fit
from pipelines.training.memory import within_memory
from pipelines.training.replicas import Replicas

EVALUATION_BATCH = 250  # images at a time: their activations stay within a CPU's caches
HALF = (0.5, 0.5, 0.5)


class HandDerived:
    """An engine whose gradients come from the derived formulas (nnmodels/backprop.py) instead of autograd.

    Args:
        model: a multilayer perceptron.
        task: gives the images.
        activation: of its hidden layers, class of torch.nn.
        threads: of this process.
        on_shrink: told the new micro-batch when memory ran out.
    """

    def __init__(
        self,
        model: ImageClassifier,
        task: ImageTask,
        activation: str,
        threads: int,
        on_shrink: Callable[[int], None] = lambda size: None,
    ):
        self._model, self._task, self._activation = model, task, activation
        self._layers = [layer for layer in model.network if isinstance(layer, nn.Linear)]
        self._on_shrink = on_shrink
        self._micro_batch: int | None = None
        for parameter in model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        torch.set_num_threads(threads)

    def gradients(self, items: np.ndarray, update: int) -> float:
        """Leave the gradients of the mean loss of `items` in the model's parameters; return that loss.

        Raises:
            RuntimeError: memory runs out with a micro-batch of one item.
        """
        chosen = torch.from_numpy(items).to(self._task.images.labels.device)
        return within_memory(
            lambda size: self._accumulated(chosen, size), self._micro_batch or len(items), self._shrink
        )

    def _shrink(self, micro_batch: int) -> None:
        self._micro_batch = micro_batch
        self._on_shrink(micro_batch)

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
                total.add_(parameter.grad, alpha=share)
        for total, parameter in zip(totals, parameters, strict=True):
            parameter.grad.copy_(total)
        return loss

    def _backpropagated(self, items: Tensor) -> float:
        pixels, labels = self._task.batch(items)
        return backprop.backpropagate(self._layers, self._model.normalised(pixels), labels, self._activation)

    def close(self) -> None:
        """Nothing to end: it has no processes."""


class Classification:
    """A network to be trained by `settings` on the training part of `dataset`; a context that ends its processes.

    Args:
        settings: of the row.
        dataset: images.
        on_shrink: told the new micro-batch when memory ran out.

    Attributes:
        progress: where the training stands.
        evaluation_seconds: what the evaluations along the training took.
    """

    def __init__(
        self,
        settings: ClassifierSettings,
        dataset: ImageDataset,
        on_shrink: Callable[[int], None] = lambda size: None,
    ):
        self.settings = s = settings
        count = max(1, round(s.fraction * len(dataset.train_labels)))
        layout = torch.channels_last if s.channels else torch.contiguous_format
        self.train = on_device(s.device, dataset.train_images[:count], dataset.train_labels[:count], layout)
        self.test = on_device(s.device, dataset.test_images, dataset.test_labels, layout)
        torch.manual_seed(derived_seed(s.seed, "initialisation"))
        mean, deviation = (HALF, HALF) if s.normalisation == "half" else (dataset.mean, dataset.deviation)
        self.model = ImageClassifier(_network(s, dataset), mean, deviation).to(s.device)
        self.task = ImageTask(self.train)
        self._optimizer = torch.optim.SGD(self.model.parameters(), s.lr, s.momentum, fused=True)
        self.progress = Progress(epochs=s.epochs, updates=-(-self.task.items // s.batch_size) * s.epochs)
        self.evaluation_seconds = 0.0
        if s.training == MANUAL:
            self._engine = HandDerived(self.model, self.task, s.activation, s.threads, on_shrink)
        else:
            self._engine = Replicas(
                self.model, self.task, s.seed, threads=s.threads, device=s.device, on_shrink=on_shrink
            )

    def __enter__(self) -> "Classification":
        return self

    def __exit__(self, *error: object) -> None:
        self._engine.close()

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Continue where `checkpoint` was taken."""
        self.model.load_state_dict(saved["model"])
        self._optimizer.load_state_dict(saved["optimizer"])
        vars(self.progress).update(saved["progress"])
        self.evaluation_seconds = saved["evaluation_seconds"]

    def checkpoint(self) -> dict[str, Any]:
        """All that `restore` needs, tensors and plain values."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "progress": vars(self.progress),
            "evaluation_seconds": self.evaluation_seconds,
        }

    def fit(self, callbacks: Sequence[Callback] = ()) -> None:
        """Train from where `progress` stands to the end.

        Raises:
            DivergedError: NaN or infinite loss.
        """
        s = self.settings
        fit(self.task, self._engine, self._optimizer, None, s.batch_size, s.seed, self.progress, callbacks)

    def logits(self, images: Images) -> Tensor:
        """Logits (N, classes) of all `images`, in evaluation mode."""
        return logits(self.model, images, EVALUATION_BATCH)

    def loss_and_accuracy(self, images: Images) -> tuple[float, float]:
        """Mean cross entropy and percentage told right, over all `images`, in evaluation mode."""
        return loss_and_accuracy(self.logits(images), images.labels)


def _network(s: ClassifierSettings, dataset: ImageDataset) -> nn.Sequential:
    channels, side = dataset.train_images.shape[1:3]
    if s.channels:
        return cnn(s.channels, s.kernel, s.hidden, s.activation, (channels, side), len(dataset.classes))
    return mlp((channels * side * side, *s.hidden, len(dataset.classes)), s.activation)
