"""Residual networks for images of 3x32x32: the three of the forecasting report (section 1.2), and He et al.'s.

`resnet18`, `resnet34` and `resnet50` are torchvision's with another stem: a convolution of 3x3 and stride 1 in place of
7x7 and stride 2. With the stem "pool" a max-pooling of 3x3 and stride 2 follows, as in the report's repository
(huyvnphan/PyTorch_CIFAR10); with "plain" none does (timm's models for CIFAR). A state dict is the same for both stems.

`resnet20` to `resnet110` are those of He et al. (2016), section 4.2: 6n + 2 layers of 16, 32 and 64 channels. Where a
stage halves the side and doubles the channels, the shortcut "A" takes every second pixel and pads the channels with
zeros (the paper's, and akamaster/pytorch_resnet_cifar10's), "B" is a 1x1 convolution with batch normalisation
(chenyaofo/pytorch-cifar-models). All state dicts have torchvision's names.

Layers are the convolutions and linear layers from input to output, without those of the shortcuts; multiply-adds are
those of all convolutions and linear layers, for one image:

| model | layers | parameters | multiply-adds |
| --- | ---: | ---: | ---: |
| resnet18, stem pool | 18 | 11,173,962 | 140,186,624 |
| resnet18, stem plain | 18 | 11,173,962 | 555,422,720 |
| resnet34, stem pool | 34 | 21,282,122 | 291,181,568 |
| resnet34, stem plain | 34 | 21,282,122 | 1,159,402,496 |
| resnet50, stem pool | 50 | 23,520,842 | 325,799,936 |
| resnet50, stem plain | 50 | 23,520,842 | 1,297,829,888 |
| resnet20, shortcut A | 20 | 269,722 | 40,551,040 |
| resnet20, shortcut B | 20 | 272,474 | 40,813,184 |
| resnet32, shortcut A | 32 | 464,154 | 68,862,592 |
| resnet32, shortcut B | 32 | 466,906 | 69,124,736 |
| resnet44, shortcut A | 44 | 658,586 | 97,174,144 |
| resnet44, shortcut B | 44 | 661,338 | 97,436,288 |
| resnet56, shortcut A | 56 | 853,018 | 125,485,696 |
| resnet56, shortcut B | 56 | 855,770 | 125,747,840 |
| resnet110, shortcut A | 110 | 1,727,962 | 252,887,680 |
| resnet110, shortcut B | 110 | 1,730,714 | 253,149,824 |

Every block computes the report's s = f(x) + x, Output = ReLU(s), with the shortcut of x where the shapes differ. Where
the report's text slips, the blocks follow its repository:

- the variance lacks its 1/m, the normalised x̂ has x̂ instead of x in its numerator, and the learned scale γ and shift β
  that follow, y = γ x̂ + β, are missing;
- the listing of ResNet-50 has a second convolution, of 5x5 and 16 channels, that is not there (it is the other report's
  LeNet's), and lacks the max-pooling that is;
- the last convolution of a bottleneck is 1x1, not 3x3;
- "ResNet36" is ResNet-34.
"""

import copy
from collections import OrderedDict
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own convention
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.utils.flop_counter import FlopCounterMode

from nnmodels.vision import torchvision

BasicBlock = torchvision.models.resnet.BasicBlock

WITH_STEM = ("resnet18", "resnet34", "resnet50")
BLOCKS = {"resnet20": 3, "resnet32": 5, "resnet44": 7, "resnet56": 9, "resnet110": 18}  # of each stage: n of 6n + 2
WIDTHS = (16, 32, 64)  # channels of each stage
MODELS = (*WITH_STEM, *BLOCKS)


class PaddedSubsampling(nn.Module):
    """The shortcut "A": every second pixel, and zeros for the new channels, half of them before those of the input.

    He et al. (2016), section 3.3, do not say where the zeros go; published weights need them here.
    """

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.padding = (outputs - inputs) // 2

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, H / 2, W / 2), the halves rounded up."""
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.padding, self.padding))


def projection(inputs: int, outputs: int) -> nn.Sequential:
    """The shortcut "B": a 1x1 convolution of every second pixel, and batch normalisation."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride=2, bias=False), nn.BatchNorm2d(outputs))


