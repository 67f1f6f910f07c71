"""Links into MLflow's user interface, read back as a browser reads them."""

from urllib.parse import parse_qs, urlsplit

import pytest

from pipelines.common import ui
from pipelines.common.ui import Mode

BASE = "http://127.0.0.1:5000"


def parts(link: str) -> tuple[str, str, dict[str, str]]:
    """Address of the server, route of the page, and its parameters, as the interface's router takes them apart."""
    url = urlsplit(link)
    route, _, query = url.fragment.partition("?")
    values = parse_qs(query, strict_parsing=True)
    return f"{url.scheme}://{url.netloc}{url.path}", route, {name: value for name, (value,) in values.items()}


@pytest.mark.parametrize(
    ("tracking", "expected"),
    [
        ("http://tracking.example:5000", "http://tracking.example:5000"),
        ("https://tracking.example/mlflow/", "https://tracking.example/mlflow"),
        ("HTTPS://tracking.example", "HTTPS://tracking.example"),
        ("https://ada:correct-horse@tracking.example", "https://tracking.example"),
        ("sqlite:///mlflow.db", BASE),
        ("sqlite:////home/ada/http:/mlflow.db", BASE),
        ("postgresql+psycopg://ada:correct-horse@db.example/mlflow", BASE),
        ("mlruns", BASE),
        ("", BASE),
    ],
)
def test_the_interface_is_the_servers_or_the_one_that_is_started_here(tracking, expected):
    assert ui.base(tracking) == expected


def test_a_link_to_the_runs_opens_no_page_for_genai():
    assert ui.runs(BASE, "1") == "http://127.0.0.1:5000/#/experiments/1/runs?workflowType=machine_learning"


def test_filter_and_order_arrive_as_they_are_written():
    where = "tags.entry = 'recurrent' and metrics.`smape.AEP & more` < 1 and params.x LIKE '50%+#?'"
    link = ui.runs(BASE, "12", where=where, order=ui.metric("smape_report"), ascending=True, mode=Mode.CHARTS)
    assert parts(link) == (
        f"{BASE}/",
        "/experiments/12/runs",
        {
            "workflowType": "machine_learning",
            "searchFilter": where,
            "orderByKey": "metrics.`smape_report`",
            "orderByAsc": "true",
            "compareRunsMode": "CHART",
        },
    )


def test_a_link_is_one_word_that_a_terminal_and_markdown_can_find():
    link = ui.runs(BASE, "1", where="tags.entry = 'a (b)' and metrics.`c` > 1", order=ui.param("d"))
    assert not set(link) & set(" '\"`()<>[]+")


def test_the_page_of_a_run():
    assert parts(ui.run("https://tracking.example/mlflow", "3", "ab12")) == (
        "https://tracking.example/mlflow/",
        "/experiments/3/runs/ab12",
        {"workflowType": "machine_learning"},
    )


@pytest.mark.parametrize(("mode", "more"), [(Mode.TABLE, {}), (Mode.CHARTS, {"compareRunsMode": "CHART"})])
def test_a_saved_view(mode, more):
    _, route, values = parts(ui.view(BASE, "3", "nn-recurrent", mode))
    assert route == "/experiments/3/runs"
    assert values == {"workflowType": "machine_learning", "viewStateShareKey": "nn-recurrent", **more}


def test_a_link_within_the_interface_names_no_server():
    assert ui.runs("", "1").startswith("#/experiments/1/runs?")
