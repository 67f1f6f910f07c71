"""The report on small stores: what it says is what the runs say, whatever runs there are."""

import html.parser
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from mlflow import MlflowClient
from support.reported import reporting

from analysis.__main__ import cli
from pipelines import names


class Out(NamedTuple):
    """A report in a folder, and the store with the id of its own run."""

    folder: Path
    client: MlflowClient
    run_id: str


@pytest.fixture
def store(tmp_path, blank_database):
    with reporting(tmp_path, blank_database) as made:
        yield made


@pytest.fixture(scope="module")
def out(tmp_path_factory, blank_database):
    """The folder of a report on runs of every kind, with the store and the id of the report's own run."""
    folder = tmp_path_factory.mktemp("report")
    with reporting(folder, blank_database) as store:
        filled(store)
        named = made(folder / "out").output.split()[-1]
        every = [experiment.experiment_id for experiment in store.client.search_experiments()]
        (run_id,) = (run.info.run_id for run in store.client.search_runs(every) if run.info.run_id.startswith(named))
        yield Out(folder / "out", store.client, run_id)


def forecaster(store, row, seed, error, seconds, ends):
    hours = pd.date_range("2001-12-27", periods=4, freq="h")
    forecasts = pd.DataFrame(
        {"panel": "forecasts_first", "series": "DOM", "time": hours, "actual_mw": [100.0, 200, 300, 200]}
    ).assign(forecast_mw=lambda table: table["actual_mw"] + 100 * error)
    curve = pd.DataFrame({"update": [0, 1, 2, 3], "smape": [80.0, 5.0, 2.0, ends]})
    metrics = {names.SMAPE: 4 * error, names.SMAPE_REPORT: error, names.TRAINING_TIME: seconds}
    store.row("recurrent", row, seed, metrics, {names.FORECAST_DATA: forecasts, names.CURVE_DATA: curve}, {"lr": 0.005})


def classifier(store, row, seed, accuracy):
    epochs = pd.DataFrame(
        {"epoch": [1, 2], "train_loss": [2, 1.0], "train_accuracy": [30.0, accuracy + 5]}
        | {"test_loss": [1.5, 1.6], "test_accuracy": [40.0, accuracy]}
    )
    labels = pd.DataFrame({"image": range(5), "label": ["cat"] * 5, "prediction": ["cat"] * 4 + ["dog"]})
    metrics = {names.TEST_ACCURACY: accuracy, names.TRAIN_ACCURACY: accuracy + 5, names.TRAINING_TIME: accuracy}
    logged = {
        names.EPOCH_DATA: epochs,
        names.SHEET_DATA: labels,
        names.SHEET_IMAGES: np.zeros((5, 8, 8, 3), np.uint8),
    }
    store.row("ablation", row, seed, metrics, logged, dataset="cifar10", training="autograd", verified="false")


def filled(store):
    for seed in range(2):
        forecaster(store, "gru-2", seed, 0.2 + seed / 100, 100.0, 1.0)
        forecaster(store, "rnn-2", seed, 0.3 + seed / 100, 50.0, 2.5)
        classifier(store, "cnn", seed, 60.0 + seed)
        classifier(store, "mlp-2", seed, 50.0 + seed)
    resnet = {names.TEST_ACCURACY: 91.73, names.MULTIPLY_ADDS: 4e7}
    store.row("resnet", "resnet20", "", resnet, dataset="cifar10", training="none")
    trials = pd.DataFrame(
        {"trial": [0, 1, 2], "state": ["COMPLETE", "PRUNED", "COMPLETE"], "val_smape": [2.0, None, 1.5]}
        | {"epochs": 3, "seconds": 1.0, "lr": [0.1, 0.2, 0.012345678], "retry_of": None, "run_id": "x"}
    )
    shares = pd.DataFrame({"hyperparameter": ["lr", "depth"], "importance": [0.9, 0.1]})
    store.row("tune", "", "", {}, {names.TRIALS: trials, names.IMPORTANCES: shares}, study="hours")
    # A later run of the study, which is none of its launches.
    store.row("tune", "", "", {names.VAL_SMAPE: 1.4}, study="hours", finalist="2")
    store.row("recurrent", "tuned", 0, {names.SMAPE_REPORT: 0.19}, params={"study": "hours"}, study="hours")


def made(folder, expected=0):
    result = CliRunner().invoke(cli, ["report", "--output", str(folder)])
    assert result.exit_code == expected, result.output
    return result


