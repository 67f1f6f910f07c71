"""Captions of the report's figures, against what they show by hand."""

import math

import numpy as np
import pandas as pd

from analysis.report import figures as drawn
from analysis.report.parts import Drawn, shown_seeds
from analysis.stats import Summary
from pipelines import figures
from pipelines.experiments.recurrent.rows import PANELS, Panel


def test_caption_of_forecasts():
    table = pd.DataFrame(
        {
            "panel": "p",
            "series": "DOM",
            "time": pd.date_range("2001-12-27", periods=3),
            "actual_mw": [1000.0, 2000, 3000],
        }
    )
    logged = {
        "near": table.assign(forecast_mw=[1010.0, 1990, 3010]),
        "far": table.assign(forecast_mw=[1100.0, 2100, 3400]),
    }
    panel = Panel("p", 0, slice(3), "three days of {series}", "Fig 7")
    caption = drawn.forecasts(logged, panel, "x", "PJM", "Fig 7").caption
    assert caption.startswith("PJM: three days of DOM, 27 Dec 2001 to 29 Dec 2001. The load runs from 1,000 to 3,000")
    assert "near is nearest, 10 MW off on average, and far farthest, 200 MW" in caption
    other = Panel("other", 0, slice(3), "", "Fig 7")
    assert drawn.forecasts(logged, other, "x", "PJM") is None
    # A row whose hours are others is no match for the rest.
    logged["late"] = table.assign(time=pd.date_range("2002-01-01", periods=3), forecast_mw=0.0)
    caption = drawn.forecasts(logged, panel, "x", "PJM").caption
    assert "far farthest, 200 MW" in caption
    assert caption.endswith("Not shown, of other hours: late.")
    alone = drawn.forecasts({"near": logged["near"]}, panel, "x", "PJM").caption
    assert "hours near is 10 MW off on average." in alone
    small = logged["near"].assign(actual_mw=[0.25, 0.3, 0.5], forecast_mw=[0.26, 0.29, 0.51])
    panel = Panel("p", 0, slice(-100, None), "last {hours} test hours of {series}", "Fig 7")
    caption = drawn.forecasts({"near": small}, panel, "x", "town").caption
    assert caption.startswith("town: last 3 test hours of DOM, ")
    assert "The load runs from 0.25 to 0.5 MW. Over these 3 hours near is 0.01 MW off on average." in caption


def test_caption_of_the_error_along_training():
    logged = {
        "a": pd.DataFrame({"update": [0, 1, 2, 3], "smape": [80.0, 9, 2, 1.5]}),
        "b": pd.DataFrame({"update": [0, 1, 2, 3], "smape": [90.0, 9, 2, 2.5]}),
    }
    caption = drawn.error_along_training(logged, "x", "PJM").caption
    assert "80 to 90 %, highest for b. It ends lowest for a (1.50 %) and highest for b (2.50 %)." in caption
    assert "it rises for b and falls for the others" in caption
    for row, told in (("a", "it falls. "), ("b", "it rises for b. ")):
        assert told in drawn.error_along_training({row: logged[row]}, "x", "PJM").caption


def test_caption_of_epochs():
    logged = {
        "a": pd.DataFrame({"epoch": [1, 2], "train_accuracy": [50.0, 70], "test_accuracy": [50.0, 60]}),
        "b": pd.DataFrame({"epoch": [1, 2], "train_accuracy": [50.0, 68], "test_accuracy": [66.0, 65]}),
    }
    caption = drawn.epochs(logged, "accuracy", "x", "CIFAR-10", "Fig 6").caption
    assert caption.startswith(
        "CIFAR-10: after the last epoch a is best on the training set (70%) and b on the test set"
    )
    assert "farthest apart for a (10 points)" in caption
    assert "1 of 2 rows had a better epoch on the test set before the last: b." in caption
    alone = drawn.epochs({"a": logged["a"]}, "accuracy", "x", "CIFAR-10").caption
    assert "best" not in alone
    assert "a has 70% on the training set and 60% on the test set" in alone


def test_caption_of_the_sheet_and_its_standard_error():
    labels = pd.DataFrame({"label": ["cat", "dog", "cat", "dog"], "prediction": ["cat", "cat", "cat", "dog"]})
    figure = drawn.sheet("cnn", labels, np.zeros((4, 8, 8, 3), np.uint8), 50.0, "x", "CIFAR-10")
    # The standard error of a share of 0.5 of 4 is sqrt(0.25 / 4) = 0.25.
    assert "3 of 4 images right, 75 %, beside 50.0 %" in figure.caption
    assert "to 25 points" in figure.caption
    assert "dog as cat" in figure.caption


