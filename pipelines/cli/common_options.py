"""Options shared by several entry points: a function for each, which declares it as a field of Options."""

from typing import Any

import click

from pipelines.cli.declare import option
from pipelines.cli.types import MOST_EPOCHS, MOST_ITEMS, MOST_SEEDS, Device, Finite, Folder, Jobs


def dataset(*known: str, help: str) -> Any:
    """Name of the data set, one of `known`, or auto."""
    return option("auto", click.Choice(["auto", *known]), help)


def rows(default: str = "all") -> Any:
    """Names of the rows to run."""
    return option(default, str, "Rows of the catalogue, comma separated, or all.")


def epochs() -> Any:
    """Number of passes over the training part."""
    return option(0, click.IntRange(0, MOST_EPOCHS), "0: the row's.", own=0)


def batch_size(help: str) -> Any:
    """Number of items in a batch."""
    return option(0, click.IntRange(0, MOST_ITEMS), help, own=0)


def lr(help: str = "Learning rate; 0: the row's.") -> Any:
    """Learning rate."""
    return option(0, Finite(0), help, own=0)


def fraction(help: str) -> Any:
    """Fraction of the training part that is used."""
    return option(1.0, Finite(0, 1, low_open=True), help)


def seeds() -> Any:
    """Number of seeds."""
    return option(1, click.IntRange(1, MOST_SEEDS), "How many: n means seeds 0 to n-1.")


def jobs() -> Any:
    """Number of rows in parallel."""
    return option("auto", Jobs(), "Rows side by side; auto: as the cores allow.")


def device() -> Any:
    """Device for training or evaluation."""
    return option("auto", Device(), "auto, cpu, cuda or cuda:N.")


def precision() -> Any:
    """Precision of the training."""
    return option("auto", click.Choice(["auto", "fp32", "bf16"]), "auto: bf16 if fast.")


def data_dir() -> Any:
    """Folder of the prepared data."""
    return option("data", Folder(), "Where prepared data are kept.")


def resume() -> Any:
    """Id of the run to continue."""
    return option("", str, "Id of a run to continue, with the settings it was started with.")


def force() -> Any:
    """Flag to continue a run although its code or options differ."""
    return option(False, bool, "Continue it though code or options are not its own.")
