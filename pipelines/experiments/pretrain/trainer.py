"""A classifier with its data, optimiser and training, built from a row's settings. Tracks nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from nnmodels.airbench import Airbench, whiten
from nnmodels.classifiers import Sent, network
from nnmodels.execution import rearranged
from nnmodels.images import ImageClassifier
from pipelines.data.images.batches import (
    EVALUATION_BATCH,
    Augmentation,
    Images,
    ImageTask,
    logits,
    loss_and_accuracy,
    on_device,
    view_logits,
)
from pipelines.data.images.dataset import ImageDataset, hold_out
from pipelines.experiments.pretrain.rows import PretrainingSettings
from pipelines.training.distributed import engine
from pipelines.training.loop import Callback, Progress, derived_seed
from pipelines.training.machine import all_cores
from pipelines.training.muon import KernelMuon, Together
from pipelines.training.session import ENDS, Training, one_cycle, triangle

WHITENED = 5000  # training images, the first ones, whose patches a first convolution whitens


@dataclass(frozen=True)
class TrainedClassifier:
    """A classifier in training, and the images that it is trained and evaluated on.

    Attributes:
        settings: settings of the row.
        training: training session of the network, including its normalisation, on `train`.
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

    def logits(self, images: Images, views: int = 1) -> Tensor:
        """Logits (N, classes) of all `images`, see `loss_and_accuracy`, averaged over so many `views` of each."""

        def of(some: Images) -> Tensor:
            return logits(self.training.model, some, EVALUATION_BATCH, side=self.training.task.side)

        with all_cores(self.settings.cores):
            return view_logits(of, images, views)


def pretraining(settings: PretrainingSettings, dataset: ImageDataset) -> TrainedClassifier:
    """Build the network of `settings`, to be trained on the training part of `dataset` without its validation images.

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
    built = network(s.architecture, s.stem, s.shortcut, len(dataset.classes))
    built = built.to(memory_format=layout)  # type: ignore[call-overload]  # not in torch's stub
    model = ImageClassifier(built, dataset.mean, dataset.deviation).to(s.device)
    if isinstance(built, Airbench):
        whiten(built.conv1, model.normalised(train.pixels[:WHITENED]))
    optimizer = _optimizer(model, s)
    task = ImageTask(
        train, s.smoothing, Augmentation(s.shift, s.padding, s.flips, s.cutout), derived_seed(s.seed, "flips")
    )
    # The cost of an epoch is about proportional to the area of its images.
    costs = [float(_image_size(s.sides, epoch, s.epochs) ** 2) for epoch in range(s.epochs)]
    progress = Progress.planned(task.items, s.batch_size, s.epochs, costs)
    trained = Sent(rearrange(built), dataset.mean, dataset.deviation).to(s.device)
    schedule = one_cycle if s.annealing == "cosine" else triangle
    replicas = s.replicas if s.device == "cpu" else 1
    training = Training(
        model=model,
        task=task,
        engine=engine(trained, task, s.seed, replicas, s.threads, s.precision, s.device),
        optimizer=optimizer,
        schedule=schedule(optimizer, progress.updates, s.warm_up),
        batch_size=s.batch_size,
        seed=s.seed,
        progress=progress,
        callbacks=[_Stages(task, s.sides)],
    )
    return TrainedClassifier(settings, training, train, validation, test)


class _Stages(Callback):
    """Sets the number of each epoch, and its image size in pixels: each of `sizes` for an equal share of the epochs.

    Small images come first, as in Tan and Le 2021 (EfficientNetV2), section 4: an epoch with 16 pixels takes 0.4 of the
    time of one with 32.
    """

    def __init__(self, task: ImageTask, sizes: Sequence[int]):
        self._task, self._sizes = task, sizes

    def on_start(self, progress: Progress) -> None:
        epoch = min(progress.epoch, progress.epochs - 1)  # after the last epoch the size stays
        self._task.number = epoch
        self._task.side = _image_size(self._sizes, epoch, progress.epochs)

    def on_epoch(self, progress: Progress) -> None:
        self.on_start(progress)


def _image_size(sizes: Sequence[int], epoch: int, epochs: int) -> int:
    """Image size of an epoch, from 0. If there are fewer epochs than sizes, only the last sizes are used."""
    sizes = sizes[-epochs:]
    return sizes[len(sizes) * epoch // epochs]


def _optimizer(model: ImageClassifier, settings: PretrainingSettings) -> Optimizer:
    """SGD with Nesterov momentum, for the kernels of all convolutions but the first also Muon, if it has a rate.

    Weight decay is on matrices and kernels only (He et al. 2019, Bag of Tricks, section 3.1): that of batch norms and
    biases lowers the accuracy. Where rates are those of summed losses, all that SGD trains decays.
    """
    s = settings
    first, *others = model.parameters()
    kernels = [each for each in others if each.ndim == 4 and s.muon_lr]
    # Identity, since == compares elements.
    chosen = {id(each) for each in kernels}
    rest = [each for each in (first, *others) if each.requires_grad and id(each) not in chosen]
    head = [each for each in rest if each.ndim == 2 and s.head_lr]
    chosen |= {id(each) for each in head}
    whitened = [each for each in (others[0],) if s.whitening]  # the bias of the first convolution
    chosen |= {id(each) for each in whitened}
    matrices = [each for each in rest if each.ndim > 1 and id(each) not in chosen]
    vectors = [each for each in rest if each.ndim <= 1 and id(each) not in chosen]

    def group(parameters: list[nn.Parameter], lr: float, decays: bool = True, ends: float = 1.0) -> dict[str, Any]:
        rate = lr * s.batch_size if s.summed else lr
        decay = s.weight_decay / lr if s.summed else s.weight_decay * decays
        return {"params": parameters, "lr": rate, "weight_decay": decay} | ({ENDS: ends} if ends < 1 else {})

    groups = [group(matrices, s.lr), group(vectors, s.lr, decays=False)]
    if head:
        groups.append(group(head, s.head_lr))
    if whitened:
        groups.append(group(whitened, s.lr, ends=min(1.0, s.whitening / s.epochs)))
    sgd = torch.optim.SGD(groups, s.lr, s.momentum, nesterov=True, fused=True)
    return Together(sgd, KernelMuon(kernels, s.muon_lr, s.muon_momentum)) if kernels else sgd
