"""The page, drawn without a terminal."""

import dataclasses
import shlex

import pytest
from rich.cells import cell_len

from analysis.watch.page import Outage, command_lines, draw, duration
from analysis.watch.snapshot import ENDED, FAILED, RUNS, STALE, WAITS, Launch, Line, Snapshot, Trials
from analysis.watch.symbols import ASCII, UNICODE

NOW = 1_780_000_000.0
COMMAND = "python -m pipelines recurrent --dataset sample --models gru-2,lstm-2,rnn-2 --hidden 16 --seeds 2 --jobs 2"
ROWS = (
    Line("gru-2-seed0", ENDED, 60, 60, "smape_report", 0.62265, heard=NOW - 30, took_s=118),
    Line("gru-2-seed1", RUNS, 24, 60, "smape_curve", 8.652, (30.0, 22.0, 8.652), left_s=73, heard=NOW - 2),
    Line("lstm-2-seed0", RUNS, 60, 60, "smape_curve", 3.658, (30.0, 3.7, 3.658), heard=NOW - 21),
    Line(
        "lstm-2-seed1", FAILED, 3, 60, "smape_curve", 31.0, took_s=12, note="DivergedError: train_loss is nan at step 4"
    ),
    Line("rnn-2-seed0", RUNS, None, 60, heard=NOW - 4),
    Line("rnn-2-seed1", WAITS),
)
UNDER_WAY = Launch("a" * 32, "recurrent on sample", RUNS, "vm", NOW - 135, command=COMMAND, lines=ROWS)
GONE = Launch(
    "b" * 32,
    "ablation on cifar10",
    STALE,
    "vm",
    NOW - 90_000,
    command="python -m pipelines ablation",
    lines=(Line("cnn-seed0", STALE, 2, 10, "test_accuracy", 51.2, heard=NOW - 80_000),),
    note="process 4711 of vm is gone",
    remedies=("python -m analysis sweep", f"python -m pipelines ablation --resume {'b' * 32}"),
)
STUDY = Launch(
    "c" * 32,
    "tune recurrent-sample",
    RUNS,
    "vm",
    NOW - 300,
    command="python -m pipelines tune",
    lines=(Line("trial-7", RUNS, 1, 5, "val_smape", 9.0, (9.0,), 40, NOW - 1),),
    trials=Trials(6, 1, 1, 0, 20, "val_smape", 2.5, "trial-3"),
)
LATELY = Launch("d" * 32, "resnet on sample", ENDED, "vm", NOW - 200, NOW - 61, result="resnet20, test_accuracy 91.2")
PAGE = Snapshot((UNDER_WAY, STUDY, GONE), (LATELY,))


def drawn(snapshot=PAGE, width=80, height=None, **kwargs) -> list[str]:
    return [line.plain for line in draw(snapshot, NOW, width, height, **kwargs)]


def line_of(lines: list[str], name: str) -> list[str]:
    """The words of the line that begins with `name`."""
    (found,) = [line.split() for line in lines if line.split()[:1] == [name]]
    return found


@pytest.mark.parametrize("width", [80, 120, 200])
def test_each_row_is_a_line_with_its_state_and_progress(width):
    lines = drawn(width=width)
    assert line_of(lines, "gru-2-seed0") == [
        "gru-2-seed0",
        "finished",
        "60/60",
        "smape_report",
        "0.6227",
        "in",
        "1m58s",
    ]
    spark = ["█▅▁"]
    assert line_of(lines, "gru-2-seed1") == [
        "gru-2-seed1",
        "running",
        "24/60",
        "smape_curve",
        "8.652",
        *spark,
        "1m13s",
        "2s",
    ]
    assert line_of(lines, "lstm-2-seed0")[-2:] == ["ending", "21s"]
    assert line_of(lines, "rnn-2-seed0") == ["rnn-2-seed0", "running", "0/60", "–", "4s"]
    assert line_of(lines, "rnn-2-seed1") == ["rnn-2-seed1", "waiting"]
    assert "    DivergedError: train_loss is nan at step 4" in lines
    assert any("1 of 6 finished" in line for line in lines)


@pytest.mark.parametrize("width", [30, 60, 80, 120, 200])
def test_no_line_but_a_word_of_a_command_is_wider_than_the_page(width):
    for line in drawn(width=width):
        assert cell_len(line) <= width or len(line.split()) <= 2, line


