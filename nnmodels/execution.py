"""Faster execution of the ResNets on a CPU.

The results differ by rounding only, but 8-bit integers round coarsely: the caller has to check that the predictions
stay the same. `benchmarks/resnet_throughput.py` measures the speed-ups.
"""

import copy
import warnings
from itertools import chain

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own convention


class SmallImageConv2d(nn.Conv2d):
    """A 3x3 convolution with padding 1 that multiplies images of at most 2x2 by one matrix.

    On those, most of a kernel covers padding: of the 36 products that a convolution of 2x2 pixels takes for each pair
    of input and output channel, 20 are with zeros. The last stage of a ResNet-18 with the stem "pool" has 2x2
    pixels and a quarter of its multiply-adds. Larger images are convolved as usual.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, H / stride, W / stride), the quotients rounded up."""
        if max(x.shape[2:]) > 2:
            return super().forward(x)
        rows, columns = (_taps(size, stride) for size, stride in zip(x.shape[2:], self.stride, strict=True))
        # For each output pixel, the kernel tap of each input pixel, numbered 0-8.
        taps = [3 * row + column for k in rows for m in columns for row in k for column in m]
        to, of = len(rows) * len(columns), x.shape[2] * x.shape[3]
        outputs, inputs = self.weight.shape[:2]
        kernels = self.weight.flatten(2).permute(2, 0, 1).index_select(0, torch.tensor(taps, device=x.device))
        matrix = kernels.view(to, of, outputs, inputs).transpose(1, 2).reshape(to * outputs, of * inputs)
        # Pixels before channels, the order in memory with channels last.
        y = F.linear(x.flatten(2).transpose(1, 2).flatten(1), matrix)
        if self.bias is not None:
            y = y + self.bias.repeat(to)
        return y.view(-1, to, outputs).transpose(1, 2).unflatten(2, (len(rows), len(columns)))


def _taps(size: int, stride: int) -> list[list[int]]:
    """Returns, for each output pixel of a row of `size` pixels (1 or 2), the kernel tap of each input pixel."""
    return [[pixel - start + 1 for pixel in range(size)] for start in range(0, size, stride)]


class WithMemoryFormat(nn.Module):
    """A module whose input and output are converted to given memory formats.

    Args:
        module: any.
        before, after: of its input, of its output.
    """

    def __init__(self, module: nn.Module, before: torch.memory_format, after: torch.memory_format):
        super().__init__()
        self.module, self.before, self.after = module, before, after

    def forward(self, x: Tensor) -> Tensor:
        """Output of the module for x, both (B, C, H, W)."""
        return self.module(x.contiguous(memory_format=self.before)).contiguous(memory_format=self.after)


def rearranged(network: nn.Module) -> nn.Module:
    """A second network that shares the parameters and buffers of a ResNet: training it trains the first.

    Convolutions of small images become matrix products. The stem, if it has a max-pooling, works with channels last, as
    pooling is slow with channels first. All other layers are faster with channels first, in fp32.
    """
    shared = {id(tensor): tensor for tensor in chain(network.parameters(), network.buffers())}
    twin = copy.deepcopy(network, shared)
    for module in list(twin.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Conv2d) and _fits_small_images(child):
                setattr(module, name, _small_image(child))
    if isinstance(getattr(twin, "maxpool", None), nn.MaxPool2d):
        twin.conv1 = WithMemoryFormat(twin.get_submodule("conv1"), torch.channels_last, torch.channels_last)
        twin.maxpool = WithMemoryFormat(twin.get_submodule("maxpool"), torch.channels_last, torch.contiguous_format)
    return twin


def _fits_small_images(convolution: nn.Conv2d) -> bool:
    sizes = (convolution.kernel_size, convolution.padding, convolution.dilation, convolution.groups)
    return sizes == ((3, 3), (1, 1), (1, 1), 1)


def _small_image(convolution: nn.Conv2d) -> SmallImageConv2d:
    down, right = convolution.stride
    with torch.device("meta"):
        replacement = SmallImageConv2d(convolution.in_channels, convolution.out_channels, 3, (down, right), 1)
    replacement.weight, replacement.bias = convolution.weight, convolution.bias
    return replacement


def quantised(network: nn.Module, examples: Tensor) -> nn.Module:
    """A copy of a network for inference in 8-bit integers, on a CPU with VNNI instructions.

    Static quantisation after training (Jacob et al. 2018, sections 2 and 3): batch norms are folded; weights have a
    scale for each output channel, activations one per tensor, from the values that the examples give.

    Args:
        network: any of nnmodels.resnet, trained.
        examples: (N, 3, H, W) inputs of the network, from the training part.
    """
    # Imported here, with its warnings silenced: torch will remove this module one day. Its successor, torchao, needs a
    # compiler at run time.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "torch.ao.quantization is deprecated", DeprecationWarning)
        warnings.filterwarnings("ignore", ".*quantized tensor creation functions", UserWarning)
        from torch.ao.quantization import get_default_qconfig_mapping
        from torch.ao.quantization.quantize_fx import convert_fx, prepare_fx

        engine = torch.backends.quantized.engine
        try:
            # This engine's activations have all eight bits; those of the default one, "x86", have seven.
            torch.backends.quantized.engine = "onednn"
            scales = get_default_qconfig_mapping("onednn")
            observed = prepare_fx(copy.deepcopy(network).eval(), scales, (examples[:1],))
            with torch.no_grad():
                for chunk in examples.split(128):
                    observed(chunk)
                return convert_fx(observed)
        finally:
            torch.backends.quantized.engine = engine
