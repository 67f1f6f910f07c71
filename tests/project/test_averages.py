"""The script that compares averages of forecasters: its errors by hand, and its table on the sample."""

import numpy as np
import pytest

from benchmarks import averages


def test_the_error_of_an_average_is_that_of_the_mean_forecast():
    loads = [np.array([100.0, 200.0])]
    forecasts = {"high": [np.array([110.0, 220.0])], "low": [np.array([90.0, 180.0])], "exact": loads}
    found = averages.errors(forecasts, loads)
    # A quarter of 100 |F - A| / ((F + A) / 2).
    assert found[("high",)] == pytest.approx(25 * 10 / 105)
    assert found[("low",)] == pytest.approx(25 * 10 / 95)
    assert found[("high", "low")] == found[("exact",)] == 0
    assert found[("high", "exact")] == pytest.approx(25 * 5 / 102.5)
    assert len(found) == 7


def test_it_trains_what_is_new_and_keeps_the_rest(capsys, tmp_path, monkeypatch):
    members = ["gru-relative:epochs=1,hidden=4", "rnn-relative:epochs=1,hidden=4"]
    arguments = ["--dataset", "sample", "--keep", str(tmp_path)]
    averages.main([*members, *arguments])
    table = capsys.readouterr().out.splitlines()
    assert [line.split("|")[1].strip() for line in table[2:4]] in (members, members[::-1])
    assert table[4].split("|")[1].strip() == " + ".join(members)
    monkeypatch.setattr(averages, "forecaster", None)  # nothing is trained again
    averages.main([*members, *arguments])
    assert capsys.readouterr().out.splitlines() == table


def test_an_unknown_row_is_refused(tmp_path):
    with pytest.raises(SystemExit, match=r"error: .*gru-relativ"):
        averages.main(["gru-relativ", "--dataset", "sample", "--keep", str(tmp_path)])
