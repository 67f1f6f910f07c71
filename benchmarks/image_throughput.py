"""Training throughput on images, on all cores: the usual pipeline of a CIFAR-10 tutorial and this project's.

    python benchmarks/image_throughput.py [--data-dir data] [--row cnn] [--seconds 15] [--rounds 2]

The usual pipeline is written from its description: a data set of single PIL images, ToTensor, Normalize, a shuffling
DataLoader, zero_grad, forward, cross_entropy, backward, step. Lines with "side by side" train as many variants as there
are cores, each in a process with one thread, and count the images of all; the others train one variant on all threads.
The methods run in turn, `--rounds` times, and the best round of each is shown, since other load on the machine can only
slow it down. Needs the prepared data (python -m pipelines prepare --dataset cifar10).
"""

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from itertools import chain, repeat

from pipelines.data.images import cifar10
from pipelines.data.protocol import CIFAR10
from pipelines.experiments.ablation.rows import AUTOGRAD, resolve_classifier
from pipelines.processes.forked import ALLOCATOR
from pipelines.training.loop import Callback, Progress

CORES = os.cpu_count() or 1
WARM_UP = 30  # updates


@dataclass(frozen=True)
class Way:
    """A method of training: name, function of this module, processes, and threads and DataLoader workers in each."""

    name: str
    function: str
    processes: int
    threads: int
    workers: int = 0


WAYS = (
    Way("usual, 0 workers", "usual", 1, CORES),
    Way("usual, 2 workers", "usual", 1, CORES, 2),
    Way("usual, 0 workers, variants side by side", "usual", CORES, 1),
    Way("ours, one variant on all threads", "ours", 1, CORES),
    Way("ours, variants side by side (jobs=auto)", "ours", CORES, 1),
)


class EnoughError(Exception):
    """Raised to end a training when the time is over."""


class Meter(Callback):
    """Counts images per second after WARM_UP updates, until the time is over."""

    def __init__(self, seconds: float):
        self.limit, self.began, self.rate = seconds, 0.0, 0.0

    def on_update(self, progress: Progress) -> None:
        """Start or stop the measurement."""
        now = time.perf_counter()
        if progress.update == WARM_UP:
            self.began, self.before = now, progress.items
        elif progress.update > WARM_UP and now - self.began > self.limit:
            self.rate = (progress.items - self.before) / (now - self.began)
            raise EnoughError


def ours(row: str, data_dir: str, seconds: float, way: Way) -> float:
    """Images per second of this project's training."""
    from pipelines.experiments.ablation.classifier import classifier

    settings = resolve_classifier(row, CIFAR10, AUTOGRAD, 0, 1.0, threads=way.threads)
    meter = Meter(seconds)
    with classifier(settings, cifar10.load(data_dir)).training as training:
        try:
            training.fit([meter])
        except EnoughError:
            return meter.rate
    raise SystemExit("--seconds is longer than the whole training")


def usual(row: str, data_dir: str, seconds: float, way: Way) -> float:
    """Images per second of the usual pipeline, with the same network, optimiser and batch size."""
    import torch
    from PIL import Image
    from torch.utils.data import DataLoader, Dataset

    from nnmodels.cnn import cnn

    class Pictures(Dataset):
        """A data set like torchvision's CIFAR10: holds an array of images and returns single PIL images."""

        def __init__(self):
            dataset = cifar10.load(data_dir)
            self.images = dataset.train_images.transpose(0, 2, 3, 1).copy()
            self.labels = dataset.train_labels.tolist()

        def __len__(self):
            return len(self.labels)

        def __getitem__(self, number):
            image = Image.fromarray(self.images[number])
            pixels = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).view(32, 32, 3)
            x = pixels.permute(2, 0, 1).contiguous().float().div(255)
            half = torch.full((3, 1, 1), 0.5)
            return x.sub_(half).div_(half), self.labels[number]

    torch.set_num_threads(way.threads)
    s = resolve_classifier(row, CIFAR10, AUTOGRAD, 0, 1.0)
    model = cnn(s.channels, s.kernel, s.hidden, s.activation)
    optimizer = torch.optim.SGD(model.parameters(), s.lr, s.momentum)
    loader = DataLoader(Pictures(), s.batch_size, shuffle=True, num_workers=way.workers)
    images, began = 0, 0.0
    for update, (x, labels) in enumerate(chain.from_iterable(repeat(loader)), start=1):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x), labels).backward()
        optimizer.step()
        if update == WARM_UP:
            images, began = 0, time.perf_counter()
        elif update > WARM_UP:
            images += len(labels)
            if (passed := time.perf_counter() - began) > seconds:
                return images / passed
    raise AssertionError("the loader ends")


def measure(way: Way, arguments: argparse.Namespace) -> float:
    """Images per second of all processes of a method together."""
    given = ("--data-dir", arguments.data_dir, "--row", arguments.row, "--seconds", str(arguments.seconds))
    command = [sys.executable, __file__, "--way", way.name, *given]
    environment = os.environ | ALLOCATOR
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) for _ in range(way.processes)]
    outputs = [process.communicate()[0] for process in started]
    if any(process.returncode for process in started):
        raise SystemExit(f"{way.name} failed")
    return sum(json.loads(output) for output in outputs)


def main() -> None:
    """Print the table, or, with --way, the rate of one process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", default="data")
    parser.add_argument("--row", default="cnn")
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--way", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way:
        (way,) = (way for way in WAYS if way.name == arguments.way)
        print(json.dumps(globals()[way.function](arguments.row, arguments.data_dir, arguments.seconds, way)))
        return
    rates = {way.name: 0.0 for way in WAYS}
    for _ in range(arguments.rounds):
        for way in WAYS:
            rates[way.name] = max(rates[way.name], measure(way, arguments))
    best = max(rate for name, rate in rates.items() if name in ("usual, 0 workers", "usual, 2 workers"))
    print(f"| {arguments.row}, {CORES} cores | images/s | to the better of the first two |\n| --- | ---: | ---: |")
    for name, rate in rates.items():
        print(f"| {name} | {rate:,.0f} | {rate / best:.2f} |")


if __name__ == "__main__":
    main()
