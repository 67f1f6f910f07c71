"""Digests of files of weights: those known beforehand, and those in their names."""

import hashlib
from pathlib import Path

import pytest
import safetensors.torch
from support.weights import refusal, saved

from pipelines.errors import UserError
from pipelines.experiments.resnet.find import find


def test_a_flipped_bit_in_a_published_file_is_found(real_weights, put, data_dir):
    raw = bytearray((real_weights / "resnet20-12fca82f.th").read_bytes())
    raw[500_000] ^= 1
    line = refusal("resnet20", put("resnet20-12fca82f.th", bytes(raw)), data_dir)
    assert "expected sha256 12fca82f" in line
    # Under another name nothing tells: the format has no checksum.
    assert find("resnet20", put("resnet20.th", bytes(raw)), data_dir).published is None


def test_a_digest_in_the_name_is_compared(put, data_dir, small):
    raw = saved(small)
    digest = hashlib.sha256(raw).hexdigest()
    for good in (digest[:8], digest, "20261122", "c0ffee"):
        find("resnet20", put(f"resnet20-{good}.pt", raw), data_dir)
    path = put("resnet20-c0ffee00.pt", raw)
    line = refusal("resnet20", path, data_dir)
    assert line.startswith(f"{path}: expected sha256 c0ffee00, got {digest}")


@pytest.mark.fault(22)
def test_a_registered_version_is_verified_by_its_digest(put, small, data_dir):
    raw = safetensors.torch.save(small)
    digest = hashlib.sha256(raw).hexdigest()
    plain = {"stem": "plain", "mean": [0.5] * 3, "deviation": [0.5] * 3}

    def found(content, recipe):
        path = Path(put("weights.safetensors", content))
        return find("resnet20", "auto", data_dir, fetch_champion=lambda *name: (path, recipe))

    assert found(raw, plain | {"sha256": digest}).verified is True
    assert found(raw, plain).verified is False, "one that was registered before there were digests"
    flipped = bytearray(raw)
    flipped[-100] ^= 1
    flipped[-200] ^= 1
    assert found(bytes(flipped), plain).verified is False
    with pytest.raises(UserError, match=f"models:/cifar10-resnet20@champion: expected sha256 {digest}, got"):
        found(bytes(flipped), plain | {"sha256": digest})
