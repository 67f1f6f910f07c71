"""The ladder: its rungs, their steps, and its figure, by hand."""

import math

import pandas as pd
import pytest

from analysis.entries import ladder
from pipelines.experiments.recurrent.rows import DENSE, GROUPS, RECURRENT, STEPS, WINDOW


def runs(**errors: list[float]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "tags.row": row.replace("_", "-"),
                "tags.training": DENSE,
                "metrics.smape_report": error,
                "metrics.training_time_s": 10.0 * (seed + 1),
            }
            for row, values in errors.items()
            for seed, error in enumerate(values)
        ]
    )


def test_a_step_is_the_difference_of_the_means_of_neighbours():
    climbed = ladder.rungs(runs(ladder_change=[0.2, 0.24], gru_2=[0.25, 0.27, 0.26], ladder_calendar=[0.23]))
    assert [rung.row for rung in climbed] == ["gru-2", "ladder-change", "ladder-calendar"]
    assert math.isnan(climbed[0].step)
    assert [rung.step for rung in climbed[1:]] == pytest.approx([-0.04, 0.01])
    assert ladder.tabulated(climbed).lines[1] == (
        "ladder-change",
        STEPS["ladder-change"],
        "2",
        "0.220 ± 0.028",
        "-0.0400",
        "15.0 ± 7.1",
    )


def test_there_is_no_step_over_a_row_that_has_not_run():
    climbed = ladder.rungs(runs(gru_2=[0.25], ladder_calendar=[0.2], ladder_lags=[0.19]))
    assert [rung.row for rung in climbed] == ["gru-2", "ladder-calendar", "ladder-lags"]
    assert math.isnan(climbed[1].step)
    assert climbed[2].step == pytest.approx(-0.01)


def test_the_ladder_begins_with_the_dense_training():
    windows = runs(gru_2=[0.25]).assign(**{"tags.training": WINDOW})
    assert ladder.rungs(windows) == []


def test_the_figure_says_which_step_is_the_largest_and_which_are_back():
    climbed = ladder.rungs(runs(gru_2=[0.25, 0.27], ladder_change=[0.2, 0.24], ladder_calendar=[0.23]))
    figure = ladder.drawn(climbed, "ladder", "PJM")
    assert "from 0.260 ± 0.014 to 0.2300 %" in figure.caption
    assert "The largest step is that to ladder-change, -0.0400" in figure.caption
    assert "Worse than the row before: ladder-calendar." in figure.caption
    errors, times = figure.drawing.axes
    assert [label.get_text() for label in errors.get_yticklabels()] == [rung.row for rung in climbed]
    assert [text.get_text() for text in errors.texts] == ["-0.0400", "+0.0100"]
    assert [bar.get_width() for bar in times.patches] == [15, 15, 10]
    assert ladder.drawn(climbed[:1], "ladder", "PJM") is None


def test_the_figure_has_no_step_over_rows_that_have_not_run():
    climbed = ladder.rungs(runs(gru_2=[0.25], ladder_calendar=[0.2], ladder_lags=[0.19]))
    figure = ladder.drawn(climbed, "ladder", "PJM")
    assert [text.get_text() for text in figure.drawing.axes[0].texts] == ["-0.0100"]
    assert "have no step: ladder-change, ladder-identity," in figure.caption
    assert ladder.drawn(climbed[:2], "ladder", "PJM") is None


def test_the_catalogue_has_the_rows_of_the_ladder_in_its_order():
    assert tuple(STEPS) == GROUPS["ladder"]
    assert [row for row in RECURRENT if row.startswith("ladder-")] == [row for row in STEPS if row != "gru-2"][:-1]
