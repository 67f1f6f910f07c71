"""The reader of the tracking server: which runs it finds, and what it reads of them."""

import json
import math
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from mlflow.entities import Metric
from support.tracked import tracking

from analysis import runs
from pipelines import names
from pipelines.common import server


def test_finished_rows_of_all_experiments_are_found(rows_store):
    found = runs.find("recurrent")
    assert len(found) == 13
    assert set(found["tags.row"]) == {"gru-2", "lstm-2", "rnn-2", "rnn-3", "persistence", "linear-ar-hourly", "my-own"}
    assert set(found["tags.seed"]) == {"0", "1", "2"}
    assert found["start_time"].is_monotonic_increasing
    assert runs.find("ablation").empty


def test_paging_finds_every_run_once(rows_store, monkeypatch):
    whole = runs.find()
    monkeypatch.setattr(runs, "PAGE", 2)
    paged = runs.find()
    assert list(paged["run_id"]) == list(whole["run_id"])


def test_infinite_metric_is_read_as_infinite(rows_store):
    found = runs.find("recurrent", "tags.row = 'rnn-2'")
    assert found["metrics.mae_mw"].tolist() == [math.inf]


def test_history_keeps_the_later_value_of_a_repeated_step(rows_store):
    points = [Metric("again", value, stamp, step) for step, stamp, value in [(2, 5, 7.0), (1, 1, 3.0), (2, 9, 8.0)]]
    run = rows_store.client.create_run(rows_store.experiments[names.EXPERIMENT]).info.run_id
    rows_store.client.log_batch(run, [*points, Metric("other", 4.0, 1, 7)])
    found = runs.histories([run], ["other", "again", "absent"])
    assert list(found.itertuples(index=False, name=None)) == [
        (run, "other", 7, 4.0),
        (run, "again", 1, 3.0),
        (run, "again", 2, 8.0),
    ]


class SlowServer(BaseHTTPRequestHandler):
    """Answers a search for experiments at once and a search for runs after longer than an absent server is given."""

    def do_GET(self):
        self.answer({"experiments": [{"experiment_id": "0", "name": "Default", "lifecycle_stage": "active"}]})

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.path.endswith("runs/search"):
            time.sleep(1.5)
            tags = [{"key": mark, "value": "1"} for mark in names.ROW_MARKS]
            self.answer({"runs": [{"info": {"run_id": "r", "start_time": 0}, "data": {"tags": tags}}]})
        else:
            self.do_GET()

    def answer(self, body: dict):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *arguments):
        pass


@pytest.mark.medium
def test_a_reachable_server_may_take_its_time_over_a_page(rows_store, monkeypatch):
    monkeypatch.setattr(server, "LIMIT_S", 1)
    monkeypatch.setattr(server, "CONNECT_S", 1)
    with ThreadingHTTPServer(("127.0.0.1", 0), SlowServer) as slow:
        threading.Thread(target=slow.serve_forever, daemon=True).start()
        try:
            with tracking(f"http://127.0.0.1:{slow.server_port}"):
                found = runs.find()
        finally:
            slow.shutdown()
    assert found["run_id"].tolist() == ["r"]
