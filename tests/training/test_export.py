"""Export of recurrent networks without unrolling them."""

import pytest
import torch
from torch import nn

from pipelines.training.export import recurrent_layers_whole

STEPS, BATCH, INPUTS, HIDDEN = 4, 3, 2, 5
LAYERS = [
    pytest.param("RNN", {}, id="RNN"),
    pytest.param("LSTM", {}, id="LSTM"),
    pytest.param("GRU", {}, id="GRU"),
    pytest.param("GRU", {"bidirectional": True, "batch_first": True}, id="GRU in both directions"),
]


class First(nn.Module):
    """The states of a recurrent layer, and the last of them."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        states, last = self.layer(x)
        return states, *(last if isinstance(last, tuple) else (last,))


def exported(cell, settings):
    torch.manual_seed(0)
    model = First(getattr(nn, cell)(INPUTS, HIDDEN, 2, **settings)).eval()
    example = torch.randn(STEPS, BATCH, INPUTS)
    batch = 0 if settings.get("batch_first") else 1
    with torch.no_grad():
        return torch.export.export(model, (example,), dynamic_shapes=[{batch: torch.export.Dim.AUTO}]), model


@pytest.mark.filterwarnings("ignore:The tensor attributes")
@pytest.mark.parametrize(("cell", "settings"), LAYERS)
@pytest.mark.medium
def test_the_program_is_that_of_torch_export_alone(cell, settings):
    alone, _ = exported(cell, settings)
    with recurrent_layers_whole():
        whole, model = exported(cell, settings)
    assert str(whole) == str(alone)
    larger = torch.randn(STEPS, BATCH, INPUTS).repeat(*((2, 1, 1) if settings else (1, 2, 1)))
    for ours, eager in zip(whole.module()(larger), model(larger), strict=True):
        torch.testing.assert_close(ours, eager)


@pytest.mark.filterwarnings("ignore:The tensor attributes")
def test_no_layer_is_unrolled_in_the_block_only(monkeypatch):
    def unroll(*arguments, **more):
        raise AssertionError("unrolled")

    monkeypatch.setattr("torch._decomp.decompositions._rnn_helper", unroll)
    with recurrent_layers_whole():
        exported("GRU", {})
    with pytest.raises(AssertionError, match="unrolled"):
        exported("GRU", {})
