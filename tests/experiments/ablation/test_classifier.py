"""A classifier put together from a row's settings, in this process: its data, its gradients and its random numbers."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from pipelines.data.images import digits
from pipelines.data.images.batches import ImageTask
from pipelines.data.images.dataset import ImageDataset
from pipelines.experiments.ablation import row as ablation_row
from pipelines.experiments.ablation.classifier import classifier
from pipelines.experiments.ablation.row import sheet_images
from pipelines.experiments.ablation.rows import AUTOGRAD, MANUAL, resolve_classifier
from pipelines.training.hand_derived import HandDerived
from pipelines.training.replicas import Replicas

pytestmark = pytest.mark.usefixtures("torch_threads")

TRAINED_ON = 29  # of the sample's 1,438 training images: three batches of 8 and one of 5
FRACTION = TRAINED_ON / 1438


@pytest.fixture(scope="module")
def dataset() -> ImageDataset:
    return digits.load()


@pytest.fixture
def training(dataset):
    """Makes trainings of a row, of two epochs on the first TRAINED_ON images unless other settings are given."""

    def make(row="cnn", backprop=AUTOGRAD, seed=0, fraction=FRACTION, **overrides):
        settings = resolve_classifier(row, "sample", backprop, seed, fraction, **{"epochs": 2} | overrides)
        return classifier(settings, dataset).training

    return make


@pytest.fixture
def trained_on(monkeypatch) -> list[list[int]]:
    """The numbers of the images of each update, in the order of training."""
    seen = []
    loss = ImageTask.loss

    def recording(self, model, items):
        seen.append(items.tolist())
        return loss(self, model, items)

    monkeypatch.setattr(ImageTask, "loss", recording)
    return seen


def weights(model: nn.Module) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in model.parameters()]


def gradients(model: nn.Module) -> list[torch.Tensor]:
    return [parameter.grad.clone() for parameter in model.parameters()]


def assert_same_bits(one, other) -> None:
    torch.testing.assert_close(one, other, rtol=0, atol=0)


# Gradients.


@pytest.mark.parametrize("row", ["mlp-2", "mlp-3", "mlp-4", "mlp-5"])
def test_the_formulas_and_autograd_give_the_same_gradients(training, row):
    by_autograd, by_hand = training(row), training(row)
    engines = [
        Replicas(by_autograd.model, by_autograd.task, seed=0),
        HandDerived(by_hand.model, by_hand.task, "ReLU", threads=1),
    ]
    places = [parameter.grad.data_ptr() for parameter in by_hand.model.parameters()]
    # A batch and the smaller last one of an epoch: nothing of the first may be left in the gradients of the second.
    for update, items in enumerate([np.arange(8), np.arange(24, 29)]):
        expected_loss, loss = (engine.gradients(items, update) for engine in engines)
        assert loss == pytest.approx(expected_loss, rel=1e-6)
        for gradient, expected in zip(gradients(by_hand.model), gradients(by_autograd.model), strict=True):
            assert expected.norm() > 0
            assert (gradient - expected).norm() <= 1e-6 * expected.norm()
    assert [parameter.grad.data_ptr() for parameter in by_hand.model.parameters()] == places


def test_manual_training_needs_no_autograd(training, monkeypatch):
    expected = training("mlp-3")
    expected.fit()

    def autograd(*args, **kwargs):
        raise AssertionError("autograd was asked")

    monkeypatch.setattr(ImageTask, "loss", autograd)
    monkeypatch.setattr(torch.Tensor, "backward", autograd)
    manual = training("mlp-3", MANUAL)
    manual.fit()
    torch.testing.assert_close(weights(manual.model), weights(expected.model), rtol=1e-4, atol=1e-6)
    assert not torch.equal(weights(manual.model)[0], weights(training("mlp-3").model)[0])


@pytest.mark.fault(28)
def test_out_of_memory_in_the_middle_halves_the_micro_batch_and_keeps_the_gradients(training, monkeypatch):
    expected = training()
    expected.fit()
    shrunk = []
    short_of_memory = training()
    short_of_memory.engine.on_shrink = shrunk.append
    loss = ImageTask.loss

    def limited(self, model, items):
        if short_of_memory.progress.update >= 2 and len(items) > 3:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes.")
        return loss(self, model, items)

    monkeypatch.setattr(ImageTask, "loss", limited)
    short_of_memory.fit()
    # The last batch of an epoch has five images, which two does not divide.
    assert shrunk == [4, 2]
    assert short_of_memory.progress.update == 8
    close = {"rtol": 1e-4, "atol": 1e-7}
    torch.testing.assert_close(gradients(short_of_memory.model), gradients(expected.model), **close)
    torch.testing.assert_close(weights(short_of_memory.model), weights(expected.model), **close)


@pytest.mark.fault(28)
def test_out_of_memory_in_manual_training_halves_the_micro_batch_and_keeps_the_gradients(training, monkeypatch):
    expected = training("mlp-3", MANUAL)
    expected.fit()
    shrunk = []
    short_of_memory = training("mlp-3", MANUAL)
    short_of_memory.engine.on_shrink = shrunk.append
    batch = ImageTask.batch

    def limited(self, items):
        if short_of_memory.progress.update >= 2 and len(items) > 3:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes.")
        return batch(self, items)

    monkeypatch.setattr(ImageTask, "batch", limited)
    short_of_memory.fit()
    assert shrunk == [4, 2]
    close = {"rtol": 1e-4, "atol": 1e-7}
    torch.testing.assert_close(gradients(short_of_memory.model), gradients(expected.model), **close)
    torch.testing.assert_close(weights(short_of_memory.model), weights(expected.model), **close)


# Data.


@pytest.mark.parametrize(("normalisation", "black", "white"), [("half", -1.0, 1.0), ("channel", None, None)])
def test_the_model_normalises_as_its_row_says(training, dataset, normalisation, black, white):
    model = training(normalisation=normalisation).model
    if black is None:
        # The channels of the sample are alike: standardised, its training images have mean 0 and deviation 1.
        normalised = model.normalised(torch.tensor(dataset.train_images)).double()
        assert normalised.mean().item() == pytest.approx(0, abs=1e-5)
        assert normalised.std(correction=0).item() == pytest.approx(1, rel=1e-5)
    else:
        for value, expected in ((0, black), (255, white)):
            image = torch.full((1, 3, 32, 32), value, dtype=torch.uint8)
            torch.testing.assert_close(model.normalised(image), torch.full((1, 3, 32, 32), expected))


def test_the_sheet_has_two_images_of_each_class_in_their_order(dataset, monkeypatch):
    labels = np.asarray(dataset.test_labels)
    drawn = sheet_images(labels)
    assert labels[drawn].tolist() == [label for label in range(10) for _ in range(2)]
    assert len(set(drawn.tolist())) == 20
    # No image twice: of two images of each class all are drawn.
    assert sorted(sheet_images(np.arange(20) % 10)) == list(range(20))
    np.random.seed(1)
    assert sheet_images(labels).tolist() == drawn.tolist()
    monkeypatch.setattr(ablation_row, "SHEET_SEED", 1)
    assert sheet_images(labels).tolist() != drawn.tolist()


def test_a_fraction_is_the_first_images_and_leaves_the_test_part_whole(dataset):
    def tried(fraction):
        return classifier(resolve_classifier("cnn", "sample", AUTOGRAD, 0, fraction, epochs=2), dataset)

    tenth = tried(0.1)
    assert torch.equal(tenth.train.pixels, torch.tensor(dataset.train_images[:144]))
    assert tenth.train.labels.tolist() == dataset.train_labels[:144].tolist()
    assert tenth.test.labels.tolist() == dataset.test_labels.tolist()
    assert torch.equal(tenth.test.pixels, torch.tensor(dataset.test_images))
    # 144 images in batches of 8, two epochs.
    assert tenth.training.progress.updates == 2 * 18
    # Never none.
    assert tried(1e-9).train.labels.tolist() == dataset.train_labels[:1].tolist()


# Random numbers.


@pytest.mark.parametrize("row", ["cnn-lr-low", "cnn-lr-high", "cnn-tanh"])
def test_rows_of_one_shape_start_from_the_same_weights(training, row):
    cnn = weights(training("cnn").model)
    torch.rand(10)
    assert_same_bits(weights(training(row).model), cnn)
    for weight, other in zip(cnn, weights(training("cnn", seed=1).model), strict=True):
        assert not torch.equal(weight, other)


def test_the_order_of_the_images_depends_on_seed_and_epoch_only(training, trained_on):
    def epochs(*args, **kwargs):
        trained_on.clear()
        torch.rand(10)
        training(*args, **kwargs).fit()
        assert [len(items) for items in trained_on] == [8, 8, 8, 5, 8, 8, 8, 5]
        first, second = np.concatenate(trained_on[:4]).tolist(), np.concatenate(trained_on[4:]).tolist()
        assert sorted(first) == sorted(second) == list(range(TRAINED_ON))
        return first, second

    first, second = epochs("cnn")
    assert first != second
    assert epochs("mlp-2", lr=0.1) == (first, second)
    other_first, other_second = epochs("cnn", seed=1)
    assert len({tuple(order) for order in (first, second, other_first, other_second)}) == 4


@pytest.mark.fault(33)
@pytest.mark.parametrize("backprop", [AUTOGRAD, MANUAL])
def test_a_restored_training_ends_with_the_bits_of_an_undisturbed_one(training, backprop):
    undisturbed = training("mlp-2", backprop)
    undisturbed.fit()
    stopped = training("mlp-2", backprop, epochs=1)
    stopped.evaluation_seconds = 5.0
    stopped.fit()
    saved = copy.deepcopy(stopped.checkpoint())
    restored = training("mlp-2", backprop)
    restored.restore(saved | {"progress": saved["progress"] | {"epochs": 2, "updates": 8}})
    assert (restored.progress.epoch, restored.progress.update, restored.evaluation_seconds) == (1, 4, 5.0)
    restored.fit()
    assert (restored.progress.update, restored.progress.items) == (8, 2 * TRAINED_ON)
    assert_same_bits(weights(restored.model), weights(undisturbed.model))
    # Without the momentum of the first epoch it would end elsewhere.
    momentum = [part.checkpoint()["optimizer"]["state"] for part in (restored, undisturbed)]
    assert_same_bits(*momentum)
