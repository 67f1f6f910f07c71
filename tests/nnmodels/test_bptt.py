"""The hand-written BPTT against torch.nn.GRU, whose numbers it promises, and against numerical derivatives."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from nnmodels.bptt import gru

INPUT, HIDDEN, BATCH, TIME = 5, 6, 3, 9
TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5}


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def torch_gru(module: nn.GRU, x: Tensor) -> Tensor:
    return module(x)[0]


def states_and_gradients(
    forward: Callable[[nn.GRU, Tensor], Tensor], module: nn.GRU, x: Tensor, loss: Callable[[Tensor], Tensor]
) -> list[Tensor]:
    """Hidden states, then the gradients of their loss for the input and every parameter."""
    x = x.clone().requires_grad_()
    states = forward(module, x)
    return [states, *torch.autograd.grad(loss(states), [x, *module.parameters()])]


# How the network is trained: on all steps, each with a weight of its own, on the last only, and on a plain sum, whose
# gradient is one number with all strides zero.
LOSSES = {
    "every step": lambda states: (states * torch.arange(1.0, states.numel() + 1).view_as(states).sin()).sum(),
    "last step": lambda states: states[-1].square().sum(),
    "sum": Tensor.sum,
}


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_equals_torch_forwards_and_backwards(layers, dtype, loss):
    module = nn.GRU(INPUT, HIDDEN, layers, dtype=dtype)
    x = torch.randn(TIME, BATCH, INPUT, dtype=dtype)
    got, expected = (states_and_gradients(forward, module, x, LOSSES[loss]) for forward in (gru, torch_gru))
    torch.testing.assert_close(got, expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


def test_sequences_of_one_step_and_one_item():
    module = nn.GRU(INPUT, HIDDEN, dtype=torch.float64)
    x = torch.randn(1, 1, INPUT, dtype=torch.float64)
    got, expected = (states_and_gradients(forward, module, x, Tensor.sum) for forward in (gru, torch_gru))
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12)


def test_input_need_not_be_contiguous_nor_require_gradients():
    module = nn.GRU(INPUT, HIDDEN, 2, dtype=torch.float64)
    x = torch.randn(BATCH, TIME, INPUT, dtype=torch.float64).transpose(0, 1)
    got, expected = (
        torch.autograd.grad(LOSSES["every step"](forward(module, x)), list(module.parameters()))
        for forward in (gru, torch_gru)
    )
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("layers", [1, 2])
def test_gradients_are_the_numerical_ones(layers):
    module = nn.GRU(2, 3, layers, dtype=torch.float64)
    x = torch.randn(4, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, *parameters: gru(module, x), (x, *module.parameters()))


def test_autocast_computes_in_bf16_and_stays_near_fp32():
    module = nn.GRU(INPUT, 32, 2)
    x = torch.randn(30, 16, INPUT)

    def autocast_gru(module: nn.GRU, x: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return gru(module, x)

    def loss(states: Tensor) -> Tensor:
        return states.float().square().sum()

    states, *gradients = states_and_gradients(autocast_gru, module, x, loss)
    assert states.dtype == torch.bfloat16
    assert {gradient.dtype for gradient in gradients} == {torch.float32}
    expected = states_and_gradients(torch_gru, module, x, loss)
    # bf16 rounds by 2^-9 of a value at most, and roundings add up; torch's own autocast is 0.2 to 0.9 % off here.
    for got, reference in zip([states, *gradients], expected, strict=True):
        error = (got.float() - reference).norm() / reference.norm()
        assert 0 < error < 4 * 2**-8


@pytest.mark.parametrize("layers", [2, 3])
def test_dropout_while_training_is_that_of_torch(layers):
    module = nn.GRU(INPUT, HIDDEN, layers, dropout=0.4, dtype=torch.float64)
    x = torch.randn(TIME, BATCH, INPUT, dtype=torch.float64)
    results = []
    for forward in (gru, torch_gru):
        torch.manual_seed(1)
        results.append(states_and_gradients(forward, module, x, LOSSES["every step"]))
    torch.testing.assert_close(*results, rtol=1e-12, atol=1e-12)
    assert not torch.equal(gru(module, x), gru(module, x))


def test_no_dropout_in_evaluation():
    module = nn.GRU(INPUT, HIDDEN, 2, dropout=0.4, dtype=torch.float64)
    x = torch.randn(TIME, BATCH, INPUT, dtype=torch.float64)
    without = nn.GRU(INPUT, HIDDEN, 2, dtype=torch.float64)
    without.load_state_dict(module.state_dict())
    torch.testing.assert_close(gru(module.eval(), x), torch_gru(without, x), rtol=1e-12, atol=1e-12)
