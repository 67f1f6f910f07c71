"""Networks that learn CIFAR-10 in few epochs: those of airbench94, 95 and 96 (Jordan 2024, arXiv:2404.00498).

The first convolution, of 2x2, whitens: its kernels are the eigenvectors of small patches of the training images, each
over the deviation along it and with both signs, and they are not trained. Three groups of convolutions follow, each of
which begins by halving the image, and a linear layer without bias. Convolutions start as the identity on their first
channels; batch normalisations have a shift and no scale. The weights of the linear layer start with a deviation of 1,
and its outputs are divided by the number of its inputs.

| network | channels of the groups | convolutions a group | parameters | multiply-adds |
| --- | --- | ---: | ---: | ---: |
| airbench94 | 64, 256, 256 | 2 | 1,972,792 | 118,147,360 |
| airbench95 | 128, 384, 384 | 2 | 4,606,520 | 301,560,864 |
| airbench96 | 128, 512, 512 | 3 | 12,721,208 | 615,201,056 |

The third convolution of a group of airbench96 has a shortcut around it and the second.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

PATCH = 2  # pixels of a side of the patches that are whitened
RIDGE = 5e-4  # added to the variance along each eigenvector, of images with mean 0 and variance 1


@dataclass(frozen=True)
class Form:
    """Form of a network.

    Attributes:
        widths: channels of each group.
        convolutions: of each group, 2 or 3.
        momentum: share of the running statistics that a batch replaces.
    """

    widths: tuple[int, int, int]
    convolutions: int
    momentum: float


FORMS = {
    "airbench94": Form((64, 256, 256), 2, 0.4),
    "airbench95": Form((128, 384, 384), 2, 0.4),
    "airbench96": Form((128, 512, 512), 3, 0.1),
}


class Airbench(nn.Sequential):
    """A network of FORMS, freshly initialised, that gives logits (B, classes) of normalised images (B, 3, 32, 32).

    Its first convolution is to be whitened, see `whiten`.

    Args:
        name: of FORMS.
        classes: neurons of the output.
    """

    def __init__(self, name: str, classes: int = 10):
        form = FORMS[name]
        first = nn.Conv2d(3, 2 * 3 * PATCH**2, PATCH)
        first.weight.requires_grad = False
        channels = (first.out_channels, *form.widths)
        super().__init__()
        self.conv1 = first
        self.add_module("gelu", nn.GELU())
        for group, (inputs, outputs) in enumerate(pairwise(channels), 1):
            self.add_module(f"layer{group}", Group(inputs, outputs, form.convolutions, form.momentum))
        self.add_module("pool", nn.MaxPool2d(3))
        self.add_module("flatten", nn.Flatten())
        head = nn.Linear(channels[-1], classes, bias=False)
        with torch.no_grad():
            head.weight /= head.weight.std()
        self.add_module("fc", head)
        self.add_module("scale", Scaled(1 / channels[-1]))


class Scaled(nn.Module):
    """Multiplication by a constant."""

    def __init__(self, factor: float):
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """The product, of the shape of x."""
        return x * self.factor


class Group(nn.Module):
    """Two or three convolutions of 3x3, of which the first is followed by a max-pooling of 2x2.

    Args:
        inputs, outputs: channels.
        convolutions: 2 or 3; the third has a shortcut around it and the second.
        momentum: of the batch normalisations.
    """

    def __init__(self, inputs: int, outputs: int, convolutions: int, momentum: float):
        super().__init__()
        self.conv1, self.norm1 = _convolution(inputs, outputs), _normalisation(outputs, momentum)
        self.pool = nn.MaxPool2d(2)
        self.conv2, self.norm2 = _convolution(outputs, outputs), _normalisation(outputs, momentum)
        self.gelu = nn.GELU()
        self.is_residual = convolutions == 3
        if self.is_residual:
            self.conv3, self.norm3 = _convolution(outputs, outputs), _normalisation(outputs, momentum)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, H / 2, W / 2), the halves rounded down."""
        x = self.gelu(self.norm1(self.pool(self.conv1(x))))
        y = self.norm2(self.conv2(x))
        if self.is_residual:
            y = self.norm3(self.conv3(self.gelu(y))) + x
        return self.gelu(y)


def _convolution(inputs: int, outputs: int) -> nn.Conv2d:
    convolution = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    # The first channels pass the image on; where there are more, torch's initialisation stays.
    nn.init.dirac_(convolution.weight[: convolution.in_channels].detach())
    return convolution


def _normalisation(channels: int, momentum: float) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(channels, eps=1e-12, momentum=momentum)
    norm.weight.requires_grad = False
    return norm


@torch.no_grad()
def whiten(convolution: nn.Conv2d, images: Tensor) -> None:
    """Make the kernels of a convolution the whitening of patches of images, with both signs, and freeze them.

    The outputs of the first half of its channels are uncorrelated on `images` and have a mean square of about 1.

    Args:
        convolution: has twice as many outputs as a patch has values.
        images: (N, C, H, W), normalised.
    """
    height, width = convolution.kernel_size
    patches = images.float().unfold(2, height, 1).unfold(3, width, 1)  # (N, C, H', W', height, width)
    values = patches.permute(0, 2, 3, 1, 4, 5).reshape(-1, images.shape[1] * height * width)
    variances, directions = torch.linalg.eigh((values.T @ values / len(values)).double().cpu())
    kernels = (directions / (variances + RIDGE).sqrt()).T.to(convolution.weight)
    convolution.weight.copy_(torch.cat((kernels, -kernels)).view_as(convolution.weight))
    convolution.weight.requires_grad = False
