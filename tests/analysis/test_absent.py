"""compare on studies, and what it says where there is nothing to compare: what there is, and a remedy that exists."""

import pandas as pd
import pytest
from click.testing import CliRunner
from support.tracked import Tracked, tracking

from analysis.__main__ import cli
from analysis.absent import unmet
from analysis.entries import tune
from analysis.entries.index import VIEWS
from pipelines.__main__ import cli as pipelines


@pytest.fixture(scope="module")
def server(tmp_path_factory, blank_database):
    """Launches of two studies with trials of each kind, one of main, rows that failed, and one of another entry."""
    store = Tracked(tmp_path_factory.mktemp("absent"), blank_database, "ours")

    def run(status, tags, params=None, **metrics):
        store.run("run", tags, params, metrics, status)

    for study, dataset in (("hours", "pjm"), ("digits", "sample")):
        common = {"entry": "tune", "study": study, "dataset": dataset}
        run("FINISHED", common)
        for number in (0, 1, 2, 10):
            settings = {"lr": 0.1 * (number + 1), "layers": 2, "study": study}
            run("FINISHED", common | {"trial": str(number)}, settings, objective=2.0 - number / 10)
    run("KILLED", {"entry": "tune", "study": "hours", "dataset": "pjm", "trial": "3", "pruned": "4"}, {"lr": 9})
    run("KILLED", {"entry": "tune", "study": "hours", "dataset": "pjm", "trial": "4"}, {"lr": 8})
    run("RUNNING", {"entry": "tune", "study": "hours", "dataset": "pjm", "trial": "5"}, {"lr": 7})
    run("FINISHED", {"entry": "tune", "study": "hours", "dataset": "pjm", "finalist": "10"}, {"lr": 6}, val_smape=1.0)
    run("FINISHED", {"entry": "main", "preset": "demo"})
    for status in ("FAILED", "FAILED", "RUNNING"):
        run(status, {"entry": "pretrain", "row": "resnet20", "dataset": "sample"})
    run("FINISHED", {"entry": "pretrain", "dataset": "sample"})
    run("FINISHED", {"entry": "mine", "row": "own", "dataset": "sample"}, metric=1.0)
    with tracking(store.uri):
        yield store.client


def compare(*arguments, expected=0):
    result = CliRunner().invoke(cli, ["compare", *arguments])
    assert result.exit_code == expected, result.output
    return result


def refused(*arguments, code):
    result = compare(*arguments, expected=code)
    assert result.stdout == ""
    (line,) = result.stderr.strip().splitlines()
    return line


def test_trials_are_a_table_for_each_study(server):
    text = compare("--entry", "tune").stdout
    digits, hours = text.split("## tune hours")
    assert digits.startswith("## tune digits")
    header, _, *lines = [line for line in hours.splitlines() if line.startswith("|")]
    assert [cell.strip() for cell in header.strip("|").split("|")][:4] == ["row", "lr", "pruned", "n"]
    rows = [line.split("|")[1].strip() for line in lines]
    # In the order of their numbers; what was stopped or runs still is no result.
    assert rows == ["trial-0", "trial-1", "trial-2", "trial-3", "trial-10"]
    assert "| trial-3 | 9 | 4 | 1 | – |" in hours
    assert "| trial-10 | 1.1 | – | 1 | 1.000 |" in hours


def test_trials_are_sorted_by_what_they_reached(server):
    text = compare("--entry", "tune", "--sort", "objective", "--limit", "1", "--where", "tags.study = 'hours'").stdout
    assert "trial-10" in text
    assert "trial-0" not in text


def test_a_misspelt_entry_is_refused_with_the_one_that_was_meant(server):
    line = refused("--entry", "recurent", code=2)
    assert refused("--entry", "recurent", "--since", "2999-01-01", code=2) == line
    assert "unknown entry 'recurent'; did you mean recurrent? Known are all, recurrent, " in line
    assert line.endswith("Entries on this server: main, mine, pretrain, tune")
    assert "python -m pipelines recurent" not in line


def test_an_entry_like_none_is_refused_with_those_there_are(server):
    line = refused("--entry", "zzz", code=2)
    assert "unknown entry 'zzz'; known are all, recurrent, ablation, resnet, pretrain, tune, main, mine." in line


def test_an_entry_of_a_user_has_its_table(server):
    assert "| own |" in compare("--entry", "mine").stdout


def test_what_there_is_of_an_entry_without_a_result_is_counted(server):
    line = refused("--entry", "pretrain", code=1)
    assert "no finished runs of pretrain" in line
    assert "(2 rows FAILED, 1 row RUNNING, 1 launch FINISHED)" in line
    assert line.endswith("make some with: python -m pipelines pretrain")


def test_a_launch_of_the_whole_chain_has_no_rows_of_its_own(server):
    line = refused("--entry", "main", code=1)
    assert "main has no rows of its own to compare (1 launch FINISHED): give --entry all, or one of recurrent" in line


def test_what_was_narrowed_is_to_be_widened(server):
    line = refused("--entry", "tune", "--since", "2999-01-01", code=1)
    assert "meet where and since: widen these; make some with: python -m pipelines tune" in line


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("tags.stdy = 'hours'", "none has the tag 'stdy'; did you mean study? There are dataset, entry, "),
        ("params.`layers` = 2 and metrics.objectiv < 1", "none has the metric 'objectiv'; did you mean objective? "),
        ("tags.study = 'hour'", "none has the tag study 'hour'; did you mean hours? There are digits, hours"),
        ("params.layers = 3", "none has the parameter layers '3'; there are 2"),
        ("tags.study = 'hours' and params.lr = '7'", "none has the parameter lr '7'; "),
        ("tags.study = 'hours' and metrics.objective > 99", "meet where and since: widen these"),
    ],
)
def test_what_a_condition_asks_for_that_no_run_has_is_named(server, where, said):
    line = refused("--entry", "tune", "--where", where, code=1)
    assert said in line
    assert ("make some" in line) == ("widen" in said)


def test_at_most_twelve_values_are_listed():
    runs = pd.DataFrame({"params.x": list(map(str, range(14)))})
    said = unmet("params.x = other", runs)
    assert said == "none has the parameter x 'other'; there are 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 2 more"


def test_every_entry_that_advice_names_is_a_command():
    assert {*VIEWS, tune.NAME} <= set(pipelines.commands)
