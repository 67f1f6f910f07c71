"""Muon for the kernels of convolutions, and several optimisers as one."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer


class KernelMuon(torch.optim.Muon):
    """Muon (Jordan et al. 2024) of kernels (outputs, inputs, H, W), each as a matrix of `outputs` rows.

    Before each update a kernel is scaled to a norm of the root of its number of outputs, which changes nothing of a
    network where a batch normalisation follows, so `lr` is about the relative change of a kernel in an update.

    Args:
        kernels: parameters of four dimensions.
        lr: of the first group.
        momentum: of Nesterov's kind.
        steps: of the Newton-Schulz iteration that makes an update nearly orthogonal.
    """

    def __init__(self, kernels: Iterable[nn.Parameter], lr: float, momentum: float, steps: int = 3):
        self._kernels = list(kernels)
        matrices = [nn.Parameter(_matrix(kernel.detach(), kernel)) for kernel in self._kernels]
        super().__init__(matrices, lr, weight_decay=0.0, momentum=momentum, nesterov=True, ns_steps=steps)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update the kernels by their gradients; `closure` is not called."""
        for kernel, matrix in zip(self._kernels, self.param_groups[0]["params"], strict=True):
            matrix.grad = None if kernel.grad is None else _matrix(kernel.grad, kernel)
            matrix.mul_(len(matrix) ** 0.5 / matrix.norm())
        super().step()


def _matrix(values: Tensor, kernel: Tensor) -> Tensor:
    """A kernel, or its gradient, as a matrix that shares its memory where possible.

    The columns are in the order of the kernel's memory; an orthogonal update does not depend on it.
    """
    if kernel.is_contiguous(memory_format=torch.channels_last):
        return values.permute(0, 2, 3, 1).flatten(1)
    return values.flatten(1)


class Together(Optimizer):
    """Several optimisers, each with parameters of its own, as one: a schedule changes the rates of all their groups."""

    def __init__(self, *parts: Optimizer):
        self.parts = parts
        super().__init__([group for part in parts for group in part.param_groups], {})

    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update all parameters; `closure` is not called."""
        for part in self.parts:
            part.step()

    def state_dict(self) -> dict[str, Any]:
        """The states of the optimisers, in their order."""
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        for part, state in zip(self.parts, state_dict["parts"], strict=True):
            part.load_state_dict(dict(state))
        # Each has made new groups.
        self.param_groups[:] = [group for part in self.parts for group in part.param_groups]
