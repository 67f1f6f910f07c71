"""A plugin of pytest: writes, or checks, the page that says which tests hold the rows of the matrix of faults.

    pytest -m fault --reliability=docs/reliability.md                  runs them and writes the page
    pytest -m fault --collect-only --reliability=docs/reliability.md   runs nothing: does the page name these tests?

A page says the same whenever its tests end the same: no dates, no durations.
"""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from faults.matrix import MATRIX

HEADER = """# Reliability

What can go wrong around a run, what is right then, and the tests that hold it. `make reliability` runs these tests and
writes this page; nobody edits it by hand. A row is held if all of its tests ran here and passed.

| | situation | what is right | result | held by |
|---|---|---|---|---|
"""


@dataclass
class Holder:
    """A test function that holds rows: its file from the root, its name, and how its cases ended."""

    file: str
    name: str
    rows: set[int] = field(default_factory=set)
    cases: set[str] = field(default_factory=set)
    passed: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    reasons: set[str] = field(default_factory=set)

    @property
    def words(self) -> str:
        """Its name in words, which break between two lines of a narrow cell."""
        return self.name.removeprefix("test_").replace("_", " ")

    @property
    def unrun(self) -> bool:
        return self.passed | self.failed != self.cases


def collect(items: list[pytest.Item], root: Path) -> dict[tuple[str, str], Holder]:
    """The marked test functions among `items`, in the order of files and names; markers name rows that exist."""
    known = {fault.number for fault in MATRIX}
    holders: dict[tuple[str, str], Holder] = {}
    for item in items:
        for mark in item.iter_markers("fault"):
            if not mark.args or not set(mark.args) <= known:
                raise pytest.UsageError(f"{item.nodeid}: fault takes numbers of rows of the matrix, got {mark.args}")
            file, name = item.path.relative_to(root).as_posix(), item.originalname
            holder = holders.setdefault((file, name), Holder(file, name))
            holder.rows.update(mark.args)
            holder.cases.add(item.nodeid)
    return dict(sorted(holders.items()))


def result(holders: list[Holder]) -> str:
    """Says held, or which tests failed, or which were not run here, with the reasons."""
    if failed := [holder.name for holder in holders if holder.failed]:
        return f"**failed**: {', '.join(failed)}"
    if unrun := [holder for holder in holders if holder.unrun]:
        reasons = sorted({reason for holder in unrun for reason in holder.reasons} or {"not selected"})
        return f"not run here: {', '.join(holder.name for holder in unrun)} ({'; '.join(reasons)})"
    return "held" if holders else "**no test**"


def cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def page(holders: dict[tuple[str, str], Holder], root: Path, folder: Path) -> str:
    """The page as markdown; its links lead from `folder` to the files under `root`."""
    lines = []
    for fault in MATRIX:
        mine = [holder for holder in holders.values() if fault.number in holder.rows]
        links = "<br>".join(f"[{each.words}]({os.path.relpath(root / each.file, folder)})" for each in mine)
        lines.append(
            f"| {fault.number} | {cell(fault.situation)} | {cell(fault.right)} | {cell(result(mine))} | {links} |"
        )
    return HEADER + "\n".join(lines) + "\n"


def described(page: str) -> dict[int, str]:
    """The rows of a page by their number, without their results."""
    rows = re.findall(r"^\| (\d+) \|(.*) \|[^|]* \|([^|]*) \|$", page.replace("\\|", "¦"), re.MULTILINE)
    return {int(number): worded + links for number, worded, links in rows}


def differences(written: str, expected: str) -> list[str]:
    """Differences between a page and the expected one in rows and tests, a line each; results are ignored."""
    rows, due = described(written), described(expected)
    found = []
    for number in sorted(rows.keys() | due.keys()):
        if number not in rows:
            found.append(f"row {number} is missing")
        elif number not in due:
            found.append(f"row {number} is not in the matrix")
        elif rows[number] != due[number]:
            here, there = (set(re.findall(r"\[([\w ]+)\]\((.*?)\)", text)) for text in (rows[number], due[number]))
            found += [
                f"row {number} names '{name}' in {file}, which does not hold it" for name, file in sorted(here - there)
            ]
            found += [f"row {number} lacks '{name}' in {file}" for name, file in sorted(there - here)]
            found += [f"row {number} is worded otherwise in the matrix"] if here == there else []
    return found


class Reliability:
    """Follows the marked tests through a session, and writes or checks the page at its end."""

    def __init__(self, path: Path, root: Path, check: bool):
        self.path, self.root, self.check = path, root, check
        self.holders: dict[tuple[str, str], Holder] = {}
        self.wrong: list[str] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items):
        """Collects the tests before any is deselected, so that the page lists all of them."""
        self.holders = collect(items, self.root)

    def pytest_runtest_logreport(self, report):
        for holder in self.holders.values():
            if report.nodeid not in holder.cases:
                continue
            if report.failed or hasattr(report, "wasxfail"):
                holder.failed.add(report.nodeid)
            elif report.skipped:
                holder.reasons.add(report.longrepr[2].removeprefix("Skipped: "))
            elif report.when == "call":
                holder.passed.add(report.nodeid)

    def pytest_sessionfinish(self, session, exitstatus):
        if exitstatus not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            return
        expected = page(self.holders, self.root, self.path.parent)
        if not self.check:
            self.path.write_text(expected)
            return
        self.wrong = differences(self.path.read_text() if self.path.exists() else "", expected)
        if self.wrong:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter):
        for line in self.wrong:
            terminalreporter.write_line(f"{self.path}: {line}", red=True)


def pytest_addoption(parser):
    parser.addoption(
        "--reliability",
        type=Path,
        metavar="PAGE",
        help="write the page of the matrix of faults (or check it: --collect-only)",
    )


def pytest_configure(config):
    if path := config.getoption("--reliability"):
        config.pluginmanager.register(Reliability(path.absolute(), config.rootpath, config.getoption("--collect-only")))
