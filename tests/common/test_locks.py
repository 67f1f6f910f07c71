"""Locks beside what they protect: one holder at a time, a word about waiting, and nothing that was planted is used."""

import os
import subprocess
import sys
import textwrap
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine, event, text
from support.place import ROOT

from pipelines.common import locks
from pipelines.data.files import cache, download
from pipelines.errors import UserError

HOLDER = """
    import sys, time
    from pathlib import Path
    from pipelines.common import locks
    with locks.{held}:
        print("held", flush=True)
        sys.stdin.read()
"""


@contextmanager
def held_elsewhere(held: str):
    """Within it another process holds a lock, which it gives up when told to by a line on its standard input."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(HOLDER).format(held=held)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(locks, "ANNOUNCE_AFTER_S", 0.1)


def test_waiting_is_announced_and_ends_with_the_other(tmp_path, impatient, capsys):
    path = tmp_path / "a.lock"
    with held_elsewhere(f"on_file(Path({str(path)!r}), 'work')") as other:
        reason = f"another process has held the lock {path} for 0 s, to work: end that process"
        with pytest.raises(UserError, match=reason), locks.on_file(path, "work", limit=0.2):
            pytest.fail("two hold the lock")
        assert capsys.readouterr().err == f"waiting for another process to work (it holds the lock {path})\n"
        other.stdin.close()
        with locks.on_file(path, "work", limit=60):
            pass


def test_the_lock_of_a_database_is_one_whatever_its_address(tmp_path, impatient):
    path = tmp_path / "a b.db"
    (tmp_path / "link.db").symlink_to(path)
    with held_elsewhere(f"of_database('sqlite:///{tmp_path}/a%20b.db', 'work', 'choose')"):
        for uri in (f"sqlite:///{path}", f"sqlite:///{tmp_path}/link.db"):
            with pytest.raises(UserError, match="has held the lock"), locks.of_database(uri, "work", "choose", 0.2):
                pytest.fail("two hold the lock")
        with locks.of_database(f"sqlite:///{path}", "work", limit=0.2):
            pass  # another purpose


def test_no_waiting_of_processes_with_folders_for_temporary_files_of_their_own(tmp_path, monkeypatch, impatient):
    with held_elsewhere(f"of_database('sqlite:///{tmp_path}/a.db', 'work')"):
        monkeypatch.setenv("TMPDIR", str(tmp_path))
        with pytest.raises(UserError), locks.of_database(f"sqlite:///{tmp_path}/a.db", "work", limit=0.2):
            pytest.fail("two hold the lock")


@pytest.mark.medium
def test_a_server_looks_for_a_holder_that_is_silent_after_half_a_minute(postgresql):
    """As it does not by default: a machine without power would hold its lock for two hours."""
    connections = []
    listen = (Engine, "engine_connect", connections.append)
    event.listen(*listen)
    try:
        with locks.of_database(postgresql, "work"):
            (connection,) = connections
            shown = [connection.scalar(text(f"SHOW tcp_keepalives_{name}")) for name in ("idle", "interval", "count")]
    finally:
        event.remove(*listen)
    assert shown == ["30", "10", "3"]


@pytest.mark.medium
def test_a_server_keeps_the_lock_of_its_database(postgresql, impatient, capsys):
    with held_elsewhere(f"of_database({postgresql!r}, 'work', 'choose')") as other:
        lock = locks.of_database(postgresql, "work", "choose", limit=0.5)
        with pytest.raises(UserError, match="the lock the database postgres on"), lock:
            pytest.fail("two hold the lock")
        assert "waiting for another process to work" in capsys.readouterr().err
        with locks.of_database(postgresql, "work", "train", limit=0.5):
            pass  # another purpose
        other.kill()
        with locks.of_database(postgresql, "work", "choose", limit=60):
            pass


@pytest.fixture(params=["link", "folder"])
def planted(request):
    """A function that puts something in the place of a lock, and gives what its victim would be."""

    def plant(path: Path) -> str:
        path.parent.mkdir(parents=True, exist_ok=True)
        if request.param == "folder":
            path.mkdir()
            return "is a folder: remove it"
        victim = path.parent / "victim"
        victim.write_text("precious")
        victim.chmod(0o600)
        path.symlink_to(victim)
        return "is a link, which is not followed: remove it"

    return plant


def open_database(folder: Path) -> None:
    with locks.of_database(f"sqlite:///{folder}/a.db", "work"):
        pytest.fail("it was taken for a lock")


def prepare(folder: Path) -> None:
    cache.prepare("sample", folder, "given", lambda folder: None, lambda *_: None, lambda folder: folder)


def fetch(folder: Path) -> None:
    download.fetch("http://127.0.0.1:9/file", folder / "file", "00")


@pytest.mark.fault(40)
@pytest.mark.parametrize(
    ("act", "lock"), [(open_database, "a.db.lock"), (prepare, "sample/prepare.lock"), (fetch, "file.lock")]
)
def test_what_was_planted_in_the_place_of_a_lock_is_refused_in_one_line(act, lock, tmp_path, planted):
    reason = planted(tmp_path / lock)
    began = time.monotonic()
    with pytest.raises(UserError) as refusal:
        act(tmp_path)
    assert str(refusal.value) == f"the lock {tmp_path / lock} {reason}"
    assert time.monotonic() - began < 5
    for victim in tmp_path.rglob("victim"):
        assert (victim.read_text(), victim.stat().st_mode & 0o777) == ("precious", 0o600)


@pytest.mark.skipif(not hasattr(os, "fork") or os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.fault(40)
def test_the_lock_of_another_user_is_refused_in_one_line(tmp_path):
    path = tmp_path / "a.lock"
    path.touch(0o600)
    for folder in (tmp_path, *tmp_path.parents[:-2]):
        folder.chmod(folder.stat().st_mode | 0o755)
    tmp_path.chmod(0o777)
    read, write = os.pipe()
    if not (child := os.fork()):
        try:
            os.setuid(65534)
            with locks.on_file(path, "work"):
                message = "taken"
        except BaseException as error:
            message = f"{type(error).__name__}: {error}"
        os.write(write, message.encode())
        os._exit(0)
    os.waitpid(child, 0)
    expected = f"UserError: the lock {path} is another user's (Permission denied): remove it, or have them do so"
    assert os.read(read, 1000).decode() == expected
    os.close(read)
    os.close(write)


@pytest.mark.parametrize("mode", [0o755, 0o775, 0o777])
def test_whoever_may_write_to_the_folder_may_take_its_locks(tmp_path, mode):
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(mode)
    with locks.on_file(folder / "a.lock", "work"):
        pass
    assert (folder / "a.lock").stat().st_mode & 0o777 == mode & 0o666


def test_a_folder_that_is_not_there_stays_the_error_that_it_is(tmp_path):
    with pytest.raises(FileNotFoundError), locks.on_file(tmp_path / "none" / "a.lock", "work"):
        pass
