"""Muon on the kernels of convolutions, and optimisers joined."""

import copy

import pytest
import torch
from torch import nn

from pipelines.training.muon import KernelMuon, Together
from pipelines.training.session import ENDS, triangle

SHAPES = [(16, 8, 3, 3), (32, 4, 1, 1), (4, 24, 2, 2)]  # of kernels: flat, tall and flat matrices


def kernel(shape: tuple[int, ...], seed: int = 0) -> nn.Parameter:
    made = nn.Parameter(torch.randn(shape, generator=torch.Generator().manual_seed(seed)))
    made.grad = torch.randn(shape, generator=torch.Generator().manual_seed(seed + 1))
    return made


@pytest.mark.parametrize("shape", SHAPES)
def test_an_update_is_the_orthogonal_matrix_nearest_to_the_gradient(shape):
    """The oracle is the SVD; three steps bring the singular values near 1, not to it."""
    own = kernel(shape)
    rows = shape[0]
    before = own.detach().flatten(1) * rows**0.5 / own.detach().norm()
    KernelMuon([own], lr=1.0, momentum=0.6).step()
    update = before - own.detach().flatten(1)
    u, _, v = torch.linalg.svd(own.grad.flatten(1), full_matrices=False)
    scale = max(1.0, rows / before.shape[1]) ** 0.5  # as Jordan's later versions: taller matrices move more
    found = torch.linalg.svdvals(update) / scale
    assert 0.4 < found.min() <= found.max() < 1.35
    # Along the gradient's own directions, and no others.
    along = u.T @ (update / scale) @ v.T
    assert (along - along.diag().diag()).abs().max() < 0.05
    assert along.diag().min() > 0.4


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("gradient", [torch.channels_last, torch.contiguous_format])
def test_the_order_in_memory_does_not_matter(shape, gradient):
    plain, other = kernel(shape), kernel(shape)
    other.data = other.data.contiguous(memory_format=torch.channels_last)
    other.grad = other.grad.contiguous(memory_format=gradient)
    for each in (plain, other):
        optimizer = KernelMuon([each], lr=0.24, momentum=0.6)
        for _ in range(2):
            optimizer.step()
    torch.testing.assert_close(other.detach(), plain.detach(), rtol=0, atol=0.02)  # products are in bf16
    assert other.is_contiguous(memory_format=torch.channels_last)


def joined(model: nn.Sequential) -> Together:
    vectors = {"params": [model[0].bias, model[2].weight, model[2].bias], "weight_decay": 0.1}
    sgd = torch.optim.SGD([vectors], 0.5, 0.9, nesterov=True)
    return Together(sgd, KernelMuon([model[0].weight], 0.2, 0.6))


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(16, 2))


def step(model: nn.Sequential, optimizer: Together, seed: int) -> None:
    model.zero_grad()
    model(torch.randn(5, 3, 4, 4, generator=torch.Generator().manual_seed(seed))).square().mean().backward()
    optimizer.step()


def test_joined_optimisers_continue_from_their_states_with_the_same_bits():
    whole, other = network(), network()
    ours = joined(whole)
    schedule = triangle(ours, 4)
    for seed in range(2):
        step(whole, ours, seed)
        schedule.step()
    state = copy.deepcopy((whole.state_dict(), ours.state_dict(), schedule.state_dict()))
    theirs = joined(other)
    continued = triangle(theirs, 4)
    other.load_state_dict(state[0])
    theirs.load_state_dict(state[1])
    continued.load_state_dict(state[2])
    for model, optimizer, rates in ((whole, ours, schedule), (other, theirs, continued)):
        for seed in range(2, 4):
            step(model, optimizer, seed)
            rates.step()
    for key, value in whole.state_dict().items():
        assert torch.equal(value, other.state_dict()[key]), key


def test_a_schedule_changes_the_rates_of_all_groups_each_to_its_own_end():
    parameters = [nn.Parameter(torch.zeros(1)) for _ in range(2)]
    groups = [{"params": [parameters[0]]}, {"params": [parameters[1]], "lr": 4.0, ENDS: 0.5}]
    optimizer = Together(torch.optim.SGD(groups, 2.0), KernelMuon([kernel(SHAPES[0])], 1.0, 0.6))
    schedule = triangle(optimizer, 4)
    rates = []
    for _ in range(4):
        rates.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        schedule.step()
    assert rates == [[2, 4, 1], [1.5, 2, 0.75], [1, 0, 0.5], [0.5, 0, 0.25]]


def test_a_triangle_rises_to_its_peak_and_falls_to_nothing():
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], 12.0)
    schedule = triangle(optimizer, 10, warm_up=0.2)
    rates = []
    for _ in range(11):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx([4, 8, 12, 10.5, 9, 7.5, 6, 4.5, 3, 1.5, 0])
