"""The command that continues a launch."""

import pytest

from pipelines.experiments.recurrent.options import RecurrentOptions
from pipelines.launching.continuation import add_resume_note, resumption
from pipelines.tracking.run import Run


@pytest.mark.parametrize(
    ("data_dir", "given"),
    [("data", ""), ("/srv/data", " --data-dir /srv/data"), ("our data", " --data-dir 'our data'")],
)
def test_it_finds_the_data_of_the_launch(data_dir, given):
    assert resumption("recurrent", "a1", data_dir) == f"to go on: python -m pipelines recurrent --resume a1{given}"


@pytest.mark.parametrize(
    ("options", "given"),
    [
        ({}, ""),
        ({"jobs": 3}, " --jobs 3"),
        ({"launcher": "ray", "data_dir": "mine"}, " --data-dir mine --launcher ray"),
        ({"jobs": 3, "launcher": "slurm", "epochs": 4, "seeds": 2}, " --jobs 3 --launcher slurm"),
    ],
)
def test_it_starts_the_rows_as_the_launch_did(place, at, options, given):
    at(place.folder, place.uri)
    run = Run.launch("launch", {})
    with pytest.raises(KeyboardInterrupt) as stopped, add_resume_note(run, "recurrent", RecurrentOptions(**options)):
        raise KeyboardInterrupt
    assert stopped.value.__notes__ == [f"to go on: python -m pipelines recurrent --resume {run.id}{given}"]
