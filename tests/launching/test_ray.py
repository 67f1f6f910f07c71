"""The same launch on Ray: the same runs, and what is left of them when a worker, a node or the launch itself ends."""

import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import pytest
from support.launches import ENDLESS, WAY_OUT_S, checkpoint_of, complaint, require_nothing_left, statuses, until
from support.place import ROOT
from support.same import result
from support.servers import unused

from pipelines import names
from pipelines.common.launcher import RUN_ID
from pipelines.launching.launchers import is_installed

pytestmark = pytest.mark.skipif(not is_installed("ray"), reason="ray is not installed: pip install -e '.[ray]'")

LOGS = {"stdout", "stderr", "node-0", "node-1", "state"}  # of the test, in its working directory
PAGE = (ROOT / "docs" / "scale.md").read_text("utf-8")
FIRST_NODE, OTHER_NODE = re.findall(r"^ray (start .+)$", PAGE, re.MULTILINE)
# On a cluster of its own, and on one that is there.
(LAUNCH,) = set(re.findall(r"^nnreg (recurrent .+ --launcher ray)$", PAGE, re.MULTILINE))
PARENT, ROW = "recurrent sample", "gru-2-seed0"


@pytest.mark.slow
def test_a_launch_on_ray_gives_the_runs_of_one_on_this_machine(place, small, alone):
    """Started by `mlflow run`, whose run is in the environment of each of its processes."""
    given = {"dataset": "sample", "models": "gru-2", "hidden": 8, "epochs": 6, "precision": "fp32", "launcher": "ray"}
    words = [word for name, value in given.items() for word in ("-P", f"{name}={value}")]
    code = place.launch("run", str(ROOT), "-e", "recurrent", "--env-manager", "local", *words, module="mlflow")
    assert code == 0, place.stderr
    require_nothing_left(place)
    assert statuses(place) == {PARENT: "FINISHED", ROW: "FINISHED"}
    assert place.runs()[ROW].data.tags[names.PARENT_RUN] == place.runs()[PARENT].info.run_id
    assert result(place, ROW) == result(alone, ROW)


@pytest.mark.slow
def test_a_row_whose_worker_dies_is_continued_once_with_the_bits_of_an_undisturbed_one(place, small):
    longer = (*small, "--models", "gru-2", "--epochs", "120")
    place.alter({"pipelines.terminal.display.LOG_S": 0.2})
    process = place.fork(*longer, "--launcher", "ray", module="support.altered")
    row = until(checkpoint_of(place, ROW), process)
    worker = psutil.Process(int(row.data.tags["pid"])).parent().parent()
    assert worker.name().startswith("ray::")
    worker.kill()
    assert process.wait(240) == 0, place.stderr
    assert re.search(r"^gru-2.*: training, epoch \d+/120, loss", place.stderr, re.MULTILINE)
    assert len(re.findall("; it is continued$", place.stderr, re.MULTILINE)) == 1
    assert "raylet" not in place.stdout
    assert "worker died" in place.runs()[ROW].data.tags[names.CONTINUED_AFTER]
    assert place.runs()[ROW].info.run_id == row.info.run_id
    disturbed = result(place, ROW)
    assert [step for step, _ in disturbed[-1][names.TRAIN_LOSS]] == list(range(1, 121))
    place.client.delete_run(row.info.run_id)
    assert place.invoke(*longer) == 0, place.stderr
    assert disturbed == result(place, ROW)


@pytest.mark.slow
def test_a_signal_to_the_launch_ends_its_rows_everywhere(place, small):
    process = place.start(*small, "--models", "gru-2", "--epochs", str(ENDLESS), "--launcher", "ray")
    until(checkpoint_of(place, ROW), process)
    process.terminate()
    assert process.wait(WAY_OUT_S) == 128 + signal.SIGTERM
    require_nothing_left(place)
    assert statuses(place) == {PARENT: "KILLED", ROW: "KILLED"}
    going_on = f"python -m pipelines recurrent --resume {place.runs()[PARENT].info.run_id} --launcher ray"
    assert complaint(place) == f"error: stopped by signal 15; to go on: {going_on}"
    assert re.search(rf": stopped, epoch \d+ of {ENDLESS} is kept$", place.stderr, re.MULTILINE)


