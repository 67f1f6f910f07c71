"""An image classifier with its data, optimiser and training, built from a row's settings. Tracks nothing."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nnmodels.backprop import ACTIVATIONS
from nnmodels.cnn import cnn
from nnmodels.images import ImageClassifier
from nnmodels.mlp import mlp
from pipelines.data.images.batches import Images, ImageTask, on_device
from pipelines.data.images.dataset import SHAPE, ImageDataset
from pipelines.data.protocol import HALF
from pipelines.errors import UserError, meant
from pipelines.experiments.ablation.rows import (
    MANUAL,
    ClassifierSettings,
    ImageSettings,
    OwnClassifierSettings,
)
from pipelines.experiments.own_models import build, known, require_trainable
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

    settings: ImageSettings
    training: Training[ImageClassifier, ImageTask]
    train: Images
    test: Images


def classifier(settings: ImageSettings, dataset: ImageDataset) -> TrainedClassifier:
    """Build the network of `settings`, to be trained on the given fraction of the training part of `dataset`."""
    s = settings
    count = max(1, round(s.fraction * len(dataset.train_labels)))
    convolves = isinstance(s, ClassifierSettings) and s.channels
    layout = torch.channels_last if convolves else torch.contiguous_format
    train = on_device(s.device, dataset.train_images[:count], dataset.train_labels[:count], layout)
    test = on_device(s.device, dataset.test_images, dataset.test_labels, layout)
    torch.manual_seed(derived_seed(s.seed, "initialisation"))
    mean, std = (HALF, HALF) if s.normalisation == "half" else (dataset.mean, dataset.deviation)
    model = ImageClassifier(_network(s, dataset), mean, std).to(s.device)
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


def checked(settings: ImageSettings, dataset: ImageDataset) -> ImageSettings:
    """The settings of a row of the user's own, of which it is known that their network takes a batch of `dataset`.

    Raises:
        UserError: it does not; names the setting.
    """
    if isinstance(settings, OwnClassifierSettings):
        require_trainable(settings, _batch(dataset), (2, len(dataset.classes)), "logits (images, classes)")
        return known(settings)
    s = settings
    assert isinstance(s, ClassifierSettings)
    activations = ACTIVATIONS if s.training == MANUAL else nn.modules.activation.__all__
    if s.activation not in activations:
        raise UserError(f"activation: unknown {s.activation!r:.60}; {meant(s.activation, activations)}")
    try:
        with torch.device("meta"):
            _built_in(s, SHAPE, len(dataset.classes))(torch.empty(2, *SHAPE))
    except (TypeError, ValueError, RuntimeError) as error:
        raise UserError(f"no network can be built with it: {error}") from None
    return s


def _batch(dataset: ImageDataset) -> Tensor:
    """Two images, as normalised pixels are."""
    return torch.zeros(2, *dataset.item_shape)


def _network(s: ImageSettings, dataset: ImageDataset) -> nn.Module:
    if isinstance(s, OwnClassifierSettings):
        return build(s, _batch(dataset))
    assert isinstance(s, ClassifierSettings)
    return _built_in(s, dataset.item_shape, len(dataset.classes))


def _built_in(s: ClassifierSettings, image: tuple[int, ...], classes: int) -> nn.Sequential:
    """The network for square images (channels, rows, columns)."""
    channels, size, _ = image
    if s.channels:
        return cnn(s.channels, s.kernel, s.hidden, s.activation, (channels, size), classes)
    return mlp((channels * size * size, *s.hidden, classes), s.activation)


def _engine(s: ImageSettings, model: ImageClassifier, task: ImageTask) -> Engine:
    if s.training == MANUAL and isinstance(s, ClassifierSettings):
        return HandDerived(model, task, s.activation, s.threads)
    return Replicas(model, task, s.seed, threads=s.threads, device=s.device)
