"""A ResNet put together from a row's settings and trained on the training part but its validation images. Tracks
nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from nnmodels.execution import rearranged
from nnmodels.images import ImageClassifier
from nnmodels.resnet import resnet
from pipelines.data.images.batches import Images, ImageTask, evaluate, on_device
from pipelines.data.images.dataset import ImageDataset, hold_out
from pipelines.experiments.pretrain.rows import PretrainingSettings
from pipelines.training.loop import Callback, Progress, derived_seed
from pipelines.training.replicas import Replicas
from pipelines.training.session import Training, one_cycle


@dataclass(frozen=True)
class TrainedResNet:
    """A ResNet in training, and the images that it is trained and evaluated on.

    Attributes:
        settings: of the row.
        training: of the ResNet, with its normalisation inside, on `train`.
        train, validation, test: images on the device.
    """

    settings: PretrainingSettings
    training: Training[ImageClassifier, ImageTask]
    train: Images
    validation: Images
    test: Images

    def loss_and_accuracy(self, images: Images) -> tuple[float, float]:
        """Mean cross entropy and accuracy (percent) on all `images`, in evaluation mode and fp32.

        The images are scaled as those of the present epoch's training are.
        """
        return evaluate(self.training.model, images, self.training.task.side)


def pretraining(settings: PretrainingSettings, dataset: ImageDataset) -> TrainedResNet:
    """A ResNet to be trained by `settings` on the training part of `dataset`.

    `settings.validation` images of it are held out, the same for every row and seed.
    """
    s = settings
    parts = hold_out(dataset, s.validation)
    kept = parts["train"][: max(1, round(s.fraction * len(parts["train"])))]
    held_out = parts["validation"]
    # Measured: in bf16 channels last is faster, in fp32 a tenth slower.
    layout = torch.channels_last if s.precision == "bf16" else torch.contiguous_format
    rearrange = rearranged if (s.device, s.precision) == ("cpu", "fp32") else lambda network: network
    train = on_device(s.device, dataset.train_images[kept], dataset.train_labels[kept], layout)
    validation = on_device(s.device, dataset.train_images[held_out], dataset.train_labels[held_out], layout)
    test = on_device(s.device, dataset.test_images, dataset.test_labels, layout)
    torch.manual_seed(derived_seed(s.seed, "initialisation"))
    network = resnet(s.row, s.stem, s.shortcut, len(dataset.classes))
    network = network.to(memory_format=layout)  # type: ignore[call-overload]  # not in torch's stub
    model = ImageClassifier(network, dataset.mean, dataset.deviation).to(s.device)
    optimizer = torch.optim.SGD(_groups(model, s.weight_decay), s.lr, s.momentum, nesterov=True, fused=True)
    task = ImageTask(train, s.smoothing, augment=True)
    # The cost of images of a side is about proportional to their area.
    costs = [float(_side(s.sides, epoch, s.epochs) ** 2) for epoch in range(s.epochs)]
    progress = Progress.planned(task.items, s.batch_size, s.epochs, costs)
    trained = ImageClassifier(rearrange(network), dataset.mean, dataset.deviation).to(s.device)
    training = Training(
        model=model,
        task=task,
        # One process: batch normalisation takes its statistics over the whole batch.
        engine=Replicas(trained, task, s.seed, threads=s.threads, precision=s.precision, device=s.device),
        optimizer=optimizer,
        schedule=one_cycle(optimizer, s.lr, progress.updates),
        batch_size=s.batch_size,
        seed=s.seed,
        progress=progress,
        callbacks=[_Scaling(task, s.sides)],
    )
    return TrainedResNet(settings, training, train, validation, test)


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
