"""The end of a preset on a terminal, which the display has until the results are shown."""

import os
import pty
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from pipelines.commands import main


@contextmanager
def terminal() -> Iterator[Callable[[], bytes]]:
    """Standard error is a terminal: a function that returns what was written to it."""
    ours, theirs = pty.openpty()
    os.set_blocking(ours, False)
    kept = os.dup(2)
    os.dup2(theirs, 2)

    def written() -> bytes:
        try:
            return os.read(ours, 100_000)
        except BlockingIOError:
            return b""

    try:
        yield written
    finally:
        os.dup2(kept, 2)
        for each in (kept, ours, theirs):
            os.close(each)


@pytest.mark.medium
def test_a_report_writes_nothing_over_the_display(place, at, monkeypatch, capsys):
    at(place.folder, place.uri)
    monkeypatch.setenv("TERM", "xterm")
    with terminal() as written:
        with pytest.raises(subprocess.CalledProcessError):
            main._analysis("report", capture=True)
        assert written() == b""
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith(f"error: no finished runs at {place.uri}")
