"""Differences to a baseline row and their significance, against figures worked out by hand."""

import math

import pytest
from support.frames import ablation_table, classifier, frame, grid, seeded

from analysis import formats
from analysis.entries.index import VIEWS
from analysis.tables.compare import compare
from analysis.tables.table import Options


def test_difference_to_a_baseline_row(read_csv, run_cli):
    column = "smape_report.minus.linear-ar-hourly"
    lines = read_csv("--baseline", "linear-ar-hourly")
    pjm = lines[lines["dataset"] == "pjm"].set_index(["row", "lr"])[column]
    assert pjm["gru-2", 0.005] == pytest.approx(0.232 - 0.193)
    assert pjm.loc["persistence"].iloc[0] == pytest.approx(0.823 - 0.193)
    assert lines.loc[lines["dataset"] == "sample", column].isna().all()
    assert "+0.0390" in grid(run_cli("compare", "--baseline", "linear-ar-hourly").stdout)[1]


def test_a_row_of_several_lines_is_the_one_with_the_settings_of_the_catalogue():
    usual, faster = seeded("cnn", 60.0, 61.0), classifier("cnn", **{"metrics.test_accuracy": 70.0, "params.lr": "0.01"})
    table = ablation_table(*usual, faster, *seeded("mlp-2", 50.0, 52.0), baseline="cnn")
    gaps = table.lines.set_index(["row", "lr"])["test_accuracy.minus.cnn"]
    assert gaps.to_dict() == {("cnn", "0.001"): 0.0, ("cnn", "0.01"): 9.5, ("mlp-2", "0.001"): -9.5}
    (note,) = (note for note in table.notes if "test_accuracy.minus.cnn" in note)
    assert note.endswith("Of the 2 lines of cnn it is the one with the catalogue's settings: lr 0.001.")


def test_the_only_line_of_a_row_may_have_any_settings():
    table = ablation_table(classifier("cnn", **{"params.lr": "0.01"}), classifier("mlp-2"), baseline="cnn")
    assert table.lines["test_accuracy.minus.cnn"].notna().all()
    assert not any("catalogue's settings" in note for note in table.notes)


def test_each_way_of_training_has_its_line_of_the_catalogue():
    lines = [
        classifier(row, training=training, **{"metrics.test_accuracy": value, "params.lr": lr})
        for row, training, lr, value in (
            *(("mlp-2", "autograd", "0.001", 50.0), ("mlp-2", "autograd", "0.01", 51.0)),
            *(("mlp-2", "manual", "0.001", 53.0), ("mlp-2", "manual", "0.1", 52.0)),
            *(("mlp-3", "autograd", "0.001", 60.0), ("mlp-3", "manual", "0.001", 60.0)),
        )
    ]
    gaps = ablation_table(*lines, baseline="mlp-2").lines.set_index(["row", "training"])["test_accuracy.minus.mlp-2"]
    assert gaps.loc["mlp-3"].to_dict() == {"autograd": 10.0, "manual": 7.0}


def test_lines_of_which_none_is_the_catalogues_are_told(run_cli):
    result = run_cli("compare", "--baseline", "gru-2", "--where", "tags.dataset = 'pjm'")
    assert result.exit_code == 2
    (line,) = result.stderr.strip().splitlines()
    assert "gru-2 has 2 lines on pjm (lr 0.005; lr 0.01)" in line
    one = run_cli("compare", "--baseline", "gru-2", "--where", "tags.dataset = 'pjm' and params.lr = '0.005'")
    assert "--where \"params.lr = '0.005'\"" in line
    assert one.exit_code == 0
    joined = run_cli("compare", "--baseline", "gru-2", "--where", "tags.dataset = 'pjm'", "--group-by", "row")
    assert "--group-by row" in line
    assert joined.exit_code == 0


