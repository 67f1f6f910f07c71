"""Saved views of the runs of an experiment, as plain data, and their form in MLflow's tags.

Shared by both halves, so it needs neither torch nor mlflow. A view is one tag of the experiment, which MLflow's
interface offers under "Views". The form is that of MLflow 3.17: the interface replaces its whole state by the stored
one, so every field is written, also those that have its own defaults.
"""

import json
import re
import zlib
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass

from pipelines import names
from pipelines.common import ui

TAG = "mlflow.sharedViewState."  # before the id of a view

_OURS = "nn-"  # before the name, in the id of a view of this project

_COMPRESSED = "deflate;"
_AUTHOR = "author"
_MAIN = "Main"  # section of the view's charts
_OTHERS = "Model metrics"  # MLflow's own section, of a chart for each other metric without a "/"; closed
_COLUMNS = 2  # of charts
_NARROW = 80  # pixels of a parameter's column
_NOT_IN_A_TAG = re.compile(r"[^\w.-]+", re.ASCII)


@dataclass(frozen=True)
class Bars:
    """Chart with a bar for each run: the last value of a metric."""

    metric: str


@dataclass(frozen=True)
class Lines:
    """Chart with a line for each run: a metric along its steps."""

    metric: str


@dataclass(frozen=True)
class Scatter:
    """Chart with a point for each run.

    Attributes:
        x, y: metrics.
    """

    x: str
    y: str


@dataclass(frozen=True)
class Parallel:
    """Chart with an axis for each parameter and metric, and a line for each run.

    Attributes:
        params: parameters, from the left.
        metric: at the right, by which the lines are coloured.
    """

    params: tuple[str, ...]
    metric: str


Chart = Bars | Lines | Scatter | Parallel


@dataclass(frozen=True, kw_only=True)
class View:
    """A saved view of the runs of an experiment, nested ones without their parents.

    Attributes:
        name: shown in the interface's list of views.
        where: filter in MLflow's search syntax.
        metric: by which the runs are sorted.
        lowest: whether the lowest comes first.
        columns: keys of the table's columns, from the left, as common/ui.py gives them.
        charts: from the top left, two in a line.
    """

    name: str
    where: str
    metric: str
    lowest: bool
    columns: tuple[str, ...]
    charts: tuple[Chart, ...]

    @property
    def id(self) -> str:
        """Identifies the view in links and tags; follows from its name."""
        return _OURS + _NOT_IN_A_TAG.sub("-", self.name)


@dataclass(frozen=True)
class Stored:
    """A view as a tag of the experiment has it.

    Attributes:
        id, name: of the view.
        created: in milliseconds since 1970.
        ours: whether nobody has changed it in the interface since this project wrote it.
        state: of the interface.
    """

    id: str
    name: str
    created: int
    ours: bool
    state: Mapping[str, object]

    @property
    def is_of_the_project(self) -> bool:
        """Whether this project made it."""
        return self.id.startswith(_OURS)

    def is_up_to_date(self, view: View) -> bool:
        """Returns whether it is the same as `view`."""
        # The compressed text depends on the version of zlib.
        return (self.name, self.state) == (view.name, _state(view))


def encoded(view: View, created: int, updated: int) -> str:
    """Returns the value of a view's tag.

    Args:
        view: what is stored.
        created, updated: in milliseconds since 1970.
    """
    state = json.dumps(_state(view), separators=(",", ":")).encode()
    compressed = _COMPRESSED + b64encode(zlib.compress(state, level=9)).decode()
    # Where a user changes a view, the interface writes the first four only.
    return json.dumps(
        {"name": view.name, "createdAt": created, "updatedAt": updated, "state": compressed, _AUTHOR: names.EXPERIMENT}
    )


def stored(tags: Mapping[str, str]) -> list[Stored]:
    """Returns the views among an experiment's tags, oldest first; leaves out a tag that cannot be read."""
    found = [_decoded(tag.removeprefix(TAG), value) for tag, value in tags.items() if tag.startswith(TAG)]
    return sorted((view for view in found if view), key=lambda view: (view.created, view.id))


def _decoded(view_id: str, value: str) -> Stored | None:
    try:
        envelope = json.loads(value)
        text = envelope["state"]
        if text.startswith(_COMPRESSED):
            text = zlib.decompress(b64decode(text.removeprefix(_COMPRESSED))).decode()
        ours = envelope.get(_AUTHOR) == names.EXPERIMENT
        return Stored(view_id, str(envelope["name"]), int(envelope["createdAt"]), ours, json.loads(text))
    except (ValueError, KeyError, TypeError, AttributeError, zlib.error):
        return None


def _state(view: View) -> dict[str, object]:
    """Returns the state of the interface: filter and order of the runs, columns, and charts."""
    return {
        "searchFilter": view.where,
        "orderByKey": ui.metric(view.metric),
        "orderByAsc": view.lowest,
        "selectedColumns": list(view.columns),
        "columnOrder": list(view.columns),
        "columnWidths": {column: _NARROW for column in view.columns if column.startswith("params.")},
        "runsExpanded": {},
        "runsPinned": [],
        "runsHidden": [],
        "runsVisibilityMap": {},
        "runsHiddenMode": "SHOW_ALL",
        "compareRunCharts": [_card(number, chart) for number, chart in enumerate(view.charts)],
        "compareRunSections": [_section(_MAIN, True), *(_section(each, False) for each in (_OTHERS, *names.GROUPS))],
        "viewMaximized": False,
        "runListHidden": False,
        "isAccordionReordered": True,
        "useGroupedValuesInCharts": True,
        "hideEmptyCharts": True,
        "groupBy": None,
        "groupsExpanded": {},
        "autoRefreshEnabled": True,
        "globalLineChartConfig": {"xAxisKey": "step", "lineSmoothness": 0, "selectedXAxisMetricKey": ""},
    }


def _section(name: str, display: bool) -> dict[str, object]:
    return {"uuid": f"section-{name}", "name": name, "display": display, "isReordered": True, "columns": _COLUMNS}


def _card(number: int, chart: Chart) -> dict[str, object]:
    """Returns the settings of a chart."""
    card = {
        "uuid": f"chart-{number}",
        "metricSectionId": f"section-{_MAIN}",
        "runsCountToCompare": 100,
        "deleted": False,
        "isGenerated": False,
    }
    match chart:
        case Bars(metric):
            return {**card, "type": "BAR", "metricKey": metric}
        case Lines(metric):
            return {
                **card,
                "type": "LINE",
                "metricKey": metric,
                "selectedMetricKeys": [metric],
                "lineSmoothness": 0,
                "xAxisScaleType": "linear",
                "scaleType": "linear",
                "xAxisKey": "step",
                "selectedXAxisMetricKey": "",
                "yAxisKey": "metric",
                "yAxisExpressions": [],
                "range": {},
                "useGlobalXaxisKey": True,
                "useGlobalLineSmoothing": True,
            }
        case Scatter(x, y):
            return {**card, "type": "SCATTER", "xaxis": _axis(x), "yaxis": _axis(y)}
        case Parallel(params, metric):
            return {
                **card,
                "type": "PARALLEL",
                "selectedParams": list(params),
                "selectedMetrics": [metric],
                "showAllRuns": False,
            }


def _axis(metric: str) -> dict[str, str]:
    return {"key": metric, "type": "METRIC"}
