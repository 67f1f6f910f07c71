"""A ResNet with its data, optimiser and training, built from a row's settings. Tracks nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from nnmodels.execution import rearranged
from nnmodels.images import ImageClassifier
from nnmodels.resnet import resnet
from pipelines.data.images.batches import EVALUATION_BATCH, Images, ImageTask, logits, loss_and_accuracy, on_device
from pipelines.data.images.dataset import ImageDataset, hold_out
from pipelines.experiments.pretrain.rows import PretrainingSettings
from pipelines.training.loop import Callback, Progress, derived_seed
from pipelines.training.replicas import Replicas
from pipelines.training.session import Training, one_cycle


@dataclass(frozen=True)
class TrainedResNet:
    """A ResNet in training, and the images that it is trained and evaluated on.

    Attributes:
        settings: settings of the row.
        training: training session of the ResNet, including its normalisation, on `train`.
        train, validation, test: images on the device.
    """

    settings: PretrainingSettings
    training: Training[ImageClassifier, ImageTask]
    train: Images
    validation: Images
    test: Images

    def loss_and_accuracy(self, images: Images) -> tuple[float, float]:
        """Mean cross entropy and accuracy (percent) on all `images`, in evaluation mode and fp32.

        The images are scaled like the training images of the present epoch.
        """
        return loss_and_accuracy(self.logits(images), images.labels)

    def logits(self, images: Images) -> Tensor:
        """Logits (N, classes) of all `images`, see `loss_and_accuracy`."""
        return logits(self.training.model, images, EVALUATION_BATCH, side=self.training.task.side)


def pretraining(settings: PretrainingSettings, dataset: ImageDataset) -> TrainedResNet:
    """Build the ResNet of `settings`, to be trained on the training part of `dataset` without its validation images.

    The validation images are the same for every row and seed.
    """
    s = settings
    parts = hold_out(dataset, s.validation)
    kept = parts["train"][: max(1, round(s.fraction * len(parts["train"])))]
    held_out = parts["validation"]
    # Channels-last order is faster in bf16, and a tenth slower in fp32, as measured.
    layout = torch.channels_last if s.precision == "bf16" else torch.contiguous_format
    rearrange = rearranged if (s.device, s.precision) == ("cpu", "fp32") else lambda network: network
    train = on_device(s.device, dataset.train_images[kept], dataset.train_labels[kept], layout)
    validation = on_device(s.device, dataset.train_images[held_out], dataset.train_labels[held_out], layout)
    test = on_device(s.device, dataset.test_images, dataset.test_labels, layout)
    torch.manual_seed(derived_seed(s.seed, "initialisation"))
    network = resnet(s.architecture, s.stem, s.shortcut, len(dataset.classes))
    network = network.to(memory_format=layout)  # type: ignore[call-overload]  # not in torch's stub
    model = ImageClassifier(network, dataset.mean, dataset.deviation).to(s.device)
    optimizer = torch.optim.SGD(_groups(model, s.weight_decay), s.lr, s.momentum, nesterov=True, fused=True)
    task = ImageTask(train, s.smoothing, augment=True)
    # The cost of an epoch is about proportional to the area of its images.
    costs = [float(_image_size(s.sides, epoch, s.epochs) ** 2) for epoch in range(s.epochs)]
    progress = Progress.planned(task.items, s.batch_size, s.epochs, costs)
    trained = ImageClassifier(rearrange(network), dataset.mean, dataset.deviation).to(s.device)
    training = Training(
        model=model,
        task=task,
        # A single process, because batch normalisation computes its statistics over the whole batch.
        engine=Replicas(trained, task, s.seed, threads=s.threads, precision=s.precision, device=s.device),
        optimizer=optimizer,
        schedule=one_cycle(optimizer, s.lr, progress.updates),
        batch_size=s.batch_size,
        seed=s.seed,
        progress=progress,
        callbacks=[_ProgressiveResizing(task, s.sides)],
    )
    return TrainedResNet(settings, training, train, validation, test)


class _ProgressiveResizing(Callback):
    """Sets the image size of each epoch, in pixels: each of `sizes` for an equal share of the epochs.

    Small images come first, as in Tan and Le 2021 (EfficientNetV2), section 4: an epoch with 16 pixels takes 0.4 of the
    time of one with 32.
    """

    def __init__(self, task: ImageTask, sizes: Sequence[int]):
        self._task, self._sizes = task, sizes

    def on_start(self, progress: Progress) -> None:
        epoch = min(progress.epoch, progress.epochs - 1)  # after the last epoch the size stays
        self._task.side = _image_size(self._sizes, epoch, progress.epochs)

    def on_epoch(self, progress: Progress) -> None:
        self.on_start(progress)


def _image_size(sizes: Sequence[int], epoch: int, epochs: int) -> int:
    """Image size of an epoch, from 0. If there are fewer epochs than sizes, only the last sizes are used."""
    sizes = sizes[-epochs:]
    return sizes[len(sizes) * epoch // epochs]


def _groups(model: torch.nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Parameter groups with weight decay on matrices and kernels only (He et al. 2019, Bag of Tricks, section 3.1).

    Weight decay of batch norms and biases lowers the accuracy.
    """
    decayed = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in model.parameters() if parameter.ndim <= 1]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
