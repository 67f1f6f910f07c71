"""The error on validation data of a row's settings, laid over the catalogue's: how the dense protocol was chosen.

    python benchmarks/dense_settings.py gru-2 loss=mse,mae lr=0.003,0.005,0.008

Every combination is trained on the training part without its last tenth, which is the validation part; the test part is
not touched. Needs the prepared PJM data (python -m pipelines prepare --dataset pjm).
"""

import argparse
import itertools
import os

from pipelines import names
from pipelines.data.energy import series as energy
from pipelines.data.protocol import VALIDATION_FRACTION
from pipelines.experiments.base import read
from pipelines.experiments.recurrent.forecaster import forecaster
from pipelines.experiments.recurrent.rows import DENSE, NetworkSettings, resolve
from pipelines.launching.processes import ALLOCATOR
from pipelines.training.machine import available_device, available_precision


def main() -> None:
    """Train each combination and print a line of a table for it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("row")
    parser.add_argument("settings", nargs="*", help="name=value,value …")
    parser.add_argument("--data-dir", default="data")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    pairs = [setting.split("=") for setting in options.settings]
    names_, values = [name for name, _ in pairs], [value for _, value in pairs]
    dataset = energy.load(energy.PJM, options.data_dir)
    parts = energy.split(dataset, VALIDATION_FRACTION)
    # Every third window is enough to tell settings apart, and three times cheaper.
    validation = tuple(range(targets.start, targets.stop, 3) for targets in parts["validation"])
    device = available_device("auto")
    precision = available_precision("auto", device)
    print(f"| {' | '.join(names_)} | validation {names.SMAPE_REPORT}, % | training, s |")
    print("|" + " --- |" * (len(names_) + 2), flush=True)
    for combination in itertools.product(*(value.split(",") for value in values)):
        settings = resolve(options.row, dataset.name, DENSE, options.seed, 1.0, device=device, precision=precision)
        given = dict(zip(names_, combination, strict=True))
        settings = read(NetworkSettings, settings.params() | given)
        network = forecaster(settings, dataset, parts["train"])
        with network.training as training:
            training.fit()
            error = network.metrics(validation)[names.SMAPE_REPORT]
        print(f"| {' | '.join(combination)} | {error:.4f} | {training.progress.seconds:.0f} |", flush=True)


if __name__ == "__main__":
    os.environ.update(ALLOCATOR)
    main()
