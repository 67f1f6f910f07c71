"""The report on small stores: what it says is what the runs say, whatever runs there are."""

import html.parser
import re
import shutil
import subprocess
from contextlib import contextmanager
from types import SimpleNamespace

import mlflow
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag

from analysis import report_figures
from analysis.__main__ import cli
from analysis.parts import Drawn, seeds_told
from pipelines import figures, names
from pipelines.experiments.recurrent.rows import PANELS, Panel

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")


class Store:
    """A tracking store with runs as the pipelines leave them."""

    def __init__(self, folder, monkeypatch):
        self.uri = f"sqlite:///{folder / 'runs.db'}"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", self.uri)
        monkeypatch.chdir(folder)
        mlflow.set_tracking_uri(self.uri)
        self.client = MlflowClient(self.uri)
        self.folder = folder
        self.experiment = self.client.create_experiment(names.EXPERIMENT, str(folder / "artifacts"))
        self.clock = 1_780_000_000_000

    def run(self, entry, row, seed, metrics, logged=None, params=None, dataset="pjm", **tags):
        self.clock += 1000
        run = self.client.create_run(self.experiment, start_time=self.clock, run_name=f"{row}-{seed}").info.run_id
        tags = {"entry": entry, "seed": seed, "training": "dense", "dataset": dataset} | tags
        tags |= {"row": row} if row else {}
        self.client.log_batch(
            run,
            [Metric(name, value, 0, 0) for name, value in metrics.items()],
            [Param(name, str(value)) for name, value in (params or {}).items()],
            [RunTag(name, str(value)) for name, value in tags.items()],
        )
        for path, content in (logged or {}).items():
            file = self.folder / path.split("/")[1]
            content.to_csv(file, index=False) if isinstance(content, pd.DataFrame) else np.save(file, content)
            self.client.log_artifact(run, str(file), path.split("/")[0])
        self.client.set_terminated(run)
        return run


@contextmanager
def tracking(folder):
    """A store that is MLflow's tracking server meanwhile."""
    before = mlflow.get_tracking_uri()
    with pytest.MonkeyPatch.context() as patch:
        try:
            yield Store(folder, patch)
        finally:
            mlflow.set_tracking_uri(before)


