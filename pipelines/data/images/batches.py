"""Images on the device: batches for training, and loss and accuracy over all of them."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own convention

from pipelines.training.memory import within_memory

EVALUATION_BATCH = 250  # images at a time: their activations fit into a CPU's caches
PADDING = 4  # pixels on each side before a random crop (He et al. 2016, section 4.2)


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


class ImageTask:
    """Training of a classifier: every image once an epoch, in random order, with cross entropy.

    Args:
        images: of the training part.
        smoothing: share of each label that is spread over all classes (Szegedy et al. 2016, section 7).
        augment: whether each image is cropped and flipped at random, by torch's random numbers, which the engine seeds
            for each update.

    Attributes:
        side: size in pixels to which the images are scaled for the model; 0 leaves them as they are.
    """

    targets_per_item = 1

    def __init__(self, images: Images, smoothing: float = 0.0, augment: bool = False):
        self.images = images
        self.items = len(images.labels)
        self._smoothing = smoothing
        self._augment = augment
        self.side = 0

    def epoch(self, rng: np.random.Generator) -> np.ndarray:
        """Item numbers of one epoch: each once, in random order."""
        return rng.permutation(self.items)

    def batch(self, items: Tensor) -> Images:
        """The images `items` (B,)."""
        return Images(self.images.pixels[items], self.images.labels[items])

    def loss(self, model: nn.Module, items: Tensor) -> Tensor:
        """Mean cross entropy of `items` (B,)."""
        pixels, labels = self.batch(items)
        if self._augment:
            pixels = crop_and_flip(pixels)
        return F.cross_entropy(model(scaled(pixels, self.side)), labels, label_smoothing=self._smoothing)

    def outputs(self, model: nn.Module, items: Tensor) -> Tensor:
        """Logits (B, classes) of `items` (B,)."""
        return model(self.images.pixels[items])


def crop_and_flip(pixels: Tensor) -> Tensor:
    """Shift each image (B, C, H, W) by up to PADDING pixels, filling with zeros, and mirror half of them, at random.

    Source: He et al. 2016, section 4.2. One gather for the whole batch; torchvision's transforms (v2) would draw one
    shift for all of its images. The result has the memory format of `pixels`.
    """
    count, _, height, width = pixels.shape
    padded = F.pad(pixels, (PADDING,) * 4).permute(0, 2, 3, 1)
    shift = torch.randint(0, 2 * PADDING + 1, (2, count, 1), device=pixels.device)
    rows = shift[0] + torch.arange(height, device=pixels.device)
    columns = shift[1] + torch.arange(width, device=pixels.device)
    mirrored = torch.rand(count, 1, device=pixels.device) < 0.5
    columns = torch.where(mirrored, columns.flip(1), columns)
    image = torch.arange(count, device=pixels.device).view(-1, 1, 1)
    moved = padded[image, rows.unsqueeze(2), columns.unsqueeze(1)].permute(0, 3, 1, 2)
    return moved.contiguous() if pixels.is_contiguous() else moved


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


def evaluate(model: nn.Module, images: Images) -> tuple[float, float]:
    """Mean cross entropy and accuracy (percent) of `model` on all `images`, in evaluation mode and fp32."""
    return loss_and_accuracy(logits(model, images, EVALUATION_BATCH), images.labels)
