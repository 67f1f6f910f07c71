"""Digests of files, folders and archives."""

import hashlib
import os
import tarfile
import zipfile

import pytest

from pipelines.common.archives import digests

CONTENTS = {"a.csv": b"one", "below/b.csv": b"two"}
EXPECTED = {name: hashlib.sha256(content).hexdigest() for name, content in CONTENTS.items()}


@pytest.fixture
def folder(tmp_path):
    for name, content in CONTENTS.items():
        (tmp_path / "folder" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "folder" / name).write_bytes(content)
    return tmp_path / "folder"


def test_of_a_folder_all_files(folder):
    (folder / "link.csv").symlink_to(folder / "a.csv")
    os.mkfifo(folder / "fifo")
    assert digests(folder) == EXPECTED


def test_of_a_file_its_own(folder):
    assert digests(folder / "a.csv") == {"a.csv": EXPECTED["a.csv"]}


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_of_an_archive_its_own_and_those_of_its_members(folder, tmp_path, kind):
    path = tmp_path / f"all.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name in CONTENTS:
                archive.write(folder / name, name)
    else:
        with tarfile.open(path, "w:gz") as archive:
            for name in CONTENTS:
                archive.add(folder / name, name)
    assert digests(path) == EXPECTED | {path.name: hashlib.sha256(path.read_bytes()).hexdigest()}


def test_a_broken_archive_is_a_file(tmp_path):
    path = tmp_path / "a.tar.gz"
    path.write_bytes(b"\x1f\x8b broken")
    assert list(digests(path)) == ["a.tar.gz"]
