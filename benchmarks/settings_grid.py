"""Grid search over settings of rows: trains every combination of the given values once, and prints its metrics.

    python benchmarks/settings_grid.py recurrent gru-2 loss=mse,mae lr=0.003,0.005,0.008
    python benchmarks/settings_grid.py pretrain resnet18 epochs=6 sides=16 weight_decay=0.0005,0.002 --last 6
    python benchmarks/settings_grid.py ablation cnn,cnn-lr-low,mlp-2 epochs=12 normalisation=half,channel --last 4

Settings that are not given are the row's own. The elements of a list are joined by +, as in sides=16+32. `recurrent`
and `pretrain` are evaluated on validation data, held out of the training part, and not on test data, so that settings
may be chosen by them. `ablation` is evaluated on training and test data as in the report's Table 2, with the distance
to that: the mean over the four figures of |measured - published|, losses in units of 0.01 and accuracies in points.

A line is printed for each of the last epochs. Needs the prepared data (python -m pipelines prepare), or
--dataset sample.
"""

import argparse
import itertools
import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Generic

from pipelines import names
from pipelines.data.datasets import IMAGES, LOAD, REPORTED, known, load_energy, load_images
from pipelines.data.energy.series import split
from pipelines.data.images.batches import evaluate
from pipelines.data.protocol import VALIDATION_FRACTION
from pipelines.errors import UserError
from pipelines.experiments.ablation.classifier import classifier
from pipelines.experiments.ablation.rows import ABLATION, AUTOGRAD, ClassifierSettings, resolve_classifier
from pipelines.experiments.base import SettingsType, published_figure, read, require_known
from pipelines.experiments.pretrain.rows import PretrainingSettings, resolve_pretraining
from pipelines.experiments.pretrain.trainer import pretraining
from pipelines.experiments.recurrent.forecaster import forecaster
from pipelines.experiments.recurrent.rows import BASELINES, DENSE, RECURRENT, WINDOW, NetworkSettings, resolve
from pipelines.experiments.resnet.rows import RESNETS
from pipelines.processes.forked import ALLOCATOR
from pipelines.training.loop import Callback, DivergedError, Progress
from pipelines.training.machine import available_device, available_precision
from pipelines.training.session import Training

EVERY = 3  # every third validation window suffices to compare settings, and takes a third of the time
VALIDATION_ERROR = f"validation {names.SMAPE_REPORT}"
DISTANCE = "distance"
# The figures of the CNN report's Table 2, with the unit of each in the distance to it.
TABLE_2 = {names.TRAIN_LOSS: 0.01, names.TRAIN_ACCURACY: 1.0, names.TEST_LOSS: 0.01, names.TEST_ACCURACY: 1.0}
FIXED = ("row", "dataset", "study", "lookback")  # settings that cannot be varied


@dataclass(frozen=True)
class Tried:
    """A training, and a function that returns its metrics after an epoch, in the order of the table's columns."""

    training: Training
    judge: Callable[[Progress], Sequence[float]]


@dataclass(frozen=True)
class Grid(Generic[SettingsType]):
    """An experiment whose settings can be varied.

    Attributes:
        rows: names of its rows.
        trainings: ways of training, the default first.
        data: kind of its data sets, as in data/datasets.py; the course report's is trained on unless another is given.
        own: function of row, data set, way of training and folder of the prepared data; returns the row's own settings.
        figures: columns of the table.
        load: function of the data set and the folder of the prepared data; returns a function that makes a training
            from settings.
        published: function of the row; returns the published figures for the first line of its part of the table.
    """

    rows: Sequence[str]
    trainings: Sequence[str]
    data: str
    own: Callable[[str, str, str, str], SettingsType]
    figures: Sequence[str]
    load: Callable[[str, str], Callable[[SettingsType], Tried]]
    published: Callable[[str], Sequence[float]] = lambda row: ()


