"""Launches that run only what has not finished before: which earlier runs count, and what the launch shows."""

import shutil
import subprocess
from dataclasses import replace

import pandas as pd
import pytest
from support.commands import invoke
from support.launches import complaint

from pipelines.experiments.ablation.rows import resolve_classifier
from pipelines.experiments.base import changed
from pipelines.launching.jobs import Job, job, nested
from pipelines.launching.needed import earlier
from pipelines.processes import identity
from pipelines.tracking import provenance
from pipelines.tracking.run import FINISHED, KILLED, Run

DIGEST = "d" * 16
WANTED = job(resolve_classifier("mlp-2", "sample", "autograd", 1, 1.0), {})


@pytest.fixture
def launched(place, at) -> Run:
    at(place.folder, place.uri)
    return Run.launch("ablation sample", {"entry": "ablation"})


def made(launch: Run, wanted: Job = WANTED, status: str = FINISHED, entry: str = "ablation", **tags: str) -> Run:
    """A run of an earlier launch."""
    run = nested(launch, entry, wanted)
    run.set_tags({"data_digest": DIGEST, **tags})
    run.end(status)
    return run


def found(wanted: Job = WANTED) -> list[str]:
    """Ids of the runs that stand for the wanted one."""
    return [run.id for run in earlier("ablation", [wanted], DIGEST).finished.values()]


def with_settings(**values) -> Job:
    return replace(WANTED, settings=changed(WANTED.settings, **values))


def test_the_newest_finished_run_with_the_same_settings_counts(launched):
    made(launched)
    newest = made(launched)
    made(launched, with_settings(seed=0))
    assert found() == [newest.id]


@pytest.mark.parametrize("values", [{"seed": 2}, {"lr": 0.002}, {"hidden": (120, 50)}, {"device": "cuda"}])
def test_a_run_with_other_settings_does_not_count(launched, values):
    made(launched, with_settings(**values))
    assert not found()


@pytest.mark.parametrize(
    "others",
    [
        {"status": KILLED},
        {"status": "FAILED"},
        {"status": "RUNNING"},
        {"data_digest": "e" * 16},
        {"code_digest": "1" * 16},
        {"resumed_code_digest": "1" * 16},
        {"entry": "pretrain"},
    ],
)
def test_a_run_of_other_code_or_data_or_one_that_has_not_finished_does_not_count(launched, others):
    made(launched, **others)
    assert not found()


def test_one_that_was_continued_with_this_code_counts(launched):
    assert [made(launched, resumed_code_digest=provenance.digest()).id] == found()


def test_a_deleted_run_does_not_count(place, launched):
    place.client.delete_run(made(launched).id)
    assert not found()


def test_the_number_of_the_gpu_does_not_matter(launched):
    run = made(launched, with_settings(device="cuda:1"))
    assert found(with_settings(device="cuda:0")) == [run.id]


def test_launches_that_were_stopped_in_the_middle_are_named_unless_the_run_was_made_since(launched):
    made(launched, status=KILLED, checkpoint="{}")
    assert earlier("ablation", [WANTED], DIGEST).stopped == [launched.id]
    made(launched)
    assert not earlier("ablation", [WANTED], DIGEST).stopped


def test_so_is_one_whose_process_is_gone_but_none_that_is_at_work(launched):
    run = made(launched, status="RUNNING", checkpoint="{}", **identity.own().tags)
    assert not earlier("ablation", [WANTED], DIGEST).stopped
    run.set_tags({"pid": gone_process(), "process_ticks": "1"})
    assert earlier("ablation", [WANTED], DIGEST).stopped == [launched.id]


def gone_process() -> int:
    with subprocess.Popen(["true"]) as process:
        process.wait()
    return process.pid


# Whole launches.

LAUNCH = ("recurrent", "--dataset", "sample", "--needed", "true", "--models")


def shown(place) -> set[str]:
    """The rows in the table that a launch has printed."""
    lines = place.stdout.split("─\n")[1].split("\n\n")[0].splitlines()
    return {line.strip("* ").split()[0] for line in lines}


@pytest.mark.medium
def test_what_has_finished_joins_the_results_of_a_launch_and_is_counted_once(place):
    both = {"persistence", "same-hour-yesterday"}
    for models in ("persistence", ",".join(both), ",".join(both)):
        assert place.invoke(*LAUNCH, models) == 0, place.stderr
        assert shown(place) == set(models.split(","))
    assert "2 of 2 runs have finished before, nothing is left to run: " in place.stderr
    found = place.client.search_runs(["1"], order_by=["start_time ASC"])
    launches = [run for run in found if "row" not in run.data.tags]
    made = {run.data.tags["row"]: run for run in found if "row" in run.data.tags}
    assert len(found) == len(launches) + len(made) == 3 + 2
    assert [run.data.tags["reused"] for run in launches] == ["0", "1", "2"]
    for launch, rows in zip(launches[1:], [{"persistence"}, both], strict=True):
        reused = pd.read_csv(place.artifact(launch, "tables/reused.csv"))
        assert dict(zip(reused["name"], reused["run_id"], strict=True)) == {row: made[row].info.run_id for row in rows}
        assert set(pd.read_csv(place.artifact(launch, "tables/comparison.csv"))["row"]) == set(made)
        assert launch.info.status == "FINISHED"


@pytest.mark.medium
def test_a_table_of_all_launches_counts_a_reused_run_once(place, monkeypatch):
    for _ in range(2):
        assert place.invoke(*LAUNCH, "persistence") == 0, place.stderr
    monkeypatch.setenv("MLFLOW_TRACKING_URI", place.uri)
    (line,) = [line for line in invoke("compare", "--entry", "recurrent").splitlines() if "persistence" in line]
    assert "| 1 |" in line


@pytest.mark.medium
def test_a_run_whose_artifacts_were_deleted_joins_the_table_but_no_figure(place):
    assert place.invoke(*LAUNCH, "persistence") == 0, place.stderr
    shutil.rmtree(f"{place.runs()['persistence'].info.artifact_uri.removeprefix('file://')}/tables")
    assert place.invoke(*LAUNCH, "persistence,same-hour-yesterday") == 0, place.stderr
    assert "without figures of all rows: run " in place.stderr
    assert shown(place) == {"persistence", "same-hour-yesterday"}


@pytest.mark.medium
def test_a_launch_with_nothing_to_run_is_not_resumed(place):
    for _ in range(2):
        assert place.invoke(*LAUNCH, "persistence") == 0, place.stderr
    newest = place.client.search_runs(["1"], "tags.reused = '1'")[0]
    assert place.invoke("recurrent", "--resume", newest.info.run_id) == 2
    assert "nothing is left to do" in complaint(place)
