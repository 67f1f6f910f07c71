"""The trials of a study, ranked by its objective."""

import math

from support.frames import frame

from analysis.entries import tune
from analysis.tables.compare import compare
from analysis.tables.table import Options
from analysis.view import View


def ranked(metric: str, *values: float) -> list[str]:
    """Rows of a table of trials that measured `metric`, which is the objective unless it is NaN."""
    trials = [
        {
            "tags.entry": "tune",
            "tags.study": "mine",
            "tags.trial": str(number),
            "metrics.objective": value,
            f"metrics.{metric}": 1.0,
            "metrics.evaluation_time_s": float(number),
        }
        for number, value in enumerate(values)
    ]
    found = tune.named(frame(*trials))
    (table,) = compare(found, tune.views(found, View()), Options(ranked=True))
    return table.lines["row"].tolist()


def test_trials_are_ranked_by_what_the_study_seeks():
    assert ranked("val_smape", 3.0, 1.0, 2.0) == ["trial-1", "trial-2", "trial-0"]
    assert ranked("val_accuracy", 3.0, 1.0, 2.0) == ["trial-0", "trial-2", "trial-1"]


def test_pruned_trials_come_last():
    assert ranked("val_smape", 3.0, math.nan, 2.0) == ["trial-2", "trial-0", "trial-1"]


def test_trials_of_an_unknown_search_keep_their_order():
    assert ranked("val_other", 3.0, 1.0, 2.0) == ["trial-0", "trial-1", "trial-2"]
