import io
import re
import sys
import time

import pytest
from rich.console import Console

from pipelines.processes.reports import Report
from pipelines.terminal import display
from pipelines.terminal.clock import span
from pipelines.terminal.display import Display, Line, State, conclude, described, doing, showing
from pipelines.terminal.live import Terminal, drawn


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *((-1, "0.0 s"), (0.04, "0.0 s"), (9.94, "9.9 s"), (9.96, "10 s"), (99.4, "99 s"), (100, "1:40 min")),
        *((3599.4, "59:59 min"), (3600, "1:00 h"), (7505, "2:05 h"), (360000, "100:00 h")),
    ],
)
def test_time_spans(seconds, text):
    assert span(seconds) == text


def test_a_report_in_words():
    report = Report("training", epoch=3, epochs=6, share=0.5, loss=0.01234567, rate=120.04, left_s=12.3)
    assert described(report) == "training, epoch 3/6, loss 0.01235, 120.0 updates/s, about 12 s of training left"
    assert described(Report("exporting", 6, 6)) == "exporting, epoch 6/6"
    assert described(Report("loading data")) == "loading data"
    assert described(Report("training", left_s=0.0)) == "training, about 0.0 s of training left"


class Screen:
    """Notes what is shown."""

    def __init__(self):
        self.messages, self.summaries, self.lines = [], [], []

    def draw(self, state):
        self.summaries.append(state.summary)
        self.lines.append({line.name: line.report for line in state.lines.values()})

    def message(self, text):
        self.messages.append(text)

    def close(self):
        self.messages.append("closed")

    def await_(self, seen):
        for _ in range(500):
            if seen(self):
                return
            time.sleep(0.01)
        raise AssertionError((self.messages, self.summaries[-3:], self.lines[-3:]))


@pytest.fixture
def screen(monkeypatch):
    screen = Screen()
    monkeypatch.setattr(display, "_screen", lambda now: screen)
    return screen


def test_what_a_row_reports_is_shown_until_it_ends(screen):
    shown = Display("recurrent")
    shown.expect("recurrent sample", 3)
    with shown.row("gru-2-seed0") as reports:
        training = Report("training", epoch=1, epochs=2, share=0.5)
        reports.progress(training, now=True)
        screen.await_(lambda screen: screen.lines and screen.lines[-1] == {"gru-2-seed0": training})
        assert shown.reached("gru-2-seed0") == training
        assert screen.summaries[-1] == "recurrent sample: 0 of 3 done, 1 running, 2 waiting"
        reports.message("a warning")
        reports.phase("exporting")
        shown.end("gru-2-seed0", "finished in 4 s")
    screen.await_(lambda screen: screen.lines[-1] == {})
    assert screen.summaries[-1] == "recurrent sample: 1 of 3 done, 2 waiting"
    shown.close()
    # What it said last is shown before its end.
    assert screen.messages == ["a warning", "gru-2-seed0: finished in 4 s", "closed"]


def test_a_row_whose_process_is_gone_is_shown_until_it_is_settled(screen):
    shown = Display("tune")
    with shown.row("worker 1") as reports:
        reports.phase("trial 0")
    screen.await_(lambda screen: screen.lines and screen.lines[-1] == {"worker 1": Report("trial 0")})
    # Its process is gone, and what it reached is known until it is settled.
    assert shown.reached("worker 1") == Report("trial 0")
    shown.end("worker 1")
    screen.await_(lambda screen: screen.lines[-1] == {})
    shown.close()


@pytest.fixture
def undrawn(monkeypatch):
    """Has the display's thread see nothing, as one that is late does."""
    monkeypatch.setattr(Display, "_show", lambda display: None)


def test_what_a_row_said_last_is_shown_before_its_end_however_late_the_display_is(screen, undrawn):
    shown = Display("recurrent")
    with shown.row("gru-2") as reports:
        reports.message("a warning")
        shown.end("gru-2", "stopped")
        assert screen.messages == ["a warning", "gru-2: stopped"]
    shown.close()


def test_a_launch_of_a_larger_one_counts_its_own_rows(screen):
    shown = Display("main")
    shown.expect("recurrent sample", 1)
    with shown.row("gru-2"):
        shown.end("gru-2")
    assert shown.state.summary == "recurrent sample: 1 of 1 done"
    shown.expect("ablation sample", 2)
    assert shown.state.summary == "ablation sample: 0 of 2 done, 2 waiting"
    shown.close()


