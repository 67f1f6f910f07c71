"""Histories of metrics."""

from mlflow.entities import Metric

from analysis.runs.histories import histories
from pipelines import names


def test_history_keeps_the_later_value_of_a_repeated_step(rows_store):
    points = [Metric("again", value, stamp, step) for step, stamp, value in [(2, 5, 7.0), (1, 1, 3.0), (2, 9, 8.0)]]
    run = rows_store.client.create_run(rows_store.experiments[names.EXPERIMENT]).info.run_id
    rows_store.client.log_batch(run, [*points, Metric("other", 4.0, 1, 7)])
    found = histories([run], ["other", "again", "absent"])
    assert list(found.itertuples(index=False, name=None)) == [
        (run, "other", 7, 4.0),
        (run, "again", 1, 3.0),
        (run, "again", 2, 8.0),
    ]
