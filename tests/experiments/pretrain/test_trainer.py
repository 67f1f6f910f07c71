"""A ResNet put together from a row's settings and trained, in this process."""

import copy

import click
import pytest
import torch

from pipelines.cli.types import Sides
from pipelines.data.datasets import IMAGES, known
from pipelines.data.images import digits
from pipelines.data.images.batches import Images, logits, loss_and_accuracy
from pipelines.data.images.dataset import ImageDataset
from pipelines.data.protocol import CIFAR10
from pipelines.experiments.base import changed
from pipelines.experiments.pretrain.rows import resolve_pretraining
from pipelines.experiments.pretrain.trainer import TrainedClassifier, _image_size, pretraining
from pipelines.training.loop import Callback

pytestmark = pytest.mark.usefixtures("torch_threads")

TRAINED_ON = 40  # of the sample's 1,238 training images that are not held out: a batch of 32 and one of 8


@pytest.fixture(scope="module")
def dataset() -> ImageDataset:
    return digits.load()


@pytest.fixture
def resnet(dataset):
    def make(**overrides):
        settings = resolve_pretraining("resnet20", "sample", 0, TRAINED_ON / 1238, **overrides)
        return pretraining(changed(settings, threads=1), dataset)

    return make


class Watch(Callback):
    """Notes the side of the images that each epoch is trained on, and a checkpoint after each."""

    def __init__(self, trained: TrainedClassifier):
        self.training, self.sides, self.checkpoints = trained.training, [], []
        loss = trained.training.task.loss

        def recording(model, items):
            def note(module, inputs):
                self.sides.append(inputs[0].shape[-1])

            with model.register_forward_pre_hook(note):
                return loss(model, items)

        self.training.task.loss = recording

    def on_epoch(self, progress):
        self.checkpoints.append(copy.deepcopy(self.training.checkpoint()))


def test_each_side_has_its_share_of_the_epochs(resnet):
    trained = resnet(epochs=5, sides=[8, 16])
    watch = Watch(trained)
    trained.training.fit([watch])
    assert watch.sides == [8, 8, 8, 8, 8, 8, 16, 16, 16, 16]  # two updates an epoch
    # What is evaluated afterwards is scaled to the last of the sides.
    with torch.inference_mode():
        pixels = trained.test.pixels[:50]
        expected = copy.deepcopy(trained.training.model).eval()(
            torch.nn.functional.interpolate(pixels.float(), size=(16, 16), mode="bilinear", antialias=True)
        )
    first = Images(pixels, trained.test.labels[:50])
    found = logits(trained.training.model, first, 50, side=trained.training.task.side)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert trained.loss_and_accuracy(first) == pytest.approx(loss_and_accuracy(expected, first.labels), rel=1e-4)


@pytest.mark.parametrize(
    ("epochs", "sides"),
    [(1, [32]), (2, [24, 32]), (3, [16, 24, 32]), (4, [16, 16, 24, 32]), (7, [16] * 3 + [24] * 2 + [32] * 2)],
)
def test_whole_images_come_last_however_few_the_epochs(epochs, sides):
    assert [_image_size([16, 24, 32], epoch, epochs) for epoch in range(epochs)] == sides


@pytest.mark.fault(33)
@pytest.mark.medium
def test_a_training_continues_at_its_side_with_the_same_bits(resnet):
    whole = resnet(epochs=3, sides=[8, 16, 32])
    watch = Watch(whole)
    whole.training.fit([watch])
    continued = resnet(epochs=3, sides=[8, 16, 32])
    continued.training.restore(watch.checkpoints[0])
    again = Watch(continued)
    continued.training.fit([again])
    assert again.sides == watch.sides[2:] == [16, 16, 32, 32]
    for key, value in whole.training.model.state_dict().items():
        assert torch.equal(value, continued.training.model.state_dict()[key]), key
    assert continued.loss_and_accuracy(continued.test) == whole.loss_and_accuracy(whole.test)
    # Nothing is left to train: what was stopped at its very end is evaluated at its last side.
    ended = resnet(epochs=3, sides=[8, 16, 32])
    ended.training.restore(watch.checkpoints[-1])
    ended.training.fit()
    assert ended.loss_and_accuracy(ended.test) == whole.loss_and_accuracy(whole.test)


@pytest.mark.parametrize("dataset_name", known(IMAGES))
def test_the_last_epochs_see_whole_images(dataset_name):
    settings = resolve_pretraining("resnet18", dataset_name, 0, 1.0)
    assert settings.sides[-1] == 32
    assert settings.epochs >= len(settings.sides)


def test_an_epoch_takes_every_image_but_those_held_out():
    settings = resolve_pretraining("resnet18", CIFAR10, 0, 1.0)
    assert settings.validation == 5000


@pytest.mark.parametrize(("given", "sides"), [("", []), ("32", [32]), ("16,24,32", [16, 24, 32]), (" 8, 32 ", [8, 32])])
def test_sides_are_told_as_a_list(given, sides):
    assert Sides().convert(given, None, None) == sides


@pytest.mark.parametrize("given", ["24", "32,16", "16,16,32", "4,32", "a,32", "16,64", "16.5,32", "-16,32"])
def test_sides_that_do_not_rise_to_whole_images_are_refused(given):
    with pytest.raises(click.BadParameter, match="rising list from 8 to 32"):
        Sides().convert(given, None, None)


