"""A ResNet put together from a row's settings and trained on the training part but its validation images. Tracks
nothing."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from nnmodels.execution import rearranged
from nnmodels.images import ImageClassifier
from nnmodels.resnet import resnet
from pipelines.data.images import cifar10
from pipelines.data.images.batches import Images, ImageTask, logits, loss_and_accuracy, on_device
from pipelines.experiments.pretrain.rows import PretrainingSettings
from pipelines.training.loop import Callback, Progress, derived_seed, fit
from pipelines.training.replicas import Replicas

EVALUATION_BATCH = 250


class Pretraining:
    """A ResNet to be trained by `settings`; a context that ends its processes.

    Args:
        settings: of the row.
        dataset: images; `validation` of the training part are held out, the same for every row and seed.
        on_shrink: told the new micro-batch when memory ran out.

    Attributes:
        model: with its normalisation inside.
        progress: where the training stands.
        train, validation, test: images.
        evaluation_seconds: what the evaluations along the training took.
    """

    def __init__(
        self,
        settings: PretrainingSettings,
        dataset: cifar10.ImageDataset,
        on_shrink: Callable[[int], None] = lambda size: None,
    ):
        self.settings = s = settings
        parts = cifar10.split(dataset, s.validation)
        kept = parts["train"][: max(1, round(s.fraction * len(parts["train"])))]
        held_out = parts["validation"]
        # Measured: in bf16 channels last is faster, in fp32 a tenth slower.
        layout = torch.channels_last if s.precision == "bf16" else torch.contiguous_format
        rearrange = rearranged if (s.device, s.precision) == ("cpu", "fp32") else lambda network: network
        self.train = on_device(s.device, dataset.train_images[kept], dataset.train_labels[kept], layout)
        self.validation = on_device(s.device, dataset.train_images[held_out], dataset.train_labels[held_out], layout)
        self.test = on_device(s.device, dataset.test_images, dataset.test_labels, layout)
        torch.manual_seed(derived_seed(s.seed, "initialisation"))
        network = resnet(s.row, s.stem, s.shortcut, len(dataset.classes)).to(memory_format=layout)
        self.model = ImageClassifier(network, dataset.mean, dataset.deviation).to(s.device)
        self._optimizer = torch.optim.SGD(
            _groups(self.model, s.weight_decay), s.lr, s.momentum, nesterov=True, fused=True
        )  # fmt: skip
        task = ImageTask(self.train, s.smoothing, augment=True)
        updates = -(-task.items // s.batch_size) * s.epochs
        self._schedule = torch.optim.lr_scheduler.OneCycleLR(
            self._optimizer, s.lr, total_steps=updates, cycle_momentum=False
        )  # fmt: skip
        # What images of a side cost is about their area.
        costs = [float(_side(s.sides, epoch, s.epochs) ** 2) for epoch in range(s.epochs)]
        self.progress = Progress(epochs=s.epochs, updates=updates, costs=costs)
        self.evaluation_seconds = 0.0
        self._task = task
        trained = ImageClassifier(rearrange(network), dataset.mean, dataset.deviation).to(s.device)
        # One process: batch normalisation takes its statistics over the whole batch.
        self._engine = Replicas(
            trained, task, s.seed, threads=s.threads, precision=s.precision, device=s.device, on_shrink=on_shrink
        )

    def __enter__(self) -> "Pretraining":
        return self

    def __exit__(self, *error: object) -> None:
        self._engine.close()

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Continue where `checkpoint` was taken."""
        self.model.load_state_dict(saved["model"])
        self._optimizer.load_state_dict(saved["optimizer"])
        self._schedule.load_state_dict(saved["schedule"])
        vars(self.progress).update(saved["progress"])
        self.evaluation_seconds = saved["evaluation_seconds"]

    def checkpoint(self) -> dict[str, Any]:
        """All that `restore` needs, tensors and plain values."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "schedule": self._schedule.state_dict(),
            "progress": vars(self.progress),
            "evaluation_seconds": self.evaluation_seconds,
        }

    def fit(self, callbacks: Sequence[Callback] = ()) -> None:
        """Train from where `progress` stands to the end.

        Raises:
            DivergedError: NaN or infinite loss.
        """
        s = self.settings
        callbacks = [*callbacks, _Scaling(self._task, s.sides)]
        fit(self._task, self._engine, self._optimizer, self._schedule, s.batch_size, s.seed, self.progress, callbacks)

    def loss_and_accuracy(self, images: Images) -> tuple[float, float]:
        """Mean cross entropy and percentage told right, over all `images`, in evaluation mode and fp32.

        The images are scaled as those of the present epoch's training are.
        """
        return loss_and_accuracy(self.logits(images), images.labels)

    def logits(self, images: Images) -> Tensor:
        """Logits (N, classes) of all `images`, in evaluation mode and fp32, scaled as in the present epoch."""
        return logits(self.model, images, EVALUATION_BATCH, side=self._task.side)


class _Scaling(Callback):
    """Gives the task the side of the images of each epoch: each of `sides` has an equal share of the epochs.

    Small images first, as in Tan and Le 2021 (EfficientNetV2), section 4: an epoch of 16 pixels takes 0.4 of the time
    of one of 32.
    """

    def __init__(self, task: ImageTask, sides: Sequence[int]):
        self._task, self._sides = task, sides

    def on_start(self, progress: Progress) -> None:
        epoch = min(progress.epoch, progress.epochs - 1)  # after the last one too
        self._task.side = _side(self._sides, epoch, progress.epochs)

    def on_epoch(self, progress: Progress) -> None:
        self.on_start(progress)


def _side(sides: Sequence[int], epoch: int, epochs: int) -> int:
    """That of the images in an epoch, from 0: each side has an equal share, the last ones where epochs are few."""
    sides = sides[-epochs:]
    return sides[len(sides) * epoch // epochs]


def _groups(model: torch.nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Weight decay on matrices and kernels only: on batch norms and biases it does harm (He et al. 2019, Bag of Tricks,
    section 3.1)."""
    decayed = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in model.parameters() if parameter.ndim <= 1]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
