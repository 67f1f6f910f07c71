"""docs/rows.md does what it says: its files are written, and its commands run in their order."""

import re
import shlex
import shutil

import pytest
from support.place import ROOT, Place

PAGE = (ROOT / "docs" / "rows.md").read_text("utf-8")
FILES = dict(re.findall(r"^\*\*`([\w.]+)`\*\*:\n\n```\w+\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def done(tmp_path_factory, blank_database):
    """The folder of a new user who has followed the page, and what each command printed."""
    place = Place(tmp_path_factory.mktemp("rows"))
    shutil.copy(blank_database, place.database)
    for name, text in FILES.items():
        (place.folder / name).write_text(text)
    try:
        asked = [(place, *_words(command)) for command in COMMANDS]
        yield place, dict(zip(COMMANDS, (out for out, _ in place.launch_in_turn(asked)), strict=True))
    finally:
        place.end()


def _words(command: str) -> tuple[str, list[str]]:
    program, *words = shlex.split(command)
    assert program == "nnreg"
    return "nnreg", words


def lines(text: str) -> dict[str, dict[str, str]]:
    """The lines of the last markdown table of a text by their row, each by the header's cells."""
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("| ")
    ]
    start = max(number for number, row in enumerate(rows) if row[0] == "row")
    header, _, *others = rows[start:]
    return {row[0]: dict(zip(header, row, strict=True)) for row in others}


def test_all_that_the_page_launches_ends_well(done):
    place, _ = done
    found = place.client.search_runs(["1"], max_results=100)
    assert {run.info.status for run in found} == {"FINISHED"}
    rows = {run.data.tags["row"] for run in found if "row" in run.data.tags}
    assert rows == {"wide-mlp", "mlp-2", "narrow", "cnn", "small", "past-width8", "past-width16", "linear-ar-hourly"}


def test_a_new_user_gets_from_a_class_to_a_test_of_significance(done):
    _, printed = done
    (compared,) = (text for command, text in printed.items() if command.endswith("--baseline cnn"))
    table = lines(compared)
    assert table["small"]["n"] == table["cnn"]["n"] == "3"
    assert re.fullmatch(r"<?0?\.\d+|1(\.0+)?|0", table["small"]["p"])
    assert table["small"]["test"] == "paired t"
    assert float(table["small"]["test_accuracy"].split()[0]) > float(table["cnn"]["test_accuracy"].split()[0])


def test_a_forecaster_stands_beside_the_baseline(done):
    _, printed = done
    (compared,) = (text for command, text in printed.items() if command.endswith("--baseline linear-ar-hourly"))
    assert {"past-width8", "past-width16", "linear-ar-hourly", "narrow"} <= lines(compared).keys()


def test_a_dry_run_names_the_rows_of_the_grid(done):
    _, printed = done
    (told,) = (text for command, text in printed.items() if "grid.toml" in command)
    named = re.findall(r"`(steps-[\w.-]+)`", PAGE)
    assert len(named) == 4
    assert all(re.search(rf"^{name} ", told, re.MULTILINE) for name in named)


def test_rows_are_listed(done):
    _, printed = done
    alone, with_own = (text for command, text in printed.items() if command.startswith("nnreg rows"))
    assert "wide-mlp" in with_own
    assert "wide-mlp" not in alone
