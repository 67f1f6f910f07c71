"""Batches of images: random crops and flips, and loss and accuracy over whole sets."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - torch's own convention

from pipelines.data.images.batches import (
    Augmentation,
    Images,
    ImageTask,
    crop_and_flip,
    cut_out,
    evaluate,
    logits,
    loss_and_accuracy,
    on_device,
    scaled,
    view_logits,
)


@pytest.fixture
def pixels():
    generator = torch.Generator().manual_seed(3)
    # No zero in it: the zeros of a crop are padding.
    return torch.randint(1, 256, (64, 3, 32, 32), dtype=torch.uint8, generator=generator)


def windows(image):
    """Every 32x32 window of the image with 4 zeros on each side, plain and mirrored."""
    padded = F.pad(image, (4, 4, 4, 4))
    for top in range(9):
        for left in range(9):
            window = padded[:, top : top + 32, left : left + 32]
            yield (top, left, False), window
            yield (top, left, True), window.flip(2)


def test_a_crop_is_a_window_of_its_own_padded_image_perhaps_mirrored(pixels):
    torch.manual_seed(0)
    cropped = crop_and_flip(pixels)
    assert cropped.dtype == torch.uint8
    assert cropped.shape == pixels.shape
    found = []
    for image, crop in zip(pixels, cropped, strict=True):
        (place,) = (place for place, window in windows(image) if torch.equal(window, crop))
        found.append(place)
    tops, lefts, mirrored = zip(*found, strict=True)
    # 64 draws of 9 places: all but a few occur. 64 coins: far from none and all.
    assert len(set(tops)) >= 7
    assert len(set(lefts)) >= 7
    assert 16 < sum(mirrored) < 48


def test_crops_follow_from_torchs_seed(pixels):
    torch.manual_seed(1)
    one = crop_and_flip(pixels)
    torch.manual_seed(1)
    assert torch.equal(one, crop_and_flip(pixels))
    assert not torch.equal(one, crop_and_flip(pixels))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_crops_lie_in_memory_as_the_images_do(pixels, layout):
    torch.manual_seed(2)
    plain = crop_and_flip(pixels)
    torch.manual_seed(2)
    cropped = crop_and_flip(pixels.contiguous(memory_format=layout))
    assert cropped.is_contiguous(memory_format=layout)
    assert torch.equal(cropped, plain)


def test_what_a_reflecting_crop_moves_in_is_the_mirror_image(pixels):
    torch.manual_seed(0)
    mirrored = torch.arange(64) % 3 == 0
    cropped = crop_and_flip(pixels, 2, "reflect", mirrored)
    places = set()
    for image, crop, flipped in zip(pixels, cropped, mirrored, strict=True):
        padded = F.pad(image.float(), (2,) * 4, mode="reflect").to(torch.uint8)
        windows = {(top, left): padded[:, top : top + 32, left : left + 32] for top in range(5) for left in range(5)}
        (place,) = (
            place for place, window in windows.items() if torch.equal(window.flip(2) if flipped else window, crop)
        )
        places.add(place)
    assert len(places) > 15  # of 25, in 64 draws


def test_alternating_flips_mirror_in_turn(pixels):
    """In each epoch an image is mirrored that was not in the one before; half of them in the first."""
    task = ImageTask(Images(pixels, torch.zeros(64, dtype=torch.int64)), 0.0, Augmentation(0, "reflect", "alternating"))
    seen = []

    class Noting(nn.Module):
        def forward(self, images):
            seen.append(images)
            return torch.zeros(len(images), 2)

    items = torch.tensor([7, 3, *range(8, 64)])
    for epoch in range(5):
        task.number = epoch
        task.loss(Noting(), items)
    first, second, *later = seen
    mirrored = [torch.equal(image, pixels[item].flip(2)) for item, image in zip(items, first, strict=True)]
    assert 14 < sum(mirrored) < 44  # coins of 58
    assert torch.equal(second, first.flip(3))
    for images, expected in zip(later, (first, second, first), strict=True):
        assert torch.equal(images, expected)
    other = ImageTask(task.images, 0.0, Augmentation(0, "reflect", "alternating"), seed=1)
    other.loss(Noting(), items)
    assert not torch.equal(seen[-1], first)


def test_a_square_gets_the_colour_and_may_be_cut_off(pixels):
    torch.manual_seed(0)
    colour = torch.zeros(3, dtype=torch.uint8)  # no pixel has it
    filled = (cut_out(pixels, 12, colour) == 0).all(1)
    for square in filled:
        rows, columns = square.any(1).nonzero().flatten(), square.any(0).nonzero().flatten()
        assert square.sum() == len(rows) * len(columns)
        assert rows[-1] - rows[0] + 1 == len(rows)
        assert 6 <= len(rows) <= 12
        assert 6 <= len(columns) <= 12
    assert filled.flatten(1).sum(1).max() == 144
    assert (cut_out(pixels, 12, colour) == pixels).sum() > 0.8 * pixels.numel()


def test_the_weights_of_six_views(pixels):
    """A quarter for the image and its mirror image each, an eighth for each of the others."""
    padded = F.pad(pixels.float(), (1,) * 4, mode="reflect").to(torch.uint8)
    up, down = padded[:, :, :32, :32], padded[:, :, 2:, 2:]
    images = Images(pixels, torch.zeros(64, dtype=torch.int64))
    chance = torch.Generator().manual_seed(0)
    weights = torch.randn(3072, 10, generator=chance)

    def of(some):
        return torch.tanh(some.pixels.flatten(1).float() @ weights / 3e3)

    def output(given):
        return of(Images(given, images.labels))

    torch.testing.assert_close(view_logits(of, images, 1), output(pixels))
    two = (output(pixels) + output(pixels.flip(3))) / 2
    torch.testing.assert_close(view_logits(of, images, 2), two)
    moved = (output(up) + output(up.flip(3)) + output(down) + output(down.flip(3))) / 4
    torch.testing.assert_close(view_logits(of, images, 6), two / 2 + moved / 2)


def test_half_the_side_is_a_weighted_mean_of_four_pixels_a_way():
    """Bilinear with antialiasing: a triangle twice as wide, so weights of 1, 3, 3 and 1 eighths."""
    image = torch.zeros(1, 1, 8, 8, dtype=torch.uint8)
    image[0, 0, 2, 4] = 64
    half = scaled(image, 4)[0, 0]
    rows, columns = torch.tensor([1, 3, 0, 0]) / 8, torch.tensor([0, 1, 3, 0]) / 8
    # Row 2 of 8 lies in rows 0 (pixels -1 to 2) and 1 (1 to 4) of 4; at the border the weights that are left make one.
    rows[0] = 1 / 7
    torch.testing.assert_close(half, 64 * torch.outer(rows, columns))


def test_images_of_their_own_side_are_not_touched(pixels):
    assert scaled(pixels, 32) is pixels
    assert scaled(pixels, 0) is pixels
    assert scaled(pixels, 24).shape == (64, 3, 24, 24)


def test_images_lie_channels_last_and_keep_their_values(pixels):
    images = on_device("cpu", pixels.numpy(), np.arange(64, dtype=np.uint8))
    assert images.pixels.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(images.pixels, pixels)
    assert images.labels.dtype == torch.int64
    batch = ImageTask(images).batch(torch.tensor([5, 2]))
    assert batch.pixels.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(batch.pixels[1], pixels[2])
    assert batch.labels.tolist() == [5, 2]


class Fixed(nn.Module):
    """Gives each image the logits of its first pixel's row in a table."""

    def __init__(self, table):
        super().__init__()
        self.table = nn.Parameter(table)

    def forward(self, images):
        return self.table[images[:, 0, 0, 0].long()]


