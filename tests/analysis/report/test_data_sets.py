"""The report on several data sets at once: what it says of each, and what it leaves out."""

import re
from typing import NamedTuple

import pandas as pd
import pytest
from click.testing import CliRunner
from support.reported import reporting

from analysis.__main__ import cli
from pipelines import names

TYPED = "python -m pipelines recurrent --dataset pjm --models gru-2 --seeds 5"


OTHERS = [f"python -m pipelines recurrent --dataset pjm --lr 0.00{number}" for number in range(1, 8)]


class Mixed(NamedTuple):
    """A report: its sections by title, the page, what the command printed, and whether the server is unchanged."""

    parts: dict[str, str]
    page: str
    stdout: str
    unchanged: bool


@pytest.fixture(scope="module")
def mixed(tmp_path_factory, blank_database):
    """Sections of a report on runs on pjm and on the sample, with all that a page may leave out; read, not logged."""
    folder = tmp_path_factory.mktemp("mixed")
    with reporting(folder, blank_database) as store:
        mixture(store)
        before = everything(store.client)
        result = CliRunner().invoke(cli, ["report", "--output", str(folder / "out"), "--log", "false"])
        assert result.exit_code == 0, result.output
        page = (folder / "out" / "report.md").read_text()
        parts = {part.splitlines()[0]: part for part in page.split("\n## ")}
        unchanged = everything(store.client) == before
        yield Mixed(parts, page, result.stdout, unchanged)


def mixture(store):
    hours = pd.DataFrame({"panel": "forecasts_first", "series": "DOM", "time": ["2001-12-27"], "actual_mw": [100.0]})
    logged = {names.FORECAST_DATA: hours.assign(forecast_mw=90.0)}
    for seed in range(5):
        run = {names.SMAPE_REPORT: 0.25 + seed / 1000, names.TRAINING_TIME: 9.0}
        store.row("recurrent", "gru-2", seed, run, logged, {"lr": 0.005}, command=TYPED)
    store.row("recurrent", "gru-2", 0, {names.SMAPE_REPORT: 0.25}, logged, {"lr": 0.005}, command=TYPED)
    store.row("recurrent", "rnn-2", 0, {names.SMAPE_REPORT: 0.3}, {names.FORECAST_DATA: pd.DataFrame({"a": ["?"]})})
    store.row("recurrent", "lstm-2", 0, {names.TRAINING_TIME: 1.0}, command=TYPED)
    for number, command in enumerate(OTHERS):
        store.row("recurrent", "gru-3", number, {names.SMAPE_REPORT: 0.3}, params={"lr": number}, command=command)
    on_sample = {"dataset": "sample", "command": "python -m pipelines main --preset demo"}
    store.row("recurrent", "linear-ar-hourly", 0, {names.SMAPE_REPORT: 0.154}, training="none", **on_sample)
    for seed in range(2):
        store.row("ablation", "cnn", seed, {names.TEST_ACCURACY: 80.0 + seed}, training="autograd", **on_sample)
    store.row("resnet", "resnet20", 0, {names.TEST_ACCURACY: 61.0}, training="none", **on_sample)
    store.row("mine", "own", 0, {names.TEST_ACCURACY: 61.0}, **on_sample)
    for status in ("FAILED", "FAILED", "RUNNING"):
        store.row("recurrent", "rnn-3", 0, {}, status=status)
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
    assert "beside Table 1 of the forecasting report" in mixed.parts["Recurrent forecasters of hourly load: PJM"]
    assert "0.239" in mixed.parts["Recurrent forecasters of hourly load: PJM"]


def test_every_data_set_has_a_section_and_a_headline_of_its_own(mixed):
    assert list(mixed.parts)[1:] == [
        "Recurrent forecasters of hourly load: PJM",
        "Recurrent forecasters of hourly load: England and Wales (sample)",
        "CNNs and MLPs: 8×8 digits (sample)",
        "ResNets: 8×8 digits (sample)",
        *("Error against cost", "Studies of hyperparameters", "The course reports' statements", "Provenance"),
        *("What this page leaves out", "Where the course reports err, and what that changes"),
    ]
    lead = mixed.parts["# Neural networks compared honestly"]
    assert "Runs on: PJM, England and Wales (sample), 8×8 digits (sample)." in lead
    assert re.search(r"England and Wales \(sample\): sMAPE.*\n\n\| row \| ours \| runs \|", lead)
    # Nine rows and settings on pjm have an error: gru-2, rnn-2, and gru-3 with seven rates.
    assert re.search(r"PJM: sMAPE.*\n\n\| best 5 of 9 rows \| ours \| published \| runs \|", lead)


def test_the_sample_judges_nothing_of_the_reports(mixed):
    assert "better than the best published" not in mixed.page
    flaws = mixed.parts["Where the course reports err, and what that changes"]
    assert "A linear model for each hour of the day has not been run here on the published data." in flaws
    statements = mixed.parts["The course reports' statements"]
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
        "1 run of the entry mine, which has no section here: `python -m analysis compare --entry mine` shows",
        "3 runs of rows, not finished (2 FAILED, 1 RUNNING)",
        "1 run of other projects in the experiment churn: `python -m analysis compare --experiment churn`",
        "What cannot be read, and so is in no figure: tables/forecasts.csv of rnn-2 (run ",
    ):
        assert told in part, told


def test_a_report_that_is_not_logged_changes_nothing_on_the_server(mixed):
    assert mixed.unchanged
    assert mixed.stdout.strip().endswith("report.html: open it in a browser; not logged to MLflow (--log false)")