def test_the_frontier_by_hand():
    cost, error = np.array([1.0, 2, 3, 2, 1]), np.array([5.0, 4, 4, 3, 5])
    assert figures.pareto(cost, error).tolist() == [True, False, False, True, True]
    points = pd.DataFrame(
        {"label": list("abcd"), "cost": [1.0, 2, 3, np.nan], "error": [5.0, 3, 4, 1], "spread": np.nan}
    )
    caption = drawn.frontier(points, "x", cost="s", error="%", title="t").caption
    assert caption.startswith("T. Nothing is both cheaper and better than (in brackets s; %): a (1; 5), b (2; 3). ")
    assert caption.endswith("1 other is beaten: one of these is no worse in either, and better in one.")


def test_what_costs_next_to_nothing_and_errs_far_more_is_outside_the_figure_and_named():
    # Beside a median cost of 60: a is too cheap and too bad to be shown, b too cheap, but good, c bad, but dear.
    rows = [("a", 0.01, 0.9), ("b", 0.01, 0.25), ("c", 60, 0.9), ("d", 70, 0.2), ("e", 80, 0.19)]
    points = pd.DataFrame(rows, columns=["label", "cost", "error"]).assign(spread=np.nan)
    figure = drawn.frontier(points, "x", cost="s", error="%", title="t")
    assert figure.caption.endswith("Outside the figure, since they cost next to nothing and err far more: a.")
    (axes,) = figure.drawing.axes
    assert {text.get_text() for text in axes.texts} - {""} == {"b", "c", "d", "e"}

    narrow = drawn.frontier(points[points["label"] != "b"], "x", cost="s", error="%", title="t")
    (axes,) = narrow.drawing.axes
    left, right = axes.get_xlim()
    assert 0.01 < left < 60
    assert right > 80
    assert "Outside the figure" in narrow.caption


def test_caption_of_a_study():
    trials = pd.DataFrame(
        {
            "trial": [0, 1, 2, 3],
            "state": ["COMPLETE", "PRUNED", "COMPLETE", "COMPLETE"],
            "val_accuracy": [50, 70, 60, 55],
        }
        | {"epochs": 1, "seconds": 1.0, "lr": [0.1, 0.2, 0.3, 0.4], "retry_of": None, "run_id": "x"}
    )
    caption = drawn.study("s", trials, "val_accuracy", lowest=False, file="x", shares=None).caption
    assert (
        "4 trials, 3 to their end, 1 given up early. The best, trial 2, reaches val_accuracy 60 with lr 0.3" in caption
    )
    assert "1 further trial found nothing better." in caption
    rising = trials.assign(val_accuracy=[50, 70, 60, 65])
    caption = drawn.study("s", rising, "val_accuracy", lowest=False, file="x", shares=None).caption
    assert "with lr 0.4; it was the last of these, so more trials may find better ones. Judged" in caption
    assert caption.endswith("No importances of the hyperparameters: they take 6 trials that ran to their end.")
    shares = pd.DataFrame({"hyperparameter": ["lr"], "importance": [1.0]})
    assert "No importances" not in drawn.study("s", trials, "val_accuracy", False, "x", shares).caption
    wider = trials.assign(depth=1)[[*trials.columns[:-2], "depth", "retry_of", "run_id"]]
    caption = drawn.importances("s", wider, shares, "x").caption
    # An earlier version did not say how.
    assert "lr decides most, 100 % of the importance by PED-ANOVA." in caption
    said = drawn.importances("s", wider, shares.assign(method="fANOVA"), "x").caption
    assert "lr decides most, 100 % of the importance by fANOVA." in said
    assert caption.endswith("Not among them: depth, whose range depends on another choice.")


def test_every_panel_of_the_report_has_its_title():
    assert [panel.title.count("{series}") for panel in PANELS] == [1, 1, 1]


def test_which_runs_a_figure_shows():
    def told(*seeds):
        return shown_seeds([Drawn(label, label, seed, count) for label, seed, count in seeds])

    assert told(("a", "0", 1), ("b", "0", 1)) == ("", "")
    assert told(("a", "0", 5), ("b", "0", 5)) == ("seed 0 of 5", " Shown: seed 0 of 5.")
    assert told(("a", "0", 5), ("b", "0", 1)) == ("seed 0 of 5", " Shown: seed 0 of 5, of the others the only run.")
    several = told(("a", "0", 5), ("b", "1", 2))
    assert several == ("one seed of each row", " Shown: a seed 0 of 5, b seed 1 of 2.")


def test_the_picture_of_the_best_rows_has_what_was_published_if_anything_was():
    def legend(**rows):
        drawn_rows = {row: (Summary(mean, math.nan, 1), theirs) for row, (mean, theirs) in rows.items()}
        figure = drawn.leading(drawn_rows, "x", "t", lowest=False, total=9)
        return figure.caption, [text.get_text() for text in figure.drawing.legends[0].get_texts()]

    caption, shown = legend(a=(3.0, math.nan), b=(2.0, 4.5))
    assert caption == "t: of 9 rows a has the highest, 3.000. Of the rows shown, b has the best published figure, 4.5."
    assert shown[0] == "published"
    caption, shown = legend(a=(3.0, math.nan), b=(2.0, math.nan))
    assert caption == "t: of 9 rows a has the highest, 3.000."
    assert len(shown) == 1
