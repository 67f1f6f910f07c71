"""Images on the device: batches for training, and loss and accuracy over all of them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own convention

from pipelines.training.memory import within_memory

_FOR_COLOUR = 5000  # images, the first ones, of which the mean colour is taken
EVALUATION_BATCH = 250  # images at a time: their activations fit into a CPU's caches


class Images(NamedTuple):
    """Part of a data set on the device: images (N, 3, 32, 32) uint8 and labels (N,) int64."""

    pixels: Tensor
    labels: Tensor


def on_device(
    device: str, pixels: np.ndarray, labels: np.ndarray, memory_format: torch.memory_format = torch.channels_last
) -> Images:
    """Copy images and labels to the device; convolutions and pooling are faster with channels last in memory."""
    tensor = torch.tensor(pixels, device=device).contiguous(memory_format=memory_format)
    return Images(tensor, torch.tensor(labels, dtype=torch.int64, device=device))


@dataclass(frozen=True)
class Augmentation:
    """How each image of a batch is changed at random, by torch's random numbers, which the engine seeds.

    Attributes:
        shift: pixels by which an image is moved at most, in both directions (He et al. 2016, section 4.2).
        padding: what is moved in: "zeros", or its mirror image, "reflect".
        flips: "random": half of the images of each batch are mirrored; "alternating": half of the images in the first
            epoch, and in each later one those that were not in the one before (Jordan 2024, section 3.6).
        cutout: side of a square that gets the mean colour (DeVries and Taylor 2017), in pixels; 0 for none.
    """

    shift: int = 4
    padding: str = "zeros"
    flips: str = "random"
    cutout: int = 0


class ImageTask:
    """Training of a classifier: every image once an epoch, in random order, with cross entropy.

    Args:
        images: of the training part.
        smoothing: share of each label that is spread over all classes (Szegedy et al. 2016, section 7).
        augmentation: of the images; None leaves them as they are.
        seed: of what is random once for the whole training.
    """

    targets_per_item = 1

    def __init__(self, images: Images, smoothing: float = 0.0, augmentation: Augmentation | None = None, seed: int = 0):
        self.images = images
        self.items = len(images.labels)
        self._smoothing = smoothing
        self._augmentation = augmentation
        # In shared memory, so that the replicas of an engine see it.
        self._stage = torch.zeros(2, dtype=torch.int64).share_memory_()
        chance = torch.Generator().manual_seed(seed)
        self._colour = images.pixels[:_FOR_COLOUR].float().mean((0, 2, 3)).to(images.pixels.dtype)
        self._mirrored_first = (torch.rand(self.items, generator=chance) < 0.5).to(images.labels.device)

    @property
    def side(self) -> int:
        """Size in pixels to which the images are scaled for the model; 0 leaves them as they are."""
        return int(self._stage[0])

    @side.setter
    def side(self, pixels: int) -> None:
        self._stage[0] = pixels

    @property
    def number(self) -> int:
        """Number of the epoch, from 0."""
        return int(self._stage[1])

    @number.setter
    def number(self, epoch: int) -> None:
        self._stage[1] = epoch

    def epoch(self, rng: np.random.Generator) -> np.ndarray:
        """Item numbers of one epoch: each once, in random order."""
        return rng.permutation(self.items)

    def batch(self, items: Tensor) -> Images:
        """The images `items` (B,)."""
        return Images(self.images.pixels[items], self.images.labels[items])

    def loss(self, model: nn.Module, items: Tensor) -> Tensor:
        """Mean cross entropy of `items` (B,)."""
        pixels, labels = self.batch(items)
        if self._augmentation is not None:
            pixels = self._augmented(pixels, items, self._augmentation)
        return F.cross_entropy(model(scaled(pixels, self.side)), labels, label_smoothing=self._smoothing)

    def outputs(self, model: nn.Module, items: Tensor) -> Tensor:
        """Logits (B, classes) of `items` (B,)."""
        return model(self.images.pixels[items])

    def _augmented(self, pixels: Tensor, items: Tensor, how: Augmentation) -> Tensor:
        mirrored = self._mirrored_first[items] ^ (self.number % 2 == 1) if how.flips == "alternating" else None
        pixels = crop_and_flip(pixels, how.shift, how.padding, mirrored)
        return cut_out(pixels, how.cutout, self._colour) if how.cutout else pixels


def crop_and_flip(pixels: Tensor, shift: int = 4, padding: str = "zeros", mirrored: Tensor | None = None) -> Tensor:
    """Move each image (B, C, H, W) by up to `shift` pixels, at random, and mirror some.

    One gather for the whole batch; torchvision's transforms (v2) would draw one shift for all of its images. The result
    has the memory format of `pixels`.

    Args:
        pixels: images.
        shift: in pixels, less than H and W.
        padding: what is moved in: "zeros" or "reflect".
        mirrored: (B,) bool, which images are mirrored; None for half of them, at random.
    """
    count, _, height, width = pixels.shape
    moved_by = torch.randint(0, 2 * shift + 1, (2, count, 1), device=pixels.device)
    rows = moved_by[0] + torch.arange(height, device=pixels.device)
    columns = moved_by[1] + torch.arange(width, device=pixels.device)
    if mirrored is None:
        mirrored = torch.rand(count, device=pixels.device) < 0.5
    columns = torch.where(mirrored.unsqueeze(1), columns.flip(1), columns)
    if padding == "reflect":
        rows, columns = (_reflected(index - shift, size) for index, size in ((rows, height), (columns, width)))
        source = pixels.permute(0, 2, 3, 1)
    else:
        source = F.pad(pixels, (shift,) * 4).permute(0, 2, 3, 1)
    image = torch.arange(count, device=pixels.device).view(-1, 1, 1)
    moved = source[image, rows.unsqueeze(2), columns.unsqueeze(1)].permute(0, 3, 1, 2)
    return moved.contiguous() if pixels.is_contiguous() else moved


def _reflected(index: Tensor, size: int) -> Tensor:
    """Positions from 1 - size to 2 size - 2 as those of the pixels that they mirror, without repeating the edge."""
    index = index.abs()
    return torch.where(index < size, index, 2 * (size - 1) - index)


def cut_out(pixels: Tensor, side: int, colour: Tensor) -> Tensor:
    """Fill a square of `side` pixels, at random, of each image (B, C, H, W) with a colour (C,); part may be outside."""
    count, _, height, width = pixels.shape
    inside = []
    for size in (height, width):
        centre = torch.randint(0, size, (count, 1), device=pixels.device)
        distance = torch.arange(size, device=pixels.device) - centre
        inside.append((-(side // 2) <= distance) & (distance < side - side // 2))
    rows, columns = inside
    square = (rows.unsqueeze(2) & columns.unsqueeze(1)).unsqueeze(1)
    return torch.where(square, colour.view(-1, 1, 1), pixels)


def scaled(pixels: Tensor, side: int) -> Tensor:
    """Scale images (B, C, H, W) to (B, C, side, side), float32; unchanged if `side` is 0 or their size."""
    if side in (0, pixels.shape[-1]):
        return pixels
    # Without antialiasing, pixels between the samples would be ignored.
    return F.interpolate(pixels.float(), size=(side, side), mode="bilinear", antialias=True)


@torch.inference_mode()
def logits(model: nn.Module, images: Images, batch_size: int, precision: str = "fp32", side: int = 0) -> Tensor:
    """Logits (N, classes), float32, of all `images`, `batch_size` at a time, in evaluation mode.

    They are scaled to `side` pixels unless that is 0. If memory runs out, fewer are taken at a time.
    """
    training = model.training
    model.eval()

    def work(size: int) -> list[Tensor]:
        with torch.autocast(images.pixels.device.type, torch.bfloat16, enabled=precision == "bf16"):
            return [model(scaled(pixels, side)).float() for pixels in images.pixels.split(size)]

    outputs = within_memory(work, batch_size)
    model.train(training)
    return torch.cat(outputs)


def loss_and_accuracy(logits: Tensor, labels: Tensor) -> tuple[float, float]:
    """Mean cross entropy and accuracy (percent) of logits (N, classes) for labels (N,)."""
    loss = F.cross_entropy(logits.double(), labels).item()
    return loss, 100 * (logits.argmax(1) == labels).double().mean().item()


def view_logits(logits_of: Callable[[Images], Tensor], images: Images, views: int) -> Tensor:
    """Logits (N, classes), weighted over `views` of each image.

    Two views are the image and its mirror image. Six are these, and both moved by a pixel towards either of two
    opposite corners, together half of the weight (Jordan 2024, section 3.5).

    Args:
        logits_of: the logits of images.
        images: all images.
        views: 1, 2 or 6.
    """

    def mirrored(pixels: Tensor) -> Tensor:
        both = [logits_of(Images(each, images.labels)) for each in (pixels, pixels.flip(-1))]
        return (both[0] + both[1]) / 2

    if views == 1:
        return logits_of(images)
    output = mirrored(images.pixels)
    if views == 2:
        return output
    height, width = images.pixels.shape[2:]
    rows, columns = (torch.arange(size, device=images.pixels.device) for size in (height, width))
    moved = [
        mirrored(images.pixels[:, :, _reflected(rows + by, height)][:, :, :, _reflected(columns + by, width)])
        for by in (-1, 1)
    ]
    return output / 2 + (moved[0] + moved[1]) / 4


def evaluate(model: nn.Module, images: Images) -> tuple[float, float]:
    """Mean cross entropy and accuracy (percent) of `model` on all `images`, in evaluation mode and fp32."""
    return loss_and_accuracy(logits(model, images, EVALUATION_BATCH), images.labels)
