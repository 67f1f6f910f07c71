"""Clients that log through a tracking server as fast as it answers: rates, latencies, and whether anything is lost.

    nnreg server start
    set -a; . server/client.env; set +a
    python -m benchmarks.server_load [--clients 16] [--seconds 120] [--folder server]
    python -m benchmarks.server_load --row "recurrent --dataset sample --models gru-2"

Each client is a process that, once its imports are done, logs one run after another: parameters and tags, a batch of
metrics for each of 10 epochs, and a file. No request is repeated, so each that fails counts. Then every run is read
back, and compared with what the server has acknowledged. With `--folder`, that of the server, the growth of its
database and files is given too.

With `--row`, that command is run instead, and what it asks of the server is counted.
"""

import argparse
import hashlib
import multiprocessing
import os
import re
import shlex
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import numpy as np
from mlflow import MlflowClient
from mlflow.entities import Metric, Param

from benchmarks.soak import Proxy
from pipelines import names

EXPERIMENT, ROW, FILE = "server load", "load", "model.bin"
TAGS = {names.ENTRY: "recurrent", names.ROW: ROW, names.DATASET: "sample", names.TRAINING: "none"}
# No request is repeated; no links, bars and telemetry of MLflow's.
QUIET = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
EPOCHS, METRICS, PARAMETERS, FILE_BYTES = 10, 12, 30, 100_000
REQUEST = re.compile(rb"(?:GET|POST|PUT|PATCH|DELETE) \S+ HTTP/1\.1\r\n")

Answer = TypeVar("Answer")


@dataclass
class Sent:
    """What a client was told that the server has.

    Attributes:
        runs: digest of the file of each finished run, by its id.
        latencies: seconds that each kind of request took.
        errors: messages of requests that failed.
        lost: what was not there when it was read back.
        seconds: until the last of the runs was logged.
    """

    runs: dict[str, str] = field(default_factory=dict)
    latencies: dict[str, list[float]] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def ask(self, kind: str, request: Callable[..., Answer], *arguments: Any, **named: Any) -> Answer:
        """Make a request, and remember how long it took."""
        began = time.perf_counter()
        answer = request(*arguments, **named)
        self.latencies.setdefault(kind, []).append(time.perf_counter() - began)
        return answer


class Counter(Proxy):
    """A proxy that counts the requests and bytes of its clients."""

    def __init__(self, target: int):
        self.requests, self.bytes = 0, 0
        super().__init__(target)

    def passed(self, data: bytes, sink: socket.socket) -> None:
        """Count what goes to the server."""
        if sink.getpeername()[1] == self._target:
            self.requests += len(REQUEST.findall(data))
            self.bytes += len(data)


def log(client_number: int, experiment: str, deadline: float, sent: Sent) -> None:
    """Log runs until the deadline."""
    number = 0
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / FILE
        while time.monotonic() < deadline:
            number += 1
            tags = {**TAGS, names.SEED: f"{client_number}-{number}"}
            file.write_bytes(os.urandom(FILE_BYTES))
            try:
                log_run(experiment, tags, file, sent)
            except Exception as error:  # whatever a client raises is an error of the server here
                sent.errors.append(f"{type(error).__name__}: {error}"[:300])


def log_run(experiment: str, tags: dict[str, str], file: Path, sent: Sent) -> None:
    """Log a run."""
    client = MlflowClient()
    run = sent.ask("create a run", client.create_run, experiment, tags=tags).info.run_id
    settings = [Param(f"setting_{each}", str(each)) for each in range(PARAMETERS)]
    sent.ask("log parameters", client.log_batch, run, params=settings)
    for epoch in range(EPOCHS):
        sent.ask("log metrics", client.log_batch, run, points(epoch))
    sent.ask("log a file", client.log_artifact, run, str(file))
    sent.ask("end a run", client.set_terminated, run)
    sent.runs[run] = hashlib.sha256(file.read_bytes()).hexdigest()


def points(epoch: int) -> list[Metric]:
    """Metrics of an epoch."""
    now = int(time.time() * 1000)
    return [Metric(f"metric_{each}", each + epoch / 10, now, epoch) for each in range(METRICS)]


def lost(runs: Mapping[str, str]) -> list[str]:
    """What the server was said to have, and does not."""
    client = MlflowClient()
    found = []
    for run_id, digest in runs.items():
        run = client.get_run(run_id)
        if run.info.status != "FINISHED" or len(run.data.params) != PARAMETERS:
            found.append(f"{run_id}: {run.info.status}, {len(run.data.params)} parameters")
        for each in range(METRICS):
            history = [(point.step, point.value) for point in client.get_metric_history(run_id, f"metric_{each}")]
            if sorted(history) != [(epoch, each + epoch / 10) for epoch in range(EPOCHS)]:
                found.append(f"{run_id}: metric_{each} is {history}")
        with tempfile.TemporaryDirectory() as folder:
            content = Path(client.download_artifacts(run_id, FILE, folder)).read_bytes()
        if hashlib.sha256(content).hexdigest() != digest:
            found.append(f"{run_id}: another file")
    return found


