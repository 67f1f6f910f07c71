"""Options that several entry points have, each declared by one function."""

from typing import Any

import click

from pipelines.cli.declare import option
from pipelines.cli.types import MOST_EPOCHS, MOST_ITEMS, MOST_SEEDS, Device, Finite, Folder, Jobs


def dataset(*known: str, help: str) -> Any:
    """The data set, one of `known`."""
    return option("auto", click.Choice(["auto", *known]), help)


def rows(default: str = "all") -> Any:
    """The rows to run."""
    return option(default, str, "Rows of the catalogue, comma separated, or all.")


def epochs() -> Any:
    """Passes over the training part."""
    return option(0, click.IntRange(0, MOST_EPOCHS), "0: the row's.", own=0)


def batch_size(help: str) -> Any:
    """Items at a time."""
    return option(0, click.IntRange(0, MOST_ITEMS), help, own=0)


def lr(help: str = "Learning rate; 0: the row's.") -> Any:
    """The learning rate."""
    return option(0, Finite(0), help, own=0)


def fraction(help: str) -> Any:
    """The fraction of the training part."""
    return option(1.0, Finite(0, 1, low_open=True), help)


def seeds() -> Any:
    """The number of seeds."""
    return option(1, click.IntRange(1, MOST_SEEDS), "How many: n means seeds 0 to n-1.")


def jobs() -> Any:
    """The number of rows side by side."""
    return option("auto", Jobs(), "Rows side by side; auto: as the cores allow.")


def device() -> Any:
    """The device that trains or evaluates."""
    return option("auto", Device(), "auto, cpu, cuda or cuda:N.")


def precision() -> Any:
    """The precision of a training."""
    return option("auto", click.Choice(["auto", "fp32", "bf16"]), "auto: bf16 if fast.")


def data_dir() -> Any:
    """The folder of the prepared data."""
    return option("data", Folder(), "Where prepared data are kept.")


def resume() -> Any:
    """The run to continue."""
    return option("", str, "Id of a run to continue, with the settings it was started with.")


def force() -> Any:
    """Whether to continue a run with other code or options."""
    return option(False, bool, "Continue it though code or options are not its own.")
