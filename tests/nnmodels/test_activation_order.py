"""Activations of a CNN that are no function of the maximum are computed before the pooling."""

import pytest
import torch
from torch import nn

from nnmodels.cnn import NEVER_DECREASING, cnn


@pytest.mark.parametrize("activation", [*NEVER_DECREASING, "GELU", "SiLU", "Hardswish", "Mish", "Tanhshrink"])
def test_a_convolution_is_followed_by_the_activation_then_by_the_pooling(activation):
    torch.manual_seed(0)
    network = cnn((4,), 3, (), activation, image=(1, 8), classes=2)
    convolution, *_, flatten, head = network
    x = torch.randn(5, 1, 8, 8)
    pooled = nn.functional.max_pool2d(getattr(nn, activation)()(convolution(x)), 2)
    torch.testing.assert_close(network(x), head(flatten(pooled)))
