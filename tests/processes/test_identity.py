"""What became of a process, on real ones: ended, given again, stopped, not ours; and on identities from elsewhere."""

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.processes.identity import Identity, _card, own
from pipelines.processes.liveness import ALIVE, ELSEWHERE, GONE, UNKNOWN, Fate, fate, state

linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="there is no /proc")


@pytest.fixture
def sleeper():
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.communicate()


def identity_of(process: subprocess.Popen) -> Identity:
    """Told by the system itself."""
    ticks = Path(f"/proc/{process.pid}/stat").read_text().split()[21]
    return replace(own(), pid=process.pid, ticks=ticks)


def until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_this_process_is_alive_and_its_tags_tell_so():
    mine = own()
    assert (mine.host, mine.pid) == (socket.gethostname(), os.getpid())
    assert Identity.of(mine.tags) == replace(mine, start=round(mine.start, 2))
    assert all(mine.tags.values())
    assert fate(mine) == Fate(ALIVE)


@linux
def test_a_process_lives_until_it_ends_and_a_zombie_has_ended(sleeper):
    identity = identity_of(sleeper)
    assert fate(identity).state == ALIVE
    sleeper.kill()
    until(lambda: state(sleeper.pid) == "Z")
    assert fate(identity).state == GONE
    sleeper.wait()
    assert fate(identity) == Fate(GONE, f"process {sleeper.pid} of {socket.gethostname()} is gone")


@linux
def test_a_stopped_process_is_alive(sleeper):
    identity = identity_of(sleeper)
    sleeper.send_signal(signal.SIGSTOP)
    until(lambda: state(sleeper.pid) == "T")
    assert fate(identity).state == ALIVE


@linux
def test_the_clock_takes_no_part():
    """It was set by a day since the process began, and the tag of that moment says so."""
    mine = own()
    assert fate(replace(mine, start=mine.start - 86400)).state == ALIVE
    assert fate(replace(mine, ticks=str(int(mine.ticks) + 1))).state == GONE


@linux
@pytest.mark.parametrize(
    ("other", "state"),
    [
        ({"host": "other.example"}, ELSEWHERE),
        ({"namespace": "pid:[1] time:[1]"}, UNKNOWN),
        ({"boot": "00000000-0000-0000-0000-000000000000", "machine": ""}, UNKNOWN),
        ({"boot": "00000000-0000-0000-0000-000000000000", "machine": "another"}, UNKNOWN),
        ({"boot": "00000000-0000-0000-0000-000000000000", "machine": "this"}, GONE),
        # Of before boot, namespace and ticks were recorded.
        ({"boot": "", "namespace": "", "ticks": "", "machine": ""}, UNKNOWN),
    ],
)
def test_what_is_not_seen_is_gone_only_if_that_is_sure(sleeper, monkeypatch, other, state):
    for module in ("identity", "liveness"):
        monkeypatch.setattr(f"pipelines.processes.{module}.machine", lambda: "this")
    identity = identity_of(sleeper)
    sleeper.kill()
    sleeper.wait()
    assert fate(identity).state == GONE
    assert fate(replace(identity, **other)).state == state


def test_an_older_runs_process_is_alive_by_its_time():
    mine = own()
    older = {key: mine.tags[key] for key in ("host", "pid", "process_start")}
    assert fate(Identity.of(older)).state == ALIVE
    assert fate(Identity.of(older | {"process_start": str(mine.start - 2)})).state == UNKNOWN


@pytest.mark.parametrize(
    "tags",
    [
        {},
        {"host": "h"},
        {"host": "h", "pid": "x", "process_start": "1"},
        {"pid": "1", "process_start": "1"},
        {"host": "h", "pid": "-1", "process_start": "1"},
        {"host": "h", "pid": None, "process_start": None},
    ],
)
def test_tags_that_tell_of_no_process(tags):
    assert Identity.of(tags) is None
    assert fate(None).state == UNKNOWN


@linux
def test_a_process_that_proc_hides_is_not_taken_for_gone(sleeper, monkeypatch):
    identity = identity_of(sleeper)
    monkeypatch.setattr("pipelines.processes.identity.stat", lambda pid: [][0])
    assert fate(identity).state == UNKNOWN


@linux
def test_where_proc_shows_another_namespace_nothing_is_sure(sleeper, monkeypatch):
    identity = identity_of(sleeper)
    sleeper.kill()
    sleeper.wait()
    monkeypatch.setattr(os, "getpid", lambda: 1)
    assert fate(identity).state == UNKNOWN


def test_a_number_that_no_process_can_have():
    assert fate(replace(own(), pid=2**40)).state in (GONE, UNKNOWN)


def card(folder: Path, address: str, given_by_maker: bool = True) -> None:
    (folder / "device").mkdir(parents=True)
    (folder / "address").write_text(address + "\n")
    (folder / "addr_assign_type").write_text("0\n" if given_by_maker else "3\n")


def test_a_card_whose_address_somebody_gave_tells_nothing(tmp_path):
    for name, address, given, expected in (
        ("real", "3c:ec:ef:12:34:56", True, "3c:ec:ef:12:34:56"),
        ("virtual", "02:fc:00:00:00:01", True, ""),
        ("set", "3c:ec:ef:12:34:56", False, ""),
        ("none", "00:00:00:00:00:00", True, ""),
    ):
        card(tmp_path / name, address, given)
        assert _card(tmp_path / name) == expected
