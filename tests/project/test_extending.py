"""docs/extending.md does what it says: its code is put into a copy of the project, and its commands run there."""

import csv
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import pytest
import yaml
from support.place import ROOT, Place

PAGE = ROOT / "docs" / "extending.md"
CODE = re.compile(
    r"^\*\*`(?P<path>[^`]+)`\*\*, (?P<where>[^\n]+):\n\n```python\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL
)
EMPTY = re.compile(r"^\*\*`([^`]+)`\*\*, a new file, is empty\.$", re.MULTILINE)
PLACE = re.compile(r"(below|in place of) the line `([^`]+)`")


@dataclass(frozen=True)
class Extended:
    """A copy of the project with all that the page adds, and what each command printed."""

    place: Place
    printed: dict[str, str]


def copy_of_the_project(folder: Path) -> None:
    """Copy the files that git knows or would take, and nothing that it ignores."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)


def apply(text: str, folder: Path) -> None:
    """Put every block of code of the page into its file."""
    for name in EMPTY.findall(text):
        (folder / name).parent.mkdir()
        (folder / name).touch()
    for block in CODE.finditer(text):
        file, where, code = folder / block["path"], block["where"], block["code"]
        if where == "a new file":
            assert not file.exists(), file
            file.write_text(code)
        elif where == "at the end":
            file.write_text(f"{file.read_text()}\n\n{code}")
        else:
            way, line = PLACE.fullmatch(where).groups()
            lines = file.read_text().splitlines(keepends=True)
            (number,) = (number for number, each in enumerate(lines) if each.strip() == line)
            lines[number : number + 1] = [code] if way == "in place of" else [lines[number], code]
            file.write_text("".join(lines))


def commands(text: str) -> list[str]:
    """The commands of the page, each once, in its order."""
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    return list(dict.fromkeys(line for block in blocks for line in block.splitlines()))


def module_of(command: str) -> tuple[str, list[str]]:
    """The module that a command of the page runs, and its arguments."""
    match shlex.split(command):
        case ["python", "-m", module, *arguments]:
            return module, arguments
        case ["python", script]:
            return script.removesuffix(".py"), []
    raise ValueError(f"what does this run? {command}")


def run_alone(place: Place, command: str) -> str:
    """Run a command of the page in the copy, as a process of its own: what it printed."""
    match shlex.split(command):
        case ["make", target]:
            makefile = (place.folder / "Makefile").read_text()
            ((line, output),) = re.findall(rf"^{target}:.*\n\t(.*) > (\w+)$", makefile, re.MULTILINE)
            (place.folder / output).write_text(run_alone(place, line))
            return ""
    module, arguments = module_of(command)
    assert place.launch(*arguments, module=module) == 0, f"{command}\n{place.stdout}{place.stderr}"
    return place.stdout


def run(place: Place, asked: list[str]) -> dict[str, str]:
    """Run commands of the page in the copy, in their order, those of the project in one process: what each printed."""
    printed = {}
    for alone, group in groupby(asked, key=lambda command: command.startswith(("make", "python -m pytest"))):
        found = list(group)
        if alone:
            printed |= {command: run_alone(place, command) for command in found}
        else:
            texts = place.launch_in_turn([(place, *module_of(command)) for command in found])
            printed |= {command: out for command, (out, _) in zip(found, texts, strict=True)}
    return printed


@pytest.fixture(scope="module")
def extended(tmp_path_factory, blank_database) -> Iterator[Extended]:
    folder = tmp_path_factory.mktemp("extended")
    text = PAGE.read_text()
    copy_of_the_project(folder)
    apply(text, folder)
    place = Place(folder, PYTHONPATH=str(folder))
    shutil.copy(blank_database, place.database)
    try:
        yield Extended(place, run(place, commands(text)))
    finally:
        place.end()


def table(extended: Extended, entry: str, *options: str) -> list[dict[str, str]]:
    """Lines of a comparison that one of the page's commands printed, each by the header's cells."""
    (printed,) = (
        printed
        for command, printed in extended.printed.items()
        if f"compare --entry {entry}" in command and all(option in command for option in options)
    )
    lines = [re.split(r"\s*\|\s*", line.strip("| ")) for line in printed.splitlines() if line.startswith("|")]
    header, _, *rows = lines
    return [dict(zip(header, row, strict=True)) for row in rows]


def files(extended: Extended, run_name: str, folder: str) -> set[str]:
    run = extended.place.runs()[run_name]
    return {Path(each.path).name for each in extended.place.client.list_artifacts(run.info.run_id, folder)}


pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def test_all_that_the_page_launches_ends_well(extended):
    runs = extended.place.runs()
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    rows = {"cnn-seed0", "cnn-elu-seed0", "mlp-2-seed0", "convmixer-2-seed0", "convmixer-4-seed0"}
    assert runs.keys() == rows | {"ablation sample", "ablation shapes", "convmixer sample"}


def test_a_row_is_compared(extended):
    assert [line["row"] for line in table(extended, "ablation", "macro_f1")] == ["cnn", "cnn-elu"]
    assert extended.place.runs()["cnn-elu-seed0"].data.params["activation"] == "ELU"


def test_a_metric_is_logged_and_is_a_column(extended):
    place = extended.place
    run = place.runs()["cnn-seed0"]
    header, *lines = csv.reader(place.artifact(run, "tables/confusion.csv").read_text().splitlines())
    counts = [[int(cell) for cell in cells] for _, *cells in lines]
    scores = []
    for number in range(len(header) - 1):
        hits, predicted = counts[number][number], sum(row[number] for row in counts)
        precision, recall = hits / max(predicted, 1), hits / sum(counts[number])
        scores.append(2 * precision * recall / (precision + recall) if hits else 0)
    expected = 100 * sum(scores) / len(scores)
    assert 0 < expected < 100
    assert run.data.metrics["macro_f1"] == pytest.approx(expected)
    shown = {line["row"]: line["macro_f1"] for line in table(extended, "ablation", "macro_f1")}
    assert float(shown["cnn"]) == pytest.approx(expected, abs=0.01)


def test_a_figure_is_logged_beside_its_data(extended):
    assert "per_class.png" in files(extended, "cnn-seed0", "figures")
    assert "per_class.csv" in files(extended, "cnn-seed0", "tables")


def test_a_data_set_is_prepared_and_trained_on(extended):
    place = extended.place
    assert (place.folder / "data" / "shapes" / "meta.json").is_file()
    run = place.runs()["mlp-2-seed0"]
    assert run.data.tags["dataset"] == "shapes"
    assert run.data.tags["verified"] == "true"
    assert {name for name in run.data.metrics if name.startswith("class/")} >= {
        "class/test_accuracy.square",
        "class/test_accuracy.disc",
        "class/test_accuracy.cross",
    }
    assert "-3, ReLU" in run.data.tags["mlflow.note.content"]


def test_an_experiment_has_its_command_its_entry_point_and_its_table(extended):
    entry = yaml.safe_load((extended.place.folder / "MLproject").read_text())["entry_points"]["convmixer"]
    assert entry["parameters"]["models"] == {"type": "string", "default": "all"}
    assert "--models {models}" in entry["command"]
    lines = table(extended, "convmixer")
    assert [line["row"] for line in lines] == ["convmixer-2", "convmixer-4"]
    # Better than chance, which is 10 %.
    assert all(float(line["test_accuracy"]) > 20 for line in lines)
    launch = extended.place.runs()["convmixer sample"]
    assert re.search(r"\| convmixer-2 \| \d.*\| convmixer-4 \| \d", launch.data.tags["mlflow.note.content"], re.DOTALL)


def test_what_was_recorded_changes_by_what_was_added_alone(extended):
    """The command that records anew ran the import rules too."""
    (told,) = (printed for command, printed in extended.printed.items() if "--rewrite-golden" in command)
    assert re.search(r"\d+ passed", told)
    before, after = (
        (folder / "tests" / "golden" / "rows.json").read_text().splitlines() for folder in (ROOT, extended.place.folder)
    )
    assert set(before) <= set(after)
    assert any("cnn-elu" in line for line in after)


def test_the_code_of_the_page_is_as_lint_wants_it(extended):
    for arguments in (("check", "."), ("format", "--check", ".")):
        code = extended.place.launch(*arguments, module="ruff")
        assert code == 0, extended.place.stdout + extended.place.stderr
