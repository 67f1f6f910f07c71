"""What is told of a metric by its name."""

import pytest

from pipelines import names


@pytest.mark.parametrize(
    ("metric", "lowest"),
    [
        ("smape_report", True),
        ("smape.AEP", True),
        ("smape/AEP", True),
        ("test_loss.best", True),
        ("training_time_s", True),
        ("test_accuracy", False),
        ("test_accuracy.cat", False),
        ("val_accuracy.best", False),
        ("images_per_s", False),
        ("val_accuracy.best_step", None),
        ("parameters", None),
        ("objective", None),
        ("auc", None),
    ],
)
def test_whether_less_of_a_metric_is_better(metric, lowest):
    assert names.lowest_is_best(metric) is lowest