def end(node: subprocess.Popen) -> None:
    """Kill all processes of a node at once, as where its machine loses its power."""
    with suppress(psutil.NoSuchProcess):
        for process in (*psutil.Process(node.pid).children(recursive=True), node):
            process.kill()
    node.wait()


@pytest.fixture
def two_nodes(place):
    """Two nodes of a cluster on this machine, with a core each: the folder of its files, and the second node."""
    nodes: list[subprocess.Popen] = []
    with TemporaryDirectory(prefix="ray") as folder:
        port = str(unused())
        address = f"127.0.0.1:{port}"
        settings = {
            "RAY_ADDRESS": address,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_USAGE_STATS_ENABLED": "0",
        }
        for name, value in settings.items():
            place.set(name, value)

        def begin(typed: str, *words: str) -> None:
            given = typed.replace("first-node", "127.0.0.1").replace("6379", port).split()
            command = (sys.executable, "-m", "ray.scripts.scripts", *given, "--block", "--num-cpus", "1", *words)
            store = ("--object-store-memory", str(80 << 20))
            with (place.folder / f"node-{len(nodes)}").open("w") as log:
                nodes.append(
                    subprocess.Popen((*command, *store), cwd=folder, env=os.environ | settings, stdout=log, stderr=log)
                )
            until(lambda: len([*Path(folder).glob("session_2*/sockets/raylet*")]) == len(nodes), nodes[-1])

        try:
            begin(FIRST_NODE, "--include-dashboard", "false", "--temp-dir", folder)
            begin(OTHER_NODE)
            yield Path(folder), nodes[1]
        finally:
            for node in reversed(nodes):
                end(node)


@pytest.mark.slow
def test_a_launch_on_two_nodes_survives_one(place, small, two_nodes, mlflow_server):
    folder, second = two_nodes
    launched = (*LAUNCH.split(), *small[1:], "--epochs", "120")
    # Both would write the file.
    assert place.launch(*launched) == 2
    assert "is a file, which several nodes cannot write: start a tracking server" in complaint(place)
    assert place.runs() == {}

    # A checkout, of which the nodes get the code.
    for name in ("pipelines", "nnmodels"):
        shutil.copytree(ROOT / name, place.folder / name)
    shutil.copy(ROOT / "pyproject.toml", place.folder)
    for name in ("data", "mlruns", ".git"):
        (place.folder / name).mkdir(exist_ok=True)
        (place.folder / name / "left").write_text("out")
    place.set("PYTHONPATH", str(place.folder))
    del place.client
    place.uri = f"http://127.0.0.1:{mlflow_server}"
    place.set("MLFLOW_TRACKING_URI", place.uri)
    process = place.start(*launched)
    rows = ("gru-2-seed0", "rnn-2-seed0")
    for row in rows:
        until(checkpoint_of(place, row), process)
    end(second)
    assert process.wait(400) == 0, place.stderr
    assert statuses(place) == dict.fromkeys((PARENT, *rows), "FINISHED")
    assert sum(names.CONTINUED_AFTER in place.runs()[row].data.tags for row in rows) == 1
    sent = [{path.name for path in each.iterdir()} for each in folder.rglob("working_dir_files/_ray_pkg_*/")]
    code = {"pipelines", "nnmodels", "pyproject.toml"}
    assert any(code <= each <= code | LOGS for each in sent), sent


def test_a_worker_of_ray_needs_neither_torch_nor_mlflow():
    """They take seconds and half a gigabyte, and rows are forked from a server that has them."""
    check = "import sys, pipelines.launching.ray; print({'torch', 'mlflow'} & set(sys.modules))"
    environment = {name: value for name, value in os.environ.items() if name != RUN_ID}
    found = subprocess.run([sys.executable, "-c", check], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert found.stdout == "set()\n", found.stderr
