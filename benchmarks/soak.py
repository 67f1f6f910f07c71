"""Soak test: launches a small training repeatedly, disturbs it in several ways, and checks the results.

    python benchmarks/soak.py [--minutes 20] [--seed 0] [--store server|sqlite] [--folder soak]

Each launch trains rnn-2 and a baseline on the embedded sample. At a random time, drawn with --seed, it is killed
(SIGKILL to all its processes, to the launcher or to a row), stopped (SIGTERM), disconnected from its tracking server
(an `mlflow server` behind a proxy that closes for some seconds; not with --store sqlite), or left alone. Then unsent
data are replayed, and the launch is resumed, and disturbed again, until it has finished; one in five of those that were
stopped is not resumed. In the end every run must be FINISHED or KILLED, every finished one must be bit-identical to an
undisturbed one, with no step twice, and no process, spool or temporary folder may be left. Prints counts and faults;
exit code 1 if there is a fault.
"""

import argparse
import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import psutil
from mlflow import MlflowClient
from mlflow.entities import Run

ROOT = Path(__file__).parents[1]
ROW = "rnn-2 hidden=8 epochs=8 seed0"
PARENT = "(recurrent on sample)"
OPTIONS = "--dataset sample --models rnn-2,persistence --hidden 8 --epochs 8 --jobs 1 --precision fp32 --device cpu"
COMMAND = ("recurrent", *OPTIONS.split())
COSTS = ("_s", "_mb")  # suffixes of metrics that differ between identical trainings: times, rates, memory
# A cache shared by torch's exports, and the folder with a socket that multiprocessing leaves of a killed launcher.
NOT_OURS = ("torchinductor_", "pymp-")
KINDS = ("kill all", "kill launcher", "kill row", "SIGTERM", "outage", "none")
LONGEST_S = 900  # limit for a launch
SHUTDOWN_S = 60  # limit for the remaining processes of a killed launch to end
TRIES = 8  # number of disturbed resumes of a launch


