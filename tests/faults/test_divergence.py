"""A training that goes wrong: its run fails, with the reason, and keeps what was measured."""

import re

import pytest
from support.launches import complaint, statuses

PARENT = "recurrent sample"
ROW = "gru-2-seed0"


@pytest.mark.fault(10)
@pytest.mark.slow
def test_a_diverging_row_fails_with_its_reason(place, small):
    assert place.launch(*small, "--models", "gru-2", "--lr", "1e38") == 1
    assert statuses(place) == {PARENT: "FAILED", ROW: "FAILED"}
    run = place.runs()[ROW]
    assert re.search(r"the loss is (nan|inf) at update \d+ \(epoch \d\)", run.data.tags["failure"])
    assert place.history(run, "smape_curve")[0] == (0, run.data.metrics["smape_curve.first"])
    assert f"1 of 1 runs failed: {ROW}" in complaint(place)
