"""What a classifier of images needs besides its network to be given pixels as they are stored."""

import torch
from torch import Tensor, nn


class ImageClassifier(nn.Module):
    """A network with its normalisation inside: raw pixels in, logits out. What is trained, logged and registered.

    Args:
        network: takes normalised images (B, C, H, W).
        mean, deviation: of each of the C channels, in units of 0-1.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, network: nn.Module, mean: tuple[float, ...], deviation: tuple[float, ...]):
        super().__init__()
        self.network = network
        centre, spread = (torch.tensor(each).view(-1, 1, 1) for each in (mean, deviation))
        # (pixel / 255 - mean) / deviation in one multiplication and one addition.
        self.register_buffer("scale", 1 / (255 * spread), persistent=False)
        self.register_buffer("shift", -centre / spread, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, classes) of images (B, C, H, W) with values 0-255, of any dtype."""
        return self.network(self.normalised(images))

    def normalised(self, images: Tensor) -> Tensor:
        """What the network is given: (pixel / 255 - mean) / deviation, float32."""
        return torch.addcmul(self.shift, images.float(), self.scale)