@pytest.mark.parametrize("width", [40, 80, 120, 200])
def test_commands_can_be_copied_whole(width):
    text = "\n".join(drawn(width=width)).replace(" \\\n", " ")
    for command in (COMMAND, *GONE.remedies):
        assert shlex.split(command) == next(
            shlex.split(line) for line in text.splitlines() if shlex.split(command) == line.split()
        )


def test_a_study_shows_its_trials_and_the_best():
    assert "  trials: 6 done, 1 running, 1 pruned, of 20; best val_smape 2.5 (trial-3)" in drawn()


def test_what_ended_stays_with_its_result():
    lines = drawn()
    place = lines.index("ended lately")
    assert lines[place + 1 :] == [
        "  resnet on sample finished · 1m01s ago, after 2m19s",
        "    resnet20, test_accuracy 91.2",
    ]


@pytest.mark.parametrize("height", range(2, 40))
def test_a_page_is_never_higher_than_its_terminal(height):
    lines = drawn(height=height)
    assert len(lines) <= height
    assert lines == drawn() or len(lines) > height - 6
    # A command is there whole or not at all.
    known = [shlex.split(each) for each in (COMMAND, GONE.command, STUDY.command, *GONE.remedies)]
    text = "\n".join(lines).replace(" \\\n", " ")
    assert all(line.split() in known for line in text.splitlines() if line.strip().startswith("python "))


def test_few_lines_are_given_to_what_runs():
    lines = drawn(height=12)
    for name in ("gru-2-seed1", "lstm-2-seed0", "rnn-2-seed0", "trial-7"):
        line_of(lines, name)
    assert "  … and 2 more (1 finished, 1 waiting)" in lines
    assert lines[-1] == "… and 1 more launches" or any("ablation on cifar10" in line for line in lines)


def test_many_stale_launches_do_not_hide_the_one_that_runs():
    stale = tuple(dataclasses.replace(GONE, run_id=f"{number:032x}") for number in range(200))
    lines = drawn(Snapshot((UNDER_WAY, *stale)), height=20)
    for row in ROWS:
        if row.state == RUNS:
            line_of(lines, row.name)
    assert lines[-1].startswith("… and ")


def test_an_idle_page_says_how_to_start():
    lines = drawn(Snapshot((), (LATELY,)))
    assert "Nothing is running. To start something:" in lines
    assert any(line.strip().startswith("python -m pipelines recurrent") for line in lines)
    assert any("resnet on sample finished" in line for line in lines)
    assert any("Nothing was ever logged there." in line for line in drawn(Snapshot(empty=True)))


def test_an_outage_is_a_line_above_what_is_known():
    lines = drawn(outage=Outage(NOW - 34, "Connection refused"))
    assert lines[1].startswith("no answer since ")
    assert lines[1].endswith("(34s): Connection refused")
    line_of(lines, "gru-2-seed1")


def test_without_unicode_the_page_is_ascii():
    assert "".join(drawn(symbols=ASCII)).isascii()
    assert not "".join(drawn(symbols=UNICODE)).isascii()


def test_a_long_name_gives_way_to_the_seed():
    line = dataclasses.replace(ROWS[1], name="gru-2 hidden=64 lr=0.0003 batch_size=8 seed1")
    snapshot = Snapshot((dataclasses.replace(UNDER_WAY, lines=(line,)),))
    assert any(text.startswith("  gru-2 hidden…seed1 running ") for text in drawn(snapshot))
    assert any(f"  {line.name} running " in text for text in drawn(snapshot, 120))


def test_on_a_narrow_page_the_value_stays_and_its_name_goes():
    (line,) = [line.split() for line in drawn(width=60) if "24/60" in line]
    assert line[1:4] == ["running", "24/60", "8.652"]


def test_what_others_call_a_run_cannot_move_the_cursor():
    line = dataclasses.replace(ROWS[1], name="a\x1b[2J\nb")
    text = "".join(drawn(Snapshot((dataclasses.replace(UNDER_WAY, title="x\x1b[0m", lines=(line,)),))))
    assert "\x1b" not in text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (59.4, "59s"), (60, "1m00s"), (185, "3m05s"), (3600, "1h00m"), (90_000, "1d01h"), (-3, "0s")],
)
def test_a_duration_is_short(seconds, text):
    assert duration(seconds) == text


def test_a_command_is_folded_at_its_words():
    assert command_lines("a bb ccc", 8, 2) == ["  a bb \\", "    ccc"]
    assert command_lines("a bb ccc", 80, 2) == ["  a bb ccc"]
