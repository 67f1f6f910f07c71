"""Rows without published figures, which anybody may add: they change no claim, and have their line in every table."""

import runpy
from dataclasses import replace

import pandas as pd
import pytest
from click.testing import CliRunner
from support.frames import NO_CURVES, classifier, frame, grid, table_1, table_2
from support.reported import reporting

from analysis.__main__ import cli
from analysis.claims.judge import Verdict, judge
from analysis.entries import ablation, recurrent
from analysis.entries.entry import Entry
from analysis.tables.select import choose, departures
from pipelines import names
from pipelines.experiments.ablation import rows as classifiers
from pipelines.experiments.recurrent import rows as forecasters

FURTHER = "further"
# Better than every other row, so that it would be named by claims about the best.
BETTER = {"metrics.smape_report": 0.01, "metrics.training_time_s": 1.0, "metrics.evaluation_time_s": 0.1} | {
    f"metrics.{metric}": value
    for metric, value in (("train_loss", 0.1), ("test_loss", 0.2), ("train_accuracy", 98.0), ("test_accuracy", 99.0))
}


def with_further_rows(module) -> Entry:
    """The entry of `module` made anew from a catalogue with rows that have no published figures."""
    network = replace(forecasters.NETWORKS["gru-2"], row=FURTHER, published=None)
    cnn = replace(classifiers.ABLATION["cnn"], row=FURTHER, published=None)
    perceptron = replace(classifiers.ABLATION["mlp-2"], row=f"{FURTHER}-mlp", published=None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forecasters, "NETWORKS", {**forecasters.NETWORKS, FURTHER: network})
        patch.setattr(forecasters, "RECURRENT", {**forecasters.RECURRENT, FURTHER: network})
        further = {FURTHER: cnn, f"{FURTHER}-mlp": perceptron}
        patch.setattr(classifiers, "ABLATION", {**classifiers.ABLATION, **further})
        return runpy.run_path(module.__file__)["ENTRY"]


def measured(module, *further: str) -> pd.DataFrame:
    """The report's figures as if we had measured them, and better ones of further rows."""
    own, like = (table_1(), {}) if module is recurrent else (table_2(), classifier("cnn"))
    found = pd.concat([own, *(frame(like | {"tags.row": row} | BETTER) for row in further)], ignore_index=True)
    return found.assign(run_id=[str(index) for index in range(len(found))])


def judged(entry: Entry, found: pd.DataFrame) -> list[tuple[str, str, str, str]]:
    """Every claim by its name, with the verdict by ours, its evidence, and the verdict by the report."""

    def told(verdict: Verdict) -> tuple[str, str, str, str]:
        return verdict.claim.name, verdict.ours, verdict.evidence, verdict.report

    chosen = choose(found, entry.view, entry.view.dataset)
    (judgement,) = judge(entry.statements, chosen, NO_CURVES)
    return [told(verdict) for verdict in (*judgement.reported, *judgement.found)]


@pytest.mark.parametrize("module", [recurrent, ablation], ids=["recurrent", "ablation"])
@pytest.mark.parametrize("ran", [False, True], ids=["not run", "run"])
def test_a_further_row_changes_no_claim(module, ran):
    before = judged(module.ENTRY, measured(module))
    entry = with_further_rows(module)
    assert FURTHER in entry.view.rows
    assert FURTHER not in entry.view.published_rows
    assert judged(entry, measured(module, *([FURTHER, f"{FURTHER}-mlp"] if ran else []))) == before
    assert {verdict for _, verdict, _, _ in before} >= {"supported", "not supported"}


@pytest.mark.parametrize("module", [recurrent, ablation], ids=["recurrent", "ablation"])
def test_a_run_on_data_that_are_not_here_departs_from_nothing(module):
    run = frame(classifier("cnn") if module is ablation else {"tags.row": "gru-2", "params.lr": "0.5"}).iloc[0]
    assert departures(run, module.ENTRY.view) == ([] if module is ablation else ["lr 0.5 (catalogue: 0.006)"])
    run["tags.dataset"] = "elsewhere"
    assert departures(run, module.ENTRY.view) == []


@pytest.fixture
def store(tmp_path, blank_database):
    """Runs of two rows of the catalogue, and of one that it has not."""
    with reporting(tmp_path, blank_database) as store:
        for row, accuracy in (("cnn", 60.0), ("mlp-2", 50.0), (FURTHER, 70.0)):
            epochs = pd.DataFrame(
                {"epoch": [1, 2], "train_loss": [2, 1.0], "train_accuracy": [30.0, accuracy]}
                | {"test_loss": [1.5, 1.6], "test_accuracy": [40.0, accuracy]}
            )
            metrics = {names.TEST_ACCURACY: accuracy, names.TRAINING_TIME: accuracy}
            logged = {names.EPOCH_DATA: epochs}
            store.row("ablation", row, 0, metrics, logged, {"lr": 0.001}, "cifar10", training="autograd")
        yield store


def test_a_further_row_has_a_line_after_those_of_the_catalogue(store):
    result = CliRunner().invoke(cli, ["compare", "--entry", "ablation", "--metrics", "test_accuracy"])
    assert result.exit_code == 0, result.output
    header, *lines = grid(result.stdout)
    assert header == ["row", "n", "test_accuracy", "published", "test_accuracy.difference"]
    assert lines == [
        ["cnn", "1", "60.00", "58.58", "+1.42"],
        ["mlp-2", "1", "50.00", "51.95", "-1.95"],
        [FURTHER, "1", "70.00", "–", "–"],
    ]


@pytest.mark.medium
def test_a_report_shows_a_further_row_with_nothing_published_beside_it(store, tmp_path):
    result = CliRunner().invoke(cli, ["report", "--output", str(tmp_path / "out"), "--log", "false"])
    assert result.exit_code == 0, result.output
    page = (tmp_path / "out" / "report.md").read_text()
    assert f"| {FURTHER} | 70.00 | – | 1 |" in page  # the headline, where it is best
    section = page.split("## CNNs and MLPs")[1].split("\n## ")[0]
    assert f"after the last epoch {FURTHER} is best on the training set" in section
    assert "lr-high" not in page.split("## The course reports' statements")[0]
    assert f"{FURTHER}" not in page.split("## The course reports' statements")[1].split("\n## ")[0]
