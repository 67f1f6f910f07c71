"""Comparison tables against hand-computed figures: lines, columns, order, and options that are refused."""

import json
import math
from pathlib import Path

import pytest
from support.frames import ablation_table, frame, grid

from analysis import formats
from analysis.entries.index import VIEWS
from analysis.tables.compare import compare
from analysis.tables.table import Options


def test_full_precision_means_deviations_and_counts(read_csv):
    lines = read_csv("--where", "tags.dataset = 'pjm'").set_index(["row", "lr"])
    line = lines.loc["gru-2", 0.005]
    assert line["n"] == 3
    assert line["smape_report.mean"] == pytest.approx(0.232)
    assert line["smape_report.std"] == pytest.approx(0.002)
    assert line["smape.mean"] == pytest.approx(0.928)
    assert (line["training_time_s.mean"], line["training_time_s.std"]) == (110, 10)
    assert line["smape_report.published"] == 0.239
    assert line["training_time_s.published"] == 763.7
    assert line["smape_report.difference"] == pytest.approx(0.232 - 0.239)
    assert lines.loc["gru-2", 0.01]["smape_report.mean"] == pytest.approx(0.28)
    diverged = lines.loc["lstm-2", 0.005]
    assert (diverged["n"], diverged["smape_report.n"], diverged["smape_report.mean"]) == (2, 1, 0.25)


def test_published_figures_stand_only_beside_the_reports_dataset(read_csv):
    lines = read_csv("--where", "tags.row = 'gru-2' and params.lr = 0.005").set_index("dataset")
    assert lines.loc["pjm", "smape_report.published"] == 0.239
    assert math.isnan(lines.loc["sample", "smape_report.published"])
    assert math.isnan(lines.loc["sample", "smape_report.difference"])
    assert lines["n"].to_dict() == {"pjm": 3, "sample": 1}


def test_markdown_is_rounded_and_in_the_order_of_the_catalogue(run_cli):
    result = run_cli("compare", "--entry", "recurrent", "--where", "tags.dataset = 'pjm'")
    assert result.exit_code == 0
    header, *lines = grid(result.stdout)
    assert header == [
        *("row", "training", "lr", "n", "training_time_s", "evaluation_time_s", "smape", "smape_report"),
        *("smape_report 95 %", "training_time_s published", "evaluation_time_s published", "smape_report published"),
        "smape_report.difference",
    ]
    assert [line[:4] for line in lines] == [
        ["gru-2", "dense", "0.005", "3"],
        ["gru-2", "dense", "0.01", "1"],
        ["lstm-2", "dense", "0.005", "2"],
        ["rnn-2", "dense", "0.005", "1"],
        ["rnn-3", "dense", "0.005", "1"],
        ["persistence", "none", "–", "1"],
        ["linear-ar-hourly", "none", "–", "1"],
        ["my-own", "dense", "0.005", "1"],
    ]
    assert lines[0][4:] == [
        *(
            "110 ± 10",
            "5.000 ± 0.000",
            "0.9280 ± 0.0080",
            "0.2320 ± 0.0020",
            "0.2270 … 0.2370",
            "763.7",
            "7.13",
            "0.239",
            "-0.0070",
        )
    ]
    assert lines[2][7] == "0.2500 (n=1)"
    assert lines[5][4:] == ["–", "–", "3.292", "0.8230", "–", "–", "–", "–", "–"]
    for note in ("a quarter of smape", "a GPU", "dense: ", "repeats", "epochs 4", "±", "n=k"):
        assert note in result.stdout
    assert "window: " not in result.stdout


def test_lines_of_one_dataset_training_and_setting_show_only_the_row(run_cli):
    result = run_cli("compare", "--where", "tags.row = 'rnn-2'")
    header, line = grid(result.stdout)
    assert (header[:2], line[:2]) == (["row", "n"], ["rnn-2", "1"])
    assert "±" not in result.stdout


def test_a_setting_that_only_some_runs_have_tells_lines_apart():
    found = frame(
        {"tags.row": "gru-2", "params.hidden": "64", "params.cell": "GRU", "metrics.smape": 1.0},
        {"tags.row": "gru-2", "params.hidden": "64", "params.cell": "GRU", "params.warmup": "5", "metrics.smape": 2.0},
        {"tags.row": "lstm-2", "params.hidden": "128", "params.cell": "LSTM", "metrics.smape": 3.0},
    )
    (table,) = compare(found, VIEWS, Options())
    assert table.shown == ("row", "hidden", "warmup")
    assert table.lines["n"].tolist() == [1, 1, 1]


def test_other_data_of_the_same_name_is_another_line():
    lines = [{"tags.row": "gru-2", "tags.data_digest": digest, "metrics.smape": 1.0} for digest in ("aa", "bb")]
    (table,) = compare(frame(*lines), VIEWS, Options())
    assert table.lines["data_digest"].tolist() == ["aa", "bb"]


@pytest.mark.parametrize("entry", ["ablation", "recurrent"])
def test_lines_on_other_than_the_published_data_are_named(entry):
    def noted(*verified: str, **options: object) -> list[str]:
        rows = [("one", "0.1"), ("two", "0.2"), ("three", "0.3")]
        lines = [
            {"tags.entry": entry, "tags.row": row, "params.lr": lr, "tags.verified": value, "metrics.test_loss": 1.0}
            for (row, lr), value in zip(rows, verified, strict=True)
        ]
        table = ablation_table(*lines, **options)
        return [note.rsplit(": ", 1)[1] for note in table.notes if "not the published ones" in note]

    assert noted("false", "true", "false") == ["one 0.1, three 0.3."]
    assert noted("false", "true", "false", sort="-lr", limit=2) == ["three 0.3."]
    assert noted("false", "false", "false") == ["all."]
    assert noted("true", "true", "true") == []


