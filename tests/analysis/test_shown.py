"""Formats by where a text goes: a terminal, a pipe or a file."""

import io
import json
import os
import re
import shlex
import sys

import pytest
from support.commands import invoke

from analysis.__main__ import cli

ESCAPE = "\x1b["


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.fixture
def typed(monkeypatch, rows_store):
    """A function that runs a command in a terminal of 80 columns: what it shows."""
    monkeypatch.setenv("TERM", "xterm")
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "MLFLOW_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "80")

    def run(*arguments: object) -> str:
        with monkeypatch.context() as patched:
            patched.setattr(sys, "stdout", screen := Terminal())
            cli.main([str(argument) for argument in arguments], standalone_mode=False)
            return screen.getvalue()

    return run


PJM = ("compare", "--entry", "recurrent", "--where", "tags.dataset = 'pjm'")


def plain(text: str) -> list[str]:
    return re.sub(r"\x1b\[[\d;]*m", "", text).splitlines()


def without_steps(lines: list[str]) -> list[str]:
    """The lines before the commands that lead on, which are not broken, so that they can be copied."""
    return [line for line in lines if not line.startswith("next  ")]


def test_a_terminal_gets_a_ranked_table_of_its_width(typed):
    text = typed(*PJM)
    lines = plain(text)
    assert ESCAPE in text
    assert max(map(len, without_steps(lines))) <= 80
    start = next(number for number, line in enumerate(lines) if line.startswith("──")) + 1
    assert [line[2:].split()[0] for line in lines[start : start + 8]] == [
        *("linear-ar-hourly", "gru-2", "lstm-2", "gru-2", "rnn-2", "rnn-3", "my-own", "persistence")
    ]
    assert lines[start].startswith("* ")