def test_all_that_was_reported_is_shown_at_the_end(screen, undrawn):
    shown = Display("recurrent")
    with shown.row("gru-2") as reports:
        for number in range(50):
            reports.message(f"message {number}")
        shown.close()
    assert screen.messages == [*(f"message {number}" for number in range(50)), "closed"]


def test_displays_do_not_nest_and_results_come_last(screen, capsys):
    doing("nothing is shown")
    with showing("main") as outer:
        with showing("recurrent") as inner:
            assert inner is outer
            doing("reading the data")
            assert outer.state.summary == "main: reading the data"
            conclude("a result\n")
        assert (capsys.readouterr().out, screen.messages) == ("", [])
    assert (capsys.readouterr().out, screen.messages) == ("a result\n", ["closed"])
    conclude("another result\n")
    assert capsys.readouterr().out == "another result\n"


def test_results_are_printed_when_the_command_fails(screen, capsys):
    def fail():
        with showing("main"):
            conclude("a result\n")
            raise ValueError("failed")

    with pytest.raises(ValueError, match="failed"):
        fail()
    assert capsys.readouterr().out == "a result\n"
    assert display._current is None


def test_a_log_has_a_line_of_each_row_every_ten_seconds(monkeypatch, capsys):
    now = 100.0
    monkeypatch.setattr(display.time, "monotonic", lambda: now)
    log = display.Log(now)
    state = State("recurrent", now, doing="loading PyTorch and MLflow")
    log.draw(state)
    now = 109.9
    log.draw(state)
    assert capsys.readouterr().err == ""
    now = 110.0
    log.draw(state)
    log.draw(state)
    assert capsys.readouterr().err == "recurrent: loading PyTorch and MLflow (10 s)\n"
    state.lines = {name: Line(name, now, Report("evaluating")) for name in ("row 0", "row 1")}
    now = 120.1
    log.draw(state)
    assert capsys.readouterr().err == "row 0: evaluating\nrow 1: evaluating\n"


LINES = [
    Line("gru-2-seed0", 100.0, Report("training", 3, 6, 0.5, 0.0123, 120.0, 42.0)),
    Line("lstm-2 hidden=64 dropout=0.1 seed11", 100.0, Report("evaluating", 6, 6)),
    *(Line(f"mlp-2-seed{number}", 130.0) for number in range(30)),
]


@pytest.mark.parametrize("width", [40, 80, 120, 200])
def test_the_drawing_fits_the_terminal(width):
    state = State("recurrent sample", 50.0, rows=70, lines={line.name: line for line in LINES})
    console = Console(file=io.StringIO(), width=width, height=24, force_terminal=True, color_system=None)
    console.print(drawn(state, 142.0, width, 24))
    lines = console.file.getvalue().splitlines()
    assert len(lines) <= 24
    assert all(len(line) <= width for line in lines)
    assert re.match(r". 92 s  recurrent sample: 0 of 70", lines[0])
    assert "gru-2" in lines[1]
    assert lines[-1] == "  and 11 more"
    if width >= 80:
        assert re.search(r"gru-2-seed0 +training +3/6 .* loss 0.0123 .*42 s left", lines[1])
        assert re.search(r"evaluating +6/6 +42 s", lines[2])
    if width >= 120:
        assert "120.0/s" in lines[1]


def test_only_a_row_that_knows_what_is_left_has_a_bar():
    for line, bar in ((LINES[0], True), (LINES[1], False)):
        console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system="standard")
        console.print(drawn(State("recurrent", 50.0, lines={line.name: line}), 142.0, 80, 24))
        assert ("━" in console.file.getvalue()) == bar


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("term", "kind"), [("xterm-256color", Terminal), ("dumb", display.Log)])
def test_a_terminal_that_cannot_redraw_gets_plain_lines(monkeypatch, term, kind):
    monkeypatch.setattr(sys, "stderr", Tty())
    monkeypatch.setenv("TERM", term)
    screen = display._screen(0.0)
    screen.close()
    assert isinstance(screen, kind)


def test_a_file_gets_plain_lines(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert isinstance(display._screen(0.0), display.Log)
