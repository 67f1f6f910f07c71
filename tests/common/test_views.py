"""Saved views in MLflow's tags, read back as its interface reads them."""

import base64
import json
import re
import zlib
from pathlib import Path

import mlflow
import pytest

from pipelines.common import ui, views
from pipelines.common.views import Bars, Lines, Parallel, Scatter, View

VIEW = View(
    name="gru & more on (my) data",
    where="tags.entry = 'recurrent'",
    metric="smape_report",
    lowest=True,
    columns=("metrics.`smape_report`", "params.`lr`"),
    charts=(Bars("smape_report"), Scatter("training_time_s", "smape_report"), Lines("curve"), Parallel(("lr",), "mae")),
)
# What the interface has stored of a view that was saved there.
SAVED_THERE = json.dumps({"name": "mine", "createdAt": 7, "updatedAt": 8, "state": "{}"})


def state_of(tag: str) -> dict:
    compressed = json.loads(tag)["state"]
    assert compressed.startswith("deflate;")
    return json.loads(zlib.decompress(base64.b64decode(compressed[8:], validate=True)))


@pytest.fixture(scope="module")
def state() -> dict:
    return state_of(views.encoded(VIEW, 1, 2))


@pytest.fixture(scope="module")
def bundle() -> str:
    """The code of the interface of the MLflow that is installed."""
    folder = Path(mlflow.__file__).parent / "server" / "js" / "build" / "static" / "js"
    return "".join(path.read_text(encoding="utf-8") for path in folder.glob("main.*.js"))


def test_an_envelope_has_what_the_list_of_views_needs():
    envelope = json.loads(views.encoded(VIEW, 1_780_000_000_000, 1_780_000_001_000))
    assert envelope["name"] == VIEW.name
    assert (envelope["createdAt"], envelope["updatedAt"]) == (1_780_000_000_000, 1_780_000_001_000)


def test_the_runs_are_filtered_and_sorted(state):
    assert state["searchFilter"] == "tags.entry = 'recurrent'"
    assert (state["orderByKey"], state["orderByAsc"]) == ("metrics.`smape_report`", True)
    assert state["selectedColumns"] == state["columnOrder"] == ["metrics.`smape_report`", "params.`lr`"]


def test_every_chart_is_in_the_open_section(state):
    (shown,) = [section["uuid"] for section in state["compareRunSections"] if section["display"]]
    assert [chart["type"] for chart in state["compareRunCharts"]] == ["BAR", "SCATTER", "LINE", "PARALLEL"]
    assert {chart["metricSectionId"] for chart in state["compareRunCharts"]} == {shown}
    assert len({chart["uuid"] for chart in state["compareRunCharts"]}) == 4


def test_the_charts_show_what_they_are_about(state):
    bars, scatter, lines, parallel = state["compareRunCharts"]
    assert bars["metricKey"] == "smape_report"
    assert (scatter["xaxis"]["key"], scatter["yaxis"]["key"]) == ("training_time_s", "smape_report")
    assert (lines["metricKey"], lines["xAxisKey"]) == ("curve", "step")
    assert (parallel["selectedParams"], parallel["selectedMetrics"]) == (["lr"], ["mae"])


def test_the_installed_mlflow_has_every_field_and_chart(state, bundle):
    (found,) = re.findall(r'\["selectedColumns",[^]]+\]', bundle)
    fields = json.loads(found)
    facets = {"searchFilter", "orderByKey", "orderByAsc"}
    assert set(state) - facets <= set(fields)
    # Fields that the interface reads without a default of its own.
    assert set(fields) - set(state) <= {"chartsSearchFilter"}
    for kind in {chart["type"] for chart in state["compareRunCharts"]} | {state["runsHiddenMode"]}:
        assert f'="{kind}"' in bundle
    assert '"mlflow.sharedViewState."' in bundle


def test_an_id_is_a_valid_tag_and_word_of_a_link():
    assert re.fullmatch(r"nn-[\w.-]+", VIEW.id)
    assert ui.view("", "1", VIEW.id).endswith(f"={VIEW.id}")


def test_the_views_of_an_experiment_are_found():
    tags = {
        "mlflow.note.content": "a note",
        views.TAG + "b": SAVED_THERE,
        views.TAG + VIEW.id: views.encoded(VIEW, 5, 9),
        views.TAG + "broken": "{",
        views.TAG + "old": "deflate;eJyrrgUAAXUA+Q==",
        views.TAG + "damaged": json.dumps({"name": "x", "createdAt": 1, "state": "deflate;AAAA"}),
    }
    assert [(view.id, view.name, view.created, view.ours) for view in views.stored(tags)] == [
        (VIEW.id, VIEW.name, 5, True),
        ("b", "mine", 7, False),
    ]


def test_a_stored_view_is_up_to_date_until_the_code_changes_it():
    (stored,) = views.stored({views.TAG + VIEW.id: views.encoded(VIEW, 5, 9)})
    assert stored.is_up_to_date(VIEW)
    for field, value in {"lowest": False, "columns": (), "charts": (Bars("other"),), "name": "other"}.items():
        assert not stored.is_up_to_date(View(**{**vars(VIEW), field: value})), field
