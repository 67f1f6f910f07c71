"""benchmarks/server_load.py: it sees what is lost, and counts what a client asks of a server."""

import urllib.request

import pytest
from mlflow import MlflowClient

from benchmarks import server_load

pytestmark = pytest.mark.medium


@pytest.fixture
def server(mlflow_server, monkeypatch) -> int:
    """The port of a server that this process logs to."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{mlflow_server}")
    for name, value in server_load.QUIET.items():
        monkeypatch.setenv(name, value)  # also what it sets ends with the test
    return mlflow_server


def test_what_clients_logged_is_found_whole_and_what_is_missing_is_named(server):
    sent = server_load.load(clients=2, seconds=0.1)
    assert (sent.errors, sent.lost) == ([], [])
    assert len(sent.runs) == 2
    assert {kind: len(times) for kind, times in sent.latencies.items()} == {
        "create a run": 2,
        "log parameters": 2,
        "log metrics": 20,
        "log a file": 2,
        "end a run": 2,
    }
    first, second = sent.runs
    client = MlflowClient()
    client.log_metric(first, "metric_3", 1.0, step=10)
    client.update_run(second, status="KILLED")
    found = server_load.lost({**sent.runs, second: "0" * 64})
    assert [each.partition(" is ")[0] for each in found] == [
        f"{first}: metric_3",
        f"{second}: KILLED, 30 parameters",
        f"{second}: another file",
    ]


def test_a_server_that_fails_is_an_error(closed_port, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{closed_port}")
    for name, value in server_load.QUIET.items():
        monkeypatch.setenv(name, value)
    sent = server_load.Sent()
    tags = server_load.TAGS
    with pytest.raises(Exception, match="Max retries exceeded"):
        server_load.log_run("0", tags, None, sent)
    assert (sent.runs, sent.latencies) == ({}, {})


def test_requests_and_bytes_are_counted_on_their_way(server):
    counter = server_load.Counter(server)
    try:
        for _ in range(3):
            urllib.request.urlopen(f"http://127.0.0.1:{counter.port}/health").close()
        body = b'{"max_results": 1}'
        address = f"http://127.0.0.1:{counter.port}/api/2.0/mlflow/experiments/search"
        request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
        urllib.request.urlopen(request).close()
    finally:
        counter.close()
    assert counter.requests == 4
    assert counter.bytes > 4 * len("GET /health HTTP/1.1") + len(body)
