"""Data sets of a run as MLflow keeps them."""

import json

import pytest
from mlflow import MlflowClient

from pipelines.commands import replay
from pipelines.commands.options import ReplayOptions
from pipelines.common.origins import Origin
from pipelines.tracking import outbox, spool
from pipelines.tracking.artifacts import log_dataset
from pipelines.tracking.run import Run
from pipelines.tracking.spool import Owner, Spool

DATA = "ab" * 32
HERE, THERE = Origin("/here", {"a.csv": "1" * 64}), Origin("https://example.org/a.zip", {"a.csv": "1" * 64})


def logged(run):
    """Source, its type, and profile of each data set of a run."""
    inputs = MlflowClient().get_run(run.id).inputs.dataset_inputs
    found = [each.dataset for each in inputs]
    return [(each.name, json.loads(each.source), each.source_type, json.loads(each.profile)) for each in found]


def require_own_origins():
    """Two runs that read the same data from different places each tell their own."""
    shape = [10, 3]
    profile = {"shape": shape, "SHA-256 of a.csv": "1" * 64}
    for origin, kind, source in ((HERE, "local", {"uri": HERE.where}), (THERE, "http", {"url": THERE.where})):
        run = Run.launch("row", {})
        log_dataset(run, "pjm", DATA, origin, tuple(shape), "training")
        assert logged(run) == [("pjm", source, kind, profile)]


def test_each_run_tells_where_its_own_data_came_from(place, at):
    at(place.folder, place.uri)
    require_own_origins()


@pytest.mark.medium
def test_it_does_so_through_a_server(place, at, mlflow_server):
    at(place.folder, f"http://127.0.0.1:{mlflow_server}")
    require_own_origins()


def test_a_spool_of_an_earlier_version_is_replayed(place, at):
    at(place.folder, place.uri)
    run = Run.launch("row", {})
    owner = Owner(run.id, "row", "", place.uri, (spool.fingerprint(run.tags),))
    waiting = Spool(spool.folder_of(run.id), owner)
    source, profile = '{"uri": "AEP, DOM"}', '{"shape": [10, 3]}'
    old = {"name": "pjm", "digest": "d", "source": source, "profile": profile, "context": "training"}
    waiting.add(outbox.DATASET, old)
    waiting.close()
    replay.run(ReplayOptions())
    assert logged(run) == [("pjm", {"uri": "AEP, DOM"}, "local", {"shape": [10, 3]})]
