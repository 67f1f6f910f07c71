"""Temporary folders that a killed process has left, and those that are not ours to remove."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from support.place import ROOT

from pipelines.processes import identity, scratch

WRITER = """
import tempfile
from pathlib import Path
from pipelines.processes import scratch
with scratch.everything():
    (Path(tempfile.mkdtemp()) / "half.pt").write_bytes(b"x" * 1000)
    print("written", flush=True)
    input()
"""


@pytest.fixture
def temporary(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def writer(temporary):
    """A process that has written a temporary file and has not ended."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER],
        env=os.environ | {"TMPDIR": str(temporary), "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "written\n"
    yield process
    process.kill()
    process.communicate()


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


@pytest.mark.fault(17)
def test_what_a_killed_process_has_left_is_removed_and_not_before_it_is_gone(temporary, writer):
    scratch.sweep()
    assert files(temporary) == ["half.pt", "owner.json"]
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    scratch.sweep()
    assert list(temporary.iterdir()) == []


def test_an_orderly_end_leaves_nothing(temporary, writer):
    writer.communicate("\n")
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize(
    "other", [{"host": "other.example"}, {"namespace": "pid:[1] time:[1]"}, {"boot": "another", "machine": ""}]
)
def test_what_may_belong_to_a_live_process_is_left(temporary, other):
    folder = temporary / "nn-experiment-registry-scratch-x"
    folder.mkdir()
    (folder / "owner.json").write_text(json.dumps(replace(identity.own(), pid=2**22 + 1, **other).tags))
    scratch.sweep()
    assert files(folder) == ["owner.json"]


@pytest.mark.parametrize("owner", ["", "[]", "{", '{"host": 1}', None])
def test_a_folder_that_does_not_tell_whose_it_is_is_left(temporary, owner):
    folder = temporary / "nn-experiment-registry-scratch-x"
    folder.mkdir()
    if owner is not None:
        (folder / "owner.json").write_text(owner)
    scratch.sweep()
    assert folder.is_dir()


def test_a_planted_link_is_not_followed(temporary, writer, tmp_path_factory):
    """It leads to a folder that names a process which is gone."""
    target = tmp_path_factory.mktemp("target")
    writer.kill()
    writer.wait()
    (left,) = temporary.iterdir()
    (target / "owner.json").write_text((left / "owner.json").read_text())
    link = temporary / "nn-experiment-registry-scratch-link"
    link.symlink_to(target)
    scratch.sweep()
    assert files(target) == ["owner.json"]
    assert not left.exists()
