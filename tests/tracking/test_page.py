"""The page of an experiment: what a launch adds to it, and what it leaves as a user has made it."""

import json
import re
import shutil
from dataclasses import replace

import pytest
from mlflow import MlflowClient

from pipelines.common import views
from pipelines.common.views import Bars, View
from pipelines.tracking import page
from pipelines.tracking.record import Snapshot
from pipelines.tracking.run import Run

NOTE = "mlflow.note.content"
FIRST = View(
    name="recurrent on pjm",
    where="tags.entry = 'recurrent'",
    metric="smape_report",
    lowest=True,
    columns=("metrics.`smape_report`",),
    charts=(Bars("smape_report"),),
)
SECOND = replace(FIRST, name="ablation on sample", metric="test_accuracy", lowest=False)
EARLIER = "Neural networks compared honestly: each run is a row of the catalogue; its parent is one launch."


@pytest.fixture
def run(tmp_path, at, blank_database) -> Run:
    """A run of a new experiment."""
    shutil.copy(blank_database, tmp_path / "mlflow.db")
    at(tmp_path, f"sqlite:///{tmp_path}/mlflow.db")
    client = MlflowClient()
    made = Run(client.create_run(client.create_experiment("theirs")).info.run_id)
    made.record.read()
    return made


def tags_of(run: Run) -> dict[str, str]:
    return run.client.get_experiment(run.record.known().experiment).tags


def change(run: Run, tag: str, value: str) -> None:
    run.client.set_experiment_tag(run.record.known().experiment, tag, value)


def test_a_launch_adds_a_view_and_the_description(run):
    page.present(run, FIRST)
    tags = tags_of(run)
    assert [view.name for view in views.stored(tags)] == ["recurrent on pjm"]
    assert f"[recurrent on pjm](#/experiments/{run.record.known().experiment}/runs?" in tags[NOTE]
    # MLflow shows the first line as it stands while the description is folded.
    assert not set(tags[NOTE].splitlines()[0]) & set("*_`[]#|<>")


def test_the_description_links_to_every_view_that_is_there(run):
    page.present(run, FIRST)
    page.present(run, SECOND)
    tags = tags_of(run)
    linked = set(re.findall(r"viewStateShareKey=([^)&]+)", tags[NOTE]))
    assert {views.TAG + each for each in linked} == {tag for tag in tags if tag.startswith(views.TAG)}
    assert len(linked) == 2


def test_a_view_of_somebody_else_is_not_listed(run):
    change(run, views.TAG + "abc", json.dumps({"name": "mine alone", "createdAt": 1, "state": "{}"}))
    page.present(run, FIRST)
    assert "mine alone" not in tags_of(run)[NOTE]


def test_nothing_is_written_where_nothing_changed(run, monkeypatch):
    page.present(run, FIRST)
    written = []
    monkeypatch.setattr(run.client, "set_experiment_tag", lambda *tag: written.append(tag))
    page.present(run, FIRST)
    assert written == []


def test_a_view_follows_the_code_and_keeps_its_date(run):
    page.present(run, FIRST)
    (before,) = views.stored(tags_of(run))
    page.present(run, replace(FIRST, metric="smape"))
    (after,) = views.stored(tags_of(run))
    assert (before.created, before.ours, after.ours) == (after.created, True, True)
    assert after.state["orderByKey"] == "metrics.`smape`"


def test_a_view_that_a_user_changed_stays(run):
    page.present(run, FIRST)
    tag = views.TAG + FIRST.id
    there = json.loads(tags_of(run)[tag])
    # As the interface overrides a saved view.
    theirs = json.dumps({name: there[name] for name in ("name", "createdAt", "updatedAt", "state")})
    change(run, tag, theirs)
    page.present(run, replace(FIRST, metric="smape"))
    assert tags_of(run)[tag] == theirs


@pytest.mark.parametrize("written", ["My own words.", "", "{ours} And mine.", "{ours}\n\nAnd mine.", "Mine. {ours}"])
def test_a_description_that_a_user_wrote_stays(run, written):
    page.present(run, FIRST)
    written = written.format(ours=tags_of(run)[NOTE])
    change(run, NOTE, written)
    page.present(run, SECOND)
    assert tags_of(run)[NOTE] == written


def test_the_description_of_an_earlier_version_gives_way(run):
    change(run, NOTE, EARLIER)
    page.present(run, FIRST)
    assert "recurrent on pjm" in tags_of(run)[NOTE]


def test_a_server_that_refuses_the_tag_does_not_stop_a_launch(run):
    page.present(run, replace(FIRST, columns=tuple(f"params.`{number}`" for number in range(9000))))
    assert views.stored(tags_of(run)) == []


def test_a_server_that_is_away_does_not_stop_a_launch(tmp_path, at, closed_port):
    at(tmp_path, f"http://127.0.0.1:{closed_port}")
    run = Run("0" * 32)
    run.record.snapshot = Snapshot("RUNNING", "1", {}, {}, {})
    page.present(run, FIRST)
    assert run.delivery.is_away
