"""Checkpoints: what is written comes back; what is damaged, half-written or malicious does not."""

import hashlib
import os
import pickle
import stat
from pathlib import Path

import pytest
import torch
from support.pickles import Malicious

from pipelines.errors import UserError
from pipelines.training import checkpoint

STATE = {
    "model": {"weight": torch.arange(6.0).view(2, 3), "bias": torch.tensor([1.0, -0.0], dtype=torch.bfloat16)},
    "progress": {"epoch": 2, "loss": 0.25, "label": "gru-2", "losses": [1.0, 0.5], "best": None},
}


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "even.pt"


def assert_is_the_state(loaded: dict) -> None:
    assert loaded["progress"] == STATE["progress"]
    assert loaded["model"].keys() == STATE["model"].keys()
    for name, tensor in STATE["model"].items():
        assert loaded["model"][name].dtype == tensor.dtype
        assert torch.equal(loaded["model"][name], tensor)


def test_round_trip(path):
    sha256 = checkpoint.save(path, STATE)
    assert sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert_is_the_state(checkpoint.load(path, sha256))
    assert [file.name for file in path.parent.iterdir()] == ["even.pt"]


def test_is_replaced_by_the_next_one(path):
    first = checkpoint.save(path, {"epoch": 1})
    assert_is_the_state(checkpoint.load(path, checkpoint.save(path, STATE)))
    with pytest.raises(UserError):
        checkpoint.load(path, first)


@pytest.mark.parametrize("position", [0, 300, -1])
def test_one_flipped_bit_is_refused(path, position):
    sha256 = checkpoint.save(path, STATE)
    content = bytearray(path.read_bytes())
    content[position] ^= 0b100
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"^checkpoint even\.pt is damaged \(sha256 .*\)$"):
        checkpoint.load(path, sha256)


def test_a_truncated_file_is_refused(path):
    sha256 = checkpoint.save(path, STATE)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match="damaged"):
        checkpoint.load(path, sha256)


@pytest.mark.fault(20)
@pytest.mark.parametrize("archive", [True, False])
def test_a_pickle_with_the_right_hash_is_not_executed(path, archive, monkeypatch):
    # This setting makes torch.load execute pickles wherever the call does not forbid it.
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    victim = path.with_name("victim")
    state = {"model": Malicious(victim)}
    if archive:
        torch.save(state, path)
    else:
        path.write_bytes(pickle.dumps(state, protocol=2))
    with pytest.raises(UserError, match=r"^checkpoint even\.pt is not one of tensors and plain values alone"):
        checkpoint.load(path, hashlib.sha256(path.read_bytes()).hexdigest())
    assert not victim.exists()
    # The attack itself is a real one.
    if archive:
        torch.load(path, weights_only=False)
    else:
        pickle.loads(path.read_bytes())
    assert victim.exists()


def test_a_save_that_fails_half_way_leaves_the_file_before(path, monkeypatch):
    sha256 = checkpoint.save(path, STATE)

    def disk_full(state, file):
        file.write(b"half of it")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", disk_full)
        with pytest.raises(OSError, match="No space left"):
            checkpoint.save(path, {"epoch": 3})
    assert_is_the_state(checkpoint.load(path, sha256))
    # What is left of the failed one is in nobody's way.
    assert checkpoint.load(path, checkpoint.save(path, {"epoch": 3})) == {"epoch": 3}


def test_is_on_disk_before_it_takes_its_place(path, monkeypatch):
    """A machine that goes down between the two must find the old file or the whole new one."""
    events = []
    fsync, replace = os.fsync, Path.replace

    def recorded_fsync(descriptor):
        fsync(descriptor)
        events.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")

    def recorded_replace(part, target):
        events.append(f"{Path(target).name}, {part.stat().st_size == size}")
        return replace(part, target)

    checkpoint.save(path, STATE)
    size = path.stat().st_size
    monkeypatch.setattr(os, "fsync", recorded_fsync)
    monkeypatch.setattr(Path, "replace", recorded_replace)
    checkpoint.save(path, STATE)
    assert events == ["file", "even.pt, True", "folder"]
