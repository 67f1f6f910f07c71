"""Frames of runs: which ones they hold, and what is read of them."""

import math

from analysis.runs import frames


def test_finished_rows_of_all_experiments_are_found(rows_store):
    found = frames.find("recurrent")
    assert len(found) == 13
    assert set(found["tags.row"]) == {"gru-2", "lstm-2", "rnn-2", "rnn-3", "persistence", "linear-ar-hourly", "my-own"}
    assert set(found["tags.seed"]) == {"0", "1", "2"}
    assert found["start_time"].is_monotonic_increasing
    assert frames.find("ablation").empty


def test_infinite_metric_is_read_as_infinite(rows_store):
    found = frames.find("recurrent", "tags.row = 'rnn-2'")
    assert found["metrics.mae_mw"].tolist() == [math.inf]
