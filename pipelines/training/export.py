"""Export of recurrent networks without unrolling them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch._C import DispatchKey
from torch._ops import OpOverload

_KEYS = (DispatchKey.CompositeImplicitAutograd, DispatchKey.Autograd)


@contextmanager
def recurrent_layers_whole() -> Iterator[None]:
    """Have torch.export take the shapes of recurrent layers from their arguments, within the block.

    An exported program holds such a layer as one operation. To learn the shape of its output, though, torch computes
    each step by itself, symbolically: a GRU of two layers takes ten seconds for 90 hours, and one second in this block,
    for the same program.
    """
    aten = torch.ops.aten
    shapes: dict[OpOverload, Callable[..., tuple[Tensor, ...]]] = {
        aten.gru.input: _of_states,
        aten.rnn_tanh.input: _of_states,
        aten.lstm.input: _of_states_and_cells,
    }
    before = {operation: {key: operation.py_kernels.pop(key) for key in _KEYS} for operation in shapes}
    for operation, shape in shapes.items():
        for key in _KEYS:
            operation.py_impl(key)(shape)
    try:
        yield
    finally:
        for operation, kernels in before.items():
            for key, kernel in kernels.items():
                del operation.py_kernels[key]
                operation.py_impl(key)(kernel)


def _of_states(
    x: Tensor,
    state: Tensor,
    weights: list[Tensor],
    biases: bool,
    layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[Tensor, Tensor]:
    """Empty results of nn.RNN or nn.GRU: the states of the last layer, (T, B, H), and the last states of each."""
    directions = 2 if bidirectional else 1
    return x.new_empty(x.shape[0], x.shape[1], directions * state.shape[-1]), state.new_empty(state.shape)


def _of_states_and_cells(
    x: Tensor, state: list[Tensor], weights: list[Tensor], *settings: bool | int | float
) -> tuple[Tensor, Tensor, Tensor]:
    """Empty results of nn.LSTM: those of nn.GRU, and the last cells of each layer."""
    hidden, cell = state
    return *_of_states(x, hidden, weights, *settings), cell.new_empty(cell.shape)  # type: ignore[arg-type]