def work(number: int, experiment: str, seconds: float) -> Sent:
    """Log runs, then read them back: a client's process."""
    began, sent = time.monotonic(), Sent()
    log(number, experiment, began + seconds, sent)
    sent.seconds = time.monotonic() - began
    sent.lost = lost(sent.runs)
    return sent


def load(clients: int, seconds: float) -> Sent:
    """Have the clients log; returns what the server has acknowledged to all of them."""
    os.environ |= QUIET
    client = MlflowClient()
    found = client.get_experiment_by_name(EXPERIMENT)
    experiment = found.experiment_id if found else client.create_experiment(EXPERIMENT)
    whole = Sent()
    with ProcessPoolExecutor(clients, multiprocessing.get_context("spawn")) as processes:
        answers = [processes.submit(work, number, experiment, seconds) for number in range(clients)]
        for sent in (answer.result() for answer in answers):
            whole.runs |= sent.runs
            whole.errors += sent.errors
            whole.lost += sent.lost
            whole.seconds = max(whole.seconds, sent.seconds)
            for kind, latencies in sent.latencies.items():
                whole.latencies.setdefault(kind, []).extend(latencies)
    return whole


def report(sent: Sent) -> None:
    """Print rates and latencies."""
    requests, runs = sum(map(len, sent.latencies.values())), len(sent.runs)
    metrics = len(sent.latencies.get("log metrics", ())) * METRICS
    rates = f"{requests / sent.seconds:.0f} requests/s, {metrics / sent.seconds:.0f} metrics/s"
    print(f"{runs} runs in {sent.seconds:.0f} s: {rates}; errors: {len(sent.errors)}, lost: {len(sent.lost)}")
    print(*sorted({*sent.errors, *sent.lost})[:5], sep="\n")
    print(f"{'latency, ms':16} {'median':>8} {'95 %':>8} {'99 %':>8} {'longest':>8}")
    for kind, latencies in sent.latencies.items():
        figures = 1000 * np.quantile(latencies, (0.5, 0.95, 0.99, 1))
        print(f"{kind:16}", *(f"{each:8.0f}" for each in figures))


def load_and_check(clients: int, seconds: float, folder: Path | None) -> None:
    """Load the server, print the figures, compare the runs, and exit with 1 if anything failed or is lost."""
    before = sizes(folder) if folder else {}
    sent = load(clients, seconds)
    report(sent)
    for name, size in growth(folder, before).items():
        print(f"{name}: {size / max(1, len(sent.runs)) / 1e3:.0f} kB a run")
    command = [sys.executable, "-m", "analysis", "compare", "--format", "csv", "--where", f"tags.row = '{ROW}'"]
    compared = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    print(f"compare: exit code {compared.returncode}, {max(0, len(compared.stdout.splitlines()) - 1)} line(s)")
    if sent.lost or sent.errors or compared.returncode:
        sys.exit(1)


def count(command: str, folder: Path | None) -> None:
    """Run a command of `python -m pipelines` through a counting proxy, and print what it asked of the server."""
    counter = Counter(urlsplit(os.environ["MLFLOW_TRACKING_URI"]).port or 80)
    environment = {**os.environ, "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{counter.port}"}
    before = sizes(folder) if folder else {}
    began = time.monotonic()
    code = subprocess.run([sys.executable, "-m", "pipelines", *shlex.split(command)], env=environment).returncode
    counter.close()
    took = time.monotonic() - began
    print(f"exit code {code} after {took:.0f} s: {counter.requests} requests, {counter.bytes / 1e6:.2f} MB sent")
    for name, size in growth(folder, before).items():
        print(f"{name}: {size / 1e3:.0f} kB")


def sizes(folder: Path) -> dict[str, int]:
    """Bytes of the databases and of the files of a server on this machine."""
    parts = {"database": folder / "postgresql" / "base", "files": folder / "artifacts"}
    return {name: sum(path.stat().st_size for path in top.rglob("*") if path.is_file()) for name, top in parts.items()}


def growth(folder: Path | None, before: Mapping[str, int]) -> dict[str, int]:
    """Bytes by which they have grown; nothing without a folder."""
    return {name: size - before[name] for name, size in (sizes(folder) if folder else {}).items()}


def main() -> None:
    """Parse the arguments, and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--folder", type=Path, help="of the server, on this machine")
    parser.add_argument("--row", help="command of python -m pipelines to count instead")
    given = parser.parse_args()
    if not urlsplit(os.environ.get("MLFLOW_TRACKING_URI", "")).scheme.startswith("http"):
        sys.exit("set MLFLOW_TRACKING_URI to a server: set -a; . server/client.env; set +a")
    if given.row:
        count(given.row, given.folder)
    else:
        load_and_check(given.clients, given.seconds, given.folder)


if __name__ == "__main__":
    main()
