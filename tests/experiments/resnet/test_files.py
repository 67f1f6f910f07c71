"""Files of weights in folders and zip archives: which is taken for a model."""

import hashlib
import os
from pathlib import Path

import pytest
import safetensors.torch
import torch
from support.weights import archive, prefixed, refusal, saved, small_resnet, source_of

from pipelines.experiments.resnet import published
from pipelines.experiments.resnet.find import find


def test_a_folder_maps_files_to_models_by_their_names(put, data_dir, tmp_path):
    states = {name: small_resnet(name).state_dict() for name in ("resnet20", "resnet32", "resnet56")}
    put("all/resnet20-x.th", states["resnet20"])
    put("all/cifar10_ResNet32.pt", states["resnet32"])
    put("all/resnet56.safetensors", safetensors.torch.save(states["resnet56"]))
    for other in ("README", "resnet20.txt", "resnet20.pt.part", ".resnet20.pt", "resnet200.pt", "xresnet20.pt"):
        put(f"all/{other}", b"")
    (tmp_path / "all" / "resnet20.pt").mkdir()
    for name, state in states.items():
        found = find(name, str(tmp_path / "all"), data_dir)
        assert torch.equal(found.state["conv1.weight"], state["conv1.weight"])
    line = refusal("resnet44", str(tmp_path / "all"), data_dir)
    assert line == f"{tmp_path}/all: no file in it is named after resnet44; name its weights resnet44.pt, or the like"


def test_two_files_for_a_model_are_refused(put, data_dir, tmp_path):
    put("all/resnet20.pt", b"")
    put("all/resnet20-best.pt", b"")
    line = refusal("resnet20", str(tmp_path / "all"), data_dir)
    assert "resnet20-best.pt, resnet20.pt are all named after resnet20" in line


def test_of_two_published_files_the_first_of_the_catalogue_is_taken(put, data_dir, tmp_path, monkeypatch, small):
    raws = {"b": saved(small), "a": saved(prefixed(small))}
    rows = tuple(source_of(raw, "resnet20", name=name, file=f"{name}-resnet20.pt") for name, raw in raws.items())
    monkeypatch.setattr(published, "SOURCES", rows)
    for row in rows:
        put(f"all/{row.file}", raws[row.name])
    assert find("resnet20", str(tmp_path / "all"), data_dir).origin.startswith("b, ")


@pytest.fixture
def archived(tmp_path, both):
    """Like ``state_dicts.zip`` as published, with what a Mac adds."""
    members = {"state_dicts/vgg11_bn.pt": b"", "__MACOSX/state_dicts/._resnet20.pt": b"?"}
    return archive(tmp_path / "state_dicts.zip", members | {f"state_dicts/{name}": both[name] for name in both})


@pytest.mark.parametrize("name", ["resnet20", "resnet32"])
def test_an_archive_is_read_without_being_unpacked(archived, data_dir, tmp_path, both, name):
    found = find(name, archived, data_dir)
    assert found.sha256 == hashlib.sha256(both[f"{name}.pt"]).hexdigest()
    assert found.origin == f"{archived}/state_dicts/{name}.pt"
    assert [path.name for path in tmp_path.iterdir()] == ["state_dicts.zip"]
    assert find(name, str(tmp_path), data_dir).origin == found.origin
    assert "no file in it is named after resnet44" in refusal("resnet44", archived, data_dir)


def test_a_damaged_member_is_refused(archived, data_dir, both):
    raw = bytearray(Path(archived).read_bytes())
    raw[raw.index(both["resnet32.pt"]) + len(both["resnet32.pt"]) // 2] ^= 1
    Path(archived).write_bytes(raw)
    find("resnet20", archived, data_dir)
    assert refusal("resnet32", archived, data_dir).startswith(f"{archived}/state_dicts/resnet32.pt is damaged")


def test_a_truncated_archive_is_refused(archived, data_dir):
    os.truncate(archived, Path(archived).stat().st_size - 10)
    assert refusal("resnet20", archived, data_dir).startswith(f"{archived} is damaged")


def test_names_in_an_archive_cannot_break_the_line(tmp_path, data_dir):
    path = archive(tmp_path / "a.zip", {"x\n/resnet20\n.pt": b""})
    assert refusal("resnet20", path, data_dir).startswith(f"{path}/x?/resnet20?.pt is damaged")
