"""Files of folders and archives, told by their content, and their digests."""

import bz2
import gzip
import hashlib
import io
import lzma
import os
import tarfile
import zipfile

import pytest

from pipelines.common import archives
from pipelines.common.archives import UNREADABLE, digests, levels, outermost
from pipelines.errors import UserError

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


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"])
def test_of_an_archive_its_own_and_those_of_its_members(folder, tmp_path, kind):
    path = tmp_path / f"all.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name in CONTENTS:
                archive.write(folder / name, name)
    else:
        with tarfile.open(path, "w:" + kind[4:]) as archive:
            for name in CONTENTS:
                archive.add(folder / name, name)
    assert digests(path) == EXPECTED | {path.name: hashlib.sha256(path.read_bytes()).hexdigest()}


def test_a_broken_archive_is_a_file(tmp_path):
    path = tmp_path / "a.tar.gz"
    path.write_bytes(b"\x1f\x8b broken")
    assert list(digests(path)) == ["a.tar.gz"]


def test_of_a_compressed_file_its_own_and_that_of_what_it_holds(tmp_path):
    (tmp_path / "a.csv.xz").write_bytes(lzma.compress(b"one"))
    assert digests(tmp_path / "a.csv.xz")["a.csv"] == EXPECTED["a.csv"]


# Levels


def tar(members: dict[str, bytes]) -> bytes:
    with tarfile.open(fileobj=(raw := io.BytesIO()), mode="w") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return raw.getvalue()


def zipped(members: dict[str, bytes]) -> bytes:
    with zipfile.ZipFile(raw := io.BytesIO(), "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return raw.getvalue()


MAKE = {
    "zip": zipped,
    "tar": tar,
    "tar.gz": lambda members: gzip.compress(tar(members)),
    "tar.bz2": lambda members: bz2.compress(tar(members)),
    "tar.xz": lambda members: lzma.compress(tar(members)),
}


def content(entry):
    with entry.open() as stream:
        return stream.read()


def read(source, limit=1 << 20):
    """The content of each file by its path, of each level that has any; read twice, as every level can be."""
    found = []
    for level in levels(source, limit):
        for _ in range(2):
            files = {entry.where.removeprefix(f"{source}/"): content(entry) for entry in level()}
        found.append(files)
    return [files for files in found if files]


def test_folders_come_level_by_level_then_archives(folder):
    (folder / "data").write_bytes(tar({"c.csv": b"three"}))
    (folder / "below" / "more").mkdir()
    (folder / "below" / "more" / "d.csv.gz").write_bytes(gzip.compress(b"four"))
    (folder / "below" / "again").symlink_to(folder)
    os.mkfifo(folder / "below" / "fifo")
    paths = [[entry.where.removeprefix(f"{folder}/") for entry in level()] for level in levels(folder, 1 << 20)]
    assert paths == [
        ["a.csv", "data"],
        ["below/b.csv", "below/fifo"],
        ["below/more/d.csv.gz"],
        [],
        ["data/c.csv", "below/more/d.csv.gz/d.csv"],
        [],
        [],
    ]
    assert list(outermost(folder, 1 << 20)) == ["a.csv", "below/", "data"]


@pytest.mark.parametrize("outer", MAKE)
@pytest.mark.parametrize("inner", MAKE)
def test_an_archive_within_another_is_read_whatever_both_are_called(tmp_path, outer, inner):
    source = tmp_path / "download"
    source.write_bytes(MAKE[outer]({"README": b"text", "below/inside": MAKE[inner](CONTENTS), "more": b""}))
    levels_found = read(source)
    assert [list(files) for files in levels_found] == [
        ["README", "below/inside", "more"],
        [f"below/inside/{name}" for name in CONTENTS],
    ]
    assert list(levels_found[1].values()) == list(CONTENTS.values())


@pytest.mark.parametrize("kind", MAKE)
def test_a_broken_archive_says_so(tmp_path, kind):
    whole = MAKE[kind]({"a.csv": os.urandom(9000)})
    (tmp_path / "half").write_bytes(whole[:5000])
    with pytest.raises(UNREADABLE):
        read(tmp_path / "half")


@pytest.mark.fault(25)
@pytest.mark.parametrize("kind", ["tar", "tar.gz", "tar.bz2", "tar.xz"])
def test_an_archive_is_read_up_to_the_limit(tmp_path, kind):
    (tmp_path / "bomb").write_bytes(MAKE[kind]({"first": bytes(1 << 21), "second": b""}))
    (tmp_path / "outer").write_bytes(MAKE["zip"]({"bomb": (tmp_path / "bomb").read_bytes()}))
    for source in ("bomb", "outer"):
        with pytest.raises(UserError, match="bomb unpacks to more than 1 MiB"):
            read(tmp_path / source)


def test_a_compressed_file_is_read_up_to_the_limit(tmp_path):
    (tmp_path / "bomb").write_bytes(gzip.compress(bytes(1 << 22)))
    files = next(levels(tmp_path / "bomb", 1 << 20))()
    with next(files).open() as stream:
        assert len(stream.read()) == 1 << 20
        with pytest.raises(UserError, match="bomb unpacks to more than 1 MiB"):
            stream.read(1)


def test_an_xz_that_needs_much_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "_MAX_DICTIONARY", 1 << 20)
    (tmp_path / "a.xz").write_bytes(lzma.compress(b"text", preset=6))  # 8 MiB
    with pytest.raises(UNREADABLE, match=r"[Mm]emory"):
        read(tmp_path / "a.xz")


def test_a_large_zip_within_an_archive_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MAX_INNER_ZIP", 1 << 10)
    (tmp_path / "a").write_bytes(tar({"b": zipped({"c": os.urandom(1 << 11)})}))
    with pytest.raises(UserError, match=r"a/b is a \.zip of more than 0 MiB within an archive; unpack it"):
        read(tmp_path / "a")


def test_a_folder_of_very_many_files_is_not_looked_through(folder, monkeypatch):
    monkeypatch.setattr(archives, "MAX_FILES", 2)
    with pytest.raises(UserError, match="holds more than 2 files; give the folder or archive that is meant"):
        read(folder)
