"""What a command shows while it works: what it does, and a line for each of its rows, from their processes' reports.

On a terminal the lines are redrawn in place; in a log each is printed every ten seconds. A thread draws, so that there
is no silence while the command itself imports, computes or waits.
"""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from typing import Protocol

from pipelines.processes.reports import Report, Reports
from pipelines.terminal.clock import span

FRAME_S = 0.25  # between two drawings on a terminal
LOG_S = 10.0  # between two lines in a log


@dataclass
class Line:
    """A row that is at work: its name, its last report, and when it began (time.monotonic)."""

    name: str
    began: float
    report: Report = field(default_factory=lambda: Report("starting"))


@dataclass
class State:
    """All that is shown: what the command does, since when, how many rows there are, and the lines of those at work."""

    title: str
    began: float
    doing: str = ""
    rows: int = 0
    ended: dict[str, str] = field(default_factory=dict)  # outcome by name
    lines: dict[str, Line] = field(default_factory=dict)  # by name, of the rows at work

    @property
    def summary(self) -> str:
        """The first line, without the time."""
        if not self.rows:
            return f"{self.title}: {self.doing}" if self.doing else self.title
        waiting = self.rows - len(self.ended) - len(self.lines)
        counts = f"{len(self.ended)} of {self.rows} done"
        counts += f", {len(self.lines)} running" if self.lines else ""
        counts += f", {waiting} waiting" if waiting > 0 else ""
        return f"{self.title}: {counts}" + (f"; {self.doing}" if self.doing else "")


class Screen(Protocol):
    """Where it is shown."""

    def draw(self, state: State) -> None:
        """Show the present state; called every FRAME_S."""

    def message(self, text: str) -> None:
        """Show a line that stays."""

    def close(self) -> None:
        """Leave the lines that stay only."""


class Log:
    """Plain lines on stderr: one for each row at work, or else for what the command does, every LOG_S."""

    def __init__(self, now: float):
        self._due = now + LOG_S

    def draw(self, state: State) -> None:
        """Print the lines if it is time."""
        now = time.monotonic()
        if now < self._due:
            return
        self._due = now + LOG_S
        for line in list(state.lines.values()):
            self.message(f"{line.name}: {described(line.report)}")
        if not state.lines and state.doing:
            self.message(f"{state.summary} ({span(now - state.began)})")

    def message(self, text: str) -> None:
        """Print a line."""
        print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Do nothing."""


def described(report: Report) -> str:
    """A report in words."""
    parts = [report.phase]
    if report.epochs:
        parts.append(f"epoch {report.epoch}/{report.epochs}")
    if report.loss is not None:
        parts.append(f"loss {report.loss:.4g}")
    if report.rate:
        parts.append(f"{report.rate:.1f} updates/s")
    if report.left_s is not None:
        parts.append(f"about {span(report.left_s)} of training left")
    return ", ".join(parts)


class Display:
    """Shows the work of one command, see the module."""

    def __init__(self, title: str):
        self.state = State(title, time.monotonic())
        self.results: list[str | Callable[[], object]] = []
        self._screen = _screen(self.state.began)
        self._lock = threading.Lock()
        self._wake, self._woken = Pipe(duplex=False)
        self._readers: dict[Connection, str] = {}
        self._over = False
        self._thread = threading.Thread(target=self._show, name="display", daemon=True)
        self._thread.start()

    def doing(self, what: str) -> None:
        """Say what the command itself does, as "reading the data"; "" for nothing."""
        self.state.doing = what

    def expect(self, title: str, rows: int) -> None:
        """Say how many rows the launch `title` has; those of an earlier launch are forgotten."""
        with self._lock:
            self.state.title, self.state.rows, self.state.ended = title, rows, {}

    def expect_further(self, rows: int) -> None:
        """Say that the launch has so many more rows."""
        self.state.rows += rows

    @contextmanager
    def row(self, name: str) -> Iterator[Reports]:
        """Show a row; its process, which is started in the block, reports at the end that is given."""
        reader, writer = Pipe(duplex=False)
        with self._lock:
            self.state.lines[name] = Line(name, time.monotonic())
            self._readers[reader] = name
        self._woken.send(None)
        # Once the process has the only other end, its own end is seen here.
        with writer:
            yield Reports(writer)

    def end(self, name: str, outcome: str = "") -> None:
        """Show no longer the row `name`, after all that its process has reported, but its outcome, if one is given."""
        with self._lock:
            self._drain_all()
            self.state.lines.pop(name, None)
            self.state.ended[name] = outcome
            if outcome:
                self._screen.message(f"{name}: {outcome}")

    def reached(self, name: str) -> Report:
        """The last report of a row that has not been ended here."""
        with self._lock:
            self._drain_all()
            return self.state.lines[name].report

    def close(self) -> None:
        """End the drawing, after all that was reported."""
        self._over = True
        self._woken.send(None)
        self._thread.join()
        with self._lock:
            self._drain_all()
            for reader in self._readers:
                reader.close()
        self._screen.close()

    def _show(self) -> None:
        while not self._over:
            with self._lock:
                readers = [self._wake, *self._readers]
            if self._wake in wait(readers, FRAME_S):
                self._wake.recv()
            with self._lock:
                self._drain_all()
                self._screen.draw(self.state)

    def _drain_all(self) -> None:
        """Take what the rows have reported."""
        for reader, name in list(self._readers.items()):
            try:
                while reader.poll():
                    self._take(name, reader.recv())
            except (EOFError, OSError):  # its process has ended
                del self._readers[reader]
                reader.close()

    def _take(self, name: str, content: Report | str) -> None:
        if isinstance(content, str):
            self._screen.message(content)
        elif name in self.state.lines:
            self.state.lines[name].report = content


def _screen(now: float) -> Screen:
    if sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        from pipelines.terminal.live import Terminal  # takes a tenth of a second, which a log need not wait for

        return Terminal()
    return Log(now)


_current: Display | None = None


@contextmanager
def showing(title: str) -> Iterator[Display]:
    """Show the work of a command within the block; within another one, go on with the display that is there."""
    global _current
    if _current is not None:
        yield _current
        return
    _current = Display(title)
    try:
        yield _current
    finally:
        shown, _current = _current, None
        shown.close()
        for result in shown.results:
            _print(result)


def conclude(result: str | Callable[[], object]) -> None:
    """Print a result on standard output, or have it printed by a function, when the present display has ended."""
    if _current is None:
        _print(result)
    else:
        _current.results.append(result)


def _print(result: str | Callable[[], object]) -> None:
    if callable(result):
        result()
    else:
        print(result, end="", flush=True)


def doing(what: str) -> None:
    """Say what the present command does, if there is a display."""
    if _current is not None:
        _current.doing(what)
