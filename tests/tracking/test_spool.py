"""What waits on the disk to be sent: kept in order, whole or not at all, within its bound, by one process at a time."""

import errno
import json
import os
from pathlib import Path

import pytest

from pipelines.tracking import spool
from pipelines.tracking.spool import BusyError, Owner, Spool

OWNER = Owner("r1", "gru-2-seed0", "p1", "http://127.0.0.1:5000", ("7 1.00",))


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "spool" / "r1"


@pytest.fixture
def file(tmp_path):
    def make(name, text):
        path = tmp_path / name
        path.write_text(text)
        return path

    return make


def test_what_was_added_is_there_in_order_for_the_next_process(folder, file):
    first = Spool(folder, OWNER)
    values = {"metrics": [["loss", 0.1 + 0.2, 5, 1], ["lr", 1e-300, 5, 1]]}
    first.add("metrics", values)
    first.add("artifact", {"folder": "figures"}, file("loss.png", "drawn"), "figures/loss.png")
    first.add("tags", {"a": "ü\n"})
    first.close()
    again = Spool(folder)
    assert again.owner == OWNER
    assert [(line.kind, line.content, line.file) for line in again.waiting] == [
        ("metrics", values, ""),
        ("artifact", {"folder": "figures"}, "loss.png"),
        ("tags", {"a": "ü\n"}, ""),
    ]
    assert again.path(again.waiting[1]).read_text() == "drawn"
    assert again.path(again.waiting[1]).name == "loss.png"


def test_what_was_sent_is_gone_and_so_is_the_spool_in_the_end(folder, file):
    one = Spool(folder, OWNER)
    for number in range(3):
        one.add("artifact", {}, file(f"{number}.txt", "x" * 1000), f"{number}.txt")
    path = one.path(one.waiting[0])
    one.sent(one.waiting[0])
    assert not path.exists()
    one.close()
    again = Spool(folder)
    assert [line.place for line in again.waiting] == ["1.txt", "2.txt"]
    # Numbers are not given again: a line that says what was sent means one thing.
    assert again.add("tags", {}).number > max(line.number for line in again.waiting[:-1])
    for line in list(again.waiting):
        again.sent(line)
    again.close()
    assert not folder.exists()


def test_a_folder_is_kept_whole(folder, tmp_path):
    model = tmp_path / "model"
    (model / "data").mkdir(parents=True)
    (model / "MLmodel").write_text("a")
    (model / "data" / "model.pt2").write_text("b")
    one = Spool(folder, OWNER)
    kept = one.path(one.add("model", {}, model, "model"))
    assert sorted(str(path.relative_to(kept)) for path in kept.rglob("*")) == ["MLmodel", "data", "data/model.pt2"]


def test_what_comes_later_to_the_same_place_takes_it(folder, file):
    one = Spool(folder, OWNER)
    one.add("checkpoint", {"epoch": 1}, file("odd.pt", "1"), "checkpoint/odd.pt")
    one.add("checkpoint", {"epoch": 2}, file("even.pt", "2"), "checkpoint/even.pt")
    one.add("checkpoint", {"epoch": 3}, file("odd.pt", "3"), "checkpoint/odd.pt")
    assert [line.content["epoch"] for line in one.waiting] == [2, 3]
    assert [one.path(line).read_text() for line in one.waiting] == ["2", "3"]
    one.close()
    assert [line.content["epoch"] for line in Spool(folder).waiting] == [2, 3]


def test_the_bound_is_kept_and_the_newer_checkpoint_fits_where_the_older_was(folder, file, monkeypatch):
    monkeypatch.setattr(spool, "LIMIT", 10_000)
    one = Spool(folder, OWNER)
    one.add("checkpoint", {"epoch": 1}, file("odd.pt", "1" * 8000), "checkpoint/odd.pt")
    with pytest.raises(OSError, match=r"the spool .* has reached its limit of 0 MB") as full:
        one.add("artifact", {}, file("a.png", "2" * 8000), "a.png")
    assert full.value.errno == errno.ENOSPC
    one.add("checkpoint", {"epoch": 3}, file("odd.pt", "3" * 8000), "checkpoint/odd.pt")
    assert [line.content["epoch"] for line in one.waiting] == [3]
    one.add("metrics", {"metrics": []})
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 10_000


def test_a_journal_that_was_cut_off_has_all_lines_but_the_last(folder):
    one = Spool(folder, OWNER)
    for number in range(3):
        one.add("tags", {"n": str(number)})
    one.close()
    journal = folder / "journal.jsonl"
    whole = journal.read_bytes()
    journal.write_bytes(whole[:-5])
    again = Spool(folder)
    assert [line.content["n"] for line in again.waiting] == ["0", "1"]
    again.add("tags", {"n": "3"})
    again.close()
    assert [line.content["n"] for line in Spool(folder).waiting] == ["0", "1", "3"]


@pytest.mark.fault(16)
@pytest.mark.parametrize("where", ["copy", "journal"])
def test_a_full_disk_leaves_what_waited(folder, file, monkeypatch, where):
    one = Spool(folder, OWNER)
    one.add("tags", {"n": "0"})
    with monkeypatch.context() as patch:

        def full(*given):
            raise OSError(errno.ENOSPC, "No space left on device")

        patch.setattr(spool.shutil, "copyfile", full) if where == "copy" else patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            one.add("artifact", {}, file("a.png", "2"), "a.png")
    assert [line.kind for line in one.waiting] == ["tags"]
    assert [path for path in (folder / "files").iterdir() if path.name != "part"] == []
    one.add("tags", {"n": "1"})
    one.close()
    assert [line.content["n"] for line in Spool(folder).waiting] == ["0", "1"]


def test_one_process_at_a_time(folder):
    one = Spool(folder, OWNER)
    one.add("tags", {})
    with pytest.raises(BusyError, match="in use by another process"):
        Spool(folder)
    one.close()
    Spool(folder).close()


@pytest.mark.parametrize(
    "content",
    [
        b"\n",
        b"[]\n",
        b"{}\n",
        b"nonsense\n",
        json.dumps({"run": "r"}).encode() + b"\n",
    ],
)
def test_a_damaged_spool_says_so(folder, content):
    (folder / "files").mkdir(parents=True)
    (folder / "journal.jsonl").write_bytes(content)
    with pytest.raises(ValueError, match="its journal is damaged"):
        Spool(folder)


def test_nothing_outside_a_spool_is_ever_sent(folder, tmp_path):
    one = Spool(folder, OWNER)
    one.add("tags", {})
    one.close()
    journal = folder / "journal.jsonl"
    line = {"number": 2, "kind": "artifact", "content": {}, "file": "../../../secret", "place": ""}
    journal.write_bytes(journal.read_bytes() + json.dumps(line).encode() + b"\n")
    with pytest.raises(ValueError, match="names a file outside it"):
        spool.read(folder)


def test_spools_are_in_the_users_folder_of_state_and_nobody_elses_business(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert spool.folder_of("r1") == tmp_path / "state" / "nn-experiment-registry" / "spool" / "r1"
    Spool(spool.folder_of("r1"), OWNER).add("tags", {})
    assert spool.folders(spool.root()) == spool.folders(spool.folder_of("r1")) == [spool.folder_of("r1")]
    assert spool.root().stat().st_mode & 0o077 == 0


def test_without_a_folder_of_the_users_own_they_are_in_the_working_directory(tmp_path, monkeypatch):
    (tmp_path / "no").write_text("a file")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "no"))
    monkeypatch.chdir(tmp_path)
    assert spool.folder_of("r1") == tmp_path / "spool" / "r1"