def groups(trained: TrainedClassifier) -> dict[str, dict[str, float]]:
    """What the optimiser does with each parameter, by its name; of a kernel, with its matrix."""
    named = {each.data_ptr(): name for name, each in trained.training.model.named_parameters()}
    return {
        named[each.data_ptr()]: {key: group[key] for key in ("initial_lr", "weight_decay", "momentum")}
        for group in trained.training.optimizer.param_groups
        for each in group["params"]
    }


def test_muon_trains_the_kernels_but_the_first_and_sgd_the_rest(resnet):
    trained = resnet(muon_lr=0.07, muon_momentum=0.4, lr=0.03, momentum=0.8, weight_decay=0.01)
    found = groups(trained)
    assert set(found) == {name for name, _ in trained.training.model.named_parameters()}
    for name, parameter in trained.training.model.named_parameters():
        if parameter.ndim == 4 and name != "network.conv1.weight":
            assert found[name] == {"initial_lr": 0.07, "weight_decay": 0, "momentum": 0.4}, name
        else:
            decay = 0.01 if parameter.ndim > 1 else 0  # not of batch norms and biases
            assert found[name] == {"initial_lr": 0.03, "weight_decay": decay, "momentum": 0.8}, name


def test_onecycle_is_sgd_alone(dataset):
    settings = resolve_pretraining("resnet20", "sample", 0, TRAINED_ON / 1238, training="onecycle")
    optimizer = pretraining(changed(settings, threads=1), dataset).training.optimizer
    assert type(optimizer) is torch.optim.SGD


@pytest.fixture
def airbench(dataset):
    def make(**overrides):
        settings = resolve_pretraining("airbench94", "sample", 0, TRAINED_ON / 1238, **overrides)
        return pretraining(changed(settings, threads=1, batch_size=20), dataset)

    return make


def test_rates_of_a_summed_loss_are_those_of_the_mean_times_the_batch(airbench):
    """Jordan's program: an update takes 2e-6 an image of each weight that SGD trains, whatever its learning rate."""
    trained = airbench()
    found = groups(trained)
    fixed = {name for name, each in trained.training.model.named_parameters() if not each.requires_grad}
    assert set(found) == {name for name, _ in trained.training.model.named_parameters()} - fixed
    for name, group in found.items():
        if name.endswith("conv1.weight") or name.endswith("conv2.weight"):
            assert group == {"initial_lr": 0.24, "weight_decay": 0, "momentum": 0.6}
            continue
        lr = 0.67 if name == "network.fc.weight" else 0.053
        assert group["initial_lr"] == pytest.approx(20 * lr)
        assert group["initial_lr"] * group["weight_decay"] == pytest.approx(20 * 2e-6)


def test_the_bias_of_a_whitening_is_trained_for_its_epochs_only(airbench):
    trained = airbench(epochs=3, whitening=1)
    first = trained.training.model.network.conv1
    kernels = first.weight.clone()
    seen = []

    class Bias(Callback):
        def on_epoch(self, progress):
            seen.append(first.bias.detach().clone())

    begun = first.bias.detach().clone()
    trained.training.fit([Bias()])
    assert not torch.equal(seen[0], begun)
    assert torch.equal(seen[2], seen[0])
    assert torch.equal(first.weight, kernels)
    # It whitens the training images: with mean squares of about 1, and of both signs.
    values = torch.nn.functional.conv2d(trained.training.model.normalised(trained.train.pixels), kernels)
    squares = values.square().mean((0, 2, 3))
    assert (squares[:12] < 1.01).all()
    assert squares[:12].max() > 0.9
    torch.testing.assert_close(squares[:12], squares[12:])


@pytest.mark.medium
def test_two_replicas_train_images_and_continue_with_the_same_bits(dataset):
    def made():
        settings = resolve_pretraining("resnet20", "sample", 0, TRAINED_ON / 1238, epochs=2, sides=[16, 32])
        return pretraining(changed(settings, threads=1, replicas=2), dataset)

    whole, continued = made(), made()
    watch = Watch(whole)
    with whole.training as training:
        training.fit([watch])
    with continued.training as training:
        training.restore(watch.checkpoints[0])
        training.fit()
    for key, value in whole.training.model.state_dict().items():
        assert torch.equal(value, continued.training.model.state_dict()[key]), key
    # Both see the size of the images of an epoch: the running means are those of two parts.
    assert watch.sides == [16, 16, 32, 32]


@pytest.mark.parametrize(
    ("row", "changes", "said"),
    [
        ("airbench94", {"sides": (16, 32)}, "sides: airbench94 takes images of 32 pixels only"),
        ("airbench94", {"whitening": 0}, "whitening: airbench94 has a whitening"),
        ("resnet18", {"whitening": 3}, "whitening: resnet18 has no whitening"),
        ("resnet18", {"muon_momentum": 0.0}, "muon_momentum: Muon needs one"),
        ("resnet18", {"sides": (8, 32), "shift": 8}, "shift: it has to be less than the side of an image, 8"),
        ("resnet18", {}, ""),
        ("airbench96", {}, ""),
    ],
)
def test_settings_that_cannot_go_together_are_refused(row, changes, said):
    settings = changed(resolve_pretraining(row, "sample", 0, 1.0), **changes)
    assert settings.contradiction().startswith(said)
    assert bool(settings.contradiction()) == bool(said)