class Page(html.parser.HTMLParser):
    """Tags with their attributes, and the text of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def every(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def test_the_page_shows_everything_there_is(out):
    page = Page((out.folder / "report.html").read_text())
    for told in ("gru-2", "0.2050 ± 0.0071", "0.239", "60.50 ± 0.71", "58.58", "91.73", "hours", "published files"):
        assert told in page.text, told
    pictures = page.every("img")
    assert len(pictures) == 3 + 10  # of the best rows of three parts, and in the sections
    assert all(picture["alt"] and picture["src"].startswith("data:image/svg+xml;base64,") for picture in pictures)


def test_the_first_screen_has_a_picture_of_the_best_rows(out):
    page = Page((out.folder / "report.html").read_text())
    first, *_ = (attributes for tag, attributes in page.tags if tag in ("img", "table"))
    assert first["alt"] == (
        "Next hour's load, PJM: sMAPE %, published convention: of 3 rows tuned has the lowest, 0.1900. "
        "Of the rows shown, gru-2 has the best published figure, 0.239."
    )


def test_tables_scroll_with_a_cue_and_print_whole(out):
    text = (out.folder / "report.html").read_text()
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)[1]
    scrolling = re.search(r"\.box \{ overflow-x: auto; background:(.*?)\}", style, re.DOTALL)[1]
    assert (scrolling.count("no-repeat local"), scrolling.count("no-repeat scroll")) == (2, 2)
    boxes = [attributes for tag, attributes in Page(text).tags if "box" in attributes.get("class", "").split()]
    assert len(boxes) == len(Page(text).every("table"))
    printed = style.split("@media print")[1]
    for rule in (
        r"h2[^{]*caption[^{]*\{ break-after: avoid",
        r"thead[^{]*\{ break-after: avoid",
        "orphans: 3; widows: 3",
    ):
        assert re.search(rule, printed), rule


def test_the_page_is_self_contained_and_readable_by_machines(out):
    text = (out.folder / "report.html").read_text()
    page = Page(text)
    assert not re.search(r"<script|<link|@import|url\(|src=\"(?!data:)", text)
    assert [tag for tag, _ in page.tags if re.fullmatch(r"h\d", tag)][:2] == ["h1", "h2"]
    assert len(page.every("caption")) == len(page.every("table")) > 5
    assert all("scope" in header for header in page.every("th"))
    anchors = {link["href"][1:] for link in page.every("a")}
    assert anchors == {section["id"] for section in page.every("section")}


def test_markdown_and_latex_say_the_same_and_have_their_figures(out):
    paper, page = (out.folder / "report.tex").read_text(), (out.folder / "report.md").read_text()
    for told in ("gru-2", "0.239", "91.73"):
        assert told in paper
        assert told in page
    linked = re.findall(r"\]\((figures/[^)]+)\)", page)
    printed = re.findall(r"\{(figures/[^}]+)\}", paper)
    assert len(linked) == len(printed) == 13
    assert all((out.folder / path).stat().st_size > 1000 for path in linked + printed)


def test_the_paper_has_a_caption_and_a_label_for_everything(out):
    paper = (out.folder / "report.tex").read_text()
    labels = re.findall(r"\\label\{(.*?)\}", paper)
    assert len(labels) == len(set(labels))
    for kind, begins in (("tab", r"\\begin\{(?:table|longtable)\}"), ("fig", r"\\begin\{figure\}")):
        floats = re.findall(begins, paper)
        assert len(floats) == sum(label.startswith(f"{kind}:") for label in labels) > 2
    assert paper.count(r"\caption{") == sum(label.startswith(("tab:", "fig:")) for label in labels)
    assert paper.count(r"\item") == sum(label.startswith("flaw:") for label in labels) > 2
    # The winner of the study has 0.19, gru-2 0.20 and 0.21.
    assert r"tuned & \textbf{0.1900} & " in paper
    assert r"gru-2 & 0.2050 $\pm$ 0.0071 & 0.239 & " in paper


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="no pdflatex here: apt-get install texlive-latex-recommended")
def test_the_paper_compiles(out):
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "report.tex"]
    done = subprocess.run(command, cwd=out.folder, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]


def test_the_report_is_a_run_of_its_own(out):
    run = out.client.get_run(out.run_id)
    assert (run.info.status, run.data.tags["entry"], "row" in run.data.tags) == ("FINISHED", "report", False)
    assert {file.path for file in out.client.list_artifacts(out.run_id)} == {
        *("figures", "report.html", "report.md", "report.tex")
    }
    assert len(list(out.client.list_artifacts(out.run_id, "figures"))) == 26


def test_without_an_experiment_its_section_names_the_command(store, tmp_path):
    classifier(store, "cnn", 0, 60.0)
    made(tmp_path / "out")
    page = (tmp_path / "out" / "report.md").read_text()
    recurrent = page.split("## Recurrent")[1].split("## ")[0]
    assert "No finished runs" in recurrent
    assert "To make some: `python -m pipelines recurrent`" in recurrent
    assert "Made by" not in recurrent


def test_runs_on_the_sample_are_said_to_be_so(store, tmp_path):
    run = {names.TEST_ACCURACY: 50.0}
    store.row("ablation", "cnn", 0, run, dataset="sample", training="autograd")
    made(tmp_path / "out")
    page = (tmp_path / "out" / "report.md").read_text()
    assert "The report's figures are of CIFAR-10, not of these data: none stands beside these." in page
    assert "published" not in page.split("## CNNs and MLPs")[1].split("## ")[0]


def test_hostile_names_are_text(store, tmp_path):
    store.row("ablation", "<script>alert(1)</script> & 50%_{", 0, {names.TEST_ACCURACY: 50.0}, dataset="cifar10")
    made(tmp_path / "out")
    page = Page((tmp_path / "out" / "report.html").read_text())
    assert not page.every("script")
    assert "<script>alert(1)</script> & 50%_{" in page.text
    assert r"\& 50\%\_\{" in (tmp_path / "out" / "report.tex").read_text()


def test_a_folder_that_cannot_be_written_is_one_line(store, tmp_path):
    classifier(store, "cnn", 0, 60.0)
    (tmp_path / "out").write_text("a file")
    result = made(tmp_path / "out", expected=2)
    (line,) = result.stderr.strip().splitlines()
    assert str(tmp_path / "out") in line


def test_an_empty_server_is_one_line(store, tmp_path):
    result = made(tmp_path / "out", expected=1)
    assert len(result.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_where_nothing_is_left_out_the_page_says_so(store, tmp_path):
    store.row("ablation", "cnn", 0, {names.TEST_ACCURACY: 60.0}, dataset="cifar10")
    made(tmp_path / "out")
    page = (tmp_path / "out" / "report.md").read_text()
    assert "Nothing: every run on this server is of a row, has finished, and is on this page." in page
    assert "not recorded: 1 of 1 runs" in page


def test_a_report_that_is_logged_has_its_command(out):
    command = out.client.get_run(out.run_id).data.tags["command"]
    assert command == f"python -m analysis report --output {out.folder}"
