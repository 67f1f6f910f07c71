"""Runs given by their first digits or their name, found by both halves in a database and through a server."""

import pytest

from analysis.runs import records
from pipelines.errors import UserError
from pipelines.tracking.run import Run


def require_found():
    made = [Run.launch(f"row {number}", {"entry": "recurrent"}) for number in range(3)]
    for run, name in zip(made, ("row 0", "row 1", "row 2"), strict=True):
        for given in (run.id, run.id[:8], name):
            assert Run.meant(given).id == run.id
            assert records.one(given)["run_id"] == run.id
    with pytest.raises(UserError, match="did you mean row"):
        Run.meant("row")
    made[0].end("FINISHED")
    Run.launch("row 0", {"entry": "recurrent"})
    with pytest.raises(UserError, match="is not one run"):
        Run.meant("row 0")
    assert Run.meant("row 0", "attributes.status = 'FINISHED'").id == made[0].id


def test_in_a_database(place, at):
    at(place.folder, place.uri)
    require_found()


@pytest.mark.medium
def test_through_a_server(place, at, mlflow_server):
    at(place.folder, f"http://127.0.0.1:{mlflow_server}")
    require_found()
