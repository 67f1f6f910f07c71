"""What the machine has: the precision that `auto` stands for."""

from types import SimpleNamespace

import pytest
import torch

from pipelines.errors import UserError
from pipelines.training import machine


@pytest.mark.parametrize(("seconds_in_bf16", "chosen"), [(0.5, "bf16"), (0.9, "fp32"), (2.0, "fp32")])
def test_auto_takes_bf16_only_where_its_products_are_faster(monkeypatch, seconds_in_bf16, chosen):
    """One Xeon multiplies in bf16 at half the speed of fp32: what the CPU says it can do is not what it does fast."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    times = {torch.float32: 1.0, torch.bfloat16: seconds_in_bf16}
    monkeypatch.setattr(machine, "_product_time", times.__getitem__)
    assert machine.available_precision("auto", "cpu") == chosen
    assert machine.available_precision("bf16", "cpu") == "bf16"


def test_a_cpu_without_bf16_is_not_asked_for_it(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    monkeypatch.setattr(machine, "_product_time", lambda dtype: pytest.fail("measured"))
    assert machine.available_precision("auto", "cpu") == "fp32"


def test_a_gpu_is_named_where_the_weights_are_on_one(monkeypatch):
    class OnDevice(torch.nn.Module):
        def __init__(self, device):
            super().__init__()
            self._device = torch.device(device)

        def parameters(self, recurse=True):
            return iter([SimpleNamespace(device=self._device)])

    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: ["an old one", "a new one"][device.index])
    assert [machine.gpu_of(OnDevice(each)) for each in ("cuda:1", "cuda:0", "cpu")] == ["a new one", "an old one", ""]


def test_a_product_takes_time():
    assert 0 < machine._product_time(torch.float32) < 10


@pytest.mark.parametrize(
    ("has", "bf16_time", "asked", "device", "tried"),
    [
        ({"avx512_vnni": True, "avx512_bf16": True}, 0.5, "auto", "cpu", ("int8", "bf16", "fp32")),
        ({"avx512_vnni": True, "avx512_bf16": True}, 2.0, "auto", "cpu", ("int8", "fp32")),
        ({}, 0.5, "auto", "cpu", ("fp32",)),
        ({"avx_vnni": True}, 2.0, "int8", "cpu", ("int8", "fp32")),
        ({}, 2.0, "bf16", "cpu", ("bf16", "fp32")),
        ({"avx_vnni": True}, 0.5, "fp32", "cpu", ("fp32",)),
    ],
)
def test_an_evaluation_tries_what_is_fast(monkeypatch, has, bf16_time, asked, device, tried):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: has)
    monkeypatch.setattr(machine, "_product_time", {torch.float32: 1.0, torch.bfloat16: bf16_time}.__getitem__)
    assert machine.inference_precisions(asked, device) == tried


@pytest.mark.parametrize(("has", "device"), [({}, "cpu"), ({"avx512_vnni": True}, "cuda")])
def test_integers_are_refused_where_they_are_not_to_be_had(monkeypatch, has, device):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: has)
    with pytest.raises(UserError, match="give precision=auto"):
        machine.inference_precisions("int8", device)
