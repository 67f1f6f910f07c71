"""Data preparation: download or read, verify, cache."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from pipelines import names
from pipelines.common import launcher
from pipelines.common.streams import announce
from pipelines.data.energy import series as energy
from pipelines.data.energy.series import EnergyDataset
from pipelines.data.images import cifar10
from pipelines.data.images.cifar10 import ImageDataset
from pipelines.data.protocol import CIFAR10, PJM, SAMPLE
from pipelines.errors import UserError
from pipelines.launching.commands import command_of
from pipelines.tracking.run import Run

ALL = "all"


def run(options: dict[str, Any]) -> None:
    """Prepare the data sets asked for and tell what they hold.

    Raises:
        UserError: the source cannot be read or is not what was published, or is given for more than one data set.
    """
    wanted = options["dataset"]
    if wanted == ALL and options["source"]:
        raise UserError(
            f"source={options['source']} belongs to one data set; give dataset={PJM} or dataset={CIFAR10} with it"
        )
    with suppress(UserError):  # of a run that is none of this launch's there is nothing to record
        if launched := Run.launchers():
            launched.set_tags({names.COMMAND: command_of("prepare", options)})
    source = str(launcher.given_input(options["source"])) if options["source"] else ""
    arguments = options["data_dir"], source, options["allow_unverified"]
    for name in (PJM, CIFAR10) if wanted == ALL else (wanted,):
        if name in (PJM, SAMPLE):
            _tell_series(energy.prepare(name, *arguments))
        if name in (CIFAR10, SAMPLE):
            _tell_images(cifar10.prepare(name, *arguments))


def _tell_series(dataset: EnergyDataset) -> None:
    windows = {part: sum(map(len, ranges)) for part, ranges in energy.split(dataset).items()}
    announce(
        f"{dataset.name}: {len(dataset.series)} series, {len(dataset.values):,} hours, {windows['train']:,} training "
        f"and {windows['test']:,} test windows, digest {dataset.digest[:12]}"
        + ("" if dataset.verified else ", NOT the published files")
    )
    for series, counts in dataset.counts.items():
        _tell_counts(series, counts)


def _tell_images(dataset: ImageDataset) -> None:
    mean, deviation = (" ".join(f"{value:.4f}" for value in each) for each in (dataset.mean, dataset.deviation))
    announce(
        f"{dataset.name}: {len(dataset.train_images):,} training and {len(dataset.test_images):,} test images of "
        f"{len(dataset.classes)} classes, mean {mean}, deviation {deviation}, "
        f"digest {dataset.digest[:12]}"
        + ("" if dataset.verified else f", NOT the official files: {', '.join(dataset.counts['not_official'])}")
    )
    for part in cifar10.PARTS:
        _tell_counts(part, dataset.counts[part])


def _tell_counts(what: str, counts: Mapping[str, int]) -> None:
    announce(f"  {what}: " + ", ".join(f"{count:,} {kind}" for kind, count in counts.items()))
