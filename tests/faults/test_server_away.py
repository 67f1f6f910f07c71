"""A real tracking server that is killed in the midst of a training: it is back soon, or only for the replay."""

import os
import shutil
import signal
import time

import pytest
from support.launches import complaint, require_nothing_left, statuses, until
from support.place import Place
from support.servers import is_up, unused

from pipelines.errors import UNSENT

PARENT = "recurrent sample"
ROW = "gru-2-seed0"


class Server:
    """An MLflow server with a database and artifacts of its own, to be killed and started again."""

    def __init__(self, folder, database):
        folder.mkdir()
        self.place, self.port = Place(folder), unused()
        shutil.copy(database, self.place.database)
        self.place.set("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
        self.uri = f"http://127.0.0.1:{self.port}"

    def start(self):
        options = ("--port", str(self.port), "--workers", "1", "--backend-store-uri", self.place.uri)
        self.process = self.place.fork("server", *options, module="mlflow")
        until(lambda: is_up(self.port), self.process)

    def kill(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        require_nothing_left(self.place)


@pytest.fixture
def server(tmp_path, blank_database):
    server = Server(tmp_path / "server", blank_database)
    server.start()
    yield server
    server.place.end()


@pytest.fixture
def launched(tmp_path, server):
    """A place to launch in, whose tracking server is `server`."""
    (tmp_path / "here").mkdir()
    place = Place(tmp_path / "here")
    place.set("MLFLOW_TRACKING_URI", server.uri)
    yield place
    place.end()


def in_training(server):
    return lambda: (run := server.place.runs().get(ROW)) and "checkpoint" in run.data.tags


def require_whole(server):
    assert statuses(server.place) == {PARENT: "FINISHED", ROW: "FINISHED"}
    run = server.place.runs()[ROW]
    assert "failure" not in run.data.tags
    sent = server.place.client.get_metric_history(run.info.run_id, "train_loss")
    assert [point.step for point in sorted(sent, key=lambda point: point.step)] == [1, 2, 3, 4, 5, 6]
    assert {"smape", "best/smape_curve"} <= run.data.metrics.keys()
    (model,) = run.outputs.model_outputs
    assert server.place.client.get_logged_model(model.model_id).status == "READY"
    stored = {path.name for path in (server.place.folder / "mlartifacts").rglob("*")}
    assert {"even.pt", "odd.pt", "smape_curve.csv", "comparison.csv", "model.pt2"} <= stored


@pytest.mark.fault(8)
@pytest.mark.fault(12)
@pytest.mark.slow
def test_ten_seconds_without_the_server_cost_nothing(server, launched, small):
    process = launched.fork(*small, "--models", "gru-2", "--jobs", "1", module="support.held")
    until(in_training(server), process)
    server.kill()
    (launched.folder / "go").touch()
    time.sleep(10)
    server.start()
    assert process.wait(240) == 0, launched.stderr
    assert "the tracking server is away" in launched.stderr
    assert "Traceback" not in launched.stderr
    require_whole(server)


@pytest.mark.fault(8)
@pytest.mark.slow
def test_without_the_server_for_good_all_of_it_waits_for_the_replay(server, launched, small):
    launched.alter({"pipelines.tracking.delivery.END_TIMEOUT_S": 3})
    process = launched.fork(*small, "--models", "gru-2", "--jobs", "1", module="support.held")
    until(in_training(server), process)
    server.kill()
    (launched.folder / "go").touch()
    assert process.wait(300) == UNSENT, launched.stderr
    assert complaint(launched).endswith("python -m pipelines replay")
    assert statuses(server.place) == {PARENT: "RUNNING", ROW: "RUNNING"}
    server.start()
    assert launched.fork("replay").wait(300) == 0, launched.stderr
    require_whole(server)
    assert launched.fork("replay").wait(300) == 0
    assert "nothing waits" in launched.stderr
