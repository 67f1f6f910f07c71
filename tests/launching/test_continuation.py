"""The command that continues a launch."""

import pytest

from pipelines.launching.continuation import resumption


@pytest.mark.parametrize(
    ("data_dir", "given"),
    [("data", ""), ("/srv/data", " --data-dir /srv/data"), ("our data", " --data-dir 'our data'")],
)
def test_it_finds_the_data_of_the_launch(data_dir, given):
    assert resumption("recurrent", "a1", data_dir) == f"to go on: python -m pipelines recurrent --resume a1{given}"
