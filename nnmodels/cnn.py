"""Convolutional networks, as the CNN report's sections 2.3.1 and 2.3.2 describe them.

Each convolution (stride 1, no padding) is followed by the activation and a 2x2 max-pooling. Shapes of an image of
3x32x32 after each of them, then the fully connected layers:

| row | after convolution and pooling | fully connected | parameters |
| --- | --- | --- | ---: |
| cnn, of all activations and learning rates | 6x28x28, 6x14x14, 16x10x10, 16x5x5 | 400-120-84-10 | 62,006 |
| cnn-double-channel | 12x28x28, 12x14x14, 32x10x10, 32x5x5 | 800-120-84-10 | 117,678 |
| cnn-1conv | 6x28x28, 6x14x14 | 1176-120-84-10 | 152,710 |
| cnn-3conv | 6x30x30, 6x15x15, 16x13x13, 16x6x6, 26x4x4, 26x2x2 | 104-120-84-10 | 28,432 |
"""

from collections.abc import Sequence

from torch import nn

from nnmodels.mlp import mlp

POOLING = 2  # side and stride of the pooling
# Activations, classes of torch.nn, for which the maximum of the function is the function of the maximum.
NEVER_DECREASING = ("ReLU", "LeakyReLU", "ReLU6", "ELU", "CELU", "SELU", "Sigmoid", "Tanh", "Softplus", "Softsign")


def output_size(size: int, kernel: int, stride: int = 1, padding: int = 0) -> int:
    """Side of a convolution's or pooling's output: floor((size + 2 padding - kernel) / stride) + 1.

    Source: CNN report, section 2.2.1, which leaves out the floor.

    Raises:
        ValueError: the kernel does not fit into the padded input.
    """
    if kernel > size + 2 * padding:
        raise ValueError(f"a kernel of {kernel} does not fit into an input of {size} with padding {padding}")
    return (size + 2 * padding - kernel) // stride + 1


def cnn(
    channels: Sequence[int],
    kernel: int,
    hidden: Sequence[int],
    activation: str,
    image: tuple[int, int] = (3, 32),
    classes: int = 10,
) -> nn.Sequential:
    """A convolutional network that gives logits (B, classes).

    Args:
        channels: output channels of each convolution.
        kernel: side of the convolutions' kernels.
        hidden: neurons of each hidden fully connected layer.
        activation: class of torch.nn.
        image: channels and side of the square input.
        classes: neurons of the output.

    Raises:
        ValueError: the image is too small for so many convolutions.
    """
    layers: list[nn.Module] = []
    inputs, size = image
    for outputs in channels:
        after = [getattr(nn, activation)(), nn.MaxPool2d(POOLING)]
        # The activation after the pooling where that is the same, since it is computed on a quarter of the values then.
        layers += [nn.Conv2d(inputs, outputs, kernel), *(after[::-1] if activation in NEVER_DECREASING else after)]
        size = output_size(output_size(size, kernel), POOLING, stride=POOLING)
        inputs = outputs
    return nn.Sequential(*layers, *mlp((inputs * size * size, *hidden, classes), activation))
