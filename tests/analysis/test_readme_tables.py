"""The README's tables are those that the stored results make."""

import re
import shutil

import pandas as pd
import pytest
from click.testing import CliRunner
from support.place import ROOT

from analysis import docs, gallery, headline
from analysis.__main__ import cli
from analysis.errors import InputError
from pipelines.experiments.recurrent.rows import NETWORKS

STORED = ROOT / "docs" / "results"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def run(row: str, run_id: str, **changes: object) -> dict:
    common = {"tags.entry": "recurrent", "tags.seed": "0", "tags.training": "dense", "tags.dataset": "pjm"}
    return common | {"run_id": run_id, "tags.row": row, "params.origin": "/home/me/weights"} | changes


def points(*run_ids: str) -> pd.DataFrame:
    return pd.DataFrame(
        [(run_id, "smape_curve", 0, 1.0) for run_id in run_ids], columns=["run_id", "metric", "step", "value"]
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_page_has_the_tables_of_the_stored_results(page):
    text = page.read_text(encoding="utf-8")
    assert docs.rewritten(text, docs.load(STORED)) == text


def test_what_the_readme_says_of_the_network_that_is_worth_it_is_what_is_stored():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    percent = int(re.search(r"`gru-relative` is (\d+) % below that of the linear model", text)[1])
    errors = docs.load(STORED).runs.groupby("tags.row")["metrics.smape_report"]
    linear, network = errors.max()["linear-ar-hourly"], errors.get_group("gru-relative")
    assert percent == round(100 * (1 - network.mean() / linear))
    assert len(network) == 3
    assert network.max() < linear
    assert errors.min()[list(NETWORKS)].min() > linear


def test_the_picture_shows_the_stored_results():
    """matplotlib writes each text that it draws as a comment before the outlines of its letters."""
    stored = docs.load(STORED)
    shown = re.findall(r"<!-- (.*?) -->", (ROOT / docs.PICTURE).read_text("utf-8"))
    assert shown == re.findall(r"<!-- (.*?) -->", headline.svg(headline.picture(stored.runs)))
    for each in (headline.LOAD, headline.IMAGES):
        for line in headline.lines(stored.runs, each):
            assert {line.row, str(line.measured)} <= {*shown}


def test_the_picture_is_the_same_bytes_each_time():
    runs = docs.load(STORED).runs
    assert headline.svg(headline.picture(runs)) == headline.svg(headline.picture(runs))


def test_the_hours_are_those_of_the_runs():
    times = {"metrics.training_time_s": 5400.0, "metrics.evaluation_time_s": 1800.0}
    tags = {"tags.entry": "ablation"}
    gpu = {"params.device": "cuda", "metrics.training_time_s": 60.0, "metrics.evaluation_time_s": 0.0}
    runs = pd.DataFrame([run("gru-2", "a", **times), run("cnn", "b", **times | tags), run("cnn", "c", **tags, **gpu)])
    said = docs.TABLES["hours"](docs.Results(runs, points(), pd.DataFrame()))
    assert "took 4.0 hours of training and evaluation" in said
    assert "120 min for 1 run of `ablation`," in said
    assert "1 min for 1 run of `ablation` on a GPU" in said


def test_a_row_of_a_headline_without_runs_is_named():
    with pytest.raises(InputError, match="no runs of gru-relative are stored"):
        headline.table(docs.load(STORED).runs.query("`tags.row` != 'gru-relative'"), headline.LOAD)


def test_every_table_is_on_one_page():
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert [text.count(f"<!-- {name} -->") for name in docs.TABLES] == [1] * len(docs.TABLES)


def test_the_stored_results_tell_nothing_of_the_machine():
    runs = docs.load(STORED).runs
    assert "params.origin" not in runs
    assert not runs.astype(str).apply(lambda column: column.str.contains(r"/\w+/", regex=True)).to_numpy().any()


def test_a_changed_result_makes_the_page_stale(tmp_path):
    stored = docs.load(STORED)
    column = stored.runs.columns.get_loc("metrics.smape_report")
    row = stored.runs["tags.row"].eq("gru-2").to_numpy().argmax()
    stored.runs.iloc[row, column] += 0.1
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert docs.rewritten(text, stored) != text


def test_new_runs_replace_those_of_the_same_experiment_only():
    before = pd.DataFrame(
        [run("gru-2", "old", **{"metrics.smape": 1.0}), run("rnn-2", "kept", **{"metrics.smape": 2.0})]
    )
    stored = docs.merged(None, before, points("old", "kept"))
    after = pd.DataFrame(
        [
            run("gru-2", "new", **{"metrics.smape": 3.0, "metrics.series/smape.AEP": 9.0}),
            run("gru-2", "other", **{"tags.study": "s", "params.study": "s", "metrics.smape": 4.0}),
            run("gru-2", "sample", **{"tags.dataset": "sample"}),
        ]
    )
    merged = docs.merged(stored, after, points("new", "sample"))
    assert merged.runs.set_index("run_id")["metrics.smape"].to_dict() == {"kept": 2.0, "new": 3.0, "other": 4.0}
    assert set(merged.curves["run_id"]) == {"kept", "new"}
    again = docs.merged(merged, after, points("new", "sample"))
    assert again.curves.equals(merged.curves)
    assert again.runs.equals(merged.runs)
    assert not {"params.origin", "metrics.series/smape.AEP"} & set(merged.runs)


def test_a_device_and_a_training_on_all_images_have_results_of_their_own():
    tags = {"tags.entry": "pretrain", "tags.dataset": "cifar10", "tags.training": "muon"}
    ways = {
        name: {"params.device": device, "params.validation": held_out}
        for name, device, held_out in (("a", "cuda", "0"), ("b", "cuda", "5000"), ("c", "cpu", "0"))
    }
    stored = docs.merged(None, pd.DataFrame([run("resnet18", name, **tags, **ways[name]) for name in ways]), points())
    merged = docs.merged(stored, pd.DataFrame([run("resnet18", "new", **tags, **ways["b"])]), points())
    assert {*merged.runs["run_id"]} == {"a", "new", "c"}


@pytest.mark.parametrize(("replaced", "figure", "kept"), [("rnn-2", 2.5, {"lstm-2"}), ("gru-2", 1.5, {"rnn-2"})])
def test_a_test_by_predictions_of_what_was_replaced_is_dropped(replaced, figure, kept):
    """lstm-2 is tested against gru-2, rnn-2 against another row. The same figures again change no test."""
    before = {"gru-2": 1.0, "rnn-2": 2.0, "lstm-2": 3.0}
    tests = pd.DataFrame(
        [
            {"entry": "recurrent", "row": row, "training": "dense", "against": against, "p": 0.01}
            for row, against in (("rnn-2", "linear-ar-hourly"), ("lstm-2", "gru-2"))
        ]
    )
    runs = pd.DataFrame([run(row, row, **{"metrics.smape_report": value}) for row, value in before.items()])
    stored = docs.merged(None, runs, points(), tests)
    again = docs.merged(stored, runs.assign(run_id="again"), points())
    assert {*again.tests["row"]} == {"rnn-2", "lstm-2"}
    other = docs.merged(stored, pd.DataFrame([run(replaced, "new", **{"metrics.smape_report": figure})]), points())
    assert {*other.tests["row"]} == kept
    assert docs.untested(stored, again) == []
    (lost,) = {"rnn-2", "lstm-2"} - kept
    against = {"rnn-2": "linear-ar-hourly", "lstm-2": "gru-2"}
    assert docs.untested(stored, other) == [f"recurrent, against {against[lost]}: {lost}"]
    unknown = docs.Results(other.runs[other.runs["tags.row"] != lost], other.curves, other.tests)
    assert docs.untested(stored, unknown) == []
    # Still tested, but against another row.
    moved = stored.tests.assign(against="linear-ar-hourly")
    assert docs.untested(stored, docs.Results(stored.runs, stored.curves, moved)) == [
        "recurrent, against gru-2: lstm-2"
    ]


def test_what_is_stored_is_read_back_alike(tmp_path):
    stored = docs.load(STORED)
    docs.store(stored, tmp_path)
    again = docs.load(tmp_path)
    pd.testing.assert_frame_equal(again.runs, stored.runs)
    assert (tmp_path / docs.RUNS).read_bytes() == (STORED / docs.RUNS).read_bytes()
    assert (tmp_path / docs.CURVES).read_bytes() == (STORED / docs.CURVES).read_bytes()
    assert (tmp_path / docs.TESTS).read_bytes() == (STORED / docs.TESTS).read_bytes()


def test_a_mark_without_a_table_is_refused():
    with pytest.raises(InputError, match="no table is called 'tabel'"):
        docs.rewritten("<!-- tabel -->\n<!-- end -->", docs.load(STORED))


@pytest.mark.parametrize("missing", ["--file", "--results"])
def test_missing_files_are_one_line(missing, tmp_path):
    result = CliRunner().invoke(cli, ["readme", missing, str(tmp_path / "absent")])
    assert result.exit_code == 2
    assert len(result.stderr.strip().splitlines()) == 1


def test_without_a_page_all_of_them_and_the_picture_are_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").mkdir()
    for page in ("README.md", "docs/page.md"):
        (tmp_path / page).write_text("<!-- finding -->\nstale\n<!-- end -->\n")
    shutil.copytree(STORED, tmp_path / "stored", ignore=shutil.ignore_patterns("figures"))
    result = CliRunner().invoke(cli, ["readme", "--results", "stored"])
    pages = ["README.md", "docs/page.md", docs.PICTURE, gallery.PAGE, "docs/gallery/best-recurrent-pjm.png"]
    assert result.stdout.split()[: len(pages)] == pages, result.output
    assert (tmp_path / docs.PICTURE).read_text().startswith("<?xml")
    assert "stale" not in (tmp_path / "README.md").read_text() + (tmp_path / "docs" / "page.md").read_text()


def test_the_command_makes_a_stale_page_fresh(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- headline-recurrent -->\nstale\n<!-- end -->\nafter\n")
    result = CliRunner().invoke(cli, ["readme", "--file", str(page), "--results", str(STORED)])
    assert result.exit_code == 0, result.output
    text = page.read_text()
    assert text.startswith("before\n<!-- headline-recurrent -->\n| ")
    assert text.endswith("|\n<!-- end -->\nafter\n")
    assert "stale" not in text
