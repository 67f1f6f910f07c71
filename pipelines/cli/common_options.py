"""Options shared by several entry points: a function for each, which declares it as a field of Options."""

from collections.abc import Iterable
from typing import Any

from pipelines.cli.declare import option
from pipelines.cli.seeds import FIRST, MOST, Seeds
from pipelines.cli.types import MOST_EPOCHS, MOST_ITEMS, MOST_SEEDS, Device, Folder, Jobs
from pipelines.common.choices import Finite, Integer, Names, OneOf, Place, Rows
from pipelines.data.datasets import AUTO, DataName

LAUNCHERS = LOCAL, RAY, SLURM = "local", "ray", "slurm"


def dataset(*known: str, reported: str, to: str = "train and test on") -> Any:
    """Name of the data set, one of `known`, or auto: the `reported` one where it has been prepared."""
    listed = ", ".join(known)
    help = (
        f"Data set to {to}: {listed}, or one of your own by the name it was prepared under; auto: {reported} where it "
        "has been prepared, else the embedded sample."
    )
    return option(AUTO, DataName([AUTO, *known]), help)


def rows(known: Iterable[str], default: str = "all", groups: Iterable[str] = ()) -> Any:
    """Names of the rows to run, of those `known`, or of their `groups`."""
    known, groups = tuple(known), tuple(groups)
    together = f"{', '.join(groups)} or all" if groups else "all"
    help = f"Rows to run, comma separated, or {together}: {', '.join(known)}."
    return option(default, Rows([*groups, *known]), help)


def own_rows(known: Iterable[str], default: str = "all", groups: Iterable[str] = ()) -> Any:
    """Names of the rows to run, as `rows`, but of an experiment with the option of `rows_file`, which can name more."""
    known, groups = tuple(known), tuple(groups)
    together = f"{', '.join(groups)} or all" if groups else "all"
    help = f"Rows to run, comma separated, or {together}: {', '.join(known)}."
    kind = Names(["all", *groups, *known], "rows")
    return option(default, kind, f"{help} With --rows, those of its file too, which the default then means.")


def rows_file() -> Any:
    """File with rows of the user's own."""
    return option("", Place("file"), "TOML file with rows of your own, see docs/rows.md.", shown="none")


def epochs() -> Any:
    """Number of passes over the training part."""
    return option(0, Integer(0, MOST_EPOCHS), "Passes over the training data.", own=0)


def batch_size(help: str) -> Any:
    """Number of items in a batch."""
    return option(0, Integer(0, MOST_ITEMS), help, own=0)


def lr(help: str = "Learning rate.") -> Any:
    """Learning rate."""
    return option(0, Finite(0), help, own=0)


def fraction(help: str) -> Any:
    """Fraction of the training part that is used."""
    return option(1.0, Finite(0, 1, low_open=True), help)


def seeds() -> Any:
    """Number of seeds."""
    return option(1, Integer(1, MOST_SEEDS), "Number of seeds for every row: 3 runs it with seeds 0, 1 and 2.")


def seeds_or_auto() -> Any:
    """Number of seeds, or as many as `width` needs."""
    help = (
        "Number of seeds for every row: 3 runs it with seeds 0, 1 and 2; auto: for each row as many as --width needs, "
        f"{FIRST} to {MOST}."
    )
    return option(1, Seeds(), help)


def width() -> Any:
    """Width that the interval of a row's mean is to become narrower than."""
    help = "With --seeds auto: how narrow the 95 % interval of the mean of each row's main metric is to become."
    return option(0.0, Finite(0), help, shown="none")


def needed() -> Any:
    """Flag to run only what has not finished before."""
    return option(
        False, bool, "Run only what has not finished before with the same settings, code and data; the rest is reused."
    )


def dry_run() -> Any:
    """Flag to run nothing."""
    help = "Check everything and say what would be run, and how long earlier runs took, but run nothing."
    return option(False, bool, help)


def jobs() -> Any:
    """Number of rows in parallel."""
    return option("auto", Jobs(), "Rows to run side by side; auto: as many as the cores allow, and one on a GPU.")


def launcher() -> Any:
    """What starts the rows."""
    help = (
        "What starts the rows: local, as processes on this machine; ray, on a Ray cluster, that of RAY_ADDRESS or one "
        "on this machine; slurm, as jobs of SLURM. See docs/scale.md."
    )
    return option(LOCAL, OneOf(LAUNCHERS), help)


def device() -> Any:
    """Device for training or evaluation."""
    return option("auto", Device(), "Device to run on: cpu, cuda, cuda:N, or auto: a GPU where there is one.")


def precision() -> Any:
    """Precision of the training."""
    help = "Format of numbers in training; auto: bf16 where the machine is faster with it, else fp32."
    return option("auto", OneOf(["auto", "fp32", "bf16"]), help)


def data_dir() -> Any:
    """Folder of the prepared data."""
    return option("data", Folder(), "Folder in which prepared data are kept.")


def resume() -> Any:
    """Run to continue."""
    return option(
        "",
        str,
        "Run to continue, with the settings that it was started with: its id, first digits or name.",
        shown="a new run",
    )


def force() -> Any:
    """Flag to continue a run although its code or options differ."""
    return option(False, bool, "Continue the run of --resume even where code or options have changed since.")
