"""The page over a store: printed once, and alive in a terminal of its own."""

import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from fcntl import ioctl

import pytest
from support.commands import invoke, refused
from support.place import ROOT
from support.tracked import Tracked, tracking

from analysis.errors import InputError, UnreachableError
from analysis.watch.live import Watched
from analysis.watch.page import Outage
from analysis.watch.snapshot import Snapshot


@pytest.fixture
def store(tmp_path, blank_database):
    store = Tracked(tmp_path, blank_database, "one")
    with tracking(store.uri):
        yield store


def test_an_outage_lasts_from_its_first_failure_to_the_next_answer():
    answers = iter([Snapshot(empty=True), UnreachableError("away"), UnreachableError("still away"), Snapshot()])
    now = iter([100.0, 102.0, 104.0, 106.0])

    def read() -> Snapshot:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    watched = Watched(read, lambda: next(now))
    seen = []
    for _ in range(4):
        watched.poll()
        seen.append((watched.snapshot.empty, watched.outage))
    assert seen == [
        (True, None),
        (True, Outage(102.0, "away")),
        (True, Outage(102.0, "still away")),
        (False, None),
    ]


@pytest.mark.parametrize("fault", [ValueError("a defect"), InputError("no such experiment")])
def test_an_error_that_does_not_go_by_is_kept(fault):

    def read() -> Snapshot:
        raise fault

    watched = Watched(read)
    watched.poll()
    assert (watched.fault, watched.outage) == (fault, None)


def test_in_a_pipe_the_page_is_printed_once(store):
    assert "Nothing is running. To start something:" in invoke("watch")
    launch = store.run("launch", {"entry": "recurrent", "dataset": "sample"}, status="RUNNING")
    tags = {"entry": "recurrent", "row": "gru-2", "mlflow.parentRunId": launch}
    store.run("gru-2-seed0", tags, {"epochs": "5"}, {"train_loss": [(1, 2.0), (2, 1.0)]}, "RUNNING")
    said = invoke("watch", "--once")
    (line,) = [line.split() for line in said.splitlines() if "gru-2-seed0" in line]
    assert line[:6] == ["gru-2-seed0", "stale", "2/5", "train_loss", "1", "█▁"]
    assert "recurrent on sample" in said
    assert "recurrent on sample" in invoke("watch", "--entry", "recurrent", "--experiment", "one")
    assert "Nothing of ablation is running." in invoke("watch", "--entry", "ablation")
    assert "Nothing is running." in invoke("watch", "--since", "2100-01-01")


def test_bad_input_is_refused_in_one_line(store):
    assert "experiment: 'two' is not at" in refused("watch", "--experiment", "two")
    assert "since: 'soon' is not an ISO date" in refused("watch", "--since", "soon")


def test_without_a_server_one_line_says_so(closed_port):
    with tracking(f"http://127.0.0.1:{closed_port}"):
        assert "cannot reach the tracking server" in refused("watch", "--once")


class Terminal:
    """`watch` in a terminal of 20 lines of 80 characters."""

    def __init__(self, uri: str):
        self.ours, theirs = pty.openpty()
        ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 20, 80, 0, 0))
        self.before = termios.tcgetattr(self.ours)
        environment = os.environ | {"MLFLOW_TRACKING_URI": uri, "TERM": "xterm-256color", "PYTHONUTF8": "1"}
        command = [sys.executable, "-m", "analysis", "watch", "--interval", "0.2"]
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
        )
        os.close(theirs)
        self.shown = ""

    def until(self, text: str, limit_s: float = 60) -> None:
        """Read until `text` is shown."""
        self.shown, deadline = "", time.monotonic() + limit_s
        while text not in self.shown:
            assert time.monotonic() < deadline, self.shown
            if select.select([self.ours], [], [], 0.1)[0]:
                self.shown += os.read(self.ours, 65536).decode("utf-8", "replace")

    def press(self, key: str) -> None:
        os.write(self.ours, key.encode())

    def end(self) -> int:
        """The exit code; what was shown since is in `shown`."""
        self.until("\x1b[?1049l")
        code = self.process.wait(30)
        while select.select([self.ours], [], [], 0)[0]:
            try:
                self.shown += os.read(self.ours, 65536).decode("utf-8", "replace")
            except OSError:
                break
        return code


@pytest.mark.medium
@pytest.mark.parametrize("way", ["q", "Ctrl-C", "SIGTERM"])
def test_it_goes_on_in_a_terminal_until_it_is_ended(store, way):
    terminal = Terminal(store.uri)
    try:
        terminal.until("Nothing is running.")
        store.run("launch", {"entry": "recurrent", "dataset": "sample"}, status="RUNNING")
        terminal.until("recurrent on sample")
        if way == "q":
            terminal.press("q")
        else:
            terminal.process.send_signal(signal.SIGINT if way == "Ctrl-C" else signal.SIGTERM)
        assert terminal.end() == 0
        # The last page stays, and the terminal is as it was.
        assert "recurrent on sample" in terminal.shown.partition("\x1b[?1049l")[2]
        assert "Traceback" not in terminal.shown
        assert termios.tcgetattr(terminal.ours) == terminal.before
    finally:
        terminal.process.kill()
        terminal.process.wait()
        os.close(terminal.ours)
