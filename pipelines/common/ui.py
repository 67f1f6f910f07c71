"""Links into MLflow's user interface: the runs of an experiment, one run, a saved view.

Shared by both halves, so it needs neither torch nor mlflow. The form of the links is MLflow 3.17's. A plain link to an
experiment opens its page for GenAI, which shows none of the runs; `workflowType` selects the other one.
"""

from enum import StrEnum
from urllib.parse import quote, urlencode, urlsplit

from pipelines.common.addresses import redacted

HOST, PORT = "127.0.0.1", 5000  # of what `make ui` serves

_HTTP = ("http", "https")
_MACHINE_LEARNING = "machine_learning"


class Mode(StrEnum):
    """What the page of an experiment shows of its runs."""

    TABLE = "TABLE"
    CHARTS = "CHART"


def is_served(tracking_uri: str) -> bool:
    """Returns whether `tracking_uri` is the address of an HTTP server, which serves the interface too."""
    return urlsplit(tracking_uri).scheme.lower() in _HTTP


def base(tracking_uri: str) -> str:
    """Returns the address of the interface: that of an HTTP tracking server, else that of what `make ui` serves."""
    return redacted(tracking_uri).rstrip("/") if is_served(tracking_uri) else local(PORT)


def local(port: int) -> str:
    """Returns the address of the interface that this machine serves on `port`."""
    return f"http://{HOST}:{port}"


def metric(name: str) -> str:
    """Key of the runs' order by a metric, also of its column."""
    return f"metrics.`{name}`"


def param(name: str) -> str:
    """Key of the runs' order by a parameter, also of its column."""
    return f"params.`{name}`"


def tag(name: str) -> str:
    """Key of a tag's column."""
    return f"tags.`{name}`"


def runs(
    base: str,
    experiment: str,
    *,
    where: str = "",
    order: str = "",
    ascending: bool = False,
    mode: Mode = Mode.TABLE,
) -> str:
    """Returns the link to the runs of an experiment.

    Args:
        base: address of the interface, see `base`; "" makes the link relative, for use within the interface.
        experiment: its id.
        where: filter in MLflow's search syntax. With one, nested runs are shown without their parents.
        order: key to sort by, as `metric` gives it; "" is the time of creation, newest first.
        ascending: whether the lowest comes first; of use with `order` only.
        mode: what is shown.
    """
    query = {"workflowType": _MACHINE_LEARNING}
    if where:
        query["searchFilter"] = where
    if order:
        query |= {"orderByKey": order, "orderByAsc": str(ascending).lower()}
    return _link(base, f"{_page(experiment)}/runs", query | _shown(mode))


def run(base: str, experiment: str, run_id: str) -> str:
    """Returns the link to the page of one run.

    Args:
        base: see `runs`.
        experiment: id of the run's experiment.
        run_id: of the run.
    """
    return _link(base, f"{_page(experiment)}/runs/{quote(run_id, safe='')}", {"workflowType": _MACHINE_LEARNING})


def view(base: str, experiment: str, view_id: str, mode: Mode = Mode.TABLE) -> str:
    """Returns the link to a saved view of an experiment's runs.

    Args:
        base: see `runs`.
        experiment: its id.
        view_id: of the view.
        mode: what is shown; a view does not say.
    """
    query = {"workflowType": _MACHINE_LEARNING, "viewStateShareKey": view_id}
    return _link(base, f"{_page(experiment)}/runs", query | _shown(mode))


def _page(experiment: str) -> str:
    return f"/experiments/{quote(experiment, safe='')}"


def _shown(mode: Mode) -> dict[str, str]:
    return {} if mode is Mode.TABLE else {"compareRunsMode": mode.value}


def _link(base: str, path: str, query: dict[str, str]) -> str:
    # %20 for a space, since terminals and markdown take a + for part of the text.
    start = f"{base}/" if base else ""
    return f"{start}#{path}?{urlencode(query, quote_via=quote, safe='')}"
