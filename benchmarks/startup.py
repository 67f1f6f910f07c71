"""Where the time of short commands goes: imports, the parts of a launch that do not train, what reads runs.

    python benchmarks/startup.py [--against ../before] [--repeat 3] [--epochs 0] [--dataset sample] [--data-dir data]

Measures a launch of gru-2 on a new database, the imports of each command alone, and commands of the analysis on what
the launch has logged. With `--against`, the root of another checkout, such as a `git worktree` of an earlier commit,
each command is run in turn by both, so that whatever else the machine does slows both alike; it takes the same Python.

Times are the least of all repetitions, since other load only adds to them: seconds on the clock and, in parentheses, of
processor time, of all processes together (Linux). The parts of a launch are on the clock, from what the runs have
logged: until the row's run is there; from there to its first point of the curve; from that to the last, which is
training with its evaluations; from there to its end; and from there to that of the command.
"""

import argparse
import itertools
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mlflow import MlflowClient

ROOT = Path(__file__).parents[1]
CURVE, LAUNCH = "smape_curve", "recurrent"
IMPORTS = {
    "imports of recurrent": "import pipelines.experiments.recurrent.experiment",
    "imports of ablation": "import pipelines.experiments.ablation.experiment",
    "imports of resnet": "import pipelines.experiments.resnet.experiment",
    "imports of pretrain": "import pipelines.experiments.pretrain.experiment",
    "imports of tune": "import pipelines.studies.command",
    "imports of prepare": "import pipelines.commands.prepare",
    "imports of compare": "import analysis.entries.index, analysis.tables.compare, analysis.server, mlflow",
}
READERS = (("compare",), ("runs",), ("export",), ("sweep", "--dry-run"))
PARTS = ("until the row's run", "until it trains", "training", "after it", "after the row")


@dataclass(frozen=True)
class Time:
    """Of a command or a part of one: seconds on the clock and, if known, of processor time."""

    wall: float
    processor: float | None = None

    def __str__(self) -> str:
        return f"{self.wall:.1f}" + (f" ({self.processor:.1f})" if self.processor is not None else "")

    def least(self, other: "Time") -> "Time":
        """The lesser of each."""
        known = [each.processor for each in (self, other) if each.processor is not None]
        return Time(min(self.wall, other.wall), min(known) if known else None)


def run(checkout: Path, folder: Path, *arguments: str) -> Time:
    """Run Python in `folder` with the modules of `checkout`; its output goes to files there.

    Raises:
        RuntimeError: it failed.
    """
    environment = os.environ | {
        "PYTHONPATH": str(checkout),
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
        "XDG_STATE_HOME": str(folder),
    }
    with (folder / "stdout").open("w") as out, (folder / "stderr").open("w") as err, adopting():
        before, began = processor_time(), time.perf_counter()
        process = subprocess.Popen([sys.executable, *arguments], cwd=folder, env=environment, stdout=out, stderr=err)
        status = process.wait()
        wall = time.perf_counter() - began
        wait_for_orphans()
    if status:
        raise RuntimeError(f"{' '.join(arguments)} failed: {(folder / 'stderr').read_text()[-500:]}")
    return Time(wall, processor_time() - before)


@contextmanager
def adopting() -> Iterator[None]:
    """Become the parent of processes whose own has ended, as a fork server's has, to count their time too (Linux)."""
    import ctypes

    subreaper = 36
    prctl = getattr(ctypes.CDLL(None), "prctl", lambda *arguments: None)
    prctl(subreaper, 1)
    try:
        yield
    finally:
        prctl(subreaper, 0)


def wait_for_orphans() -> None:
    """Wait until all adopted processes have ended."""
    while True:
        try:
            os.wait()
        except ChildProcessError:
            return


def processor_time() -> float:
    """Seconds of the processor that processes have used that have ended below this one."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measured(checkout: Path, launch: Sequence[str]) -> Iterator[tuple[str, Time]]:
    """Names and times of all that is measured, once."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for what, statement in IMPORTS.items():
            yield what, run(checkout, folder, "-c", statement)
        began = time.time()
        whole = run(checkout, folder, "-m", "pipelines", *launch)
        ended = time.time()
        yield "gru-2, the whole launch", whole
        for part, seconds in zip(PARTS, parts(f"sqlite:///{folder}/mlflow.db", began, ended), strict=True):
            yield f"gru-2, {part}", Time(seconds)
        for reader in READERS:
            yield " ".join(reader), run(checkout, folder, "-m", "analysis", *reader)


def parts(uri: str, began: float, ended: float) -> list[float]:
    """Seconds of each of PARTS, of the launch from `began` to `ended` (time.time)."""
    client = MlflowClient(uri)
    experiments = [each.experiment_id for each in client.search_experiments()]
    (row,) = client.search_runs(experiments, "tags.row = 'gru-2'")
    points = [point.timestamp for point in client.get_metric_history(row.info.run_id, CURVE)]
    marks = [row.info.start_time, min(points), max(points), row.info.end_time]
    at = [began, *(mark / 1000 for mark in marks), ended]
    return [later - earlier for earlier, later in itertools.pairwise(at)]


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", type=Path)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=0)
    parser.add_argument("--dataset", default="sample")
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    options = parser.parse_args()
    launch = [LAUNCH, "--models", "gru-2", "--dataset", options.dataset, "--epochs", str(options.epochs)]
    launch += ["--data-dir", str(options.data_dir.resolve())]
    checkouts = {"now": ROOT} | ({"before": options.against.resolve()} if options.against else {})
    least: dict[str, dict[str, Time]] = {checkout: {} for checkout in checkouts}
    for _ in range(options.repeat):
        for checkout, root in reversed(checkouts.items()):
            for what, took in measured(root, launch):
                least[checkout][what] = took.least(least[checkout].get(what, took))
    print(f"| s (of processor time) | {' | '.join(reversed(checkouts))} |\n| --- |{' ---: |' * len(checkouts)}")
    for what in least["now"]:
        print(f"| {what} | {' | '.join(str(least[checkout][what]) for checkout in reversed(checkouts))} |")


if __name__ == "__main__":
    main()
