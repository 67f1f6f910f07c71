"""GRU with back-propagation through time written out, for CPUs: torch.nn.GRU's numbers in about two thirds of its time.

torch.nn.GRU on a CPU lets autograd record every step, so each step has its own small product for the weights' gradients
and its own overhead. Written by hand (Cho et al. 2014 in torch.nn's form; Werbos 1990 for BPTT), the input projections
of all steps are one matrix product, the gradients of the weights are one product each after the last step, and the
factors of the recursion that do not depend on the gradient are computed for all steps at once. What remains in the
loop is one product a step and a few element-wise operations. benchmarks/training_throughput.py measures both.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own convention


class _GRULayer(torch.autograd.Function):
    """One layer over a whole sequence, from a zero state: x (T, B, I) → h (T, B, H), in `dtype`.

    With s = σ, W_i = [W_ir; W_iz; W_in] and so on, torch.nn's form::

        r = s(W_ir x + b_ir + W_hr h + b_hr)      n = tanh(W_in x + b_in + r ⊙ (W_hn h + b_hn))
        z = s(W_iz x + b_iz + W_hz h + b_hz)      h' = (1 - z) ⊙ n + z ⊙ h

    Backwards, with δ = ∂loss/∂h' of the step and q = W_hn h + b_hn::

        ∂/∂(n's argument) = δ ⊙ (1 - z) ⊙ (1 - n²)          =: δ ⊙ a
        ∂/∂(r's argument) = δ ⊙ a ⊙ q ⊙ r ⊙ (1 - r)
        ∂/∂(z's argument) = δ ⊙ (h - n) ⊙ z ⊙ (1 - z)
        ∂loss/∂h = δ ⊙ z + [∂/∂r's, ∂/∂z's, r ⊙ ∂/∂n's] W_h
    """

    @staticmethod
    def forward(ctx, x: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor, dtype: torch.dtype) -> Tensor:
        steps, batch, _ = x.shape
        hidden = w_hh.shape[1]
        x, w_ih, w_hh = x.to(dtype), w_ih.to(dtype), w_hh.to(dtype)
        # b_hr and b_hz only add to b_ir and b_iz; b_hn stays with the recurrent product, inside the reset gate.
        b_input = torch.cat([b_ih[: 2 * hidden] + b_hh[: 2 * hidden], b_ih[2 * hidden :]]).to(dtype)
        b_hn = b_hh[2 * hidden :].to(dtype)
        from_input = torch.addmm(b_input, x.flatten(0, 1), w_ih.t()).view(steps, batch, 3 * hidden)
        w_hh_t = w_hh.t().contiguous()

        states = x.new_zeros(steps + 1, batch, hidden)
        gates = x.new_empty(steps, batch, 2 * hidden)
        candidates = x.new_empty(steps, batch, hidden)
        recurrent = x.new_empty(steps, batch, hidden)
        product = x.new_empty(batch, 3 * hidden)
        sequences = (from_input, states, states[1:], gates, candidates, recurrent)
        for x_t, h, h_next, rz, n, q in zip(*sequences, strict=False):
            torch.mm(h, w_hh_t, out=product)
            torch.add(x_t[:, : 2 * hidden], product[:, : 2 * hidden], out=rz).sigmoid_()
            torch.add(product[:, 2 * hidden :], b_hn, out=q)
            torch.addcmul(x_t[:, 2 * hidden :], rz[:, :hidden], q, out=n).tanh_()
            torch.lerp(n, h, rz[:, hidden:], out=h_next)
        ctx.save_for_backward(x, w_ih, w_hh, states, gates, candidates, recurrent)
        return states[1:]

    @staticmethod
    def backward(ctx, grad: Tensor):
        x, w_ih, w_hh, states, gates, n, recurrent = ctx.saved_tensors
        steps, batch, hidden = n.shape
        r, z = gates[..., :hidden], gates[..., hidden:].contiguous()
        a = (1 - z).mul_(1 - n * n)
        factors = x.new_empty(steps, batch, 3, hidden)
        torch.mul(a, recurrent, out=factors[:, :, 0]).mul_(r).mul_(1 - r)
        torch.mul(states[:-1] - n, z, out=factors[:, :, 1]).mul_(1 - z)
        torch.mul(a, r, out=factors[:, :, 2])

        deltas = grad.to(x.dtype, copy=True)
        d_recurrent = torch.empty_like(factors)
        carried = torch.zeros_like(n[0])
        for t in range(steps - 1, -1, -1):
            delta = deltas[t].add_(carried)
            torch.mul(delta.unsqueeze(1), factors[t], out=d_recurrent[t])
            torch.addmm(delta * z[t], d_recurrent[t].view(batch, 3 * hidden), w_hh, out=carried)

        # A product with ones sums over steps and batch with fp32 accumulation; sum(dtype=float32) copies first.
        ones = x.new_ones(1, steps * batch)
        flat = d_recurrent.view(steps * batch, 3 * hidden)
        d_w_hh = flat.t() @ states[:-1].reshape(steps * batch, hidden)
        d_b_hh = (ones @ flat)[0]
        torch.mul(deltas, a, out=d_recurrent[:, :, 2])
        d_w_ih = flat.t() @ x.flatten(0, 1)
        d_b_ih = (ones @ flat)[0]
        d_x = (flat @ w_ih).view_as(x) if ctx.needs_input_grad[0] else None
        return d_x, d_w_ih, d_w_hh, d_b_ih, d_b_hh, None


def gru(module: nn.GRU, x: Tensor) -> Tensor:
    """Hidden states (T, B, H) of the last layer of `module` over `x` (T, B, I), as ``module(x)[0]`` from a zero state.

    Computes in autocast's type where autocast is on. Dropout between layers as torch.nn's, in training mode.
    """
    dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
    for layer in range(module.num_layers):
        if layer and module.training and module.dropout:
            x = F.dropout(x, module.dropout)
        w_ih, w_hh, b_ih, b_hh = module.all_weights[layer]
        x = _GRULayer.apply(x, w_ih, w_hh, b_ih, b_hh, dtype)
    return x
