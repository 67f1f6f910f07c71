"""An image classifier with its data, optimiser and training, built from a row's settings. Tracks nothing."""

from dataclasses import dataclass

import torch
from torch import nn

from nnmodels.backprop import ACTIVATIONS
from nnmodels.cnn import cnn
from nnmodels.images import ImageClassifier
from nnmodels.mlp import mlp
from pipelines.data.images.batches import Images, ImageTask, on_device
from pipelines.data.images.dataset import SHAPE, ImageDataset
from pipelines.data.protocol import HALF
from pipelines.errors import UserError, meant
from pipelines.experiments.ablation.rows import MANUAL, ClassifierSettings
from pipelines.training.hand_derived import HandDerived
from pipelines.training.loop import Engine, Progress, derived_seed
from pipelines.training.replicas import Replicas
from pipelines.training.session import Training


@dataclass(frozen=True)
class TrainedClassifier:
    """A classifier in training, and the images that it is trained and evaluated on.

    Attributes:
        settings: settings of the row.
        training: training session of the classifier, on `train`.
        train, test: images on the device.
    """

    settings: ClassifierSettings
    training: Training[ImageClassifier, ImageTask]
    train: Images
    test: Images


def classifier(settings: ClassifierSettings, dataset: ImageDataset) -> TrainedClassifier:
    """Build the network of `settings`, to be trained on the given fraction of the training part of `dataset`."""
    s = settings
    count = max(1, round(s.fraction * len(dataset.train_labels)))
    layout = torch.channels_last if s.channels else torch.contiguous_format
    train = on_device(s.device, dataset.train_images[:count], dataset.train_labels[:count], layout)
    test = on_device(s.device, dataset.test_images, dataset.test_labels, layout)
    torch.manual_seed(derived_seed(s.seed, "initialisation"))
    mean, std = (HALF, HALF) if s.normalisation == "half" else (dataset.mean, dataset.deviation)
    network = _network(s, dataset.train_images.shape[1:3], len(dataset.classes))
    model = ImageClassifier(network, mean, std).to(s.device)
    task = ImageTask(train)
    training = Training(
        model=model,
        task=task,
        engine=_engine(s, model, task),
        optimizer=torch.optim.SGD(model.parameters(), s.lr, s.momentum, fused=True),
        batch_size=s.batch_size,
        seed=s.seed,
        progress=Progress.planned(task.items, s.batch_size, s.epochs),
    )
    return TrainedClassifier(settings, training, train, test)


def require_buildable(settings: ClassifierSettings) -> None:
    """Require that a network of these settings takes a batch of images; it is built without its weights.

    Raises:
        UserError: it does not; names the setting.
    """
    s = settings
    known = ACTIVATIONS if s.training == MANUAL else nn.modules.activation.__all__
    if s.activation not in known:
        raise UserError(f"activation: unknown {s.activation!r:.60}; {meant(s.activation, known)}")
    channels, size, _ = SHAPE
    try:
        with torch.device("meta"):
            _network(s, (channels, size), 2)(torch.empty(2, *SHAPE))
    except (TypeError, ValueError, RuntimeError) as error:
        raise UserError(f"no network can be built with it: {error}") from None


def _network(s: ClassifierSettings, image: tuple[int, int], classes: int) -> nn.Sequential:
    """The network for square images of so many channels and pixels a side."""
    channels, size = image
    if s.channels:
        return cnn(s.channels, s.kernel, s.hidden, s.activation, image, classes)
    return mlp((channels * size * size, *s.hidden, classes), s.activation)


def _engine(s: ClassifierSettings, model: ImageClassifier, task: ImageTask) -> Engine:
    if s.training == MANUAL:
        return HandDerived(model, task, s.activation, s.threads)
    return Replicas(model, task, s.seed, threads=s.threads, device=s.device)
