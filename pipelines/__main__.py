"""The command line: parses and validates, then delegates. ``python -m pipelines NAME --key value``."""

from pipelines.processes import signals

if __name__ == "__main__":
    # Before any other import: the launcher may end, or a signal come, during these.
    signals.begin()

import multiprocessing
from importlib import import_module
from types import ModuleType
from typing import Any

import click

from pipelines.cli.group import OneLineGroup
from pipelines.cli.types import (
    LARGEST_SEED,
    MOST_EPOCHS,
    MOST_ITEMS,
    MOST_PROCESSES,
    MOST_SEEDS,
    MOST_TRIALS,
    MOST_UNITS,
    Device,
    Finite,
    Folder,
    Jobs,
    Sides,
)
from pipelines.data.datasets import IMAGES, LOAD, known
from pipelines.errors import UserError

# The entry points are imported by their commands: `--help` need not wait for torch.


FORKING = ("recurrent", "ablation", "resnet", "pretrain", "tune", "main")  # commands that train or evaluate rows


def _module(entry: str) -> ModuleType:
    """The module of an entry point. Its imports take seconds, and only after them is a signal more than the end."""
    module = import_module(f"pipelines.{entry}")
    signals.ready()
    return module


@click.group(cls=OneLineGroup, context_settings={"show_default": True})
@click.pass_context
def cli(context: click.Context) -> None:
    """Experiments of the nn experiment registry: each command trains or prepares, and tracks what it does in MLflow."""
    if context.invoked_subcommand in FORKING and "forkserver" not in multiprocessing.get_all_start_methods():
        raise UserError(
            f"{context.invoked_subcommand} runs on Linux and macOS only, and on Windows in its Linux (WSL): rows are "
            "trained in processes that are forked from a server. prepare and `python -m analysis` run here too"
        )


@cli.command()
@click.option("--dataset", type=click.Choice(["all", *known(LOAD, IMAGES)]), default="all", help="What to prepare.")
@click.option("--source", default="", help="Folder or archive with the files; empty downloads them.")
@click.option("--data-dir", type=Folder(), default="data", help="Where prepared data are kept.")
@click.option("--allow-unverified", type=bool, default=False, help="Accept files that are not the published ones.")
def prepare(**options: Any) -> None:
    """Download or read, verify and cache the data."""
    _module("commands.prepare").run(options)


@cli.command()
@click.option("--dataset", type=click.Choice(["auto", *known(LOAD)]), default="auto", help="auto: pjm if prepared.")
@click.option("--models", default="all", help="Rows of the catalogue, comma separated, or all.")
@click.option("--training", type=click.Choice(["dense", "window"]), default="dense", help="window is the report's.")
@click.option("--epochs", type=click.IntRange(0, MOST_EPOCHS), default=0, help="0: the row's.")
@click.option("--batch-size", type=click.IntRange(0, MOST_ITEMS), default=0, help="Items an update; 0: the row's.")
@click.option("--lr", type=Finite(0), default=0, help="Learning rate; 0: the row's.")
@click.option("--hidden", type=click.IntRange(0, MOST_UNITS), default=0, help="Width of a layer; 0: the row's.")
@click.option("--dropout", type=Finite(0, 0.99, own=-1), default=-1, help="Between layers; -1: the row's.")
@click.option("--fraction", type=Finite(0, 1, low_open=True), default=1.0, help="Of the training windows, the latest.")
@click.option("--seeds", type=click.IntRange(1, MOST_SEEDS), default=1, help="How many: n means seeds 0 to n-1.")
@click.option("--jobs", type=Jobs(), default="auto", help="Rows side by side; auto: as the cores allow.")
@click.option("--device", type=Device(), default="auto", help="auto, cpu, cuda or cuda:N.")
@click.option("--precision", type=click.Choice(["auto", "fp32", "bf16"]), default="auto", help="auto: bf16 if fast.")
@click.option("--data-dir", type=Folder(), default="data", help="Where prepared data are kept.")
@click.option("--resume", default="", help="Id of a run to continue, with the settings it was started with.")
@click.option("--force", type=bool, default=False, help="Continue it though code or options are not its own.")
def recurrent(**options: Any) -> None:
    """Train RNN, LSTM and GRU forecasters and their baselines: Table 1 and Figs 7-10 of the recurrent report."""
    _module("experiments.recurrent.experiment").run(options)


