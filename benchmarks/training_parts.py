"""What an update of the ablation's networks consists of, and how near it comes to the machine's matrix multiplication.

    python -m benchmarks.training_parts [--data-dir data] [--rows cnn,mlp-2] [--updates 200] [--rounds 3]

Each row is trained for some updates in this process, on one thread as in a launch of several variants, by turns
without a profiler, for the time of an update, and with PyTorch's, for that of each operator; the best round counts.
"python" is what is left of an update when its operators are taken away: the interpreter, autograd and dispatch, less
what the profiler adds to each operator. "ceiling" is the share of the update that its multiplications alone would take
at the rate of large matrices. Needs the prepared data (python -m pipelines prepare --dataset cifar10).
"""

import argparse
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch.nn import functional
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from pipelines.data.images import cifar10
from pipelines.data.protocol import CIFAR10
from pipelines.experiments.ablation.classifier import classifier
from pipelines.experiments.ablation.rows import ABLATION, AUTOGRAD, resolve_classifier
from pipelines.training.loop import Callback, Progress

WARM_UP = 20  # updates
# Words in the names of PyTorch's operators, the first that is found; what has none of them is "other".
PARTS: Mapping[str, tuple[str, ...]] = {
    "convolution": ("conv",),
    "linear": ("addmm", "aten::mm", "aten::sum"),
    "pooling": ("max_pool",),
    "activation": ("relu", "threshold", "elu", "gelu", "silu", "sigmoid", "tanh"),
    "loss": ("softmax", "nll_loss", "cross_entropy"),
    "optimiser": ("sgd",),
    "batch": ("index", "aten::sub", "aten::div", "aten::to", "_to_copy", "aten::copy_"),
}
OTHER, PYTHON, CEILING = "other", "python", "ceiling"


class EnoughError(Exception):
    """Raised to end a training."""


class Counter(Callback):
    """Takes the times of some updates after WARM_UP, and profiles them if it is to, then ends the training."""

    def __init__(self, updates: int, profiler: profile | None = None):
        self._updates, self._profiler = updates, profiler
        self._ends: list[float] = []

    @property
    def seconds(self) -> float:
        """The median time of an update."""
        return statistics.median(after - before for before, after in pairwise(self._ends))

    def on_update(self, progress: Progress) -> None:
        """Note the time."""
        if progress.update == WARM_UP and self._profiler:
            self._profiler.start()
        if progress.update >= WARM_UP:
            self._ends.append(time.perf_counter())
        if progress.update == WARM_UP + self._updates:
            if self._profiler:
                self._profiler.stop()
            raise EnoughError


@dataclass(frozen=True)
class Update:
    """An update of a row.

    Attributes:
        seconds: that it takes.
        multiply_adds: of its matrix products and convolutions.
        parts: share of each part in its time.
    """

    seconds: float
    multiply_adds: float
    parts: Mapping[str, float]


def part_of(operator: str) -> str:
    """The part that an operator belongs to."""
    return next((part for part, words in PARTS.items() if any(word in operator for word in words)), OTHER)


def measured(row: str, data_dir: str, updates: int, rounds: int) -> Update:
    """Train a row for some updates, twice in each round."""
    settings = resolve_classifier(row, CIFAR10, AUTOGRAD, 0, 1.0, threads=1)

    def train(profiler: profile | None = None) -> tuple[float, float]:
        counter = Counter(updates, profiler)
        with classifier(settings, cifar10.load(data_dir)).training as training:
            try:
                training.fit([counter])
            except EnoughError:
                return counter.seconds, multiply_adds(training.model.network, settings.batch_size)
        raise SystemExit(f"{row} has fewer updates than {WARM_UP + updates}")

    def profiled() -> dict[str, float]:
        profiler = profile(activities=[ProfilerActivity.CPU])
        train(profiler)
        times = dict.fromkeys((*PARTS, OTHER), 0.0)
        for event in profiler.key_averages():
            if "::" in event.key:
                times[part_of(event.key)] += event.self_cpu_time_total / 1e6 / updates
        return times

    found = [(*train(), profiled()) for _ in range(rounds)]
    seconds = min(each[0] for each in found)
    times = min((each[2] for each in found), key=lambda each: sum(each.values()))
    return Update(seconds, found[0][1], {part: taken / seconds for part, taken in times.items()})


def multiply_adds(network: torch.nn.Module, batch: int) -> float:
    """Multiply-adds of a forward and a backward pass; the images need no gradient, so their layer's has one less."""
    with FlopCounterMode(display=False) as counter:
        functional.cross_entropy(
            network(torch.randn(batch, 3, 32, 32)), torch.zeros(batch, dtype=torch.long)
        ).backward()
    return counter.get_total_flops() / 2


def ceiling(size: int = 1024, repeats: int = 10) -> float:
    """Multiply-adds a second of one thread with large matrices, the best of some."""
    torch.set_num_threads(1)
    matrix = torch.randn(size, size)
    taken = []
    for _ in range(repeats):
        began = time.perf_counter()
        matrix @ matrix
        taken.append(time.perf_counter() - began)
    return size**3 / min(taken)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", default="data")
    parser.add_argument("--rows", default=",".join(ABLATION))
    parser.add_argument("--updates", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    rate = ceiling()
    print(f"One thread multiplies large matrices at {rate / 1e9:.0f} G multiply-adds/s.\n")
    columns = (*PARTS, OTHER, PYTHON, CEILING)
    print(f"| row | ms an update | {' | '.join(columns)} |")
    print(f"| --- | {' | '.join('---:' for _ in range(len(columns) + 1))} |")
    for row in arguments.rows.split(","):
        update = measured(row, arguments.data_dir, arguments.updates, arguments.rounds)
        shares = dict(update.parts) | {
            PYTHON: 1 - sum(update.parts.values()),
            CEILING: update.multiply_adds / rate / update.seconds,
        }
        cells = " | ".join(f"{shares[column]:.0%}" for column in columns)
        print(f"| {row} | {1000 * update.seconds:.3f} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
