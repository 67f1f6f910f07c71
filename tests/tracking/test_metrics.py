"""Metrics of a run that was begun by an earlier version, which had other names for some."""

from pipelines.tracking.run import Run


def test_what_an_earlier_version_has_logged_is_not_logged_again_under_the_present_name(place, at):
    at(place.folder, place.uri)
    run = Run.launch("row", {})
    with run.active():
        run.log_metrics({"parameters": 5.0, "smape_curve.first": 40.0})
        run.log_metrics({"micro_batch": 8.0}, step=3)
    again = Run(run.id)
    with again.active():
        again.recall()
        again.log_metrics({"cost/weights": 5.0, "first/smape_curve": 41.0, "cost/peak_memory_mb": 9.0})
        again.log_metrics({"cost/micro_batch": 4.0}, step=7)
    assert place.client.get_run(run.id).data.metrics == {
        "parameters": 5.0,
        "smape_curve.first": 40.0,
        "micro_batch": 8.0,
        "cost/peak_memory_mb": 9.0,
        "cost/micro_batch": 4.0,
    }
