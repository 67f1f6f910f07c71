"""Multilayer perceptrons, as the CNN report's section 2.3.2 describes them.

| row | layers | parameters |
| --- | --- | ---: |
| mlp-2 | 3072-120-10 | 369,970 |
| mlp-3 | 3072-120-50-10 | 375,320 |
| mlp-4 | 3072-120-50-30-10 | 376,650 |
| mlp-5 | 3072-120-50-30-20-10 | 377,170 |
"""

from collections.abc import Sequence
from itertools import pairwise

from torch import nn


def mlp(widths: Sequence[int], activation: str) -> nn.Sequential:
    """Flatten, then linear layers from each width to the next, with the activation between them; gives logits.

    The softmax of the report's listing is part of the loss.

    Args:
        widths: neurons of the input, of each hidden layer and of the output.
        activation: class of torch.nn.
    """
    layers: list[nn.Module] = [nn.Flatten()]
    for number, (inputs, outputs) in enumerate(pairwise(widths)):
        if number:
            layers.append(getattr(nn, activation)())
        layers.append(nn.Linear(inputs, outputs))
    return nn.Sequential(*layers)
