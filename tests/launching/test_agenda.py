"""The jobs of a launch whose seeds are added: what each row gets, and how such a launch is continued."""

import json
import re
import signal
from pathlib import Path

import pandas as pd
import pytest
from scipy import stats
from support.launches import statuses

from pipelines.errors import AwayError, Interrupted
from pipelines.experiments.recurrent.experiment import EXPERIMENT
from pipelines.experiments.recurrent.rows import resolve
from pipelines.launching.agenda import Agenda
from pipelines.launching.jobs import Job, job, nested
from pipelines.tracking.run import FAILED, FINISHED, Run

ROWS = ("gru-2", "lstm-2", "rnn-2")


def planned(row: str, seed: int) -> Job:
    settings = resolve(row, "sample", "dense", seed, 1.0, hidden=8)
    return job(settings, {} if row == "persistence" else {"hidden": 8})


@pytest.fixture
def parent(place, at) -> Run:
    at(place.folder, place.uri)
    return Run.launch("recurrent sample", {"entry": "recurrent", "width": "0.5"})


def ended(parent: Run, each: Job, value: float | None) -> None:
    """Have a job finish with this value of the main metric, or fail."""
    run = nested(parent, "recurrent", each)
    if value is not None:
        run.log_metrics({EXPERIMENT.main: value})
    run.end(FAILED if value is None else FINISHED)


def test_each_row_gets_seeds_until_it_is_known_well_enough(place, parent):
    """The interval of 1.0, 1.1, 1.2 is 0.497 wide, that of 1, 2, 3 is 4.97 wide; a baseline has one seed for good."""
    agenda = Agenda(EXPERIMENT, parent, "data")
    jobs = agenda.add([planned(row, seed) for row in ROWS for seed in range(3)] + [planned("persistence", 0)])
    values = {"gru-2": [1.0, 1.1, 1.2], "lstm-2": [1.0, 2.0, 3.0], "rnn-2": [1.0, 2.0, None], "persistence": [4.0]}
    for each in jobs:
        ended(parent, each, values[each.settings.row][each.settings.seed])
    further = agenda.grow()
    assert [each.name for each in further] == ["lstm-2 hidden=8 seed3"]
    assert further[0].settings == resolve("lstm-2", "sample", "dense", 3, 1.0, hidden=8)
    written = Path(place.client.download_artifacts(parent.id, "plan.json")).read_text()
    assert [each["name"] for each in json.loads(written)] == [each.name for each in (*jobs, *further)]


def test_what_an_earlier_launch_has_finished_counts_and_the_next_seed_is_found(parent, monkeypatch):
    """Three seeds of a width of 4.97, then four of 4.11: 2 * 3.182 * 1.291 / sqrt(4)."""
    earlier = Run.launch("an earlier launch", {"entry": "recurrent"})
    for seed, value in enumerate([1.0, 2.0, 3.0, 4.0]):
        run = nested(earlier, "recurrent", planned("gru-2", seed))
        run.set_tags({"data_digest": "d" * 16})
        run.log_metrics({EXPERIMENT.main: value})
        run.end(FINISHED)
    agenda = Agenda(EXPERIMENT, parent, "data", "d" * 16)
    assert agenda.add([planned("gru-2", seed) for seed in range(3)]) == []
    assert [each.settings.seed for each in agenda.grow()] == [4, 5]
    assert parent.tags["reused"] == "4"


def test_without_the_tracking_server_no_seeds_are_added(parent, monkeypatch, capsys):
    def away(launch, order):
        raise AwayError("the tracking server is away")

    agenda = Agenda(EXPERIMENT, parent, "data")
    for each in agenda.add([planned("gru-2", seed) for seed in range(3)]):
        ended(parent, each, float(each.settings.seed))
    monkeypatch.setattr("pipelines.launching.agenda.finished_rows", away)
    assert agenda.grow() == []
    assert "no seeds are added; --needed true" in capsys.readouterr().err


# Whole launches, which end with four seeds, as no interval is as narrow as they are given.

LAUNCH = ("ablation", "--dataset", "sample", "--variants", "mlp-2", "--epochs", "1", "--fraction", "0.1")
SEEDS = {f"mlp-2-seed{seed}" for seed in range(4)}
PARENT = "ablation sample"


@pytest.fixture
def four(monkeypatch) -> None:
    monkeypatch.setattr("pipelines.launching.intervals.MOST", 4)


def require_four(place) -> None:
    assert statuses(place) == dict.fromkeys([PARENT, *SEEDS], "FINISHED")
    parent = place.runs()[PARENT]
    assert len(json.loads(place.artifact(parent, "plan.json").read_text())) == 4
    (line,) = pd.read_csv(place.artifact(parent, "tables/intervals.csv")).to_dict("records")
    assert (line["row"], line["seeds"], line["narrow_enough"]) == ("mlp-2", 4, False)
    values = pd.read_csv(place.artifact(parent, "tables/comparison.csv"))["test_accuracy"]
    low, high = stats.t.interval(0.95, 3, loc=values.mean(), scale=values.std() / 2)
    assert (line["low_95"], line["high_95"]) == pytest.approx((low, high))
    assert re.search(r"mlp-2 +\S+ ± \S+ +4 +\S+ ", place.stdout)
    assert "the 95 % interval is not narrower than 1e-06: mlp-2" in place.stdout


@pytest.mark.slow
def test_a_launch_that_was_stopped_between_two_rounds_goes_on_adding_seeds(place, four, settled, monkeypatch):
    def stopped(agenda):
        raise Interrupted(signal.SIGTERM)

    with monkeypatch.context() as patched:
        patched.setattr(Agenda, "grow", stopped)
        assert place.invoke(*LAUNCH, "--seeds", "auto", "--width", "1e-6") == 143
    assert statuses(place) == {PARENT: "KILLED"} | dict.fromkeys(SEEDS - {"mlp-2-seed3"}, "FINISHED")
    run_id = place.runs()[PARENT].info.run_id
    assert place.invoke("ablation", "--resume", run_id) == 0, place.stderr
    assert "mlp-2: 3 seeds, 95 % interval " in place.stderr
    require_four(place)
    assert place.invoke("ablation", "--resume", run_id) == 2


@pytest.mark.slow
def test_a_launch_that_was_stopped_in_an_added_seed_goes_on_with_it(place, four, settled, monkeypatch):
    assert place.invoke(*LAUNCH, "--seeds", "auto", "--width", "1e-6") == 0
    require_four(place)
    place.client.set_terminated(place.runs()[PARENT].info.run_id, "KILLED")
    place.client.set_terminated(place.runs()["mlp-2-seed3"].info.run_id, "KILLED")
    assert place.invoke("ablation", "--resume", place.runs()[PARENT].info.run_id) == 0, place.stderr
    require_four(place)
