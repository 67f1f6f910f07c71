"""Weights on the way from the launch to the process of a row."""

import pickle
from dataclasses import replace

import pytest
import torch

from pipelines.errors import UserError
from pipelines.experiments.resnet.weights import Weights, handed_over, received


def handed(tmp_path):
    state = {"fc.weight": torch.arange(6.0).view(2, 3), "bn.num_batches_tracked": torch.tensor(7)}
    found = Weights(state, "0f" * 32, "somebody", "plain", "A", (0.1, 0.2, 0.3), (0.4, 0.5, 0.6), 91.7, "torchvision")
    return found, handed_over(found, tmp_path / "handed.safetensors")


def test_a_row_receives_the_weights_that_the_launch_found(tmp_path):
    sent, given = handed(tmp_path)
    assert not given.weights.state, "the tensors lie in the file"
    found = received(pickle.loads(pickle.dumps(given)))
    assert found.state.keys() == sent.state.keys()
    for name, tensor in sent.state.items():
        assert found.state[name].dtype == tensor.dtype
        assert torch.equal(found.state[name], tensor)
    assert replace(found, state={}) == replace(sent, state={})


def test_weights_that_changed_since_the_launch_are_refused(tmp_path):
    _, given = handed(tmp_path)
    raw = bytearray(given.path.read_bytes())
    raw[-1] ^= 1
    given.path.write_bytes(raw)
    with pytest.raises(UserError, match=r"handed\.safetensors is not as this launch wrote it: start anew$"):
        received(given)
