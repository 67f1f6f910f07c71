"""docs/again.md does what it says: its commands and its Python, one after the other, on the embedded sample."""

import json
import re
import shlex
import shutil
from collections.abc import Iterator

import pytest
from support.place import ROOT, Place

TEXT = (ROOT / "docs" / "again.md").read_text()
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL) for line in block.splitlines()]
(SCRIPT,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


@pytest.fixture(scope="module")
def printed(tmp_path_factory, blank_database) -> Iterator[tuple[Place, list[str]]]:
    """Where the commands ran, then the script, and what each of them printed."""
    place = Place(tmp_path_factory.mktemp("again"))
    shutil.copy(blank_database, place.database)
    (place.folder / "script.py").write_text(SCRIPT)
    asked = [(place, program, arguments) for program, *arguments in map(shlex.split, COMMANDS)]
    try:
        texts = [out + err for out, err in place.launch_in_turn(asked)]
        assert place.launch(module="script") == 0, place.stderr
        yield place, [*texts, place.stdout + place.stderr]
    finally:
        place.end()


def launches(place: Place) -> list:
    found = place.client.search_runs(["1"], order_by=["start_time ASC"])
    return [run for run in found if "row" not in run.data.tags]


@pytest.mark.slow
def test_only_what_is_needed_is_trained(printed):
    place, (_, needed, *_) = printed
    assert "2 of 3 runs have finished before, 1 to run: mlp-2-seed0 (" in needed
    launch = launches(place)[1]
    plan = json.loads(place.artifact(launch, "plan.json").read_text())
    assert ["run" in job for job in plan] == [
        *(True, True),
        False,
    ]


@pytest.mark.slow
def test_seeds_are_added_and_the_same_from_python_trains_nothing(printed):
    place, (_, _, added, _, script) = printed
    assert re.search(r"mlp-2: \d+ seeds, 95 % interval \S+ wide, narrower than 3", added)
    assert "mlp-2: 3 seeds, " in script
    assert ": starting" not in script
    first, again = (launches(place)[number] for number in (2, 4))
    plans = [json.loads(place.artifact(launch, "plan.json").read_text()) for launch in (first, again)]
    assert [job["name"] for job in plans[0]] == [job["name"] for job in plans[1]]
    assert all("run" in job for job in plans[1])


@pytest.mark.slow
def test_a_run_is_reproduced_to_the_bit(printed):
    place, (_, _, _, reproduced, _) = printed
    assert "verdict   identical, judged to the bit" in reproduced
    assert launches(place)[3].data.tags["reproduction"] == "identical"
