"""The search of the tracking server, page by page."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from support.tracked import tracking

from analysis.runs import search
from analysis.runs.frames import find
from pipelines import names
from pipelines.common import server


def test_paging_finds_every_run_once(rows_store, monkeypatch):
    whole = find()
    monkeypatch.setattr(search, "PAGE", 2)
    paged = find()
    assert list(paged["run_id"]) == list(whole["run_id"])


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
                found = find()
        finally:
            slow.shutdown()
    assert found["run_id"].tolist() == ["r"]
