"""The same ResNets, computed in less time where they are trained on a CPU in fp32.

Nothing here changes what is computed but by rounding; parameters and buffers stay those of the network as it is
defined.
`benchmarks/resnet_throughput.py` measures what it gains.
"""

import copy
from itertools import chain

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own convention


class SmallImageConv2d(nn.Conv2d):
    """A 3x3 convolution with padding 1 that multiplies images of at most 2x2 by one matrix.

    There, most of a kernel lies on the padding: of 36 products of an input channel with an output channel that a
    convolution of 2x2 pixels takes, 20 are with zeros. The last stage of a ResNet-18 with the stem "pool" has 2x2
    pixels and a quarter of its multiply-adds. Larger images are convolved as usual.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, H / stride, W / stride), the quotients rounded up."""
        if max(x.shape[2:]) > 2:
            return super().forward(x)
        rows, columns = (_taps(size, stride) for size, stride in zip(x.shape[2:], self.stride, strict=True))
        # Which of the nine taps leads from pixel (k, l) of the input to pixel (i, j) of the output.
        taps = [3 * row + column for k in rows for m in columns for row in k for column in m]
        to, of = len(rows) * len(columns), x.shape[2] * x.shape[3]
        outputs, inputs = self.weight.shape[:2]
        kernels = self.weight.flatten(2).permute(2, 0, 1).index_select(0, torch.tensor(taps, device=x.device))
        matrix = kernels.view(to, of, outputs, inputs).transpose(1, 2).reshape(to * outputs, of * inputs)
        # Pixels before channels, as they lie in memory with channels last.
        y = F.linear(x.flatten(2).transpose(1, 2).flatten(1), matrix)
        return y.view(-1, to, outputs).transpose(1, 2).unflatten(2, (len(rows), len(columns)))


def _taps(size: int, stride: int) -> list[list[int]]:
    """Of a row of `size` pixels, 1 or 2: for each pixel of the output the tap that each pixel of the input is given."""
    return [[pixel - start + 1 for pixel in range(size)] for start in range(0, size, stride)]


class Laid(nn.Module):
    """A module, on whose input or output the memory format is changed.

    Args:
        module: any.
        before, after: the memory format that its input and its output are brought to.
    """

    def __init__(self, module: nn.Module, before: torch.memory_format, after: torch.memory_format):
        super().__init__()
        self.module, self.before, self.after = module, before, after

    def forward(self, x: Tensor) -> Tensor:
        """What the module makes of x, both (B, C, H, W)."""
        return self.module(x.contiguous(memory_format=self.before)).contiguous(memory_format=self.after)


def rearranged(network: nn.Module) -> nn.Module:
    """A second network with the parameters and buffers of a ResNet: training it trains the first.

    Convolutions of small images are matrix products, and the stem, if it has a max-pooling, works with channels last,
    where that is five times as fast. All else is faster with channels first, in fp32.
    """
    shared = {id(tensor): tensor for tensor in chain(network.parameters(), network.buffers())}
    twin = copy.deepcopy(network, shared)
    for module in list(twin.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Conv2d) and child.kernel_size == (3, 3) and child.padding == (1, 1):
                setattr(module, name, _small_image(child))
    if isinstance(getattr(twin, "maxpool", None), nn.MaxPool2d):
        twin.conv1 = Laid(twin.conv1, torch.channels_last, torch.channels_last)
        twin.maxpool = Laid(twin.maxpool, torch.channels_last, torch.contiguous_format)
    return twin


def _small_image(convolution: nn.Conv2d) -> SmallImageConv2d:
    with torch.device("meta"):
        replacement = SmallImageConv2d(
            convolution.in_channels, convolution.out_channels, 3, convolution.stride, 1, bias=False
        )
    replacement.weight = convolution.weight
    return replacement
