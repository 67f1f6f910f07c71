"""When a process that is waited for is given up: by a clock and a process that the tests hold in their hands."""

import pytest

from pipelines.processes import watchdog
from pipelines.processes.watchdog import BUSY_S, HUNG_S, POLL_S, STOPPED_S, Watchdog


class Watched:
    """A process and a clock."""

    now, used, state = 0.0, 0.0, "S"

    def look(self, watch: Watchdog, count: int, computing: float = 0.0) -> str:
        """The last verdict of so many looks, in each interval of which it computes for some seconds."""
        for _ in range(count):
            self.now += POLL_S
            self.used += computing
            verdict = watch.verdict()
        return verdict


@pytest.fixture
def watched(monkeypatch):
    watched = Watched()
    monkeypatch.setattr(watchdog.time, "monotonic", lambda: watched.now)
    monkeypatch.setattr(watchdog.liveness, "state", lambda pid: watched.state)
    monkeypatch.setattr(Watchdog, "_processor_time", lambda self: watched.used)
    return watched


def test_a_process_that_computes_is_never_given_up(watched):
    assert watched.look(Watchdog(1), 3 * int(HUNG_S / POLL_S), computing=BUSY_S * POLL_S / HUNG_S * 1.1) == ""


def test_a_process_that_was_stopped_for_too_long(watched):
    watch, looks = Watchdog(1), int(STOPPED_S / POLL_S)
    watched.state = "T"
    assert watched.look(watch, looks) == ""
    assert "was stopped (SIGSTOP) for more than 60 s" in watched.look(watch, 1)


def test_one_that_was_continued_has_its_time_again(watched):
    watch, looks = Watchdog(1), int(STOPPED_S / POLL_S)
    watched.state = "T"
    watched.look(watch, looks)
    watched.state = "S"
    watched.look(watch, 1)
    watched.state = "T"
    assert watched.look(watch, looks) == ""


def test_a_process_that_hangs(watched):
    watch, looks = Watchdog(1), int(HUNG_S / POLL_S)
    assert watched.look(watch, looks, computing=0.9 * BUSY_S * POLL_S / HUNG_S) == ""
    assert "has computed nothing for 3600 s" in watched.look(watch, 1)


def test_a_time_in_which_nobody_looked_does_not_count(watched):
    """A whole group is stopped by Ctrl-Z, and a laptop sleeps."""
    watch = Watchdog(1)
    watched.state = "T"
    watched.now += 86400
    assert watch.verdict() == ""
