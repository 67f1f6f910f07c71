"""Back-propagation written out: every gradient of a fully connected network by its formula, without autograd.

Source: CNN report, section 1.1, in the matrix form that docs/backpropagation.md derives line by line. The names
are those of the derivation, for a batch of B examples and a network of L layers, layer l with n_l neurons::

    h_0 = x,   s_l = h_{l-1} W_lᵀ + b_l,   h_l = f(s_l),   h_L = s_L (logits),   ŷ = softmax(h_L)
    loss = -1/B Σ y log ŷ
    δ_l = ∂loss/∂s_l:   δ_L = (ŷ - y) / B,   δ_l = (δ_{l+1} W_{l+1}) ⊙ f′(s_l)
    dW_l = δ_lᵀ h_{l-1},   db_l = Σ_B δ_l

Shapes: h_l, s_l and δ_l (B, n_l), one example a row; W_l (n_l, n_{l-1}) as in torch.nn.Linear; b_l (n_l); y and ŷ
(B, n_L). Lists of weights, biases, s and δ run from layer 1 to layer L, the list of h from h_0 to h_L.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor, nn


class Activation(NamedTuple):
    """An element-wise function f of s, and its derivative f′, also of s."""

    f: Callable[[Tensor], Tensor]
    derivative: Callable[[Tensor], Tensor]


SLOPE = 0.01  # of LeakyReLU below 0: torch.nn's default and the report's value

# By class of torch.nn. At 0, where ReLU and LeakyReLU have a kink, f′ is the value on the left of it, as in torch.
ACTIVATIONS: Mapping[str, Activation] = MappingProxyType(
    {
        "ReLU": Activation(torch.relu, lambda s: (s > 0).to(s.dtype)),
        "LeakyReLU": Activation(
            lambda s: torch.where(s > 0, s, SLOPE * s),
            lambda s: torch.where(s > 0, torch.ones_like(s), SLOPE),
        ),
        "Tanh": Activation(torch.tanh, lambda s: 1 - torch.tanh(s).square()),
        "Sigmoid": Activation(torch.sigmoid, lambda s: torch.sigmoid(s) * torch.sigmoid(-s)),
    }
)


class Forward(NamedTuple):
    """Results of the forward pass that the backward pass needs: s_1 … s_L, and h_0 … h_L, whose last are the logits."""

    s: list[Tensor]
    h: list[Tensor]


def forward(weights: Sequence[Tensor], biases: Sequence[Tensor], x: Tensor, activation: str) -> Forward:
    """The forward pass of the batch `x` (B, n_0). `activation` is a key of ACTIVATIONS; the last layer has none."""
    f = ACTIVATIONS[activation].f
    s: list[Tensor] = []
    h = [x]
    for W, b in zip(weights, biases, strict=True):
        if s:
            h.append(f(s[-1]))
        s.append(torch.addmm(b, h[-1], W.T))
    h.append(s[-1])
    return Forward(s, h)


def output_error(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Mean cross entropy of softmax(`logits`) (B, n_L) and `labels` (B, int64, from 0), and its gradient δ_L (B, n_L).

    The largest logit of each row is subtracted first, which changes neither: no exponential exceeds 1, their sum is
    at least 1, so neither overflow nor log 0 can occur.
    """
    shifted = logits - logits.amax(dim=1, keepdim=True)
    log_y_hat = shifted - shifted.exp().sum(dim=1, keepdim=True).log()
    B = len(labels)
    y_hat = log_y_hat.exp()
    y = torch.zeros_like(logits).scatter_(1, labels[:, None], 1.0)
    loss = -(y * log_y_hat).sum() / B
    delta_L = (y_hat - y) / B
    return loss, delta_L


def errors(weights: Sequence[Tensor], s: Sequence[Tensor], delta_L: Tensor, activation: str) -> list[Tensor]:
    """δ_1 … δ_L, from the last layer down. There is no δ_0: the gradient of the input is not needed."""
    f_prime = ACTIVATIONS[activation].derivative
    delta = [delta_L]
    for W_above, s_l in zip(reversed(weights[1:]), reversed(s[:-1]), strict=True):
        delta.insert(0, (delta[0] @ W_above) * f_prime(s_l))
    return delta


@torch.no_grad()
def gradients(
    weights: Sequence[Tensor],
    biases: Sequence[Tensor],
    x: Tensor,
    labels: Tensor,
    activation: str,
    out: tuple[Sequence[Tensor], Sequence[Tensor]] | None = None,
) -> tuple[Tensor, Sequence[Tensor], Sequence[Tensor]]:
    """The mean loss of a batch (no dimension), and its gradients for W_1 … W_L and for b_1 … b_L.

    Args:
        weights, biases: of layers 1 … L, L at least 1; W_l (n_l, n_{l-1}), b_l (n_l).
        x: (B, n_0).
        labels: classes (B, int64), from 0.
        activation: of layers 1 … L-1, a key of ACTIVATIONS.
        out: tensors dW and db to write into; new ones if not given.
    """
    s, h = forward(weights, biases, x, activation)
    loss, delta_L = output_error(h[-1], labels)
    delta = errors(weights, s, delta_L, activation)
    dW, db = out or ([torch.empty_like(W) for W in weights], [torch.empty_like(b) for b in biases])
    for delta_l, h_below, dW_l, db_l in zip(delta, h[:-1], dW, db, strict=True):
        torch.mm(delta_l.T, h_below, out=dW_l)
        torch.sum(delta_l, dim=0, out=db_l)
    return loss, dW, db


def backpropagate(layers: Sequence[nn.Linear], x: Tensor, labels: Tensor, activation: str) -> float:
    """The mean loss of a batch; its gradients replace the values in the .grad of the layers' weights and biases.

    Args:
        layers: the linear layers of a multilayer perceptron, first to last, all with a bias; every .grad exists, and
            stays the tensor it is.
        x: (B, n_0), or anything of more dimensions that flattens to it, such as images.
        labels, activation: as in `gradients`.
    """
    weights, biases = [layer.weight for layer in layers], [layer.bias for layer in layers]
    out = [gradient_of(W) for W in weights], [gradient_of(b) for b in biases]
    loss, _, _ = gradients(weights, biases, x.flatten(1), labels, activation, out)
    return loss.item()


def gradient_of(parameter: Tensor) -> Tensor:
    """Returns the tensor in .grad of a parameter; raises ValueError if there is none."""
    if parameter.grad is None:
        raise ValueError("the parameter has no .grad: set it to a tensor of zeros first")
    return parameter.grad
