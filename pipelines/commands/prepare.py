"""The command `prepare`: downloads or reads data sets, verifies and caches them."""

import shlex
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from pipelines import names
from pipelines.commands.options import PrepareOptions
from pipelines.common import launcher
from pipelines.common.command import hint
from pipelines.common.origins import UNKNOWN, Origin
from pipelines.common.streams import announce
from pipelines.data.datasets import named, published
from pipelines.data.energy.series import EnergyDataset, split
from pipelines.data.images.dataset import PARTS, ImageDataset
from pipelines.errors import UserError
from pipelines.launching.continuation import command_of
from pipelines.terminal.display import conclude, doing
from pipelines.tracking.run import Run

ALL = "all"


def run(options: PrepareOptions) -> None:
    """Prepare the requested data sets and announce their contents.

    Raises:
        UserError: the source cannot be read, does not hold the published files, or is given for several data sets.
    """
    requested = options.dataset
    datasets = published() if requested == ALL else named(requested)
    if requested == ALL and options.source:
        choices = " or ".join(f"dataset={each.name}" for each in datasets)
        raise UserError(f"source={options.source} belongs to one data set; give {choices} with it")
    with suppress(UserError):  # if the launcher's run cannot be used, nothing is recorded
        if launched := Run.launchers():
            launched.set_tags({names.COMMAND: command_of("prepare", options)})
    source = str(launcher.given_input(options.source)) if options.source else ""
    for each in datasets:
        doing(f"preparing {each.name}")
        prepared = each.prepare(options.data_dir, source, options.allow_unverified)
        if isinstance(prepared, EnergyDataset):
            _announce_series(prepared)
        else:
            _announce_images(prepared)
        _announce_origin(prepared.origin, each.name)
        rows = "--models linear-ar-hourly,gru-2" if isinstance(prepared, EnergyDataset) else "--variants cnn,mlp-2"
        entry = "recurrent" if isinstance(prepared, EnergyDataset) else "ablation"
        conclude(f"{each.name} is in {Path(options.data_dir).absolute()}\n")
        given = f"--dataset {each.name} {rows}{_elsewhere(options.data_dir)}"
        conclude(f"next  {hint(f'python -m pipelines {entry} {given}')}\n")


def _elsewhere(data_dir: str) -> str:
    """The option that names the folder, where it is not the default one."""
    return "" if data_dir == PrepareOptions().data_dir else f" --data-dir {shlex.quote(data_dir)}"


def _announce_series(dataset: EnergyDataset) -> None:
    windows = {part: sum(map(len, ranges)) for part, ranges in split(dataset).items()}
    announce(
        f"{dataset.name}: {len(dataset.series)} series, {len(dataset.values):,} hours, {windows['train']:,} training "
        f"and {windows['test']:,} test windows, digest {dataset.digest[:12]}"
        + ("" if dataset.verified else ", NOT the published files")
    )
    for series, counts in dataset.counts.items():
        _announce_counts(series, counts)


def _announce_images(dataset: ImageDataset) -> None:
    mean, std = (" ".join(f"{value:.4f}" for value in each) for each in (dataset.mean, dataset.deviation))
    announce(
        f"{dataset.name}: {len(dataset.train_images):,} training and {len(dataset.test_images):,} test images of "
        f"{len(dataset.classes)} classes, mean {mean}, deviation {std}, "
        f"digest {dataset.digest[:12]}"
        + ("" if dataset.verified else f", NOT the official files: {', '.join(dataset.counts['not_official'])}")
    )
    for part in PARTS:
        _announce_counts(part, dataset.counts[part])


def _announce_origin(origin: Origin, name: str) -> None:
    if origin.where:
        announce(f"  files: {len(origin.files)}, {origin.where}; runs name them and their SHA-256")
    else:
        remedy = hint(f"python -m pipelines prepare --dataset {name} --source FOLDER")
        announce(f"  files: {UNKNOWN}; to record them: {remedy}")


def _announce_counts(what: str, counts: Mapping[str, int]) -> None:
    announce(f"  {what}: " + ", ".join(f"{count:,} {kind}" for kind, count in counts.items()))