def test_colours_can_be_had_off(typed, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    codes = set(re.findall(r"\x1b\[([\d;]*)m", typed(*PJM)))
    assert codes == {"0", "1", "2"}
    monkeypatch.setenv("TERM", "dumb")
    assert ESCAPE not in typed(*PJM)


def test_a_pipe_gets_markdown_in_the_order_of_the_catalogue(rows_store):
    text = invoke(*PJM)
    assert text == invoke(*PJM, "--format", "markdown")
    assert [line.split()[1] for line in text.splitlines() if line.startswith("| gru")] == ["gru-2", "gru-2"]
    assert text.index("| lstm-2") < text.index("| persistence") < text.index("| linear-ar-hourly")


@pytest.mark.parametrize(
    ("name", "begins"),
    [
        ("a.md", "| row"),
        ("a.txt", "| row"),
        ("a.csv", "entry,row"),
        ("a.json", "["),
        ("a.tex", "% needs"),
        ("a.html", "<!doctype html>"),
    ],
)
def test_a_file_has_the_format_of_its_ending(typed, tmp_path, name, begins):
    typed(*PJM, "--output", tmp_path / name)
    assert (tmp_path / name).read_text(encoding="utf-8").strip().lower().startswith(begins.lower())


def test_a_file_has_the_requested_format_without_escapes(typed, tmp_path):
    typed(*PJM, "--output", tmp_path / "a.csv", "--format", "terminal")
    text = (tmp_path / "a.csv").read_text(encoding="utf-8")
    assert "* linear-ar-hourly" in text
    assert ESCAPE not in text


def test_verdicts_in_a_terminal_are_words_in_colour(typed):
    text = typed("claims")
    assert max(map(len, without_steps(plain(text)))) <= 80
    assert {"supported", "not supported", "not tested"} == set(
        re.findall(r"^(supported|not supported|not tested)  ", "\n".join(plain(text)), re.M)
    )
    green, red, dim = (
        f"\x1b[{code}m{word}" for code, word in ((32, "supported"), (31, "not supported"), (2, "not tested"))
    )
    assert all(each in text for each in (green, red, dim))


def test_verdicts_are_the_same_in_every_format(typed):
    listed = json.loads(invoke("claims", "--format", "json"))
    markdown = invoke("claims")
    shown = plain(typed("claims"))
    for verdict in ("supported", "not supported", "not tested"):
        count = sum(each["ours"] == verdict for each in listed)
        assert count
        assert len([line for line in shown if line.startswith(f"{verdict}  ")]) == count
    assert {each["report"] for each in listed} == {"supported", "not supported", "not tested", None}
    assert all(each["evidence"].split(";")[0].split(" (")[0] in markdown for each in listed)


def test_verdicts_on_other_data_say_nothing_of_the_report(typed):
    listed = json.loads(invoke("claims", "--dataset", "sample", "--format", "json"))
    assert {each["report"] for each in listed} == {None}
    text = " ".join(plain(typed("claims", "--dataset", "sample")))
    assert "as published" not in text
    assert "says nothing of that report" in text


def test_runs_stand_side_by_side_in_a_terminal(typed, rows_store):
    ids = [line.split(",")[0] for line in invoke("export", "--where", "tags.seed = '1'").splitlines()[1:]]
    text = typed("diff", *ids[:2])
    lines = plain(text)
    assert max(map(len, without_steps(lines))) <= 80
    assert all(each[:8] in lines[0] for each in ids[:2])
    assert re.search(r"\x1b\[3[12]m +[+-]", text)
    assert lines[-2].startswith("- Alike: ")
    assert lines[-1].startswith("next  python -m analysis compare --entry recurrent")


def test_a_run_beside_itself_has_no_table(typed, rows_store):
    run = invoke("export", "--limit", "1").splitlines()[1].split(",")[0]
    lines = plain(typed("diff", run, run))
    assert [line[:8] for line in lines[1:]] == ["- Alike:", "next  py"]


def steps(text: str) -> list[str]:
    """The commands that lead on, which are the last lines."""
    lines = plain(text)
    first = next(number for number, line in enumerate(lines) if line.startswith("next  "))
    assert all(line.startswith("next  ") for line in lines[first:])
    return [line.removeprefix("next  ") for line in lines[first:]]


def test_a_terminal_gets_the_next_step_and_a_pipe_does_not(typed, tmp_path):
    (step,) = steps(typed(*PJM))
    words = shlex.split(step)
    assert words[:3] == ["python", "-m", "analysis"]
    assert words[3:] == [*PJM, "--baseline", "lstm-2"]
    assert steps(typed(*words[3:])) == ["python -m analysis report"]
    for command in (PJM, ("claims",), ("runs",), ("export",), ("sweep",)):
        assert "next  " not in invoke(*command)
    for form in ("markdown", "json"):
        assert "next  " not in typed(*PJM, "--format", form)
    assert "next  " not in typed(*PJM, "--output", tmp_path / "a.md")


def test_the_steps_that_are_given_can_be_taken(typed, tmp_path):
    for first in (("runs", "--limit", 2), ("export", "--output", tmp_path / "a.csv"), ("sweep",)):
        for step in steps(typed(*first)):
            words = shlex.split(step)
            assert words[:3] == ["python", "-m", "analysis"]
            if words[3] != "watch":
                typed(*words[3:])
    assert (tmp_path / "a-curves.csv").is_file()


def test_claims_that_are_not_tested_name_what_makes_their_rows(typed):
    made, shows = steps(typed("claims", "--dataset", "sample"))
    assert shows.startswith("python -m analysis claims --entry recurrent --dataset pjm")
    words = shlex.split(made)
    assert words[:5] == ["python", "-m", "pipelines", "recurrent", "--models"]
    rows = words[5].split(",")
    assert {
        "gru-3",
        "lstm-2",
        "lstm-3",
        "rnn-2",
        "rnn-3",
        "linear-ar-hourly",
        "gradient-boosting",
        "gru-relative",
    } == set(rows)
    assert words[6:8] == ["--dataset", "sample"]
    (made,) = steps(typed("claims"))
    assert "--models gru-3,lstm-3,gru-relative,gradient-boosting --dataset pjm " in made


def test_claims_have_their_sources_below(typed):
    text = typed("claims")
    assert "[1] forecasting report, 1.4.2" in text
    assert "source" not in next(line for line in plain(text) if "claim" in line)


def test_a_narrow_list_of_runs_still_says_how_each_ended(typed, monkeypatch):
    monkeypatch.setenv("COLUMNS", "66")
    lines = plain(typed("runs"))
    assert max(map(len, without_steps(lines))) <= 66
    assert lines[1].split() == ["name", "id", "status", "set", "main", "metric"]
    ended = {line.split()[0]: line.split()[2] for line in lines if line.startswith("gru-2-seed")}
    assert (ended["gru-2-seed2"], ended["gru-2-seed3"], ended["gru-2-seed4"]) == ("FINISHED", "FAILED", "RUNNING")
    assert any(line.startswith("- Not shown at this width: entry, took.") for line in lines)


def test_a_status_is_shown_on_a_terminal_and_nothing_in_a_pipe(typed, monkeypatch):
    for stream, moves in ((Terminal(), True), (io.StringIO(), False)):
        with monkeypatch.context() as patched:
            patched.setattr(sys, "stderr", stream)
            typed("runs")
        assert ("reading the tracking server" in stream.getvalue()) == moves
    assert "reading" not in typed("runs")


def test_a_command_that_another_one_has_started_names_no_next_one(typed, monkeypatch):
    assert [line for line in plain(typed(*PJM)) if line.startswith("next  ")]
    monkeypatch.setenv("STARTED_BY_PROCESS", str(os.getppid()))
    assert not [line for line in plain(typed(*PJM)) if line.startswith("next  ")]
