"""RNN, LSTM and GRU steps written from their equations: the reference that torch.nn's fused cells are checked against.

Each cell comes in its standard form, that of torch.nn, and in the form that the forecasting report prints (sections
1.3.1-1.3.3) where the two differ; the GRU also in the form of its paper. A step is a plain function

    step(x, state, weights) -> (output, next state)

of an input x (B, I) and the previous state: h (B, H), or (h, c) for the LSTM. B is the batch, I the input size, H the
hidden size; σ is the logistic function, ⊙ the elementwise product. `unroll` runs a step over a sequence.

Weights are named tuples of tensors. The fields of `LSTMWeights` and `GRUWeights` stand in the order in which torch.nn
stacks its gates, which `copy_weights` relies on.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

State = TypeVar("State")
Weights = TypeVar("Weights")


class Affine(NamedTuple):
    """One affine map of input and previous hidden state, W_x x + b_x + W_h h + b_h: the argument of each gate.

    Shapes: W_x (H, I), W_h (H, H), b_x and b_h (H) or None. torch.nn keeps two biases everywhere, though only their sum
    matters except in the new gate of its GRU; the report's LSTM has one (b_x here), its RNN and GRU have none. The
    report writes the LSTM's maps W · (h, x): W is W_h and W_x side by side.
    """

    W_x: Tensor
    W_h: Tensor
    b_x: Tensor | None = None
    b_h: Tensor | None = None


class RNNWeights(NamedTuple):
    """The only map of the plain RNN."""

    hidden: Affine


class ReportRNNWeights(NamedTuple):
    """The report's RNN: W_output (O, H) reads the output from the hidden state."""

    hidden: Affine
    W_output: Tensor


class LSTMWeights(NamedTuple):
    """Input gate i, forget gate f, cell candidate g and output gate o, in torch.nn.LSTM's order."""

    input: Affine
    forget: Affine
    cell: Affine
    output: Affine


class ReportLSTMWeights(NamedTuple):
    """The report's LSTM: the standard maps, and W_output2 (H, H) and bias_output2 (H) on the cell state."""

    gates: LSTMWeights
    W_output2: Tensor
    bias_output2: Tensor


class GRUWeights(NamedTuple):
    """Reset gate r, update gate z and candidate n (torch's "new gate"), in torch.nn.GRU's order."""

    reset: Affine
    update: Affine
    new: Affine


def rnn_step(x: Tensor, h: Tensor, weights: RNNWeights) -> tuple[Tensor, Tensor]:
    """Plain RNN of torch.nn.RNN (Elman 1990).

        h_t = tanh(W_x x_t + b_x + W_h h_{t-1} + b_h)

    Returns h_t (B, H), as output and as state.
    """
    h = torch.tanh(_affine(x, h, weights.hidden))
    return h, h


def report_rnn_step(x: Tensor, h: Tensor, weights: ReportRNNWeights) -> tuple[Tensor, Tensor]:
    """Plain RNN as the report prints it (section 1.3.1, after Rumelhart, Hinton & Williams 1985).

        hidden_t = tanh(weight_hidden * hidden_{t-1} + weight_input * input_t)
        output_t = weight_output * hidden_t

    It has no biases (those of `weights` are not read): its state is torch.nn.RNN's with zero biases, an odd function of
    input and state, so that no constant can be learnt unless the input carries one. Its output is a bias-free linear
    layer behind the cell, which torch leaves to the model.

    Returns output_t (B, O) and hidden_t (B, H).
    """
    h = torch.tanh(_product(x, h, weights.hidden))
    return linear(h, weights.W_output), h