def test_metrics_columns_and_group_by(run_cli, read_csv):
    arguments = ("--where", "tags.dataset = 'pjm'", "--metrics", "smape_report,mae_mw", "--group-by", "row")
    lines = read_csv(*arguments, "--columns", "lr,tags.host").set_index("row")
    # Hand-computed: (0.230 + 0.232 + 0.234 + 0.280) / 4
    assert lines.loc["gru-2", "smape_report.mean"] == pytest.approx(0.244)
    assert lines.loc["gru-2", "lr"] == "0.005, 0.01"
    assert "smape.mean" not in lines
    assert math.isnan(lines.loc["rnn-2", "mae_mw.mean"])
    text = run_cli("compare", *arguments, "--columns", "lr,tags.host").stdout
    assert grid(text)[0][:4] == ["row", "lr", "host", "n"]
    assert grid(text)[1][2] == "a¦b"
    assert "Pooled within lines: " not in text
    assert "Pooled within lines: lr 0.005, 0.01." in run_cli("compare", *arguments).stdout


def test_datasets_are_never_pooled(read_csv):
    lines = read_csv("--group-by", "row", "--where", "tags.row = 'gru-2'")
    assert lines["dataset"].tolist() == ["pjm", "sample"]


@pytest.mark.parametrize(
    ("sort", "rows"),
    [
        ("smape_report", ["linear-ar-hourly", "gru-2", "lstm-2"]),
        ("-smape_report", ["persistence", "my-own", "rnn-3"]),
        ("-training_time_s", ["lstm-2", "gru-2", "gru-2"]),
        ("-lr", ["gru-2", "gru-2", "lstm-2"]),
        ("row", ["gru-2", "gru-2", "linear-ar-hourly"]),
    ],
)
def test_sort_and_limit(read_csv, sort, rows):
    assert read_csv("--where", "tags.dataset = 'pjm'", "--sort", sort, "--limit", 3)["row"].tolist() == rows


def test_missing_values_sort_last_both_ways(read_csv):
    for sort in ("evaluation_time_s", "-evaluation_time_s"):
        assert read_csv("--sort", sort)["evaluation_time_s.mean"].isna().tolist() == [False] * 3 + [True] * 6


def test_since_and_where_narrow(read_csv):
    assert len(read_csv("--since", "2026-01-01")) == 9
    lines = read_csv("--where", "metrics.smape < 1 and params.lr = 0.005 and tags.dataset = 'pjm'")
    assert lines[["row", "n"]].to_numpy().tolist() == [["gru-2", 3]]


def test_json_has_null_for_what_is_missing(run_cli):
    records = json.loads(run_cli("compare", "--format", "json", "--where", "tags.row = 'persistence'").stdout)
    assert [(line["row"], line["n"], line["training_time_s.mean"]) for line in records] == [("persistence", 1, None)]


def test_columns_do_not_depend_on_which_lines_there_are(read_csv):
    one, other = read_csv("--where", "tags.row = 'persistence'"), read_csv("--where", "tags.row = 'rnn-2'")
    assert list(one) == list(other)


def test_several_entries_have_a_table_each():
    found = frame(
        {"tags.row": "gru-2", "metrics.smape_report": 0.2},
        {"tags.row": "big", "tags.entry": "another", "metrics.test_loss": 1.2, "metrics.best/test_loss": 1.1},
    )
    compared = compare(found, VIEWS, Options())
    text = formats.to_markdown(compared)
    assert [table.entry for table in compared] == ["another", "recurrent"]
    assert text.index("## another") < text.index("| big | 1 | 1.200 |") < text.index("## recurrent")
    assert len(formats.to_csv(compared).splitlines()) == 3


def test_output_writes_the_file_and_says_only_where(run_cli, tmp_path):
    path = tmp_path / "deep" / "table.md"
    result = run_cli("compare", "--output", path)
    assert result.stdout == f"{path}\n"
    assert path.read_text(encoding="utf-8") == run_cli("compare").stdout
    assert [entry.name for entry in path.parent.iterdir()] == ["table.md"]


def test_failed_output_leaves_the_old_file(run_cli, tmp_path, monkeypatch):
    path = tmp_path / "table.md"
    path.write_text("old")

    def disk_full(*arguments, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", disk_full)
    result = run_cli("compare", "--output", path)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "No space left" in result.stderr
    assert [entry.read_text() for entry in tmp_path.iterdir()] == ["old"]


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("--where", "metrics.smape <"), "bad filter"),
        (("--where", "params.lr < 0.01 or tags.row = 'x'"), "bad filter"),
        (("--where", "nonsense"), "nonsense"),
        (("--since", "yesterday"), "ISO date"),
        (("--metrics", "smpe"), "smape"),
        (("--columns", "learning_rate"), " lr, params.row, "),
        (("--group-by", "learning_rate"), " lr, params.row, "),
        (("--sort", "-velocity"), "training_time_s, "),
        (("--baseline", "gru-9"), "gru-2"),
        (("--baseline", "gru-2", "--group-by", "lr"), "group_by"),
        (["--columns", "hiden"], "no 'hiden'; did you mean hidden?\n"),
        (["--group-by", "params.hiden"], "no 'hiden'; did you mean hidden?\n"),
        (["--sort", "smap"], "no 'smap'; did you mean smape?"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(run_cli, arguments, hint):
    result = run_cli("compare", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.count("\n") == 1
    assert hint in result.stderr


def test_nothing_found_is_one_line_and_exit_code_1(run_cli):
    for arguments in (("compare", "--since", "2999-01-01"), ("claims", "--dataset", "nowhere")):
        result = run_cli(*arguments)
        assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)
        assert "python -m pipelines recurrent" in result.stderr
