"""A small training launched again and again while everything around it breaks: what is right afterwards, and what not.

    python benchmarks/soak.py [--minutes 20] [--seed 0] [--store server|sqlite] [--folder soak]

Each launch trains rnn-2 and a baseline on the embedded sample. It is killed (kill −9 of all its processes, of the
launcher or of a row), asked to stop (SIGTERM), cut off from its tracking server (an `mlflow server` behind a proxy that
closes for some seconds; not with --store sqlite), or left alone, at times drawn with --seed, what waits to be sent is
replayed, and it is resumed until it has finished, disturbed again meanwhile; one in five of those that were stopped is
left as it is. In the end every run must
be FINISHED or KILLED, every finished one the same bits as an undisturbed one, with no step twice; no process, spool or
temporary folder may be left. Prints what was done and found; exit code 1 if anything is wrong.
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
ROW = "rnn-2-seed0"
PARENT = "recurrent sample"
OPTIONS = "--dataset sample --models rnn-2,persistence --hidden 8 --epochs 8 --jobs 1 --precision fp32 --device cpu"
COMMAND = ("recurrent", *OPTIONS.split())
COSTS = ("_s", "_mb")  # endings of what differs between two runs of the same: times, rates, memory
# A cache that torch's exports share; what multiprocessing leaves of a killed launcher, a folder with a socket.
NOT_OURS = ("torchinductor_", "pymp-")
KINDS = ("kill all", "kill launcher", "kill row", "SIGTERM", "outage", "none")
LONGEST_S = 900  # that a launch may take
WAY_OUT_S = 60  # for what is left of a killed launch to end
TRIES = 8  # resumes of one launch


class Proxy:
    """Passes connections on to a port of this machine, until it is closed; it can be opened again on the same port."""

    def __init__(self, target: int):
        self._target = target
        self._open: list[socket.socket] = []
        self._listening: list[socket.socket] = []
        self.port = 0
        self.open()

    def open(self) -> None:
        """Listen (again)."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(64)
        self.port = listener.getsockname()[1]
        self._listening.append(listener)
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def close(self) -> None:
        """Refuse connections, and break those there are."""
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

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                sink.sendall(data)
        for each in (source, sink):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


class Soak:
    """A folder with a tracking store, launches in it, and what has been done to them."""

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
        """Runs ``python -m module arguments`` undisturbed to its end and returns its exit code."""
        return self.start(*arguments, module=module).wait(timeout=LONGEST_S)

    def processes(self) -> list[psutil.Process]:
        """Processes launched here that are still running."""
        alive = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get("SOAKED_IN") == str(self.folder):
                    alive.append(process)
        return alive

    def runs(self) -> list[Run]:
        """Every run, the oldest first."""
        experiments = [each.experiment_id for each in self.client.search_experiments()]
        return list(self.client.search_runs(experiments, order_by=["attributes.start_time ASC"], max_results=50_000))

    def parents(self) -> dict[str, str]:
        """The status of each launch by its id."""
        return {run.info.run_id: run.info.status for run in self.runs() if run.info.run_name == PARENT}

    def disturbed(self, *arguments: str) -> str:
        """Launch it, do something to it at some moment, and wait until nothing of it runs: what was done."""
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
        """Disturb a launch that is under way."""
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
        """Note, and kill, what still runs of a launch that has ended."""
        deadline = time.monotonic() + WAY_OUT_S
        while (left := self.processes()) and time.monotonic() < deadline:
            time.sleep(0.2)
        for process in left:
            with contextlib.suppress(psutil.Error):
                self.wrong.append(f"after {kind}: still running: {' '.join(process.cmdline())[:200]}")
                process.kill()

    def waiting(self) -> list[Path]:
        """Journals of what runs could not send while their server was away."""
        return list((self.folder / "state").rglob("journal.jsonl"))

    def sweep(self) -> None:
        """Send what waits, then set the status of what was killed right."""
        if self.waiting():
            self.counts["replays"] += 1
            if self.run("replay") != 0:
                self.wrong.append("replay failed, see launches.log")
        if self.run("sweep", module="analysis") != 0:
            self.wrong.append("sweep failed, see launches.log")

    def cycle(self) -> None:
        """One launch, disturbed, and resumed until it has finished."""
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
        """Resume it undisturbed."""
        self.sweep()
        if self.parents()[parent] != "FINISHED" and self.run("recurrent", "--resume", parent) != 0:
            self.wrong.append(f"{parent}: an undisturbed resume failed, see launches.log")

    def figures(self, run: Run) -> dict[str, list[tuple[int, float]]]:
        """(step, value) of each point of each metric that is not a cost."""
        return {
            metric: sorted(
                (point.step, point.value) for point in self.client.get_metric_history(run.info.run_id, metric)
            )
            for metric in run.data.metrics
            if not metric.split(".")[0].endswith(COSTS) and "system/" not in metric
        }

    def judge(self, expected: Run) -> None:
        """Look at every run: its status, its figures beside those of the undisturbed one, its steps."""
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
        """Nothing is left in the folder of temporary files, after a launch that was not disturbed."""
        names = sorted(path.name for path in (self.folder / "tmp").iterdir())
        left = [name for name in names if not name.startswith(NOT_OURS)]
        self.counts["left in the temporary folder"] = len(left)
        self.counts["left there by multiprocessing"] = sum(name.startswith("pymp-") for name in names)
        if left:
            self.wrong.append(f"left in the temporary folder: {', '.join(left[:10])}")
        self.wrong += [f"still to be sent: {path}" for path in self.waiting()]

    def soak(self, minutes: float) -> None:
        """Do it all."""
        began = time.monotonic()
        if self.run(*COMMAND) != 0:
            raise SystemExit(f"the undisturbed launch failed: see {self.folder / 'launches.log'}")
        self.usual_s = time.monotonic() - began
        expected = next(run for run in self.runs() if run.info.run_name == ROW)
        deadline = began + 60 * minutes
        while time.monotonic() < deadline:
            self.cycle()
            print(f"{(time.monotonic() - began) / 60:5.1f} min  {self.told()}", flush=True)
        if self.run(*COMMAND) != 0:
            self.wrong.append("the last launch, undisturbed, failed")
        self.sweep()
        self.judge(expected)
        self.require_gone("the end")
        self.require_clean()

    def told(self) -> str:
        """The counts on one line."""
        return ", ".join(f"{what}: {count}" for what, count in sorted(self.counts.items()))

    def end(self) -> None:
        """End the server."""
        if self.proxy:
            self.proxy.close()
        if self.server:
            os.killpg(self.server.pid, signal.SIGTERM)
            self.server.wait()


def main() -> None:
    """Parses the arguments, soaks, and prints the result."""
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
    print(f"\n{given.minutes:g} minutes, seed {given.seed}, {given.store}: {soak.told()}")
    for each in soak.wrong:
        print("WRONG:", each)
    if soak.wrong:
        sys.exit(f"{len(soak.wrong)} things are wrong; the runs are in {folder}")
    if not given.folder:
        shutil.rmtree(folder)
    print("everything is right")


if __name__ == "__main__":
    main()
