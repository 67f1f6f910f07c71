"""Normalisation of stored pixels, as a part of the classifier that takes them."""

import torch
from torch import Tensor, nn


class ImageClassifier(nn.Module):
    """A network with its normalisation inside: raw pixels in, logits out. This is trained, logged and registered.

    Args:
        network: takes normalised images (B, C, H, W).
        mean, deviation: mean and standard deviation of each of the C channels, in units of 0-1.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, network: nn.Module, mean: tuple[float, ...], deviation: tuple[float, ...]):
        super().__init__()
        self.network = network
        means, stds = (torch.tensor(each).view(-1, 1, 1) for each in (mean, deviation))
        # (pixel / 255 - mean) / std in one multiplication and one addition.
        self.register_buffer("scale", 1 / (255 * stds), persistent=False)
        self.register_buffer("shift", -means / stds, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, classes) of images (B, C, H, W) with values 0-255, of any dtype."""
        return self.network(self.normalised(images))

    def normalised(self, images: Tensor) -> Tensor:
        """Input of the network: (pixel / 255 - mean) / std, float32."""
        return torch.addcmul(self.shift, images.float(), self.scale)
