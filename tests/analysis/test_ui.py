"""MLflow's interface as it is started: its links, its port, its end, and what it opens."""

import json
import os
import re
import shutil
import signal
import urllib.request

import pytest
from support.launches import until
from support.place import Place
from support.servers import is_up, serving, unused
from support.tracked import Tracked, tracking

from analysis import server, ui
from analysis.server import Page
from pipelines.common import views
from pipelines.common.views import Bars, Stored, View

VIEW = View(name="recurrent on pjm", where="", metric="smape", lowest=True, columns=(), charts=(Bars("smape"),))
BASE = "http://127.0.0.1:5000"


def saved(store: Tracked, experiment: str, view_id: str, value: str) -> None:
    store.client.set_experiment_tag(store.experiments[experiment], views.TAG + view_id, value)


@pytest.fixture
def store(tmp_path, blank_database):
    with tracking((store := Tracked(tmp_path, blank_database, "first", "second", "third")).uri):
        yield store


def test_the_experiment_of_the_newest_row_comes_first(store):
    for name in ("first", "second"):
        saved(store, name, VIEW.id, views.encoded(VIEW, 1, 1))
    store.run(tags={"row": "gru-2"}, experiment="first")
    store.run(tags={"row": "gru-2"}, experiment="second")
    store.run(tags={"entry": "recurrent"}, experiment="third")
    assert [page.name for page in server.pages()] == ["second", "first"]


def test_rows_from_before_there_were_views_are_found(store):
    store.run(tags={"row": "gru-2"}, experiment="third")
    assert server.pages() == [Page(store.experiments["third"], "third", ())]


def test_views_of_others_are_none_of_the_projects(store):
    saved(store, "first", "abc", json.dumps({"name": "mine", "createdAt": 1, "state": "{}"}))
    saved(store, "second", VIEW.id, views.encoded(VIEW, 1, 1))
    assert [(page.name, [view.name for view in page.views]) for page in server.pages()] == [("second", [VIEW.name])]


def test_no_database_is_made_to_find_that_there_are_no_runs(tmp_path):
    with tracking(f"sqlite:///{tmp_path}/none.db"):
        assert server.pages() == []
    assert list(tmp_path.iterdir()) == []


def test_each_line_has_a_name_and_a_link():
    page = Page("7", "ours", (Stored(VIEW.id, VIEW.name, 1, True, {}),))
    heading, *lines = ui.text(BASE, [page]).splitlines()
    assert heading == "ours:"
    assert [re.split(r" {2,}", line.strip()) for line in lines] == [
        ["launches", f"{BASE}/#/experiments/7/runs?workflowType=machine_learning"],
        [VIEW.name, f"{BASE}/#/experiments/7/runs?workflowType=machine_learning&viewStateShareKey={VIEW.id}"],
    ]


def test_without_runs_it_says_how_to_make_some():
    address, how = ui.text(BASE, []).splitlines()
    assert address == BASE
    assert "python -m pipelines recurrent" in how


@pytest.mark.parametrize(
    ("environment", "platform", "expected"),
    [
        ({"DISPLAY": ":0"}, "linux", True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True),
        ({}, "darwin", True),
        ({}, "linux", False),
        ({"DISPLAY": ""}, "linux", False),
        ({"DISPLAY": ":0", "CI": "true"}, "linux", False),
        ({"DISPLAY": "localhost:10.0", "SSH_CONNECTION": "10.0.0.1 5 10.0.0.2 22"}, "linux", False),
        ({"SSH_TTY": "/dev/ttys001"}, "darwin", False),
    ],
)
def test_a_browser_opens_only_where_it_is_seen(environment, platform, expected):
    assert ui.is_desktop(environment, platform) is expected


def test_of_an_http_server_only_the_links_are_printed(tmp_path, blank_database, monkeypatch):
    experiments = [{"experiment_id": "3", "name": "ours", "lifecycle_stage": "active"}]
    experiments[0]["tags"] = [{"key": views.TAG + VIEW.id, "value": views.encoded(VIEW, 1, 1)}]

    def reply(handler):
        searched = "experiments" if "experiments" in handler.path else "runs"
        handler.answer(
            200, {searched: experiments if searched == "experiments" else []}, Content_Type="application/json"
        )

    place = Place(tmp_path)
    with serving(reply) as there:
        address = f"http://127.0.0.1:{there.port}"
        place.set("MLFLOW_TRACKING_URI", address)
        assert place.invoke("ui", module="analysis") == 0, place.stderr
    assert f"{address}/#/experiments/3/runs?workflowType=machine_learning\n" in place.stdout
    assert "Ctrl-C" not in place.stdout


def test_a_port_in_use_is_one_line_with_another(place):
    with serving(lambda handler: handler.answer(200, "somebody else")) as there:
        assert place.invoke("ui", "--port", str(there.port), module="analysis") == 2
    assert place.stderr.count("\n") == 1
    assert f"--port {there.port + 1}" in place.stderr
    assert place.stdout == ""


@pytest.mark.medium
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_serves_the_store_of_the_runs_until_a_signal_comes(place, number, tmp_path):
    place.client.create_experiment("theirs")
    # The default of MLflow's server is a database in the working directory.
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.move(place.database, elsewhere / "runs.db")
    place.set("MLFLOW_TRACKING_URI", f"sqlite:///{elsewhere}/runs.db")
    port = unused()
    process = place.start("ui", "--port", str(port), module="analysis")
    try:
        until(lambda: is_up(port) and "Ctrl-C" in place.stdout, process)
        search = f"http://127.0.0.1:{port}/ajax-api/2.0/mlflow/experiments/search?max_results=9"
        with urllib.request.urlopen(search) as answer:
            assert "theirs" in {each["name"] for each in json.load(answer)["experiments"]}
        before = place.stderr
        # As a terminal does: to all processes of the group.
        os.killpg(process.pid, number)
        assert process.wait(timeout=60) == 0, place.stderr
        assert place.processes() == []
        assert place.stderr == before
    finally:
        place.end()