@cli.command()
@click.option(
    "--dataset", type=click.Choice(["auto", *known(IMAGES)]), default="auto", help="auto: cifar10 if prepared."
)
@click.option("--variants", default="all", help="Rows of the catalogue, comma separated, or all.")
@click.option("--epochs", type=click.IntRange(0, MOST_EPOCHS), default=0, help="0: the row's.")
@click.option("--batch-size", type=click.IntRange(0, MOST_ITEMS), default=0, help="Images an update; 0: the row's.")
@click.option("--lr", type=Finite(0), default=0, help="Learning rate; 0: the row's.")
@click.option("--fraction", type=Finite(0, 1, low_open=True), default=1.0, help="Of the training images, the first.")
@click.option(
    "--backprop", type=click.Choice(["autograd", "manual"]), default="autograd",
    help="manual: by the derived formulas, for the mlp rows.",
)  # fmt: skip
@click.option("--seeds", type=click.IntRange(1, MOST_SEEDS), default=1, help="How many: n means seeds 0 to n-1.")
@click.option("--jobs", type=Jobs(), default="auto", help="Rows side by side; auto: as the cores allow.")
@click.option("--device", type=Device(), default="auto", help="auto, cpu, cuda or cuda:N.")
@click.option("--data-dir", type=Folder(), default="data", help="Where prepared data are kept.")
@click.option("--resume", default="", help="Id of a run to continue, with the settings it was started with.")
@click.option("--force", type=bool, default=False, help="Continue it though code or options are not its own.")
def ablation(**options: Any) -> None:
    """Train the CNN and MLP variants: Table 2, Figs 5-7 and Table 1 of the ablation report."""
    _module("experiments.ablation.experiment").run(options)


@cli.command()
@click.option("--models", default="resnet18,resnet34,resnet50", help="Rows of the catalogue, comma separated, or all.")
@click.option(
    "--weights", default="auto",
    help="File, folder, zip, models:/name@alias, name of a known source, or auto: the registry's champion, then "
    "DATA_DIR/weights, then known sources.",
)  # fmt: skip
@click.option(
    "--weights-key", default="", help="Where a checkpoint holds several state dicts: the key of the one to take."
)
@click.option(
    "--stem", type=click.Choice(["auto", "pool", "plain"]), default="auto",
    help="Of ResNet-18, 34, 50: with or without max-pooling; auto: the source's.",
)  # fmt: skip
@click.option("--normalisation", default="auto", help="Name of the catalogue or six numbers; auto: the source's.")
@click.option(
    "--dataset", type=click.Choice(["auto", *known(IMAGES)]), default="auto", help="auto: cifar10 if prepared."
)
@click.option("--batch-size", type=click.IntRange(0, MOST_ITEMS), default=0, help="Images at a time; 0: the row's.")
@click.option("--device", type=Device(), default="auto", help="auto, cpu, cuda or cuda:N.")
@click.option(
    "--precision", type=click.Choice(["auto", "fp32", "bf16", "int8"]), default="auto",
    help="auto: int8 or bf16 if fast; either way fp32 where that changes the accuracy.",
)  # fmt: skip
@click.option("--data-dir", type=Folder(), default="data", help="Where prepared data are kept.")
def resnet(**options: Any) -> None:
    """Evaluate pretrained ResNets: accuracies and Fig 6 of the recurrent and ResNet report."""
    _module("experiments.resnet.experiment").run(options)


