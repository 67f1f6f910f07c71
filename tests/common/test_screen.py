"""Tables for people to read, at the width that there is."""

import io
import re

import pytest
from rich.cells import cell_len

from pipelines.common import screen
from pipelines.common.screen import Align, Cell, Column, Emphasis, Screen, Table

ESCAPES = re.compile(r"\x1b\[([\d;]*)m")

COLUMNS = (
    Column("row"),
    Column("dataset", rank=1),
    Column("epochs", Align.RIGHT, rank=1),
    Column("smape_report", Align.DECIMAL),
    Column("training_time_s", Align.DECIMAL, rank=2),
    Column("note", rank=3),
)
LINES = (
    ("cnn-double-channel", "sample", "6", "12.5 ± 1.25", "1.5", "of a hundred words, or nearly so"),
    ("gru-2", "sample", "6", "0.25", "–", "none"),
)


def table(lines=LINES, columns=COLUMNS, **more) -> Table:
    return Table(columns, [[Cell(text) for text in line] for line in lines], **more)


def lines(width: int = screen.UNBOUNDED, **more) -> list[str]:
    return screen.draw([table(**more)], Screen(width)).splitlines()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_all_columns_are_shown_where_there_is_room():
    shown = lines()
    assert re.split(r"\s\s+", shown[0]) == [column.title for column in COLUMNS]
    assert len(shown) == 2 + len(LINES)


def test_figures_stand_below_each_other_by_their_decimal_points():
    figures = [line[shown.index("smape_report") - 5 :] for shown in [lines()[0]] for line in lines()[2:]]
    assert figures[0].index(".") == figures[1].index(".")
    spread = lines(columns=COLUMNS[:1] + COLUMNS[3:4], lines=[("a", "1.5 ± 10.25"), ("b", "100 ± 2.5"), ("c", "–")])[2:]
    assert spread == ["a      1.5 ± 10.25", "b    100   ±  2.5", "c      –"]


def test_a_text_among_figures_stands_to_their_right_end():
    shown = lines(columns=COLUMNS[:1] + COLUMNS[3:4], lines=[("a", "1.5 ± 10.25"), ("b", "running")])
    assert len(shown[2]) == len(shown[3])


def test_alike_columns_give_way_first_and_are_told():
    shown = lines(width=88)
    assert re.split(r"\s\s+", shown[0]) == ["row", "smape_report", "training_time_s", "note"]
    assert shown[-1] == "- All lines: dataset sample, epochs 6."


def test_an_alike_column_that_always_stays_does():
    shown = lines(width=70, lines=[("gru-2", *LINES[0][1:]), LINES[1]])
    assert shown[0].startswith("row")
    assert "row" not in shown[-1]


def test_the_highest_rank_gives_way_next_and_is_named():
    shown = lines(width=60, elsewhere="--columns")
    assert re.split(r"\s\s+", shown[0]) == ["row", "smape_report", "training_time_s"]
    assert shown[-1] == "- Not shown at this width: note. To see them: --columns."


def test_one_line_is_like_no_other():
    assert not any("All lines" in line for line in lines(width=60, lines=LINES[:1]))


def test_many_columns_left_out_are_counted():
    columns = [Column("row"), *(Column(f"metric{number}", rank=1) for number in range(20))]
    shown = lines(width=20, columns=columns, lines=[[str(each) for each in range(21)]])
    told = " ".join(line.strip() for line in shown[3:])
    assert re.search(r"metric1, .*metric12, 7 more\.", told), told


@pytest.mark.parametrize("width", range(12, 120, 7))
def test_no_line_is_wider_than_the_screen(width):
    marked = table([*LINES, ("模型模型模型模型-模型模型", "sample", "6", "1", "2", "x" * 90)], title="a title " * 9)
    best = [[Cell(cell.text, Emphasis.BEST) for cell in line] for line in marked.lines]
    whole = Table(marked.columns, best, marked.title, ["a note " * 30, "y" * 200])
    shown = screen.draw([whole], Screen(width)).splitlines()
    assert max(map(cell_len, shown)) <= width