def lstm_step(x: Tensor, state: tuple[Tensor, Tensor], weights: LSTMWeights) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """LSTM of torch.nn.LSTM (Hochreiter & Schmidhuber 1997; the forget gate is Gers, Schmidhuber & Cummins 2000).

        i = σ(W_xi x_t + b_xi + W_hi h_{t-1} + b_hi)
        f = σ(W_xf x_t + b_xf + W_hf h_{t-1} + b_hf)
        g = tanh(W_xg x_t + b_xg + W_hg h_{t-1} + b_hg)
        o = σ(W_xo x_t + b_xo + W_ho h_{t-1} + b_ho)
        c_t = f ⊙ c_{t-1} + i ⊙ g
        h_t = o ⊙ tanh(c_t)

    Returns h_t (B, H) and (h_t, c_t).
    """
    o, c = _output_gate_and_cell(x, state, weights)
    h = o * torch.tanh(c)
    return h, (h, c)


def report_lstm_step(
    x: Tensor, state: tuple[Tensor, Tensor], weights: ReportLSTMWeights
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """LSTM as the report prints it (section 1.3.2).

        i_1 = σ(W_i1 · (h_{t-1}, x_t) + bias_i1)
        i_2 = tanh(W_i2 · (h_{t-1}, x_t) + bias_i2)
        f = σ(W_forget · (h_{t-1}, x_t) + bias_forget)
        c_t = c_{t-1} ⊙ f + i_1 ⊙ i_2
        o_1 = σ(W_output1 · (h_{t-1}, x_t) + bias_output1)
        o_2 = tanh(W_output2 · c_t + bias_output2)
        y_t = h_t = o_1 ⊙ o_2

    The slip is W_output2 and bias_output2, which mix the units' cell states in the output and add H² + H parameters;
    with the identity and zero there it is the standard cell. i_1, f, i_2 and o_1 are the standard i, f, g and o.

    Returns h_t (B, H) and (h_t, c_t).
    """
    o, c = _output_gate_and_cell(x, state, weights.gates)
    h = o * torch.tanh(linear(c, weights.W_output2, weights.bias_output2))
    return h, (h, c)


def gru_step(x: Tensor, h: Tensor, weights: GRUWeights) -> tuple[Tensor, Tensor]:
    """GRU of torch.nn.GRU: the reset gate acts after the product with W_hn.

        r = σ(W_xr x_t + b_xr + W_hr h_{t-1} + b_hr)
        z = σ(W_xz x_t + b_xz + W_hz h_{t-1} + b_hz)
        n = tanh(W_xn x_t + b_xn + r ⊙ (W_hn h_{t-1} + b_hn))
        h_t = (1 - z) ⊙ n + z ⊙ h_{t-1}

    Returns h_t (B, H), as output and as state.
    """
    r = torch.sigmoid(_affine(x, h, weights.reset))
    z = torch.sigmoid(_affine(x, h, weights.update))
    new = weights.new
    n = torch.tanh(linear(x, new.W_x, new.b_x) + r * linear(h, new.W_h, new.b_h))
    h = (1 - z) * n + z * h
    return h, h


def cho_gru_step(x: Tensor, h: Tensor, weights: GRUWeights) -> tuple[Tensor, Tensor]:
    """GRU of its paper (Cho et al. 2014, arXiv:1406.1078v3, equations 5-8): the reset gate acts before the product.

        n = tanh(W_xn x_t + b_xn + W_hn (r ⊙ h_{t-1}) + b_hn)

    and r, z and h_t as in `gru_step`; the paper leaves the biases out. The two agree where r is 1, and where W_hn is
    diagonal and b_hn zero.

    Returns h_t (B, H), as output and as state.
    """
    r = torch.sigmoid(_affine(x, h, weights.reset))
    z = torch.sigmoid(_affine(x, h, weights.update))
    n = torch.tanh(_affine(x, r * h, weights.new))
    h = (1 - z) * n + z * h
    return h, h


def report_gru_step(x: Tensor, h: Tensor, weights: GRUWeights) -> tuple[Tensor, Tensor]:
    """GRU as the report prints it (section 1.3.3).

        gate_reset = σ(W_input_reset · x_t + W_hidden_reset · h_{t-1})
        r = tanh(gate_reset ⊙ (W_h1 · h_{t-1} + W_x1 · x_t))
        gate_update = σ(W_input_update · x_t + W_hidden_update · h_{t-1})
        u = gate_update ⊙ h_{t-1}
        y_t = h_t = r ⊙ (1 - gate_update) + u

    The slip is in r, the candidate n of the other forms: the reset gate scales the input as well as the memory. Closed,
    it leaves h_t = gate_update ⊙ h_{t-1}, a decay to zero, where the other forms start again from the input alone; the
    report's own words (section 1.3.6) have it select from the previous hidden state only. There are no biases (those of
    `weights` are not read), so that zero input keeps a zero state at zero. It is `gru_step` without biases where
    gate_reset is 1 or W_x1 x_t is 0.

    Returns h_t (B, H), as output and as state.
    """
    r = torch.sigmoid(_product(x, h, weights.reset))
    z = torch.sigmoid(_product(x, h, weights.update))
    n = torch.tanh(r * _product(x, h, weights.new))
    h = (1 - z) * n + z * h
    return h, h


def unroll(
    step: Callable[[Tensor, State, Weights], tuple[Tensor, State]], x: Tensor, state: State, weights: Weights
) -> tuple[Tensor, State]:
    """Runs `step` over the sequence x (T, B, I), T at least 1, from the initial `state`.

    Returns the outputs (T, B, H) (O in place of H for `report_rnn_step`) and the last state.
    """
    outputs = []
    for x_t in x:
        output, state = step(x_t, state, weights)
        outputs.append(output)
    return torch.stack(outputs), state


def copy_weights(module: nn.RNN | nn.LSTM | nn.GRU, layer: int = 0) -> RNNWeights | LSTMWeights | GRUWeights:
    """Copies the weights of one layer of `module`; the copies are leaves that require gradients.

    torch stacks the gates along the first dimension: W_ii, W_if, W_ig, W_io for the LSTM, W_ir, W_iz, W_in for the GRU,
    and likewise weight_hh and the two biases, which are None where the module has none.

    Raises ValueError if the module is not what `rnn_step`, `lstm_step` and `gru_step` describe: a ReLU RNN, or a
    bidirectional or projecting module.
    """
    kinds: dict[str, type[RNNWeights] | type[LSTMWeights] | type[GRUWeights]] = {
        "RNN_TANH": RNNWeights,
        "LSTM": LSTMWeights,
        "GRU": GRUWeights,
    }
    if module.mode not in kinds or module.bidirectional or module.proj_size:
        raise ValueError(f"{module} has no counterpart here: use one direction, tanh and no projection")
    kind = kinds[module.mode]

    def gates(name: str) -> list[Tensor]:
        stacked = getattr(module, f"{name}_l{layer}").detach()
        return [part.clone().requires_grad_() for part in stacked.chunk(len(kind._fields))]

    stacks = ["weight_ih", "weight_hh", *(["bias_ih", "bias_hh"] if module.bias else [])]
    return kind(*map(Affine, *map(gates, stacks)))


def _affine(x: Tensor, h: Tensor, weights: Affine) -> Tensor:
    return linear(x, weights.W_x, weights.b_x) + linear(h, weights.W_h, weights.b_h)


def _product(x: Tensor, h: Tensor, weights: Affine) -> Tensor:
    return linear(x, weights.W_x) + linear(h, weights.W_h)


def _output_gate_and_cell(x: Tensor, state: tuple[Tensor, Tensor], weights: LSTMWeights) -> tuple[Tensor, Tensor]:
    h, c = state
    i = torch.sigmoid(_affine(x, h, weights.input))
    f = torch.sigmoid(_affine(x, h, weights.forget))
    g = torch.tanh(_affine(x, h, weights.cell))
    o = torch.sigmoid(_affine(x, h, weights.output))
    return o, f * c + i * g