@cli.command()
@click.option("--models", default="resnet18", help="Rows of the catalogue, comma separated, or all.")
@click.option(
    "--dataset", type=click.Choice(["auto", *known(IMAGES)]), default="auto", help="auto: cifar10 if prepared."
)
@click.option("--epochs", type=click.IntRange(0, MOST_EPOCHS), default=0, help="0: the row's.")
@click.option("--lr", type=Finite(0), default=0, help="Highest learning rate; 0: the row's.")
@click.option("--batch-size", type=click.IntRange(0, MOST_ITEMS), default=0, help="Images an update; 0: the row's.")
@click.option(
    "--sides", type=Sides(), default="",
    help="Pixels that images are scaled to, each for an equal share of the epochs, e.g. 16,24,32; empty: the row's.",
)  # fmt: skip
@click.option("--fraction", type=Finite(0, 1, low_open=True), default=1.0, help="Of the training images, the first.")
@click.option("--seeds", type=click.IntRange(1, MOST_SEEDS), default=1, help="How many: n means seeds 0 to n-1.")
@click.option("--precision", type=click.Choice(["auto", "fp32", "bf16"]), default="auto", help="auto: bf16 if fast.")
@click.option("--device", type=Device(), default="auto", help="auto, cpu, cuda or cuda:N.")
@click.option("--data-dir", type=Folder(), default="data", help="Where prepared data are kept.")
@click.option("--resume", default="", help="Id of a run to continue, with the settings it was started with.")
@click.option("--force", type=bool, default=False, help="Continue it though code or options are not its own.")
def pretrain(**options: Any) -> None:
    """Train ResNets and register each as <dataset>-<model>, as champion if it is the best on the validation images."""
    _module("experiments.pretrain.experiment").run(options)


@cli.command()
@click.option("--study", type=click.Choice(["recurrent", "ablation"]), default="recurrent", help="What to tune.")
@click.option("--name", default="", help="Of the study; empty: study and dataset. One that exists is continued.")
@click.option(
    "--space", default="default",
    help="What to search: default (lr and depth), wide (everything), or names, comma separated.",
)  # fmt: skip
@click.option(
    "--dataset", type=click.Choice(["auto", *known(LOAD, IMAGES)]), default="auto",
    help="auto: the report's if prepared.",
)  # fmt: skip
@click.option("--n-trials", type=click.IntRange(1, MOST_TRIALS), default=20, help="That the study has in the end.")
@click.option(
    "--workers", type=click.IntRange(1, MOST_PROCESSES), default=1, help="Processes, each with a trial of its own."
)
@click.option(
    "--fraction", type=Finite(0, 1, low_open=True), default=1.0,
    help="Of the training part that a trial is trained on; the winner has all of it.",
)  # fmt: skip
@click.option("--storage", default="", help="Optuna's database; empty: OPTUNA_STORAGE, else sqlite:///optuna.db.")
@click.option(
    "--seed", type=click.IntRange(0, LARGEST_SEED), default=0, help="Of the choices and of every trial's training."
)
@click.option("--timeout", type=Finite(0), default=0, help="Seconds after which no trial is begun; 0: none.")
@click.option("--device", type=Device(), default="auto", help="auto, cpu, cuda or cuda:N.")
@click.option("--data-dir", type=Folder(), default="data", help="Where prepared data are kept.")
def tune(**options: Any) -> None:
    """Search for a better learning rate and depth on validation data, then train and test the winner."""
    _module("studies.command").run(options)


@cli.command()
@click.option("--spool", default="", help="A spool, or a folder of spools; empty: all of this user.")
def replay(**options: Any) -> None:
    """Send what runs could not send to the tracking server while it was away, and set their final status."""
    from pipelines.commands import replay as entry

    entry.run(options)


@cli.command()
@click.option("--preset", type=click.Choice(["demo", "report"]), default="demo", help="demo: minutes, on the sample.")
def main(**options: Any) -> None:
    """Run the whole chain: the demo on embedded data, or the full reproduction."""
    commands = (recurrent, ablation, resnet, pretrain, tune)
    _module("commands.main").run(
        options, {command.name: command.make_context(command.name, []).params for command in commands}
    )


if __name__ == "__main__":
    cli()
