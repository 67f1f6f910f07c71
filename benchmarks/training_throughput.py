"""Training throughput on load forecasts: the tutorial's loop and this project's, with the effect of each of its parts.

    python benchmarks/training_throughput.py [--data-dir data] [--row gru-2] [--seconds 20]

The methods run one after the other, each in a process of its own on all cores, or in one for each core that torchrun
starts. "Tutorial" is written from the description of the notebook that the forecasting report follows: DataLoader over
tensors of materialised windows, fp32, zero_grad, forward, mse_loss, backward, step. Needs the prepared PJM data
(python -m pipelines prepare --dataset pjm).
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.data.protocol import LOOKBACK
from pipelines.experiments.recurrent.rows import DENSE, NETWORKS, WINDOW, NetworkSettings
from pipelines.processes.forked import ALLOCATOR
from pipelines.processes.ranks import rank
from pipelines.training.loop import Callback, Progress

CORES = os.cpu_count() or 1


@dataclass(frozen=True)
class Way:
    """A method of training.

    Attributes:
        name: that is shown.
        function: of this module.
        training: way of training.
        settings: that replace the row's.
        ranks: processes that torchrun starts; 0 without it.
    """

    name: str
    function: str
    training: str
    settings: Mapping[str, Any]
    ranks: int = 0


WAYS = (
    Way("tutorial: DataLoader, fp32, all threads", "tutorial", WINDOW, {}),
    Way("window, one process, fp32", "ours", WINDOW, {"replicas": 1, "threads": CORES, "precision": "fp32"}),
    Way("window, a replica a core, fp32", "ours", WINDOW, {"replicas": CORES, "precision": "fp32"}),
    Way("window, a replica a core", "ours", WINDOW, {"replicas": CORES}),
    Way("dense, one process, torch.nn.GRU", "plain_gru", DENSE, {"replicas": 1, "threads": CORES}),
    Way("dense, one process", "ours", DENSE, {"replicas": 1, "threads": CORES}),
    Way("dense, a replica a core, fp32", "ours", DENSE, {"replicas": CORES, "precision": "fp32"}),
    Way("dense, a replica a core", "ours", DENSE, {"replicas": CORES}),
    Way("dense, a rank of torchrun a core", "leader", DENSE, {"replicas": 1, "threads": 1}, CORES),
)


class EnoughError(Exception):
    """Raised to end a training when the time is over."""


class Meter(Callback):
    """Counts items per second after a few updates to warm up, until the time is over."""

    def __init__(self, seconds: float):
        self.limit, self.began, self.items, self.rate = seconds, 0.0, 0, 0.0

    def on_update(self, progress: Progress) -> None:
        """Start or stop the measurement."""
        now = time.perf_counter()
        if progress.update == 3:
            self.began, self.items = now, progress.items
        elif progress.update > 3 and now - self.began > self.limit:
            self.rate = (progress.items - self.items) / (now - self.began)
            raise EnoughError


def settings_of(way: Way, row: str) -> NetworkSettings:
    """Settings of a row for a method."""
    from pipelines.data.protocol import PJM
    from pipelines.experiments.recurrent.rows import resolve_network
    from pipelines.training.machine import available_precision

    machine = {"device": "cpu", "precision": available_precision("auto", "cpu")}
    return resolve_network(row, PJM, way.training, 0, 1.0, **{**machine, **way.settings})


def ours(way: Way, row: str, data_dir: str, seconds: float) -> float:
    """Targets per second of this project's training."""
    from pipelines.data.energy import pjm
    from pipelines.data.energy.series import split
    from pipelines.experiments.recurrent.forecaster import forecaster

    dataset = pjm.load(data_dir)
    meter = Meter(seconds)
    train = split(dataset)["train"]
    network = forecaster(settings_of(way, row), dataset, train)
    with network.training as training, contextlib.suppress(EnoughError):
        training.fit([meter])
    return meter.rate * network.training.task.targets_per_item


def leader(way: Way, row: str, data_dir: str, seconds: float) -> float:
    """Targets per second of this project's training over the ranks of torchrun, of which this process is the first."""
    from pipelines.training.distributed import leading

    with leading():
        return ours(way, row, data_dir, seconds)


def plain_gru(way: Way, row: str, data_dir: str, seconds: float) -> float:
    """Targets per second of this project's training with the recurrent module of torch.nn."""
    import nnmodels.recurrent

    nnmodels.recurrent.gru = lambda module, x: module(x)[0]
    return ours(way, row, data_dir, seconds)


def tutorial(way: Way, row: str, data_dir: str, seconds: float) -> float:
    """Targets per second of the tutorial's loop, on as many materialised windows as fit into the time."""
    import numpy as np
    import torch
    from torch import nn

    from pipelines.data.energy import pjm
    from pipelines.data.energy.series import split
    from pipelines.data.energy.windows import Scaler

    settings = settings_of(way, row)
    dataset = pjm.load(data_dir)
    parts = split(dataset)
    scaled = Scaler.fit(dataset, parts["train"]).scaled(dataset)
    targets = np.concatenate([targets[:5000] for targets in parts["train"]])
    inputs = torch.from_numpy(np.stack([scaled[target - LOOKBACK : target] for target in targets]))
    labels = torch.from_numpy(scaled[targets, :1])
    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(inputs, labels), batch_size=settings.batch_size, shuffle=True, drop_last=True
    )
    network = NETWORKS[row]
    recurrent = getattr(nn, network.cell)(5, network.hidden, network.layers, batch_first=True, dropout=network.dropout)
    head = nn.Linear(network.hidden, 1)
    optimizer = torch.optim.Adam([*recurrent.parameters(), *head.parameters()], lr=settings.lr)
    progress, meter = Progress(1, 0), Meter(seconds)
    try:
        while True:
            for x, y in loader:
                optimizer.zero_grad()
                loss = nn.functional.mse_loss(head(torch.relu(recurrent(x)[0][:, -1])), y)
                loss.backward()
                optimizer.step()
                progress.update += 1
                progress.items += len(x)
                meter.on_update(progress)
    except EnoughError:
        return meter.rate


def main() -> None:
    """Measure all methods, or in a child process the given one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", default="data")
    parser.add_argument("--row", default="gru-2")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--way", type=int, default=-1, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if rank():
        from pipelines.training.distributed import follow

        follow()
        return
    if options.way >= 0:
        way = WAYS[options.way]
        print(json.dumps(globals()[way.function](way, options.row, options.data_dir, options.seconds)))
        return
    print(f"| {options.row}, {CORES} cores | targets/s | ratio |\n| --- | ---: | ---: |")
    first = None
    for number, way in enumerate(WAYS):
        started = [sys.executable]
        if way.ranks:
            started += ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(way.ranks)]
        command = [*started, __file__, "--way", str(number), "--row", options.row]
        command += ["--data-dir", options.data_dir, "--seconds", str(options.seconds)]
        done = subprocess.run(command, env=os.environ | ALLOCATOR, check=True, capture_output=True, text=True)
        rate = json.loads(done.stdout)
        first = first or rate
        print(f"| {way.name} | {rate:,.0f} | {rate / first:.1f} |", flush=True)


if __name__ == "__main__":
    main()