class Proxy:
    """Forwards connections to a port of this machine until it is closed; can be opened again on the same port."""

    def __init__(self, target: int):
        self._target = target
        self._open: list[socket.socket] = []
        self._listening: list[socket.socket] = []
        self.port = 0
        self.open()

    def open(self) -> None:
        """Accept connections."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(64)
        self.port = listener.getsockname()[1]
        self._listening.append(listener)
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def close(self) -> None:
        """Refuse new connections, and close the existing ones."""
        for each in (*self._listening, *self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self._listening.clear()
        self._open.clear()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                here, _ = listener.accept()
                try:
                    there = socket.create_connection(("127.0.0.1", self._target))
                except OSError:
                    here.close()
                    continue
                self._open += [here, there]
                for ends in ((here, there), (there, here)):
                    threading.Thread(target=self._pass_on, args=ends, daemon=True).start()

    def passed(self, data: bytes, sink: socket.socket) -> None:
        """Do nothing with what is about to be sent to `sink`."""

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                self.passed(data, sink)
                sink.sendall(data)
        for each in (source, sink):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


class Soak:
    """A folder with a tracking store and launches, counts of the disturbances, and faults."""

    def __init__(self, folder: Path, seed: int, store: str):
        self.folder, self.random = folder, random.Random(seed)
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.database = f"sqlite:///{folder / 'mlflow.db'}"
        (folder / "tmp").mkdir(parents=True)
        self._environment = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")} | {
            "PYTHONPATH": str(ROOT),
            "TMPDIR": str(folder / "tmp"),
            "XDG_STATE_HOME": str(folder / "state"),
            "SOAKED_IN": str(folder),
            "MLFLOW_TRACKING_URI": self.database,
        }
        self.proxy: Proxy | None = None
        self.server: subprocess.Popen | None = None
        if store == "server":
            self._serve()
        self.client = MlflowClient(self.database)

    def _serve(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--port", str(port)]
        command += ["--backend-store-uri", self.database, "--artifacts-destination", str(self.folder / "artifacts")]
        environment = {key: value for key, value in self._environment.items() if key != "SOAKED_IN"}
        environment |= {"TMPDIR": tempfile.gettempdir(), "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        with (self.folder / "server.log").open("w") as log:
            self.server = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
        self.proxy = Proxy(port)
        self._environment["MLFLOW_TRACKING_URI"] = f"http://127.0.0.1:{self.proxy.port}"
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                return
            time.sleep(0.2)

    def start(self, *arguments: str, module: str = "pipelines") -> subprocess.Popen:
        """Start ``python -m module arguments`` in a process group of its own; its output goes to launches.log."""
        with (self.folder / "launches.log").open("a") as log:
            print("\n$", module, *arguments, file=log, flush=True)
            return subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                cwd=self.folder,
                env=self._environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def run(self, *arguments: str, module: str = "pipelines") -> int:
        """Run a command undisturbed to its end; returns its exit code."""
        return self.start(*arguments, module=module).wait(timeout=LONGEST_S)

    def processes(self) -> list[psutil.Process]:
        """Processes of launches that are still running."""
        alive = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get("SOAKED_IN") == str(self.folder):
                    alive.append(process)
        return alive

    def runs(self) -> list[Run]:
        """All runs, the oldest first."""
        experiments = [each.experiment_id for each in self.client.search_experiments()]
        return list(self.client.search_runs(experiments, order_by=["attributes.start_time ASC"], max_results=50_000))

    def parents(self) -> dict[str, str]:
        """Status of each launch by its id."""
        return {run.info.run_id: run.info.status for run in self.runs() if run.info.run_name.endswith(PARENT)}

    def disturbed(self, *arguments: str) -> str:
        """Start a launch, disturb it at a random time, and wait for its processes to end; returns the disturbance."""
        kinds = [kind for kind in KINDS if kind != "outage" or self.proxy]
        kind, moment = self.random.choice(kinds), self.random.uniform(0, self.usual_s)
        process = self.start(*arguments)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(moment)
        if process.poll() is not None:
            kind = "none"
        self.do(kind, process)
        code = process.wait(LONGEST_S)
        self.counts[kind] += 1
        if kind == "SIGTERM" and code not in (143, 0):
            self.wrong.append(f"SIGTERM after {moment:.1f} s of {' '.join(arguments[:3])}: exit code {code}")
        if kind == "none" and code != 0:
            self.wrong.append(f"{' '.join(arguments[:3])}, undisturbed: exit code {code}")
        if kind == "outage":
            self.counts[f"outage, then exit code {code}"] += 1
        self.require_gone(kind)
        return kind

    def do(self, kind: str, process: subprocess.Popen) -> None:
        """Disturb a running launch."""
        if kind == "kill all":
            os.killpg(process.pid, signal.SIGKILL)
        elif kind == "kill launcher":
            process.kill()
        elif kind == "kill row":
            with contextlib.suppress(psutil.Error):
                children = psutil.Process(process.pid).children(recursive=True)
                self.random.choice(children).kill() if children else process.kill()
        elif kind == "SIGTERM":
            process.terminate()
        elif kind == "outage" and self.proxy:
            self.proxy.close()
            time.sleep(self.random.uniform(1, 20))
            self.proxy.open()

    def require_gone(self, kind: str) -> None:
        """Record as faults, and kill, remaining processes of a launch that has ended."""
        deadline = time.monotonic() + SHUTDOWN_S
        while (left := self.processes()) and time.monotonic() < deadline:
            time.sleep(0.2)
        for process in left:
            with contextlib.suppress(psutil.Error):
                self.wrong.append(f"after {kind}: still running: {' '.join(process.cmdline())[:200]}")
                process.kill()

    def waiting(self) -> list[Path]:
        """Journals of data that runs could not send while their server was away."""
        return list((self.folder / "state").rglob("journal.jsonl"))

    def sweep(self) -> None:
        """Send unsent data, then correct the status of killed runs."""
        if self.waiting():
            self.counts["replays"] += 1
            if self.run("replay") != 0:
                self.wrong.append("replay failed, see launches.log")
        if self.run("sweep", module="analysis") != 0:
            self.wrong.append("sweep failed, see launches.log")

    def cycle(self) -> None:
        """Disturb a launch, and resume it until it has finished."""
        before = set(self.parents())
        done = self.disturbed(*COMMAND)
        self.counts["launches"] += 1
        made = set(self.parents()) - before
        if not made:
            self.counts["ended before its run was made"] += 1
            return
        (parent,) = made
        left = done in ("kill all", "SIGTERM") and self.random.random() < 0.2
        for _ in range(TRIES):
            self.sweep()
            if left or self.parents()[parent] == "FINISHED":
                return
            self.counts["resumes"] += 1
            self.disturbed("recurrent", "--resume", parent)
        self.finish(parent)

    def finish(self, parent: str) -> None:
        """Resume a launch undisturbed."""
        self.sweep()
        if self.parents()[parent] != "FINISHED" and self.run("recurrent", "--resume", parent) != 0:
            self.wrong.append(f"{parent}: an undisturbed resume failed, see launches.log")

    def figures(self, run: Run) -> dict[str, list[tuple[int, float]]]:
        """Points (step, value) of each metric that is not a cost, by name."""
        return {
            metric: sorted(
                (point.step, point.value) for point in self.client.get_metric_history(run.info.run_id, metric)
            )
            for metric in run.data.metrics
            if not metric.split(".")[0].endswith(COSTS) and "system/" not in metric
        }

    def judge(self, expected: Run) -> None:
        """Check the status and the steps of every run, and compare its metrics with those of the undisturbed one."""
        undisturbed = self.figures(expected)
        for run in self.runs():
            status, name = run.info.status, f"{run.info.run_name} ({run.info.run_id})"
            self.counts[f"runs {status}"] += 1
            if status not in ("FINISHED", "KILLED"):
                self.wrong.append(f"{name} is {status}: {run.data.tags.get('failure', 'no failure is named')}")
            if run.info.run_name != ROW:
                continue
            figures = self.figures(run)
            for metric, points in figures.items():
                steps = [step for step, _ in points]
                if len(steps) != len(set(steps)):
                    self.wrong.append(f"{name}: {metric} has a step twice: {steps}")
            if status == "FINISHED":
                metrics = figures.keys() | undisturbed.keys()
                differing = sorted(each for each in metrics if figures.get(each) != undisturbed.get(each))
                self.counts["trained rows finished"] += 1
                self.counts["of these identical"] += not differing
                if differing:
                    self.wrong.append(f"{name}: differs from the undisturbed one in {', '.join(differing)}")

    def require_clean(self) -> None:
        """Check that no temporary files and no unsent data are left."""
        names = sorted(path.name for path in (self.folder / "tmp").iterdir())
        left = [name for name in names if not name.startswith(NOT_OURS)]
        self.counts["left in the temporary folder"] = len(left)
        self.counts["left there by multiprocessing"] = sum(name.startswith("pymp-") for name in names)
        if left:
            self.wrong.append(f"left in the temporary folder: {', '.join(left[:10])}")
        self.wrong += [f"still to be sent: {path}" for path in self.waiting()]

    def soak(self, minutes: float) -> None:
        """Run the soak test."""
        began = time.monotonic()
        if self.run(*COMMAND) != 0:
            raise SystemExit(f"the undisturbed launch failed: see {self.folder / 'launches.log'}")
        self.usual_s = time.monotonic() - began
        expected = next(run for run in self.runs() if run.info.run_name == ROW)
        deadline = began + 60 * minutes
        while time.monotonic() < deadline:
            self.cycle()
            print(f"{(time.monotonic() - began) / 60:5.1f} min  {self.summary()}", flush=True)
        if self.run(*COMMAND) != 0:
            self.wrong.append("the last launch, undisturbed, failed")
        self.sweep()
        self.judge(expected)
        self.require_gone("the end")
        self.require_clean()

    def summary(self) -> str:
        """Counts on one line."""
        return ", ".join(f"{what}: {count}" for what, count in sorted(self.counts.items()))

    def end(self) -> None:
        """Stop the server."""
        if self.proxy:
            self.proxy.close()
        if self.server:
            os.killpg(self.server.pid, signal.SIGTERM)
            self.server.wait()


def main() -> None:
    """Parse the arguments, run the soak test, and print the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--store", choices=["server", "sqlite"], default="server")
    parser.add_argument("--folder", type=Path, help="kept; by default a temporary one that goes if all is right")
    given = parser.parse_args()
    folder = given.folder.absolute() if given.folder else Path(tempfile.mkdtemp(prefix="soak-"))
    soak = Soak(folder, given.seed, given.store)
    try:
        soak.soak(given.minutes)
    finally:
        soak.end()
    print(f"\n{given.minutes:g} minutes, seed {given.seed}, {given.store}: {soak.summary()}")
    for each in soak.wrong:
        print("WRONG:", each)
    if soak.wrong:
        sys.exit(f"{len(soak.wrong)} things are wrong; the runs are in {folder}")
    if not given.folder:
        shutil.rmtree(folder)
    print("everything is right")


if __name__ == "__main__":
    main()