def test_significance_against_a_baseline_row():
    # Pairs: 2.0 1.0 3.0 above cnn, mean 2, deviation 1, and so p = 1 - sqrt(6 / 7) = 0.074, see test_stats.py; of mlp-2
    # 4.0 -4.0 0.0, mean 0, p = 1. Of two tests Holm doubles the smaller. One run of mlp-3 tests nothing.
    cnn, tanh = seeded("cnn", 60.0, 61.0, 62.0), seeded("cnn-tanh", 62.0, 62.0, 65.0)
    mlp = seeded("mlp-2", 64.0, 57.0, 62.0)
    table = ablation_table(*cnn, *tanh, *mlp, classifier("mlp-3"), baseline="cnn")
    lines = table.lines.set_index("row")
    against = "test_accuracy.minus.cnn"
    assert lines[against].round(9).to_dict() == {"cnn": 0.0, "cnn-tanh": 2.0, "mlp-2": 0.0, "mlp-3": -8.4}
    expected = {"cnn": math.nan, "cnn-tanh": 2 * (1 - math.sqrt(6 / 7)), "mlp-2": 1.0, "mlp-3": math.nan}
    assert lines[f"{against}.p"].to_dict() == pytest.approx(expected, nan_ok=True)
    assert lines[f"{against}.test"].tolist() == ["", "paired t", "", "paired t"]
    text = formats.to_markdown([table])
    header, *cells = grid(text)
    assert [dict(zip(header, line, strict=True))["p"] for line in cells] == ["–", "1", "–", "0.15"]
    assert "p: two-sided, corrected by Holm for 2 tests; paired t" in text
    assert "p: two-sided; paired t" in formats.to_markdown([ablation_table(*cnn, *tanh, baseline="cnn")])


def test_runs_of_other_seeds_are_not_paired():
    ours, others = seeded("cnn", 60.0, 61.0, 62.0), seeded("cnn-tanh", 62.0, 62.0, 65.0, start=5)
    lines = ablation_table(*ours, *others, baseline="cnn").lines.set_index("row")
    assert lines.loc["cnn-tanh", "test_accuracy.minus.cnn.test"] == "Welch t"


def test_a_row_that_is_not_trained_is_free_of_chance():
    networks = [
        {"tags.row": "gru-2", "tags.seed": str(seed), "metrics.smape_report": value}
        for seed, value in enumerate((0.21, 0.22, 0.23))
    ]
    linear = {"tags.row": "linear-ar", "tags.training": "none", "metrics.smape_report": 0.20}
    (table,) = compare(frame(*networks, linear), VIEWS, Options(baseline="linear-ar"))
    line = table.lines.set_index("row").loc["gru-2"]
    assert line["smape_report.minus.linear-ar.test"] == "one-sample t"
    assert line["smape_report.minus.linear-ar.p"] == pytest.approx(1 - math.sqrt(6 / 7))


def test_data_sets_are_neither_sorted_nor_tested_together():
    # Four differences are tested on the two data sets, two on each: Holm doubles the smaller of two p values.
    both = [
        run | {"tags.dataset": dataset, "metrics.test_accuracy": run["metrics.test_accuracy"] + shift}
        for dataset, shift in (("cifar10", 0.0), ("sample", 30.0))
        for run in (*seeded("cnn", 60, 61, 62), *seeded("cnn-tanh", 62, 62, 65), *seeded("mlp-2", 64, 57, 62))
    ]
    options = Options(metrics=("test_accuracy",), baseline="cnn", sort="-test_accuracy", limit=2)
    compared = compare(frame(*both), VIEWS, options)
    assert [table.title for table in compared] == ["ablation, cifar10", "ablation, sample"]
    for table in compared:
        assert table.lines["row"].tolist() == ["cnn-tanh", "cnn"]
        assert table.lines["dataset"].nunique() == 1
        p = table.lines.set_index("row")["test_accuracy.minus.cnn.p"]["cnn-tanh"]
        assert p == pytest.approx(2 * (1 - math.sqrt(6 / 7)))