STEMS = ("pool", "plain")
SHORTCUTS = {"A": PaddedSubsampling, "B": projection}


def resnet(name: str, stem: str = "pool", shortcut: str = "A", classes: int = 10) -> nn.Module:
    """A residual network, freshly initialised (He et al. 2015), that gives logits (B, classes) of (B, 3, H, W).

    Args:
        name: of MODELS.
        stem: of STEMS; ignored by the networks of He et al.'s section 4.2, which have one stem only.
        shortcut: of SHORTCUTS; used by those networks only, torchvision's have "B".
        classes: neurons of the output.

    Raises:
        ValueError: an unknown name, stem or shortcut.
    """
    for kind, value, known in (("model", name, MODELS), ("stem", stem, STEMS), ("shortcut", shortcut, SHORTCUTS)):
        if value not in known:
            raise ValueError(f"there is no {kind} {value!r}: choose one of {', '.join(known)}")
    return _with_stem(name, stem, classes) if name in WITH_STEM else _small(BLOCKS[name], shortcut, classes)


def _with_stem(name: str, stem: str, classes: int) -> nn.Module:
    model = getattr(torchvision.models, name)(num_classes=classes)
    model.conv1 = nn.Conv2d(3, model.conv1.out_channels, 3, padding=1, bias=False)
    _initialise(model.conv1)
    if stem == "plain":
        model.maxpool = nn.Identity()
    return model


def _small(blocks: int, shortcut: str, classes: int) -> nn.Module:
    narrowing = SHORTCUTS[shortcut]
    model = nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(3, WIDTHS[0], 3, padding=1, bias=False),
            bn1=nn.BatchNorm2d(WIDTHS[0]),
            relu=nn.ReLU(inplace=True),
            layer1=_stage(WIDTHS[0], WIDTHS[0], blocks),
            layer2=_stage(WIDTHS[0], WIDTHS[1], blocks, narrowing(WIDTHS[0], WIDTHS[1])),
            layer3=_stage(WIDTHS[1], WIDTHS[2], blocks, narrowing(WIDTHS[1], WIDTHS[2])),
            avgpool=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
            fc=nn.Linear(WIDTHS[2], classes),
        )
    )
    _initialise(model)
    return model


def _stage(inputs: int, outputs: int, blocks: int, shortcut: nn.Module | None = None) -> nn.Sequential:
    """`blocks` blocks; with a shortcut, the first of them halves the side."""
    first = BasicBlock(inputs, outputs, stride=1 if shortcut is None else 2, downsample=shortcut)
    return nn.Sequential(first, *(BasicBlock(outputs, outputs) for _ in range(blocks - 1)))


def _initialise(module: nn.Module) -> None:
    """Initialise every convolution as torchvision does (He et al. 2015)."""
    for each in module.modules():
        if isinstance(each, nn.Conv2d):
            nn.init.kaiming_normal_(each.weight, mode="fan_out", nonlinearity="relu")


def multiply_adds(model: nn.Module, image: tuple[int, int, int] = (3, 32, 32)) -> int:
    """Multiply-adds of all convolutions and linear layers for one image of channels, height and width `image`."""
    # On the meta device only shapes are computed.
    on_meta = copy.deepcopy(model).to("meta").eval()
    with FlopCounterMode(display=False) as counter:
        on_meta(torch.empty(1, *image, device="meta"))
    return counter.get_total_flops() // 2


def folded(model: nn.Module) -> nn.Module:
    """A copy of `model` for inference, with each batch normalisation folded into the convolution before it.

    With the running mean and variance the normalisation is an affine map of each channel, and so is the convolution.
    The convolution is the module defined before the normalisation, in all networks of this file, wrapped or not.
    """
    model = copy.deepcopy(model).eval()
    for module in list(model.modules()):
        for (convolution_name, convolution), (norm_name, norm) in pairwise(list(module.named_children())):
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(module, convolution_name, fuse_conv_bn_eval(convolution, norm))
                setattr(module, norm_name, nn.Identity())
    return model