def forecasters(dataset_name: str, data_dir: str) -> Callable[[NetworkSettings], Tried]:
    """Make recurrent networks, evaluated by the error on validation windows."""
    dataset = load_energy(dataset_name, data_dir)
    parts = split(dataset, VALIDATION_FRACTION)
    validation = tuple(targets[::EVERY] for targets in parts["validation"])

    def make(settings: NetworkSettings) -> Tried:
        network = forecaster(settings, dataset, parts["train"])
        return Tried(network.training, lambda progress: [network.metrics(validation)[names.SMAPE_REPORT]])

    return make


def resnets(dataset_name: str, data_dir: str) -> Callable[[PretrainingSettings], Tried]:
    """Make ResNets, evaluated on the validation images, which are scaled like the training images of the epoch."""
    dataset = load_images(dataset_name, data_dir)

    def make(settings: PretrainingSettings) -> Tried:
        trained = pretraining(settings, dataset)

        def judge(progress: Progress) -> Sequence[float]:
            return [progress.epoch_loss, *trained.loss_and_accuracy(trained.validation)]

        return Tried(trained.training, judge)

    return make


def classifiers(dataset_name: str, data_dir: str) -> Callable[[ClassifierSettings], Tried]:
    """Make classifiers, evaluated on training and test images, with the distance to the published figures."""
    dataset = load_images(dataset_name, data_dir)

    def make(settings: ClassifierSettings) -> Tried:
        trained = classifier(settings, dataset)

        def judge(progress: Progress) -> Sequence[float]:
            model = trained.training.model
            measured = [*evaluate(model, trained.train), *evaluate(model, trained.test)]
            return [*measured, distance(measured, table_2(settings.row))]

        return Tried(trained.training, judge)

    return make


def table_2(row: str) -> list[float]:
    """Figures that the CNN report printed for a row, NaN if it printed none."""
    figures = [published_figure(ABLATION[row], name) for name in TABLE_2]
    return [math.nan if figure is None else figure for figure in figures]


def distance(measured: Sequence[float], published: Sequence[float]) -> float:
    """Mean absolute difference between figures of Table 2, each in its unit."""
    pairs = zip(measured, published, TABLE_2.values(), strict=True)
    return sum(abs(ours - theirs) / unit for ours, theirs, unit in pairs) / len(TABLE_2)


GRIDS: Mapping[str, Grid[Any]] = {
    "recurrent": Grid(
        rows=[row for row in RECURRENT if row not in BASELINES],
        trainings=(DENSE, WINDOW),
        data=LOAD,
        own=lambda row, dataset, training, data_dir: resolve(row, dataset, training, 0, 1.0, data_dir),
        figures=(VALIDATION_ERROR,),
        load=forecasters,
    ),
    "pretrain": Grid(
        rows=list(RESNETS),
        trainings=("onecycle",),
        data=IMAGES,
        own=lambda row, dataset, training, data_dir: resolve_pretraining(row, dataset, 0, 1.0, data_dir),
        figures=(names.TRAIN_LOSS, names.VAL_LOSS, names.VAL_ACCURACY),
        load=resnets,
    ),
    "ablation": Grid(
        rows=list(ABLATION),
        trainings=(AUTOGRAD,),
        data=IMAGES,
        own=lambda row, dataset, training, data_dir: resolve_classifier(row, dataset, training, 0, 1.0, data_dir),
        figures=(*TABLE_2, DISTANCE),
        load=classifiers,
        published=lambda row: [*table_2(row), 0.0] if ABLATION[row].published else (),
    ),
}


def combinations(words: Sequence[str]) -> list[dict[str, str]]:
    """List all combinations of the values in the words ``name=value[,value…]``; the last one varies fastest.

    Raises:
        UserError: a word is of another form, or gives a setting twice or one of FIXED.
    """
    values: dict[str, list[str]] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals:
            raise UserError(f"{word!r:.60} is not of the form name=value")
        if name in FIXED:
            raise UserError(f"setting {name} cannot be tried: it says what is trained")
        if name in values:
            raise UserError(f"setting {name} is given twice; give its values as {name}=value,value")
        values[name] = text.split(",")
    return [dict(zip(values, chosen, strict=True)) for chosen in itertools.product(*values.values())]