@pytest.fixture
def store(tmp_path):
    with tracking(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """The folder of a report on runs of every kind, with the store and the id of the report's own run."""
    folder = tmp_path_factory.mktemp("report")
    with tracking(folder) as store:
        filled(store)
        run_id = made(folder / "out").output.split()[-1]
        yield SimpleNamespace(folder=folder / "out", client=store.client, run_id=run_id)


def forecaster(store, row, seed, error, seconds, ends):
    hours = pd.date_range("2001-12-27", periods=4, freq="h")
    forecasts = pd.DataFrame(
        {"panel": "forecasts_first", "series": "DOM", "time": hours, "actual_mw": [100.0, 200, 300, 200]}
    ).assign(forecast_mw=lambda table: table["actual_mw"] + 100 * error)
    curve = pd.DataFrame({"update": [0, 1, 2, 3], "smape": [80.0, 5.0, 2.0, ends]})
    metrics = {names.SMAPE: 4 * error, names.SMAPE_REPORT: error, names.TRAINING_TIME: seconds}
    store.run(
        "recurrent", row, seed, metrics, {names.FORECAST_DATA: forecasts, names.CURVE_DATA: curve}, {"lr": 0.005}
    )  # fmt: skip


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
    store.run("ablation", row, seed, metrics, logged, dataset="cifar10", training="autograd", verified="false")


def filled(store):
    for seed in range(2):
        forecaster(store, "gru-2", seed, 0.2 + seed / 100, 100.0, 1.0)
        forecaster(store, "rnn-2", seed, 0.3 + seed / 100, 50.0, 2.5)
        classifier(store, "cnn", seed, 60.0 + seed)
        classifier(store, "mlp-2", seed, 50.0 + seed)
    resnet = {names.TEST_ACCURACY: 91.73, names.MULTIPLY_ADDS: 4e7}
    store.run("resnet", "resnet20", "", resnet, dataset="cifar10", training="none")
    trials = pd.DataFrame(
        {"trial": [0, 1, 2], "state": ["COMPLETE", "PRUNED", "COMPLETE"], "val_smape": [2.0, None, 1.5]}
        | {"epochs": 3, "seconds": 1.0, "lr": [0.1, 0.2, 0.012345678], "retry_of": None, "run_id": "x"}
    )
    shares = pd.DataFrame({"hyperparameter": ["lr", "depth"], "importance": [0.9, 0.1]})
    store.run("tune", "", "", {}, {names.TRIALS: trials, names.IMPORTANCES: shares}, study="hours")
    store.run("recurrent", "tuned", 0, {names.SMAPE_REPORT: 0.19}, params={"study": "hours"}, study="hours")


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
    assert len(pictures) == 10
    assert all(picture["alt"] and picture["src"].startswith("data:image/svg+xml;base64,") for picture in pictures)


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
    assert len(linked) == len(printed) == 10
    assert all((out.folder / path).stat().st_size > 1000 for path in linked + printed)


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
    assert len(list(out.client.list_artifacts(out.run_id, "figures"))) == 20


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
    store.run("ablation", "cnn", 0, run, dataset="sample", training="autograd")
    made(tmp_path / "out")
    page = (tmp_path / "out" / "report.md").read_text()
    assert "The report's figures are of CIFAR-10, not of these data: none stands beside these." in page
    assert "published" not in page.split("## CNNs and MLPs")[1].split("## ")[0]


def test_hostile_names_are_text(store, tmp_path):
    store.run("ablation", "<script>alert(1)</script> & 50%_{", 0, {names.TEST_ACCURACY: 50.0}, dataset="cifar10")
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


# What the captions say, by hand.


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
    caption = report_figures.forecasts(logged, panel, "x", "PJM", "Fig 7").caption
    assert caption.startswith("PJM: three days of DOM, 27 Dec 2001 to 29 Dec 2001. The load runs from 1,000 to 3,000")
    assert "near is nearest, 10 MW off on average, and far farthest, 200 MW" in caption
    other = Panel("other", 0, slice(3), "", "Fig 7")
    assert report_figures.forecasts(logged, other, "x", "PJM") is None
    # A row whose hours are others is no match for the rest.
    logged["late"] = table.assign(time=pd.date_range("2002-01-01", periods=3), forecast_mw=0.0)
    caption = report_figures.forecasts(logged, panel, "x", "PJM").caption
    assert "far farthest, 200 MW" in caption
    assert caption.endswith("Not shown, of other hours: late.")
    alone = report_figures.forecasts({"near": logged["near"]}, panel, "x", "PJM").caption
    assert "hours near is 10 MW off on average." in alone


def test_caption_of_the_error_along_training():
    logged = {
        "a": pd.DataFrame({"update": [0, 1, 2, 3], "smape": [80.0, 9, 2, 1.5]}),
        "b": pd.DataFrame({"update": [0, 1, 2, 3], "smape": [90.0, 9, 2, 2.5]}),
    }
    caption = report_figures.error_along_training(logged, "x", "PJM").caption
    assert "80 to 90 %, highest for b. It ends lowest for a (1.50 %) and highest for b (2.50 %)." in caption
    assert "it rises for b and falls for the others" in caption
    for row, told in (("a", "it falls. "), ("b", "it rises for b. ")):
        assert told in report_figures.error_along_training({row: logged[row]}, "x", "PJM").caption


def test_caption_of_epochs():
    logged = {
        "a": pd.DataFrame({"epoch": [1, 2], "train_accuracy": [50.0, 70], "test_accuracy": [50.0, 60]}),
        "b": pd.DataFrame({"epoch": [1, 2], "train_accuracy": [50.0, 68], "test_accuracy": [66.0, 65]}),
    }
    caption = report_figures.epochs(logged, "accuracy", "x", "CIFAR-10", "Fig 6").caption
    assert caption.startswith(
        "CIFAR-10: after the last epoch a is best on the training set (70%) and b on the test set"
    )
    assert "farthest apart for a (10 points)" in caption
    assert "1 of 2 rows had a better epoch on the test set before the last: b." in caption
    alone = report_figures.epochs({"a": logged["a"]}, "accuracy", "x", "CIFAR-10").caption
    assert "best" not in alone
    assert "a has 70% on the training set and 60% on the test set" in alone


def test_caption_of_the_sheet_and_its_standard_error():
    labels = pd.DataFrame({"label": ["cat", "dog", "cat", "dog"], "prediction": ["cat", "cat", "cat", "dog"]})
    figure = report_figures.sheet("cnn", labels, np.zeros((4, 8, 8, 3), np.uint8), 50.0, "x", "CIFAR-10")
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
    caption = report_figures.frontier(points, "x", cost="s", error="%", title="t").caption
    assert caption.startswith("T. Nothing is both cheaper and better than (in brackets s; %): a (1; 5), b (2; 3). ")
    assert caption.endswith("1 other is beaten: one of these is no worse in either, and better in one.")


def test_caption_of_a_study():
    trials = pd.DataFrame(
        {
            "trial": [0, 1, 2, 3],
            "state": ["COMPLETE", "PRUNED", "COMPLETE", "COMPLETE"],
            "val_accuracy": [50, 70, 60, 55],
        }
        | {"epochs": 1, "seconds": 1.0, "lr": [0.1, 0.2, 0.3, 0.4], "retry_of": None, "run_id": "x"}
    )
    caption = report_figures.study("s", trials, "val_accuracy", lowest=False, file="x", shares=None).caption
    assert (
        "4 trials, 3 to their end, 1 given up early. The best, trial 2, reaches val_accuracy 60 with lr 0.3" in caption
    )
    assert "1 further trial found nothing better." in caption
    assert caption.endswith("No importances of the hyperparameters: they take 10 trials that ran to their end.")
    shares = pd.DataFrame({"hyperparameter": ["lr"], "importance": [1.0]})
    assert "No importances" not in report_figures.study("s", trials, "val_accuracy", False, "x", shares).caption
    wider = trials.assign(depth=1)[[*trials.columns[:-2], "depth", "retry_of", "run_id"]]
    caption = report_figures.importances("s", wider, shares, "x").caption
    assert "lr decides most, 100 %" in caption
    assert caption.endswith("Not among them: depth, whose range depends on another choice.")


def test_every_panel_of_the_report_has_its_title():
    assert [panel.title.count("{series}") for panel in PANELS] == [1, 1, 1]


# Several data sets at once.

TYPED = "python -m pipelines recurrent --dataset pjm --models gru-2 --seeds 5"
OTHERS = [f"python -m pipelines recurrent --dataset pjm --lr 0.00{number}" for number in range(1, 8)]


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """Sections of a report on runs on pjm and on the sample, with all that a page may leave out; read, not logged."""
    folder = tmp_path_factory.mktemp("mixed")
    with tracking(folder) as store:
        mixture(store)
        before = everything(store.client)
        result = CliRunner().invoke(cli, ["report", "--output", str(folder / "out"), "--log", "false"])
        assert result.exit_code == 0, result.output
        page = (folder / "out" / "report.md").read_text()
        parts = {part.splitlines()[0]: part for part in page.split("\n## ")}
        unchanged = everything(store.client) == before
        yield SimpleNamespace(parts=parts, page=page, stdout=result.stdout, unchanged=unchanged, client=store.client)


def mixture(store):
    hours = pd.DataFrame({"panel": "forecasts_first", "series": "DOM", "time": ["2001-12-27"], "actual_mw": [100.0]})
    logged = {names.FORECAST_DATA: hours.assign(forecast_mw=90.0)}
    for seed in range(5):
        run = {names.SMAPE_REPORT: 0.25 + seed / 1000, names.TRAINING_TIME: 9.0}
        store.run("recurrent", "gru-2", seed, run, logged, {"lr": 0.005}, command=TYPED)
    store.run("recurrent", "gru-2", 0, {names.SMAPE_REPORT: 0.25}, logged, {"lr": 0.005}, command=TYPED)
    store.run("recurrent", "rnn-2", 0, {names.SMAPE_REPORT: 0.3}, {names.FORECAST_DATA: pd.DataFrame({"a": ["?"]})})
    store.run("recurrent", "lstm-2", 0, {names.TRAINING_TIME: 1.0}, command=TYPED)
    for number, command in enumerate(OTHERS):
        store.run("recurrent", "gru-3", number, {names.SMAPE_REPORT: 0.3}, params={"lr": number}, command=command)
    on_sample = {"dataset": "sample", "command": "python -m pipelines main --preset demo"}
    store.run("recurrent", "linear-ar-hourly", 0, {names.SMAPE_REPORT: 0.154}, training="none", **on_sample)
    for seed in range(2):
        store.run("ablation", "cnn", seed, {names.TEST_ACCURACY: 80.0 + seed}, training="autograd", **on_sample)
    store.run("resnet", "resnet20", 0, {names.TEST_ACCURACY: 61.0}, training="none", **on_sample)
    store.run("mine", "own", 0, {names.TEST_ACCURACY: 61.0}, **on_sample)
    for status in ("FAILED", "FAILED", "RUNNING"):
        store.client.set_terminated(store.run("recurrent", "rnn-3", 0, {}), status)
    theirs = store.client.create_experiment("churn")
    store.client.set_terminated(store.client.create_run(theirs).info.run_id)


def everything(client):
    """Every run with its tags, metrics and status."""
    found = client.search_runs([each.experiment_id for each in client.search_experiments()], max_results=1000)
    return sorted((run.info.run_id, run.info.status, sorted(run.data.tags.items())) for run in found)


def test_nothing_published_stands_beside_other_data(mixed):
    for title, part in mixed.parts.items():
        if "(sample)" in title:
            assert "published" not in part, title
            assert "beside Table" not in part, title
            assert "cf. Fig" not in part, title
            assert part.count("CIFAR-10") + part.count("PJM") == 1, title
            assert "none stands beside these" in part, title
    assert "beside Table 1 of the report" in mixed.parts["Recurrent forecasters of hourly load: PJM"]
    assert "0.239" in mixed.parts["Recurrent forecasters of hourly load: PJM"]


def test_every_data_set_has_a_section_and_a_headline_of_its_own(mixed):
    assert list(mixed.parts)[1:] == [
        "Recurrent forecasters of hourly load: PJM",
        "Recurrent forecasters of hourly load: England and Wales (sample)",
        "CNNs and MLPs: 8×8 digits (sample)",
        "ResNets: 8×8 digits (sample)",
        *("Error against cost", "Studies of hyperparameters", "The reports' statements", "Provenance"),
        *("What this page leaves out", "Where the reports err, and what that changes"),
    ]
    lead = mixed.parts["# Neural networks compared honestly"]
    assert "Runs on: PJM, England and Wales (sample), 8×8 digits (sample)." in lead
    assert re.search(r"England and Wales \(sample\): sMAPE.*\n\n\| row \| ours \| runs \|", lead)
    # Nine rows and settings on pjm have an error: gru-2, rnn-2, and gru-3 with seven rates.
    assert re.search(r"PJM: sMAPE.*\n\n\| best 5 of 9 rows \| ours \| published \| runs \|", lead)


def test_the_sample_judges_nothing_of_the_reports(mixed):
    assert "better than the best published" not in mixed.page
    flaws = mixed.parts["Where the reports err, and what that changes"]
    assert "A linear model for each hour of the day has not been run here on the report's data." in flaws
    statements = mixed.parts["The reports' statements"]
    assert "`python -m analysis claims --entry ablation --dataset sample`" in statements
    assert "ablation, " not in statements.replace("`python", "")


def test_commands_are_those_that_the_runs_recorded(mixed):
    part = mixed.parts["Recurrent forecasters of hourly load: PJM"]
    told = re.findall(r"^- `(.*)`$", part, re.MULTILINE)
    # The newest first; of eight commands five.
    assert told == [
        *OTHERS[:1:-1],
        "… and 3 more, in the tag command of the runs",
        "not recorded: 1 of 14 runs",
    ]
    assert "- `python -m pipelines main --preset demo`" in mixed.parts["CNNs and MLPs: 8×8 digits (sample)"]
    line = next(line for line in mixed.parts["Provenance"].splitlines() if line.startswith("| ablation, sample"))
    assert line.endswith("| python -m pipelines main --preset demo |")


def test_one_seed_of_several_is_said_to_be_drawn(mixed):
    part = mixed.parts["Recurrent forecasters of hourly load: PJM"]
    assert "gru-2 is 10 MW off on average. Shown: seed 0 of 5. Not shown: 6 other settings of these rows." in part


def test_which_runs_a_figure_shows():
    def told(*seeds):
        return seeds_told([Drawn(label, label, seed, count) for label, seed, count in seeds])

    assert told(("a", "0", 1), ("b", "0", 1)) == ("", "")
    assert told(("a", "0", 5), ("b", "0", 5)) == ("seed 0 of 5", " Shown: seed 0 of 5.")
    assert told(("a", "0", 5), ("b", "0", 1)) == ("seed 0 of 5", " Shown: seed 0 of 5, of the others the only run.")
    several = told(("a", "0", 5), ("b", "1", 2))
    assert several == ("one seed of each row", " Shown: a seed 0 of 5, b seed 1 of 2.")


def test_settings_that_are_not_the_catalogues_are_said_beside_the_published_figure(mixed):
    lead = mixed.parts["# Neural networks compared honestly"]
    assert "- Settings that are not the catalogue's: gru-2 lr 0.005 (catalogue: 0.006)" in lead


def test_no_table_on_chance_without_a_baseline_and_a_p(mixed):
    assert "Is the difference to gru-2 more than chance? PJM" not in mixed.page  # no line has a pair of seeds
    assert "Is the difference to cnn" not in mixed.page  # nothing to compare cnn with
    assert "more than chance" not in mixed.parts["Recurrent forecasters of hourly load: England and Wales (sample)"]


def test_what_is_left_out_is_counted(mixed):
    part = mixed.parts["What this page leaves out"]
    for told in (
        "1 run that a later one repeats with the same seed, settings and data",
        "1 run of recurrent on pjm without a finite smape_report",
        "1 run of the entry mine, which is none of this project's: `python -m analysis compare --entry mine` shows",
        "3 runs of rows, not finished (2 FAILED, 1 RUNNING)",
        "1 run of other projects in the experiment churn: `python -m analysis compare --experiment churn`",
        "What cannot be read, and so is in no figure: tables/forecasts.csv of rnn-2 (run ",
    ):
        assert told in part, told


def test_where_nothing_is_left_out_the_page_says_so(store, tmp_path):
    store.run("ablation", "cnn", 0, {names.TEST_ACCURACY: 60.0}, dataset="cifar10")
    made(tmp_path / "out")
    page = (tmp_path / "out" / "report.md").read_text()
    assert "Nothing: every run on this server is of a row, has finished, and is on this page." in page
    assert "not recorded: 1 of 1 runs" in page


def test_a_report_that_is_not_logged_changes_nothing_on_the_server(mixed):
    assert mixed.unchanged
    assert mixed.stdout.strip().endswith("report.html: open it in a browser; not logged to MLflow (--log false)")


def test_a_report_that_is_logged_has_its_command(out):
    command = out.client.get_run(out.run_id).data.tags["command"]
    assert command == f"python -m analysis report --output {out.folder}"
