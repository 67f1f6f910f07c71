"""The saved views of experiments and studies, held against what their runs are recorded to log."""

import base64
import json
import zlib
from dataclasses import replace
from math import inf

import pytest
from support.place import ROOT

from pipelines.common import ui
from pipelines.common.views import Bars, Lines, Parallel, Scatter, View, encoded
from pipelines.experiments.index import ENTRIES, STUDIED, experiment_of, search_of
from pipelines.launching.view import view_of
from pipelines.studies import view as studies
from pipelines.studies.plan import Plan

RECORDED = json.loads((ROOT / "tests" / "golden" / "launches.json").read_text())["launches"]
STUDY = Plan(
    study="ablation",
    row="cnn",
    name="ablation-sample",
    space="default",
    dataset="sample",
    n_trials=1,
    fraction=1.0,
    finalists=0,
    storage="",
    seed=0,
    deadline=inf,
    device="cpu",
    precision="",
    data_dir="",
)


def logged(entry: str, tag: str) -> set[str]:
    """Keys of what the runs of a launch that have a tag log, as a column or an order names them."""
    runs = [run for run in RECORDED[entry]["runs"].values() if tag in run["tags"]]
    assert runs
    return {
        key(name)
        for run in runs
        for key, kind in ((ui.metric, "metrics"), (ui.param, "params"), (ui.tag, "tags"))
        for name in run[kind]
    }


def drawn(view: View) -> set[str]:
    """Keys of what the charts of a view show."""
    found = set()
    for chart in view.charts:
        match chart:
            case Bars(metric) | Lines(metric):
                found |= {ui.metric(metric)}
            case Scatter(x, y):
                found |= {ui.metric(x), ui.metric(y)}
            case Parallel(params, metric):
                found |= {ui.metric(metric), *map(ui.param, params)}
    return found


@pytest.mark.parametrize("entry", ENTRIES)
def test_a_view_shows_what_the_rows_log(entry):
    view = view_of(experiment_of(entry), "sample")
    assert {*view.columns, ui.metric(view.metric), *drawn(view)} <= logged(entry, "row")


def test_the_charts_of_details_are_closed():
    """MLflow draws a metric whose name has a slash in the section called as what stands before it."""
    metrics = {metric for entry in ENTRIES for run in RECORDED[entry]["runs"].values() for metric in run["metrics"]}
    groups = {metric.rpartition("/")[0] for metric in metrics} - {""}
    assert groups
    saved = json.loads(encoded(view_of(experiment_of("recurrent"), "sample"), 1, 2))["state"]
    state = json.loads(zlib.decompress(base64.b64decode(saved.removeprefix("deflate;"))))
    assert groups <= {section["name"] for section in state["compareRunSections"] if not section["display"]}


@pytest.mark.parametrize("entry", ENTRIES)
def test_a_view_begins_with_the_metric_by_which_it_is_sorted(entry):
    view = view_of(experiment_of(entry), "sample")
    assert view.columns[0] == ui.metric(view.metric)
    assert view.charts[0] == Bars(view.metric)
    assert len(set(view.columns)) == len(view.columns)


@pytest.mark.parametrize("entry", ENTRIES)
def test_errors_are_sorted_with_the_lowest_first_and_accuracies_with_the_highest(entry):
    view = view_of(experiment_of(entry), "sample")
    assert view.lowest == ("accuracy" not in view.metric)


def test_the_trials_of_a_study_show_what_they_log():
    view = studies.view_of(STUDY)
    pruned = {ui.tag("pruned")}  # the recorded trials ran to their end
    assert {*view.columns, ui.metric(view.metric), *drawn(view)} - pruned <= logged("tune", "trial")


@pytest.mark.parametrize("study", STUDIED)
def test_the_best_trial_comes_first(study):
    view = studies.view_of(replace(STUDY, study=study, row=search_of(study).row))
    assert view.lowest != search_of(study).maximise
    assert view.lowest == ("accuracy" not in search_of(study).metric)


def test_a_trial_that_was_pruned_is_ranked_and_drawn_by_nothing_but_its_line():
    """Its last value is one of half-way; only trials that ran to their end have an objective."""
    view = studies.view_of(STUDY)
    lines = tuple(chart for chart in view.charts if isinstance(chart, Lines))
    others = replace(view, charts=tuple(chart for chart in view.charts if chart not in lines))
    measured = {key for key in {ui.metric(view.metric), *drawn(others)} if key.startswith("metrics.")}
    assert measured == {ui.metric("objective"), ui.metric("training_time_s")}
    assert drawn(replace(view, charts=lines)) == {ui.metric("val_accuracy")}
