"""The page of the matrix of faults names the tests that hold its rows, and says truly how they ended."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from faults.matrix import MATRIX
from support.place import ROOT

TESTS = ROOT / "tests"
PAGE = ROOT / "docs" / "reliability.md"
MARKED = """
import pytest

@pytest.mark.fault(1)
@pytest.mark.parametrize("case", [1, 2])
def test_held(case): pass

@pytest.mark.fault(2)
def test_held_too(): pass

@pytest.mark.fault(2)
def test_broken(): assert False

@pytest.mark.fault(3)
@pytest.mark.parametrize("case", [1, 2])
def test_half(case):
    if case == 2: pytest.skip("there is | no GPU")

@pytest.mark.fault(4)
@pytest.mark.xfail(reason="known")
def test_known(): assert False

@pytest.mark.fault(5, 6)
def test_two_rows(): pass

@pytest.mark.fault(7)
@pytest.mark.slow
def test_not_selected(): pass

@pytest.fixture
def absent(): raise OSError

@pytest.mark.fault(8)
def test_set_up(absent): pass
"""
RESULTS = {
    1: "held",
    2: "**failed**: test_broken",
    3: "not run here: test_half (there is \\| no GPU)",
    4: "**failed**: test_known",
    5: "held",
    6: "held",
    7: "not run here: test_not_selected (not selected)",
    8: "**failed**: test_set_up",
    9: "**no test**",
}


@pytest.fixture
def session(tmp_path):
    """A function that runs pytest with the plugin on a file of tests: the finished process."""
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = [slow, fault]\n")
    (tmp_path / "docs").mkdir()

    def run(tests: str, *arguments: str):
        (tmp_path / "test_marked.py").write_text(tests)
        command = [sys.executable, "-m", "pytest", "-q", "-p", "support.reliability", "--reliability=docs/page.md"]
        return subprocess.run(
            [*command, *arguments],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(TESTS)},
            capture_output=True,
            text=True,
        )

    return run


def rows(page: Path) -> dict[int, list[str]]:
    """Situation, right, result and holders by the number of the row."""
    lines = [line for line in page.read_text().splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line[2:-2].split(" | ")] for line in lines[1:]]
    return {int(number): rest for number, *rest in cells}


@pytest.mark.medium
def test_the_committed_page_names_the_tests_there_are():
    """By collecting them. Where this fails: `make reliability`, and commit the page."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "fault", "--collect-only"]
    ended = subprocess.run([*command, f"--reliability={PAGE}"], cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_every_row_of_the_committed_page_has_a_test_and_is_held():
    results = {number: rest[2] for number, rest in rows(PAGE).items()}
    assert results == dict.fromkeys(results, "held")


def test_the_matrix_has_40_rows_in_order():
    assert [fault.number for fault in MATRIX] == list(range(1, 41))


@pytest.mark.medium
def test_the_page_says_how_the_tests_ended(session, tmp_path):
    assert session(MARKED, "-m", "not slow").returncode == pytest.ExitCode.TESTS_FAILED
    written = rows(tmp_path / "docs" / "page.md")
    assert [(number, rest[0], rest[1]) for number, rest in written.items()] == [
        (fault.number, fault.situation, fault.right) for fault in MATRIX
    ]
    assert {number: written[number][2] for number in RESULTS} == RESULTS
    assert written[2][3] == "[broken](../test_marked.py)<br>[held too](../test_marked.py)"
    assert written[5][3] == written[6][3] == "[two rows](../test_marked.py)"


@pytest.mark.medium
def test_the_page_is_the_same_whenever_the_tests_end_the_same(session, tmp_path):
    session(MARKED)
    first = (tmp_path / "docs" / "page.md").read_bytes()
    session(MARKED)
    assert (tmp_path / "docs" / "page.md").read_bytes() == first


@pytest.mark.medium
def test_a_session_that_was_broken_off_leaves_the_page(session, tmp_path):
    (tmp_path / "docs" / "page.md").write_text("as it was")
    assert session(MARKED + "\ndef test_stop(): pytest.exit('stopped')\n").returncode == pytest.ExitCode.INTERRUPTED
    assert (tmp_path / "docs" / "page.md").read_text() == "as it was"


@pytest.mark.parametrize("number", ["", "41", "'1'"])
@pytest.mark.medium
def test_a_marker_names_a_row(session, number):
    ended = session(f"import pytest\n@pytest.mark.fault({number})\ndef test_it(): pass")
    assert ended.returncode == pytest.ExitCode.USAGE_ERROR
    assert "test_marked.py::test_it" in ended.stderr


@pytest.mark.medium
def test_a_page_is_checked_without_running_anything(session, tmp_path):
    page = tmp_path / "docs" / "page.md"
    session(MARKED)
    written = page.read_text()
    assert session(MARKED, "--collect-only").returncode == 0
    for change, complaint in (
        (lambda text: text.replace("[held]", "[gone]"), "row 1 names 'gone' in ../test_marked.py"),
        (lambda text: text.replace("[held]", "[gone]"), "row 1 lacks 'held' in ../test_marked.py"),
        (lambda text: text.replace("../test_marked", "../test_moved", 1), "row 1 lacks 'held' in ../test_marked.py"),
        (lambda text: text.replace(MATRIX[10].right, "All is well."), "row 11 is worded otherwise"),
        (lambda text: "\n".join(line for line in text.splitlines() if "| 40 |" not in line), "row 40 is missing"),
        (lambda text: text + "| 41 | x | y | held | |\n", "row 41 is not in the matrix"),
    ):
        page.write_text(change(written))
        ended = session(MARKED, "--collect-only")
        assert ended.returncode == pytest.ExitCode.TESTS_FAILED
        assert complaint in ended.stdout
        assert page.read_text() == change(written)
