"""What the run of a launch says of its rows once they have finished."""

import pytest

from pipelines.launching.summary import log_results
from pipelines.tracking.run import Run

ABOUT = "gru-2, lstm-2\n\nForecasts of the load."


@pytest.fixture
def parent(place, at) -> Run:
    at(place.folder, place.uri)
    return Run.launch("recurrent sample", {"mlflow.note.content": ABOUT})


def row(parent: Run, name: str, seed: int, **metrics: float) -> Run:
    child = parent.child(f"{name}-seed{seed}", {"row": name, "seed": str(seed)})
    child.log_metrics(metrics)
    child.flush()
    return child


def described(place, parent: Run, finished: list[Run], metric: str) -> list[str]:
    """The paragraphs of the description."""
    log_results(parent, finished, [metric], metric)
    return place.client.get_run(parent.id).data.tags["mlflow.note.content"].split("\n\n")


def test_the_description_begins_with_the_row_of_the_lowest_error_and_ends_with_a_table(place, parent):
    """The mean and deviation of 0.24, 0.25, 0.26 are 0.25 and 0.01."""
    finished = [row(parent, "gru-2", seed, smape_report=value) for seed, value in enumerate((0.24, 0.25, 0.26))]
    finished.append(row(parent, "lstm-2", 0, smape_report=0.3))
    best, *about, table = described(place, parent, finished, "smape_report")
    assert best == "best: gru-2, smape_report 0.25 ± 0.01 (n = 3)"
    assert "\n\n".join(about) == ABOUT
    assert table.splitlines()[2:] == ["| gru-2 | 0.25 | 0.01 | 3 |", "| lstm-2 | 0.3 |  | 1 |"]


def test_the_end_of_a_continued_launch_replaces_the_earlier_one(place, parent):
    finished = [row(parent, "cnn", 0, test_accuracy=50.0)]
    described(place, parent, finished, "test_accuracy")
    finished.append(row(parent, "mlp-2", 0, test_accuracy=62.5))
    best, *about, _ = described(place, parent, finished, "test_accuracy")
    assert best == "best: mlp-2, test_accuracy 62.5 (n = 1)"
    assert "\n\n".join(about) == ABOUT


def test_without_the_metric_no_row_is_the_best(place, parent):
    first, *_ = described(place, parent, [row(parent, "gru-2", 0, smape=1.0)], "smape_report")
    assert first == "gru-2, lstm-2"
