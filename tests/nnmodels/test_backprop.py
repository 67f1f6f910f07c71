"""The hand-derived gradients against autograd, finite differences and numbers worked out on paper."""

import copy
import math
import re

import pytest
import torch
from support.place import ROOT
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from nnmodels import backprop
from nnmodels.backprop import ACTIVATIONS
from nnmodels.mlp import mlp

WIDTHS = (6, 5, 7, 4, 8, 3)  # of the deepest network here, no two neighbours equal
MLP_3 = (3072, 120, 50, 10)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def tensor(values: list) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def network(layers: int, activation: str) -> nn.Sequential:
    """A perceptron in float64, with weights large enough to bend every activation."""
    model = mlp(WIDTHS[-layers - 1 :], activation).double()
    for parameter in model.parameters():
        nn.init.normal_(parameter)
    return model


def linear_layers(model: nn.Sequential) -> list[nn.Linear]:
    return [layer for layer in model if isinstance(layer, nn.Linear)]


def parameters(model: nn.Sequential) -> tuple[list[Tensor], list[Tensor]]:
    """Weights and biases, first layer to last, cut off from the model's own."""
    layers = linear_layers(model)
    return [layer.weight.detach().clone() for layer in layers], [layer.bias.detach().clone() for layer in layers]


def batch(size: int, inputs: int, classes: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    return torch.randn(size, inputs, dtype=dtype), torch.randint(classes, (size,))


def give_flat_gradients(model: nn.Module, value: float) -> Tensor:
    """One vector, filled with `value`, of which every .grad becomes a view."""
    sizes = [parameter.numel() for parameter in model.parameters()]
    flat = torch.full((sum(sizes),), value, dtype=next(model.parameters()).dtype)
    for parameter, view in zip(model.parameters(), flat.split(sizes), strict=True):
        parameter.grad = view.view_as(parameter)
    return flat


def assert_close(actual, expected, tolerance: float) -> None:
    torch.testing.assert_close(actual, expected, rtol=tolerance, atol=tolerance)


# On paper.


def test_a_network_worked_out_by_hand():
    """2-2-2 with ReLU, two examples: x = (1, 2) of class 0, and x = (-1, 2) of class 1.

    Forwards::

        s_1 = (x_1 + x_2, 2 x_1 - x_2 + 1)             example 1: (3, 1)        example 2: (1, -3)
        h_1 = relu(s_1)                                           (3, 1)                   (1, 0)
        s_2 = (h_1 - h_2 + 1, 2 h_1 - 3 h_2 + ln 3)               (3, 3 + ln 3)            (2, 2 + ln 3)
        ŷ = (1, e^ln 3) / (1 + e^ln 3)                            (1/4, 3/4)               (1/4, 3/4)
        loss = (-ln 1/4 - ln 3/4) / 2 = ln(16/3) / 2

    Backwards::

        δ_2 = (ŷ - y) / 2                                         (-3/8, 3/8)              (1/8, -1/8)
        dW_2 = δ_2ᵀ h_1:  row 1: -3/8 (3, 1) + 1/8 (1, 0) = (-1, -3/8);  row 2, its negative: (1, 3/8)
        db_2 = (-3/8 + 1/8, 3/8 - 1/8) = (-1/4, 1/4)
        δ_2 W_2 = δ_21 (1, -1) + δ_22 (2, -3)                     (3/8, -3/4)              (-1/8, 1/4)
        f′(s_1)                                                   (1, 1)                   (1, 0)
        δ_1                                                       (3/8, -3/4)              (-1/8, 0)
        dW_1 = δ_1ᵀ x:  row 1: 3/8 (1, 2) - 1/8 (-1, 2) = (1/2, 1/2);  row 2: -3/4 (1, 2) = (-3/4, -3/2)
        db_1 = (3/8 - 1/8, -3/4) = (1/4, -3/4)
    """
    weights = [tensor([[1, 1], [2, -1]]), tensor([[1, -1], [2, -3]])]
    biases = [tensor([0, 1]), tensor([1, math.log(3)])]
    x, labels = tensor([[1, 2], [-1, 2]]), torch.tensor([0, 1])

    loss, dW, db = backprop.gradients(weights, biases, x, labels, "ReLU")
    assert_close(loss, torch.tensor(math.log(16 / 3) / 2, dtype=torch.float64), 1e-14)
    assert_close(dW, [tensor([[1 / 2, 1 / 2], [-3 / 4, -3 / 2]]), tensor([[-1, -3 / 8], [1, 3 / 8]])], 1e-14)
    assert_close(db, [tensor([1 / 4, -3 / 4]), tensor([-1 / 4, 1 / 4])], 1e-14)

    s, h = backprop.forward(weights, biases, x, "ReLU")
    logits = tensor([[3, 3 + math.log(3)], [2, 2 + math.log(3)]])
    assert_close(s, [tensor([[3, 1], [1, -3]]), logits], 1e-14)
    assert_close(h, [x, tensor([[3, 1], [1, 0]]), logits], 1e-14)


# Against autograd and finite differences.


@pytest.mark.parametrize("size", [1, 9])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("layers", [1, 2, 3, 4, 5])
def test_equals_autograd(layers, activation, size):
    model = network(layers, activation)
    x, labels = batch(size, WIDTHS[-layers - 1], WIDTHS[-1])
    loss, dW, db = backprop.gradients(*parameters(model), x, labels, activation)

    expected = cross_entropy(model(x), labels)
    expected.backward()
    assert_close(loss, expected.detach(), 1e-10)
    assert_close(dW, [layer.weight.grad for layer in linear_layers(model)], 1e-10)
    assert_close(db, [layer.bias.grad for layer in linear_layers(model)], 1e-10)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_equals_central_finite_differences_of_its_own_loss(activation):
    weights, biases = parameters(network(3, activation))
    x, labels = batch(4, WIDTHS[-4], WIDTHS[-1])
    step = 1e-6

    def loss_with(values: Tensor, index: int, value: Tensor) -> float:
        values[index] = value
        return backprop.gradients(weights, biases, x, labels, activation)[0].item()

    _, dW, db = backprop.gradients(weights, biases, x, labels, activation)
    for parameter, gradient in zip([*weights, *biases], [*dW, *db], strict=True):
        values = parameter.view(-1)
        differences = torch.empty_like(values)
        for index, value in enumerate(values.clone()):
            above, below = (loss_with(values, index, value + sign * step) for sign in (1, -1))
            differences[index] = (above - below) / (2 * step)
            values[index] = value
        assert_close(gradient.view(-1), differences, 1e-8)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations_and_their_derivatives_are_those_of_torch(activation, dtype):
    s = torch.tensor([-100.0, -2.0, -1e-30, -0.0, 0.0, 1e-30, 0.5, 100.0], dtype=dtype, requires_grad=True)
    expected = getattr(nn, activation)()(s)
    (derivative,) = torch.autograd.grad(expected.sum(), s)
    tolerance = 4 * torch.finfo(dtype).eps
    f, f_prime = ACTIVATIONS[activation]
    assert_close((f(s.detach()), f_prime(s.detach())), (expected.detach(), derivative), tolerance)


def test_works_where_nothing_can_be_recorded():
    weights, biases = parameters(network(3, "Tanh"))
    x, labels = batch(4, WIDTHS[-4], WIDTHS[-1])
    expected = backprop.gradients(weights, biases, x, labels, "Tanh")
    with torch.inference_mode():
        assert_close(backprop.gradients(weights, biases, x, labels, "Tanh"), expected, 0)


def test_records_nothing_where_it_could():
    model = network(3, "Tanh")
    layers = linear_layers(model)
    loss, dW, db = backprop.gradients(
        [layer.weight for layer in layers], [layer.bias for layer in layers], *batch(4, WIDTHS[-4], WIDTHS[-1]), "Tanh"
    )
    assert not any(result.requires_grad for result in (loss, *dW, *db))


# Numerical range.


@pytest.mark.parametrize("size", [1e3, 1e30])
def test_large_logits_do_not_overflow(size):
    logits = torch.tensor([[size, 0.0, -size], [size, 0.0, -size]])
    loss, delta = backprop.output_error(logits, torch.tensor([2, 0]))
    # ŷ is (1, 0, 0), the losses are 2 size and 0.
    assert loss.item() == pytest.approx(size)
    assert_close(delta, torch.tensor([[0.5, 0.0, -0.5], [0.0, 0.0, 0.0]]), 0)


def test_logits_far_from_zero_lose_no_digits():
    """ŷ = (1, e) / (1 + e) whatever is added to both logits; near 2^20, fp32 keeps steps of 1/8 only."""
    logits = torch.tensor([[2.0**20, 2.0**20 + 1]])
    loss, delta = backprop.output_error(logits, torch.tensor([1]))
    first = 1 / (1 + math.e)
    assert loss.item() == pytest.approx(-math.log(1 - first), rel=1e-6)
    assert_close(delta, torch.tensor([[first, -first]]), 1e-6)


# In training.


def test_fifty_steps_of_mlp_3_give_the_weights_that_autograd_gives():
    initial = mlp(MLP_3, "ReLU")
    by_hand, by_torch = copy.deepcopy(initial), copy.deepcopy(initial)
    give_flat_gradients(by_hand, 0.0)
    layers = linear_layers(by_hand)
    optimizers = [torch.optim.SGD(model.parameters(), lr=0.001, momentum=0.9) for model in (by_hand, by_torch)]
    for _ in range(50):
        x, labels = batch(32, MLP_3[0], MLP_3[-1], torch.float32)
        loss = backprop.backpropagate(layers, x, labels, "ReLU")
        optimizers[1].zero_grad()
        expected = cross_entropy(by_torch(x), labels)
        expected.backward()
        for optimizer in optimizers:
            optimizer.step()
        assert loss == pytest.approx(expected.item(), abs=1e-5)
    for start, hand, torchs in zip(*(model.parameters() for model in (initial, by_hand, by_torch)), strict=True):
        assert (hand - torchs).abs().max() < 1e-6
        # A hundred times as far as the two may differ.
        assert (hand - start).abs().max() > 1e-4


def test_gradients_are_written_into_the_vector_that_the_parameters_share():
    """What stood there before does not matter, and images are flattened as the model flattens them."""
    model = mlp((12, 5, 3), "LeakyReLU").double()
    images, labels = torch.randn(4, 3, 2, 2, dtype=torch.float64), torch.tensor([0, 1, 2, 0])
    expected = cross_entropy(model(images), labels)
    expected_gradients = torch.autograd.grad(expected, list(model.parameters()))

    flat = give_flat_gradients(model, math.nan)
    before = [parameter.grad for parameter in model.parameters()]
    loss = backprop.backpropagate(linear_layers(model), images, labels, "LeakyReLU")
    assert isinstance(loss, float)
    assert loss == pytest.approx(expected.item(), abs=1e-12)
    assert all(parameter.grad is grad for parameter, grad in zip(model.parameters(), before, strict=True))
    assert_close(flat, torch.cat([gradient.flatten() for gradient in expected_gradients]), 1e-12)


# The document.


def lines(text: str) -> set[str]:
    return {line.strip() for line in text.splitlines() if line.strip()}


CODE = lines((ROOT / "nnmodels" / "backprop.py").read_text("utf-8"))
DOCUMENT = (ROOT / "docs" / "backpropagation.md").read_text("utf-8")
QUOTED = [line for block in re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL) for line in sorted(lines(block))]


@pytest.mark.parametrize("line", QUOTED)
def test_every_line_that_the_document_quotes_is_in_the_code(line):
    assert line in CODE


@pytest.mark.parametrize("result", ["s.append(", "h.append(", "loss = ", "delta = [", "delta.insert(", "dW_l", "db_l"])
def test_the_document_quotes_the_line_of_every_formula(result):
    assert any(result in line for line in QUOTED)
