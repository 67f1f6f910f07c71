"""Files that are replaced whole, never through a link, and read only if they are files."""

import itertools
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipelines.common import files
from pipelines.common.files import file_name, open_part, open_regular, own_size, replacing, require_unlinked, write_text

PRECIOUS = "of somebody else"


def inside(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def victim(tmp_path):
    """A file that no link may be followed to."""
    path = tmp_path / "elsewhere" / "victim"
    path.parent.mkdir()
    path.write_text(PRECIOUS)
    return path


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "shared"
    path.mkdir()
    return path


@pytest.fixture
def planted(folder):
    """A function that puts something of a kind, that is no file, into the folder."""
    held = []

    def plant(kind):
        path = folder / kind
        if kind == "FIFO":
            os.mkfifo(path)
        elif kind == "folder":
            path.mkdir()
        elif kind == "device":
            path.symlink_to("/dev/zero")
        else:
            held.append(socket.socket(socket.AF_UNIX))
            held[0].bind(os.path.relpath(path))  # its name has a limit of a hundred letters
        return path

    yield plant
    for each in held:
        each.close()


KINDS = ("FIFO", "folder", "device", "socket")


# Replacing.


@pytest.mark.parametrize("before", [None, "old"])
def test_a_file_is_replaced_whole(folder, before):
    path = folder / "a.txt"
    if before:
        path.write_text(before)
    with replacing(path) as file:
        file.write(b"new")
        file.flush()
        assert not path.exists() if before is None else path.read_text() == before
    assert path.read_text() == "new"
    assert inside(folder) == ["a.txt"]


def test_a_file_has_the_rights_of_any_new_one(folder):
    write_text(folder / "ours", "x")
    (folder / "theirs").write_text("x")
    assert (folder / "ours").stat().st_mode == (folder / "theirs").stat().st_mode


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failure_leaves_what_was_there(folder, error):
    path = folder / "a.txt"
    path.write_text("old")
    with pytest.raises(error), replacing(path) as file:  # noqa: PT012 - the failure comes after a write
        file.write(b"new")
        raise error
    assert path.read_text() == "old"
    assert inside(folder) == ["a.txt"]


def test_a_full_disk_leaves_what_was_there(folder):
    path = folder / "a.txt"
    path.write_text("old")
    code = f"""
import resource, signal
from pipelines.common.files import write_text
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
write_text({str(path)!r}, "new" * 100)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "File too large" in done.stderr
    assert path.read_text() == "old"
    assert inside(folder) == ["a.txt"]


def test_a_link_is_replaced_and_its_target_stays(folder, victim):
    for target in (victim, victim.with_name("nothing"), Path("link")):
        link = folder / "link"
        link.symlink_to(target)
        write_text(link, "new")
        assert not link.is_symlink()
        assert link.read_text() == "new"
        assert victim.read_text() == PRECIOUS
        link.unlink()
    assert inside(victim.parent) == ["victim"]


def test_a_hard_link_is_replaced_and_its_other_name_stays(folder, victim):
    os.link(victim, folder / "link")
    write_text(folder / "link", "new")
    assert victim.read_text() == PRECIOUS


def test_nobody_knows_the_temporary_name_beforehand(folder):
    seen = set()
    for _ in range(3):
        with replacing(folder / "a.txt"):
            seen |= set(inside(folder)) - {"a.txt"}
    assert len(seen) == 3


def test_a_temporary_name_that_is_taken_is_not_written_to(folder, victim, monkeypatch):
    monkeypatch.setattr(files.secrets, "token_hex", lambda size: "0" * 16)
    (folder / f".a.{'0' * 16}.tmp").symlink_to(victim)
    with pytest.raises(FileExistsError):
        write_text(folder / "a", "new")
    assert victim.read_text() == PRECIOUS
    assert not (folder / "a").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_file_is_not_replaced(planted, folder, kind, monkeypatch):
    monkeypatch.chdir(folder)
    path = planted(kind)
    with pytest.raises(OSError, match=f"a {kind}, no file"):
        write_text(path, "new")
    assert inside(folder) == [kind]


def test_a_stream_that_goes_to_a_file_is_not_replaced(folder):
    """As /dev/stdout is, which root could replace, a link to what a process has open."""
    with (folder / "log").open("w") as log:
        (folder / "stdout").symlink_to(f"/proc/self/fd/{log.fileno()}")
        for path in (folder / "stdout", Path(f"/proc/self/fd/{log.fileno()}")):
            with pytest.raises(OSError, match="a stream, no file"):
                write_text(path, "new")
    assert (folder / "stdout").is_symlink()
    assert (folder / "log").read_text() == ""


def test_names_of_any_length_are_replaced(folder):
    for name in ("ü" * 120, "x" * 255):
        write_text(folder / name, "new")
        assert (folder / name).read_text() == "new"


def test_what_a_killed_process_left_is_swept_later(folder):
    def left():
        return [name for name in inside(folder) if name.endswith(".tmp")]

    code = f"""
import os
from pipelines.common.files import replacing
with replacing({str(folder / "a.npy")!r}):
    os.kill(os.getpid(), {int(signal.SIGKILL)})
"""
    for _ in range(2):
        subprocess.run([sys.executable, "-c", code], check=False)
    write_text(folder / "a.npy", "new")
    assert len(left()) == 2, "they may be of processes that still write"
    forgotten = time.time() - files.FORGOTTEN - 60
    for name in left():
        os.utime(folder / name, (forgotten, forgotten))
    for other in (".b.0123456789abcdef.tmp", ".a.npy.tmp", "a.npy.old"):
        (folder / other).touch()
        os.utime(folder / other, (forgotten, forgotten))
    write_text(folder / "a.npy", "newer")
    assert inside(folder) == [".a.npy.tmp", ".b.0123456789abcdef.tmp", "a.npy", "a.npy.old"]


# Reading.


def test_a_file_is_opened_also_through_a_link(folder, victim):
    (folder / "link").symlink_to(victim)
    for path in (victim, folder / "link", str(victim)):
        with open_regular(path) as file:
            assert file.read().decode() == PRECIOUS


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_file_is_refused_at_once(planted, folder, kind, monkeypatch):
    monkeypatch.chdir(folder)
    path = planted(kind)
    with pytest.raises(OSError, match=f"a {kind}, no file") as error:
        open_regular(path)
    assert error.value.filename == str(path)


def test_a_file_that_becomes_a_fifo_in_between_is_refused_too(folder, monkeypatch):
    os.mkfifo(folder / "a")
    regular = (folder / "b").write_text("x") and (folder / "b").stat()
    monkeypatch.setattr(Path, "stat", lambda path: regular)
    with pytest.raises(OSError, match="a FIFO, no file"):
        open_regular(folder / "a")


# Parts of names that are known beforehand.


def test_a_part_is_appended_to_or_begun_anew(folder):
    part = folder / "a.part"
    assert own_size(part) == 0
    for anew, expected in ((False, b"x"), (False, b"xx"), (True, b"x")):
        with open_part(part, anew) as file:
            file.write(b"x")
        assert part.read_bytes() == expected
        assert own_size(part) == len(expected)


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_a_planted_part_is_removed_and_its_target_stays(folder, victim, link):
    part = folder / "a.part"
    link(victim, part)
    if link is os.symlink:
        with pytest.raises(OSError):
            open_part(part, anew=True)
    assert own_size(part) == 0
    with open_part(part, anew=False) as file:
        file.write(b"x")
    assert victim.read_text() == PRECIOUS
    assert part.read_bytes() == b"x"


def test_a_fifo_as_a_part_is_removed(folder):
    os.mkfifo(folder / "a.part")
    assert own_size(folder / "a.part") == 0
    assert inside(folder) == []


def test_the_part_of_another_user_is_removed(folder, monkeypatch):
    (folder / "a.part").write_text("x")
    monkeypatch.setattr(os, "getuid", lambda: folder.stat().st_uid + 1)
    assert own_size(folder / "a.part") == 0
    assert inside(folder) == []


# What others write.


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_a_link_on_the_way_of_others_is_found(folder, victim, link):
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "b" / "file").write_text("x")
    for inside in ("a/b/file", "a/b/new", "new/file", ""):
        require_unlinked(folder, inside)
    link(victim, folder / "a" / "b" / "planted")
    with pytest.raises(OSError, match="a link, through which nothing is written"):
        require_unlinked(folder, "a/b/planted")


def test_a_linked_folder_is_found_within_but_not_above(folder, victim):
    (folder / "a").symlink_to(victim.parent)
    with pytest.raises(OSError) as error:
        require_unlinked(folder, "a/new")
    assert error.value.filename == str(folder / "a")
    require_unlinked(folder / "a", "new")


# Names.

STRANGE = (
    "",
    ".",
    "..",
    "/",
    "a/b",
    "a\\b",
    "../../etc/passwd",
    "a\0b",
    "a\nb",
    ".hidden",
    "-rf",
    "a.",
    "a ",
    " a",
    "a b",
    "A",
    "con",
    "con.txt",
    "CON",
    "lpt1",
    "ü",
    "u\u0308",
    "\udcff",
    "a:b",
    "a*b?",
    "x" * 101,
    "x" * 5000,
    "%41",
    "~",
    "$(ls)",
    "a-b-0123456789abcdef",
    "0123456789abcdef",
    "a",
    "a-b",
    "a_b",
    "a..b",
)


def test_plain_names_stay_as_they_are():
    for name in ("gru-2", "cost-recurrent", "pjm_load.v2", "a", "0", "wide-lr", "x" * 100):
        assert file_name(name) == name


def test_every_name_makes_a_file_of_its_own(folder):
    made = [file_name(name) for name in STRANGE]
    assert len({name.casefold() for name in made}) == len(STRANGE)
    for name in made:
        assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789._-")
        assert 0 < len(name) <= 100
        assert name[0] not in ".-"
        assert name[-1] != "."
        assert name.partition(".")[0] not in ("con", "lpt1")
        (folder / f"{name}.csv").touch(exist_ok=False)
    assert len(inside(folder)) == len(STRANGE)


def test_a_made_name_is_no_other_names_own():
    made = [file_name(name) for name in STRANGE]
    again = [file_name(name) for name in made]
    changed = [(one, other) for one, other in zip(made, again, strict=True) if one != other]
    assert {one for one, _ in changed} == {name for name, given in zip(made, STRANGE, strict=True) if name != given}
    assert len(set(itertools.chain(made, (other for _, other in changed)))) == len(made) + len(changed)


def test_a_name_keeps_what_people_know_it_by():
    assert file_name("Load of PJM/2018").startswith("load-of-pjm-2018-")


def test_what_was_written_can_be_read_before_it_takes_its_place(folder):
    with replacing(folder / "a") as file:
        file.write(b"abc")
        file.seek(0)
        assert file.read() == b"abc"
