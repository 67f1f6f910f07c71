"""The user interface as `make ui` starts it: for this machine alone, and for its own pages alone."""

import http.client
import shlex
import shutil
from urllib.parse import quote

import psutil
import pytest
from support.launches import until
from support.place import ROOT, Place
from support.servers import is_up, unused

SEARCH = "/ajax-api/2.0/mlflow/experiments/search?max_results=1"
OUTSIDE, CONTENT = "outside.txt", "what lies without"
# By default MLflow takes whatever begins like a private address for one.
FOREIGN = ["evil.example", "127.0.0.1.evil.example", "10.evil.example", "192.168.evil.example"]
CLIMBS = [
    "/../{up}{outside}",
    "/static-files/../{up}{outside}",
    "/static-files/{dots}{outside}",
    "/api/2.0/mlflow-artifacts/artifacts/../{up}{outside}",
    "/api/2.0/mlflow-artifacts/artifacts/{dots}{outside}",
    "/api/2.0/mlflow-artifacts/artifacts?path={dots}",
    "/get-artifact?path={dots}{outside}&run_uuid={run}",
    "/get-artifact?path={absolute}&run_uuid={run}",
    "/ajax-api/2.0/mlflow/artifacts/list?run_id={run}&path={dots}",
]


def recipe() -> list[str]:
    """The words of the Makefile's line that starts the interface."""
    return shlex.split((ROOT / "Makefile").read_text().split("\nui: install\n\t")[1].splitlines()[0])


@pytest.fixture(scope="module")
def ui(tmp_path_factory, blank_database):
    """The interface on a port of its own, in an environment that would have it open to all: port, process, place."""
    place = Place(tmp_path_factory.mktemp("ui") / "below")
    place.folder.mkdir()
    shutil.copy(blank_database, place.database)
    (place.folder.parent / OUTSIDE).write_text(CONTENT)
    place.set("MLFLOW_HOST", "0.0.0.0")
    command = recipe()
    assert command[:3] == ["python", "-m", "analysis"]
    port = unused()
    process = place.start(*command[3:], "--port", str(port), module="analysis")
    try:
        until(lambda: is_up(port), process)
        yield port, process, place
    finally:
        place.end()


def ask(port: int, method: str, path: str, **headers: str) -> tuple[int, str]:
    """Status and text of an answer; the path is sent as it stands."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    body = '{"max_results": 1}' if method == "POST" else None
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.putrequest(method, path, skip_host="Host" in given)
    for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body or "")), **given}.items():
        connection.putheader(name, value)
    connection.endheaders(body.encode() if body else None)
    answer = connection.getresponse()
    text = answer.read().decode(errors="replace")
    connection.close()
    return answer.status, text


@pytest.mark.fault(35)
@pytest.mark.medium
def test_it_listens_on_this_machine_alone(ui):
    port, process, _ = ui
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    listening = {each.laddr for one in family for each in one.net_connections() if each.status == psutil.CONN_LISTEN}
    assert {address.ip for address in listening if address.port == port} == {"127.0.0.1"}
    assert {address.ip for address in listening} <= {"127.0.0.1", "::1"}


@pytest.mark.fault(35)
@pytest.mark.medium
def test_its_own_pages_are_answered_and_those_of_others_refused(ui):
    port, _, _ = ui
    own = f"http://127.0.0.1:{port}"
    assert ask(port, "GET", SEARCH)[0] == 200
    assert ask(port, "GET", SEARCH, Host=f"localhost:{port}")[0] == 200
    assert ask(port, "POST", "/ajax-api/2.0/mlflow/experiments/search", Origin=own)[0] == 200
    for host in FOREIGN:
        for named in (host, f"{host}:{port}"):
            status, text = ask(port, "GET", SEARCH, Host=named)
            assert (status, "Default" in text) == (403, False), named
    for origin in ("http://evil.example", f"http://127.0.0.1.evil.example:{port}", "null"):
        status, text = ask(port, "POST", "/ajax-api/2.0/mlflow/experiments/create", Origin=origin)
        assert status == 403, origin


@pytest.mark.fault(35)
@pytest.mark.parametrize("path", CLIMBS)
@pytest.mark.parametrize("dots", ["../" * 8, quote("../" * 8, safe=""), "..%252f" * 8])
@pytest.mark.medium
def test_no_path_climbs_out(ui, path, dots):
    port, _, place = ui
    run = place.client.create_run("0").info.run_id
    outside = str(place.folder.parent / OUTSIDE)
    filled = path.format(up="../" * 8, dots=dots, outside=outside.lstrip("/"), absolute=quote(outside), run=run)
    status, text = ask(port, "GET", filled)
    assert CONTENT not in text
    assert OUTSIDE not in text or status >= 400


@pytest.mark.fault(35)
@pytest.mark.medium
def test_what_lies_within_is_served(ui):
    """So that the refusals of what lies without are no proof of a server that serves nothing."""
    port, _, place = ui
    run = place.client.create_run("0").info.run_id
    place.client.log_text(run, "inside", "inside.txt")
    assert ask(port, "GET", f"/get-artifact?path=inside.txt&run_uuid={run}") == (200, "inside")