def settings_of(
    grid: Grid[SettingsType], row: str, dataset: str, data_dir: str, chosen: Mapping[str, str]
) -> SettingsType:
    """Settings of a row, with its own replaced by the `chosen` values, given as texts.

    Raises:
        UserError: a name is unknown, or a value is of another type.
    """
    training = chosen.get("training", grid.trainings[0])
    require_known("training", training, list(grid.trainings))
    settings = grid.own(row, dataset, training, data_dir)
    own = settings.params()
    typed = {
        name: [part for part in text.split("+") if part] if isinstance(own.get(name), list) else text
        for name, text in chosen.items()
    }
    machine = {"device": available_device(chosen.get("device", "auto"))}
    if "precision" in own:
        machine["precision"] = chosen.get("precision") or best_precision(machine["device"])
    return read(type(settings), own | typed | machine)


@cache
def best_precision(device: str) -> str:
    """Precision for `device`; measured once, so that all combinations have the same."""
    return available_precision("auto", device)


class Lines(Callback):
    """Prints a line of the table after each of the last epochs."""

    def __init__(self, label: Sequence[str], judge: Callable[[Progress], Sequence[float]], last: int):
        self._label, self._judge, self._last = label, judge, last

    def on_epoch(self, progress: Progress) -> None:
        """Evaluate and print."""
        if progress.epoch > progress.epochs - self._last:
            figures = [f"{figure:.4f}" for figure in self._judge(progress)]
            print_line([*self._label, progress.epoch, *figures, f"{progress.seconds:.0f}"])


def print_line(cells: Sequence[object]) -> None:
    """Print a line of the table without buffering."""
    print(f"| {' | '.join(map(str, cells))} |", flush=True)


def try_all(grid: Grid[Any], rows: Sequence[str], words: Sequence[str], dataset: str, data_dir: str, last: int) -> None:
    """Train every combination of the settings in `words` on each of the `rows`, and print the table.

    Raises:
        UserError: a name or value is invalid. Raised before any training, unless a network or an optimiser refuses it.
    """
    for row in rows:
        require_known("row", row, list(grid.rows))
    require_known("dataset", dataset, known(grid.data))
    chosen = combinations(words)
    tried = {row: [(each, settings_of(grid, row, dataset, data_dir, each)) for each in chosen] for row in rows}
    make = grid.load(dataset, data_dir)
    columns = ["row", *chosen[0], "epoch", *grid.figures, names.TRAINING_TIME]
    print_line(columns)
    print_line(["---"] * len(columns))
    for row, settings in tried.items():
        if published := grid.published(row):
            print_line([row, *[""] * len(chosen[0]), "published", *published, ""])
        for each, its_settings in settings:
            try_one([row, *each.values()], make, its_settings, last)


def try_one(label: Sequence[str], make: Callable[[SettingsType], Tried], settings: SettingsType, last: int) -> None:
    """Train once; if the training diverges, this is printed as a line of the table.

    Raises:
        UserError: a network, an optimiser or a schedule refuses its values.
    """
    try:
        tried = make(settings)
    except (ValueError, ArithmeticError, AttributeError, KeyError) as error:
        raise UserError(f"{' '.join(label)}: {error}") from error
    with tried.training as training:
        try:
            training.fit([Lines(label, tried.judge, last)])
        except DivergedError as error:
            print_line([*label, error])


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment", choices=GRIDS)
    parser.add_argument("rows", help="row[,row]")
    parser.add_argument("settings", nargs="*", help="name=value[,value]")
    parser.add_argument("--dataset", default="", help="of the kind that it trains on; the course report's unless given")
    parser.add_argument("--data-dir", default="data")
    parser.add_argument("--last", type=int, default=1, help="number of the last epochs that get a line each")
    options = parser.parse_intermixed_args(arguments)
    grid = GRIDS[options.experiment]
    dataset = options.dataset or REPORTED[grid.data]
    try:
        try_all(grid, options.rows.split(","), options.settings, dataset, options.data_dir, options.last)
    except UserError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    os.environ.update(ALLOCATOR)
    main()
