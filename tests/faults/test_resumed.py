"""What cannot be resumed: a launch that has finished, a run that does not exist."""

import pytest

PARENT = "recurrent sample"
ROW = "gru-2-seed0"


@pytest.mark.slow
def test_a_finished_launch_is_not_resumed(alone, refused):
    before = alone.database.read_bytes()
    for name in (PARENT, ROW):
        line = refused(alone.folder, alone.uri, "--resume", alone.runs()[name].info.run_id)
        assert "nothing is left to do" in line
    assert alone.database.read_bytes() == before


@pytest.mark.fault(5)
def test_an_unknown_run_is_not_resumed(place, refused):
    line = refused(place.folder, place.uri, "--resume", "nonexistent")
    assert f"there is no run 'nonexistent' on {place.uri}" in line
    assert not place.runs()
