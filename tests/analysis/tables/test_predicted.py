"""A table's lines tested by their predictions: which runs are paired, and what the reader is shown."""

import numpy as np
import pandas as pd
import pytest
from support.frames import classifier, frame

from analysis import formats
from analysis.entries.index import VIEWS
from analysis.paired import Errors, diebold_mariano, mc_nemar
from analysis.tables.compare import compare
from analysis.tables.table import Options

RNG = np.random.default_rng(0)
HOURS, SERIES = np.tile(np.arange(500), 2), np.repeat([0, 1], 500)


def forecasts(bias: float) -> Errors:
    return Errors(SERIES, HOURS, np.abs(RNG.normal(bias, 0.1, 1000)))


def network(row: str, seed: str, value: float, training: str = "dense") -> dict:
    return {"tags.row": row, "tags.seed": seed, "tags.training": training, "metrics.smape_report": value}


def lines_of(runs: pd.DataFrame, outcomes: dict, baseline: str) -> tuple[pd.DataFrame, str]:
    (table,) = compare(runs, VIEWS, Options(baseline=baseline), lambda run_id, metric: outcomes.get(run_id))
    return table.lines.set_index("row"), formats.to_markdown([table])


def test_the_errors_of_the_seeds_are_averaged_before_they_are_compared():
    runs = frame(network("gru-2", "0", 0.2), network("gru-2", "1", 0.22), network("linear-ar", "0", 0.3, "none"))
    outcomes = {"0": forecasts(0.2), "1": forecasts(0.22), "2": forecasts(0.3)}
    mean = Errors(SERIES, HOURS, (outcomes["0"].error + outcomes["1"].error) / 2)
    expected = diebold_mariano(mean, outcomes["2"])
    lines, text = lines_of(runs, outcomes, "linear-ar")
    against = "smape_report.minus.linear-ar"
    found = lines.loc["gru-2"]
    assert found[f"{against}.predictions.p"] == expected.p
    assert found[f"{against}.predictions.test"] == "Diebold-Mariano"
    assert (found[f"{against}.low"], found[f"{against}.high"]) == (expected.low, expected.high)
    assert lines.loc["linear-ar", [f"{against}.low", f"{against}.predictions.p"]].isna().all()
    assert "predictions p" in text
    assert "Newey and West" in text


def test_classifiers_of_one_seed_are_compared_by_the_exact_test():
    runs = frame(classifier("cnn", 0), classifier("mlp-2", 0))
    outcomes = {number: RNG.random(200) < 0.6 for number in "01"}
    lines, text = lines_of(runs, outcomes, "cnn")
    found = lines.loc["mlp-2"]
    assert found["test_accuracy.minus.cnn.predictions.p"] == mc_nemar(outcomes["1"][None], outcomes["0"][None]).p
    assert found["test_accuracy.minus.cnn.predictions.test"] == "McNemar exact"
    assert "classifies right" in text


def test_classifiers_of_several_seeds_are_compared_by_the_means_over_them():
    # Of 200 images, cnn classifies 100 right with either seed; mlp-2 with its first seed these, with its second all.
    half, every = np.arange(200) < 100, np.full(200, True)
    runs = frame(classifier("cnn", 0), classifier("cnn", 1), classifier("mlp-2", 0), classifier("mlp-2", 1))
    lines, _ = lines_of(runs, {"0": half, "1": half, "2": half, "3": every}, "cnn")
    found = lines.loc["mlp-2"]
    ends = found["test_accuracy.minus.cnn.low"], found["test_accuracy.minus.cnn.high"]
    # The differences of the images are 0 and 1/2, half each: 25 ± 1.96 · 25 / √200 points, by the normal distribution.
    assert ends == pytest.approx((21.5, 28.5), abs=0.6)
    # Their sum, 50, over the root of the sum of their squares, √25, is 10.
    assert found["test_accuracy.minus.cnn.predictions.p"] == pytest.approx(1.5e-23, rel=0.02)
    assert found["test_accuracy.minus.cnn.predictions.test"] == "McNemar of means"


def test_several_lines_are_corrected_for_by_holm():
    runs = frame(network("gru-2", "0", 0.2), network("lstm-2", "0", 0.21), network("linear-ar", "0", 0.3, "none"))
    outcomes = {"0": forecasts(0.30), "1": forecasts(0.31), "2": forecasts(0.3)}
    single = sorted(diebold_mariano(outcomes[number], outcomes["2"]).p for number in "01")
    lines, text = lines_of(runs, outcomes, "linear-ar")
    corrected = sorted(lines["smape_report.minus.linear-ar.predictions.p"].dropna())
    assert corrected == pytest.approx([min(1, 2 * single[0]), max(min(1, 2 * single[0]), single[1])])
    assert "corrected by Holm for 2 tests" in text


def test_a_line_that_could_not_be_tested_beside_others_is_explained():
    runs = frame(network("gru-2", "0", 0.2), network("lstm-2", "0", 0.21), network("linear-ar", "0", 0.3, "none"))
    outcomes = {"0": forecasts(0.2), "2": forecasts(0.3)}
    lines, text = lines_of(runs, outcomes, "linear-ar")
    assert lines.loc[["lstm-2"], "smape_report.minus.linear-ar.predictions.p"].isna().all()
    assert "A dash: both predict the same, or one has no predictions that can be read" in text
    _, complete = lines_of(runs, outcomes | {"1": forecasts(0.21)}, "linear-ar")
    assert "both predict the same" not in complete
    lines, same = lines_of(runs, outcomes | {"1": outcomes["2"]}, "linear-ar")
    assert lines.loc[["lstm-2"], "smape_report.minus.linear-ar.predictions.test"].all()
    assert "A dash: both predict the same" in same


@pytest.mark.parametrize(
    "outcomes", [{}, {"0": forecasts(0.2)}, {"0": forecasts(0.2), "1": Errors(SERIES[1:], HOURS[1:], HOURS[1:] * 1.0)}]
)
def test_runs_without_predictions_of_the_same_targets_are_not_tested(outcomes):
    runs = frame(network("gru-2", "0", 0.2), network("linear-ar", "0", 0.3, "none"))
    lines, text = lines_of(runs, outcomes, "linear-ar")
    assert not any("predictions" in column for column in lines)
    assert "predictions p" not in text
