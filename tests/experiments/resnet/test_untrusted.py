"""Files that mean harm, or were harmed: refused in one line, and nothing in them run."""

import os
import pickle
import re
import zipfile
from types import SimpleNamespace

import pytest
import safetensors.torch
import torch
from support.weights import refusal, saved

from pipelines.errors import UserError
from pipelines.experiments.resnet import untrusted
from pipelines.experiments.resnet.find import find


class Harm:
    """Unpickled without care, it makes a folder."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


@pytest.fixture(params=["zip", "legacy", "wrapped", "pickle"])
def malicious(request, put, small, tmp_path):
    """A file that makes a folder when it is loaded without care, a function that does so, and the folder."""
    harm = Harm(tmp_path / "harmed")
    content = {
        "zip": lambda: saved(small | {"x": harm}),
        "legacy": lambda: saved(small | {"x": harm}, _use_new_zipfile_serialization=False),
        "wrapped": lambda: saved({"state_dict": small, "optimizer": harm}),
        "pickle": lambda: pickle.dumps(harm),
    }[request.param]()
    path = put("resnet20.th", content)
    careless = pickle.loads if request.param == "pickle" else lambda raw: torch.load(path, weights_only=False)
    return SimpleNamespace(path=path, load=lambda: careless(content), folder=harm.folder)


@pytest.mark.fault(19)
def test_a_malicious_file_is_refused_unrun(malicious, data_dir, recwarn):
    line = refusal("resnet20", malicious.path, data_dir)
    assert not recwarn.list
    assert line == (
        f"{malicious.path} holds more than tensors ({os.mkdir.__module__}.mkdir), none of which was run; "
        "save the tensors alone where it was made: torch.save(model.state_dict(), 'weights.pt')"
    )
    assert not malicious.folder.exists()
    malicious.load()
    assert malicious.folder.is_dir(), "it would do no harm anyway"


@pytest.mark.fault(20)
def test_the_environment_cannot_make_the_reader_careless(malicious, data_dir, monkeypatch):
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    assert "holds more than tensors" in refusal("resnet20", malicious.path, data_dir)
    assert not malicious.folder.exists()


FORMATS = {
    "zip": saved,
    "legacy": lambda state: saved(state, _use_new_zipfile_serialization=False),
    "safetensors": lambda state: safetensors.torch.save(state),
}


@pytest.mark.parametrize("written", FORMATS)
@pytest.mark.parametrize("share", [0, 0.001, 0.5, 0.999])
def test_a_truncated_file_is_refused(put, data_dir, small, written, share):
    raw = FORMATS[written](small)
    path = put("a.th", raw[: int(share * len(raw))])
    assert refusal("resnet20", path, data_dir).startswith(f"{path} is damaged")


def test_a_flipped_bit_is_found_where_the_format_has_checksums(put, data_dir, small):
    raw = bytearray(saved(small))
    at = raw.index(small["linear.weight"].numpy().tobytes())
    raw[at + 100] ^= 1
    line = refusal("resnet20", put("a.th", bytes(raw)), data_dir)
    assert re.search(r"data/\d+ in it has another checksum; it is damaged: fetch it again", line)


@pytest.mark.parametrize("written", FORMATS)
@pytest.mark.medium
def test_whatever_is_damaged_it_is_one_line(put, data_dir, small, written):
    raw = FORMATS[written](small)
    random = torch.Generator().manual_seed(0)
    ends = 2000  # bytes at both ends, where the structure is
    refusals = []
    for _ in range(25):
        broken = bytearray(raw)
        at = int(torch.randint(-ends, ends, (), generator=random))
        broken[at] ^= 1 << int(torch.randint(0, 8, (), generator=random))
        try:
            find("resnet20", put("a.th", bytes(broken)), data_dir)
        except UserError as error:
            refusals.append(str(error))
    assert refusals
    assert "\n" not in "".join(refusals)


@pytest.mark.parametrize("content", [b"", b"<!DOCTYPE html>", b"PK\x03\x04", b"\x80\x02.", bytes(100), b"{" * 100])
def test_another_file_is_refused(put, data_dir, content):
    path = put("resnet20.pt", content)
    assert refusal("resnet20", path, data_dir).startswith(f"{path} is damaged")


def test_a_file_larger_than_any_resnet_is_not_read(put, data_dir):
    path = put("a.pt", b"")
    os.truncate(path, (1 << 29) + 1)  # takes no room on the disk
    assert refusal("resnet20", path, data_dir).startswith(f"{path} has more than 512 MiB")


def bomb(path, member, size=1 << 20):
    """A zip archive whose member is a thousand times larger than the archive."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(member, bytes(size))
    return str(path)


@pytest.mark.fault(25)
@pytest.mark.parametrize("member", ["a/data.pkl", "state_dicts/resnet20.pt"])
def test_a_zip_bomb_is_not_unpacked(tmp_path, data_dir, monkeypatch, member):
    monkeypatch.setattr(untrusted, "MAX_BYTES", (1 << 20) - 1)
    path = bomb(tmp_path / "a.zip", member)
    assert re.match(rf"{path}\S*( unpacked,)? has more than", refusal("resnet20", path, data_dir))
