"""What a launcher costs: the same launch by each of them in turn, its seconds on the clock and of all its processes.

    python -m benchmarks.launchers [--launchers local,ray] [--repeat 2] [--row "recurrent --dataset sample ..."]

Each launch has a folder and a tracking database of its own. Its processes are those that have its folder in their
environment, Ray's daemons and SLURM's jobs included; their processor time is read every half second, so that the last
half second of each may be missing. On a machine that others use, trust the processor time, and the ratios.
"""

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from statistics import median

import psutil

ROOT = Path(__file__).parents[1]
MARK = "BENCHMARKED_IN"  # environment variable with the folder of a launch
ROW = "recurrent --dataset sample --models gru-2,lstm-2,rnn-2 --seeds 2 --jobs 2"
POLL_S = 0.5


def launch(row: str, launcher: str) -> tuple[float, float]:
    """Run a launch to its end; returns its seconds on the clock, and those of the processors."""
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {
            MARK: folder,
            "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
            "XDG_STATE_HOME": folder,
            "PYTHONPATH": str(ROOT),
        }
        command = [sys.executable, "-m", "pipelines", *shlex.split(row), "--launcher", launcher]
        used: dict[tuple[int, float], float] = {}
        began = time.monotonic()
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while process.poll() is None:
            used |= processor_times(folder)
            time.sleep(POLL_S)
        seconds = time.monotonic() - began
        if process.returncode:
            sys.exit(f"launcher={launcher} ended with exit code {process.returncode}")
        return seconds, sum(used.values())


def processor_times(folder: str) -> dict[tuple[int, float], float]:
    """Seconds that each process of a launch has used, by its number and start."""
    found = {}
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get(MARK) == folder:
                times = process.cpu_times()
                found[process.pid, process.create_time()] = times.user + times.system
    return found


def compare(row: str, launchers: Sequence[str], repeat: int) -> None:
    """Launch by each in turn, `repeat` times, and print the medians, and their ratios to the first one's."""
    print(f"{row}\n{'launcher':10} {'seconds':>9} {'ratio':>6} {'processor s':>12} {'ratio':>6}")
    measured: dict[str, list[tuple[float, float]]] = {launcher: [] for launcher in launchers}
    for _ in range(repeat):
        for launcher in launchers:
            measured[launcher].append(launch(row, launcher))
    medians = {launcher: tuple(map(median, zip(*pairs, strict=True))) for launcher, pairs in measured.items()}
    first = medians[launchers[0]]
    for launcher, (seconds, used) in medians.items():
        print(f"{launcher:10} {seconds:9.1f} {seconds / first[0]:6.2f} {used:12.1f} {used / first[1]:6.2f}")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--launchers", default="local,ray", help="to compare, with commas between them")
    parser.add_argument("--repeat", type=int, default=2, help="launches by each")
    parser.add_argument("--row", default=ROW, help="what is launched")
    arguments = parser.parse_args()
    compare(arguments.row, arguments.launchers.split(","), arguments.repeat)


if __name__ == "__main__":
    main()