TABLE = torch.tensor([[math.log(3.0), 0.0], [0.0, math.log(7.0)]])  # probabilities 3/4, 1/4 and 1/8, 7/8


def four(labels):
    pixels = torch.zeros(4, 3, 32, 32, dtype=torch.uint8)
    pixels[2:, 0, 0, 0] = 1
    return Images(pixels, torch.tensor(labels))


def test_loss_and_accuracy_by_hand():
    images = four([0, 1, 1, 0])
    model = Fixed(TABLE)
    loss, accuracy = loss_and_accuracy(logits(model, images, batch_size=3), images.labels)
    assert loss == pytest.approx(-(math.log(3 / 4) + math.log(1 / 4) + math.log(7 / 8) + math.log(1 / 8)) / 4)
    assert accuracy == 50.0
    assert model.training


def test_label_smoothing_by_hand():
    images = four([0, 0, 0, 0])
    task = ImageTask(images, smoothing=0.2)
    # 0.9 of the label and 0.1 of the other class.
    expected = -(0.9 * math.log(3 / 4) + 0.1 * math.log(1 / 4))
    assert task.loss(Fixed(TABLE), torch.tensor([0, 1])).item() == pytest.approx(expected, rel=1e-6)


def test_the_model_is_evaluated_in_evaluation_mode():
    model = nn.Sequential(nn.Flatten(), nn.Dropout(0.9))
    images = Images(torch.ones(4, 3, 32, 32), torch.zeros(4, dtype=torch.int64))
    assert torch.equal(logits(model, images, 2), torch.ones(4, 3072))


def test_an_epoch_has_every_image_once():
    task = ImageTask(four([0, 1, 0, 1]))
    order = task.epoch(np.random.default_rng(0))
    assert sorted(order) == [0, 1, 2, 3]
    assert task.items == 4


class Table(nn.Module):
    """Logits by the value of an image's first pixel: the logarithms of these probabilities, plus a constant."""

    PROBABILITIES = ((0.5, 0.3, 0.2), (0.1, 0.8, 0.1), (0.25, 0.25, 0.5))

    def forward(self, pixels):
        assert not self.training
        assert not torch.is_grad_enabled()
        return torch.log(torch.tensor(self.PROBABILITIES))[pixels[:, 0, 0, 0].long()] + 7


def test_loss_and_accuracy_worked_by_hand():
    """Images of three kinds, 167 of each and more than one evaluation batch, with the labels 0, 2 and 2."""
    model = Table()
    pixels = torch.zeros(501, 3, 32, 32, dtype=torch.uint8)
    pixels[:, 0, 0, 0] = torch.arange(501) % 3
    loss, accuracy = evaluate(model, Images(pixels, torch.tensor([0, 2, 2] * 167)))
    assert loss == pytest.approx(-(math.log(0.5) + math.log(0.1) + math.log(0.5)) / 3, rel=1e-6)
    assert accuracy == pytest.approx(100 * 2 / 3)
    assert model.training