def test_what_must_stay_wraps_after_parts_of_words():
    shown = lines(
        width=22, columns=COLUMNS[:1] + COLUMNS[3:4], lines=[("cnn-double-channel", "0.5"), ("gru-2", "12.25")]
    )
    assert [line.split() for line in shown] == [
        ["smape_"],
        ["row", "report"],
        ["─" * len(shown[2])],
        ["cnn-double-", "0.5"],
        ["channel"],
        [],
        ["gru-2", "12.25"],
    ]


def test_an_empty_line_stands_only_beside_a_line_that_wraps():
    rows = [("gru-2", "0.5"), ("gru-3", "1.5"), ("cnn-double-channel", "0.5"), ("gru-2", "12.25"), ("gru-3", "2.5")]
    shown = lines(width=22, columns=COLUMNS[:1] + COLUMNS[3:4], lines=rows)[3:]
    assert [line.split()[:1] for line in shown] == [
        *(["gru-2"], ["gru-3"], []),
        *(["cnn-double-"], ["channel"], []),
        *(["gru-2"], ["gru-3"]),
    ]


@pytest.mark.parametrize(
    ("text", "width", "expected"),
    [
        ("smape_report published", 9, ["smape_", "report", "published"]),
        ("smape_report published", 13, ["smape_report", "published"]),
        ("time/training_s", 10, ["time/", "training_s"]),
        ("loss.minus.gru-2", 8, ["loss.", "minus.", "gru-2"]),
        ("with --format markdown", 8, ["with", "--format", "markdown"]),
        ("abcdefgh", 3, ["abc", "def", "gh"]),
        ("0.2296 ± 0.0085", 8, ["0.2296 ±", "0.0085"]),
        ("gru-2 0.2296 ± 0.0085 (n=3)", 24, ["gru-2", "0.2296 ± 0.0085 (n=3)"]),
        ("", 5, [""]),
    ],
)
def test_text_wraps_between_words_and_their_parts(text, width, expected):
    assert screen.wrapped(text, width) == expected


def test_the_best_line_is_marked_without_styles_too():
    first, second = LINES
    best = Table(COLUMNS, [[Cell(text) for text in first], [Cell(text, Emphasis.BEST) for text in second]])
    shown = screen.draw([best], Screen()).splitlines()
    assert [line[:7] for line in shown[2:]] == ["  cnn-d", "* gru-2"]
    assert [line[:5] for line in lines()[2:]] == ["cnn-d", "gru-2"]


def styles(styled: bool, coloured: bool) -> set[str]:
    """Codes of the styles that a table with all emphases is drawn with."""
    emphasised = Table([Column("row")], [[Cell("a", emphasis)] for emphasis in Emphasis], notes=["a note"])
    return set(ESCAPES.findall(screen.draw([emphasised], Screen(80, styled, coloured))))


def test_styles_and_colours_are_as_the_screen_has_them():
    bold, dim, green, red, end = "1", "2", "32", "31", "0"
    assert styles(True, True) == {bold, dim, green, red, end}
    assert styles(True, False) == {bold, dim, end}
    assert styles(False, False) == set()


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"TERM": "xterm"}, (True, True)),
        ({"TERM": "xterm", "NO_COLOR": "1"}, (True, False)),
        ({"TERM": "dumb"}, (False, False)),
    ],
)
def test_a_terminal_is_coloured_unless_told_otherwise(monkeypatch, environment, expected):
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in ({"COLUMNS": "72"} | environment).items():
        monkeypatch.setenv(name, value)
    found = screen.screen(Terminal())
    assert (found.styled, found.coloured) == expected
    assert found.width == 72 or environment["TERM"] == "dumb"


def test_a_pipe_is_unbounded_and_plain_unless_told_otherwise(monkeypatch):
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "90")
    assert screen.screen(io.StringIO()) == Screen()
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    assert screen.screen(io.StringIO()).styled


def test_rules_are_ascii_where_the_encoding_lacks_lines(monkeypatch):
    assert set(lines()[1]) == {"─"}
    monkeypatch.setattr(screen.streams, "can_print", lambda text: text.isascii())
    assert set(lines()[1]) == {"-"}


def test_two_tables_stand_apart():
    assert screen.draw([table(), table()], Screen()).count("\n\n") == 1
