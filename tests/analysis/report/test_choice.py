"""The report on a choice of runs: what it covers, what it says that it leaves out, and which choices it refuses."""

import re
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner
from support.reported import reporting
from support.stores import START

from analysis.__main__ import cli
from pipelines import names


@pytest.fixture(scope="module")
def store(tmp_path_factory, blank_database):
    """Ten runs, one a second: five of recurrent on pjm, one on the sample, and four of three other entries."""
    with reporting(tmp_path_factory.mktemp("chosen"), blank_database) as made:
        for seed in range(5):
            made.row("recurrent", "gru-2", seed, {names.SMAPE_REPORT: 0.2 + seed / 100})
        made.row("recurrent", "gru-3", 0, {names.SMAPE_REPORT: 0.3}, dataset="sample")
        for seed in range(2):
            made.row("ablation", "cnn", seed, {names.TEST_ACCURACY: 60.0}, dataset="sample", training="autograd")
        made.row("resnet", "resnet20", 0, {names.TEST_ACCURACY: 61.0}, dataset="sample", training="none")
        made.row("mine", "own", 0, {names.TEST_ACCURACY: 61.0}, dataset="sample")
        yield made


@pytest.fixture
def report(store, tmp_path):
    """A function that makes a report with some options: its sections by title, without logging it."""

    def made(*options):
        result = CliRunner().invoke(cli, ["report", "--output", str(tmp_path), "--log", "false", *options])
        assert result.exit_code == 0, result.output
        return {part.splitlines()[0]: part for part in (tmp_path / "report.md").read_text().split("\n## ")}

    return made


def left_out(parts):
    return [each.strip() for each in parts["What this page leaves out"].split("\n\n")[1:] if each.strip()]


def counted(parts):
    """How many runs a page is about, and how many it says that it leaves out."""
    about = re.search(r"^(\d+) finished runs", parts["# Neural networks compared honestly"], re.MULTILINE)[1]
    return int(about), sum(int(re.match(r"(\d+) runs? ", sentence)[1]) for sentence in left_out(parts))


def since(seconds):
    return datetime.fromtimestamp(START / 1000 + seconds, UTC).isoformat()


def test_entries(report):
    parts = report("--entries", "ablation,resnet")
    assert list(parts)[1:3] == ["CNNs and MLPs: 8×8 digits (sample)", "ResNets: 8×8 digits (sample)"]
    assert counted(parts) == (3, 7)
    assert left_out(parts) == ["7 runs of other entries, mine, recurrent: --entries ablation,resnet."]
    assert "gru" not in "".join(parts.values()).split("Where the course reports err")[0]
    assert "No finished runs" not in "".join(report("--entries", "resnet").values()).split("Studies of")[0]


def test_a_choice_that_no_run_meets_is_one_line(store, tmp_path):
    for options in (("--entries", "pretrain"), ("--entries", "resnet", "--dataset", "pjm"), ("--since", "2100-01-01")):
        result = CliRunner().invoke(cli, ["report", "--output", str(tmp_path / "out"), *options])
        assert result.exit_code == 1
        assert result.stderr == "error: no finished run meets entries, dataset and since together: widen these\n"
        assert not (tmp_path / "out").exists()


def test_dataset(report):
    parts = report("--dataset", "pjm")
    assert [title for title in parts if "8×8" in title or "England" in title] == []
    assert "No finished runs" not in "".join(parts.values()).split("Studies of")[0]
    assert counted(parts) == (5, 5)
    assert left_out(parts) == ["5 runs on other data, sample: --dataset pjm."]


def test_since(report):
    # The first three of gru-2 began before.
    parts = report("--since", since(2.5))
    assert counted(parts) == (7, 3 + 1)
    assert left_out(parts)[0].startswith("3 runs that began earlier: --since ")
    assert "mine" in left_out(parts)[1]
    assert "| gru-2 | 0.2350 ± 0.0071 | 0.239 | 2 |" in parts["# Neural networks compared honestly"]


def test_each_run_is_counted_once(report):
    parts = report("--entries", "recurrent", "--dataset", "pjm", "--since", since(2.5))
    assert counted(parts) == (2, 8)
    assert [sentence.split(" run")[0] for sentence in left_out(parts)] == ["4", "1", "3"]


def test_flaws_are_those_of_the_reports_on_the_chosen_entries(report):
    told = report("--entries", "ablation")["Where the course reports err, and what that changes"]
    assert {line.split(":")[0] for line in told.splitlines() if line.startswith("- ")} == {"- CNN report", "- both"}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (
            ("--entries", "recurent"),
            "entries: unknown 'recurent'; did you mean recurrent? Known are recurrent, ablation, resnet, pretrain",
        ),
        (("--entries", "recurrent,mine"), "entries: unknown 'mine'"),
        (("--dataset", "cifar10"), "dataset: no finished run is on 'cifar10'; known are pjm, sample"),
        (("--dataset", "{0}"), "dataset: no finished run is on '{0}'"),
        (("--since", "yesterday"), "since: 'yesterday' is not an ISO date"),
    ],
)
def test_unknown_names_are_refused_before_anything_is_written(store, tmp_path, options, told):
    every = [each.experiment_id for each in store.client.search_experiments()]
    before = len(store.client.search_runs(every))
    result = CliRunner().invoke(cli, ["report", "--output", str(tmp_path / "out"), *options])
    assert result.exit_code == 2
    (line,) = result.stderr.strip().splitlines()
    assert told in line
    assert not (tmp_path / "out").exists()
    assert len(store.client.search_runs(every)) == before


def test_a_logged_report_has_the_command_that_makes_it(store, tmp_path):
    options = ["--entries", "recurrent,ablation", "--dataset", "sample", "--since", "2020-01-01"]
    result = CliRunner().invoke(cli, ["report", *options, "--output", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    every = [each.experiment_id for each in store.client.search_experiments()]
    (run,) = (run for run in store.client.search_runs(every) if run.data.tags["entry"] == "report")
    assert run.data.tags["command"] == f"python -m analysis report {' '.join(options)} --output {tmp_path / 'out'}"
