"""The networks of airbench: their forms, and the whitening of their first convolution."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - torch's own convention

from nnmodels import airbench
from nnmodels.airbench import FORMS, Airbench, Group, whiten
from nnmodels.resnet import multiply_adds


@pytest.mark.parametrize("name", FORMS)
def test_parameters_and_multiply_adds_are_those_of_the_layers(name):
    """Counted by hand: sides are 31, 15, 7 and 3 pixels; each group convolves before it pools."""
    widths, deep = FORMS[name].widths, FORMS[name].convolutions
    channels = (24, *widths)
    pixels = [31 * 31, 15 * 15, 7 * 7, 3 * 3]
    kernels = sum(9 * (a * b + (deep - 1) * b * b) for a, b in zip(channels, widths, strict=False))
    norms = sum(2 * deep * width for width in widths)
    model = Airbench(name)
    assert sum(each.numel() for each in model.parameters()) == 24 * 12 + 24 + kernels + norms + 10 * widths[-1]
    products = sum(
        9 * (a * b * pixels[group] + (deep - 1) * b * b * pixels[group + 1])
        for group, (a, b) in enumerate(zip(channels, widths, strict=False))
    )
    assert multiply_adds(model) == 24 * 12 * 31 * 31 + products + 10 * widths[-1]
    table = f"{sum(each.numel() for each in model.parameters()):,} | {multiply_adds(model):,} |"
    assert table in (airbench.__doc__ or "")
    assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


def test_a_group_starts_as_the_image_and_can_have_a_shortcut():
    """With its first kernels the identity, a group is max-pooling, normalisation and GELU on these channels."""
    torch.manual_seed(0)
    x = torch.randn(4, 3, 8, 8)
    norm = lambda y: F.batch_norm(y, None, None, training=True, eps=1e-12)  # noqa: E731
    pooled = F.gelu(norm(F.max_pool2d(x, 2)))
    short = Group(3, 3, 2, 0.4)(x)
    torch.testing.assert_close(short, F.gelu(norm(pooled)))
    long = Group(3, 3, 3, 0.1)(x)
    torch.testing.assert_close(long, F.gelu(norm(F.gelu(norm(pooled))) + pooled))


def test_only_shifts_and_kernels_after_the_first_are_trained():
    model = Airbench("airbench94")
    fixed = {name for name, each in model.named_parameters() if not each.requires_grad}
    scales = {f"{name}.weight" for name, each in model.named_modules() if isinstance(each, nn.BatchNorm2d)}
    assert fixed == {"conv1.weight", *scales}
    assert model.fc.weight.std().item() == pytest.approx(1, abs=1e-5)


def test_whitened_patches_are_uncorrelated():
    chance = torch.Generator().manual_seed(0)
    images = F.avg_pool2d(torch.randn(200, 3, 14, 14, generator=chance), 3, 1)  # neighbours are alike
    convolution = nn.Conv2d(3, 24, 2)
    whiten(convolution, images)
    values = F.conv2d(images, convolution.weight).transpose(0, 1).flatten(1)
    moments = values @ values.T / values.shape[1]
    torch.testing.assert_close(moments[:12, :12], torch.eye(12), atol=0.06, rtol=0)
    torch.testing.assert_close(values[12:], -values[:12])
    assert not convolution.weight.requires_grad
