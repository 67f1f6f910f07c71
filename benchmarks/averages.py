"""Which forecasters to average: their validation errors, alone and averaged, for every combination of them.

    python -m benchmarks.averages gru-relative-256 gru-relative-256:seed=1 lstm-relative:hidden=256,lr=0.004 mlp-lags

Each argument is a row, with the settings that differ from its own behind a colon. It is trained once, on the training
part less the validation part, and forecasts all validation windows; test data take no part. Forecasts are kept in a
folder (--keep), so that another call trains only what is new. Needs the prepared data (python -m pipelines prepare), or
--dataset sample.
"""

import argparse
import itertools
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.settings_grid import GRIDS, combinations, print_line, settings_of
from pipelines import names
from pipelines.common.files import file_name
from pipelines.data.datasets import LOAD, REPORTED, known, load_energy
from pipelines.data.energy.series import EnergyDataset, split
from pipelines.data.protocol import VALIDATION_FRACTION
from pipelines.errors import UserError, require_known
from pipelines.experiments.recurrent.forecaster import actual, forecaster
from pipelines.processes.forked import ALLOCATOR
from pipelines.training.metrics import forecast_metrics

BEST = 5  # averages of each number of members that are printed


def forecasts_of(member: str, name: str, dataset: EnergyDataset, data_dir: str, keep: Path) -> list[np.ndarray]:
    """Forecasts of the validation windows by a `member`, ``row`` or ``row:name=value,…``: an array a series, MW.

    Args:
        member: see above.
        name: of the data set.
        dataset: the data set.
        data_dir: folder of its prepared data.
        keep: folder where they are kept; read from there if this was called before.

    Raises:
        UserError: there is no such row or setting.
    """
    row, _, changes = member.partition(":")
    grid = GRIDS["recurrent"]
    require_known("row", row, list(grid.rows))
    (chosen,) = combinations(changes.split(",")) if changes else [{}]
    settings = settings_of(grid, row, name, data_dir, chosen)
    file = keep / f"{file_name(member)}-{dataset.digest[:16]}.npz"
    if not file.is_file():
        parts = split(dataset, VALIDATION_FRACTION)
        network = forecaster(settings, dataset, parts["train"])
        with network.training as training:
            training.fit()
            np.savez(file, *network.forecast(parts["validation"]))
    with np.load(file) as arrays:
        return [arrays[each] for each in arrays.files]


def errors(forecasts: Mapping[str, Sequence[np.ndarray]], loads: Sequence[np.ndarray]) -> dict[tuple[str, ...], float]:
    """Error, sMAPE in percent by the published convention, of the mean forecast of each combination of the members."""
    found = {}
    for size in range(1, len(forecasts) + 1):
        for members in itertools.combinations(forecasts, size):
            means = [np.mean(each, axis=0) for each in zip(*(forecasts[member] for member in members), strict=True)]
            series = [str(number) for number in range(len(loads))]
            found[members] = forecast_metrics(means, loads, series)[names.SMAPE_REPORT]
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("members", nargs="+", help="row or row:name=value,…")
    parser.add_argument("--dataset", default=REPORTED[LOAD])
    parser.add_argument("--data-dir", default="data")
    parser.add_argument("--keep", type=Path, default=Path("forecasts"), help="folder of the forecasts")
    options = parser.parse_args(arguments)
    try:
        require_known("dataset", options.dataset, known(LOAD))
        dataset = load_energy(options.dataset, options.data_dir)
        options.keep.mkdir(parents=True, exist_ok=True)
        forecasts = {
            member: forecasts_of(member, options.dataset, dataset, options.data_dir, options.keep)
            for member in options.members
        }
    except UserError as error:
        sys.exit(f"error: {error}")
    print_line(["members", f"validation {names.SMAPE_REPORT}"])
    print_line(["---", "---:"])
    loads = actual(dataset, split(dataset, VALIDATION_FRACTION)["validation"])
    ranked = sorted(errors(forecasts, loads).items(), key=lambda each: each[1])
    for size in range(1, len(forecasts) + 1):
        for members, figure in [each for each in ranked if len(each[0]) == size][: None if size == 1 else BEST]:
            print_line([" + ".join(members), f"{figure:.4f}"])


if __name__ == "__main__":
    os.environ.update(ALLOCATOR)
    main()
