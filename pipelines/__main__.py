"""The command line, ``python -m pipelines NAME --key value``: parses and validates options, then delegates."""

from pipelines.processes import signals

if __name__ == "__main__":
    # Before any other import, since the launcher may end or a signal arrive during these.
    signals.begin()

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module

import click

from pipelines.cli.common_options import LOCAL
from pipelines.cli.declare import Options, command
from pipelines.cli.group import OneLineGroup
from pipelines.commands.options import (
    ForecastOptions,
    MainOptions,
    PrepareOptions,
    ReplayOptions,
    ReproduceOptions,
    RowsOptions,
    ServeOptions,
)
from pipelines.common import garbage
from pipelines.common.program import Example
from pipelines.errors import UserError
from pipelines.experiments.index import ENTRIES, experiment_of, modules_of, options_of
from pipelines.processes import forked
from pipelines.processes.ranks import rank, ranks
from pipelines.studies.options import TuneOptions
from pipelines.terminal.display import Display, showing

DISTRIBUTED = ("recurrent", "pretrain")  # commands that torchrun can run over several processes
FORKING = (*ENTRIES, "tune", "main", "reproduce")  # commands that train or evaluate rows
_OF_ALL = [module for entry in ENTRIES for module in modules_of(entry)]

SECTIONS = {
    "Experiments": (*ENTRIES, "tune", "reproduce", "rows"),
    "Everything at once": ("main",),
    "Data": ("prepare",),
    "Forecasts": ("forecast", "serve"),
    "Tracking server": ("replay",),
}
EXAMPLES = (
    Example("Every experiment on embedded data, in minutes", "main"),
    Example("One network on the data that are there", "recurrent --models gru-2"),
    Example("What a command takes", "recurrent --help"),
)


@click.group(cls=OneLineGroup, sections=SECTIONS, examples=EXAMPLES)
@click.pass_context
def cli(context: click.Context) -> None:
    """Experiments of the nn experiment registry: each command trains or prepares, and tracks what it does in MLflow."""
    if context.invoked_subcommand in FORKING and "forkserver" not in multiprocessing.get_all_start_methods():
        raise UserError(
            f"{context.invoked_subcommand} runs on Linux and macOS only, and on Windows in its Linux (WSL): rows are "
            "trained in processes that are forked from a server. prepare and the commands of the analysis run here too"
        )
    if ranks() > 1 and context.invoked_subcommand not in DISTRIBUTED:
        raise UserError(
            f"{context.invoked_subcommand} does not run over the processes of torchrun: only "
            f"{' and '.join(DISTRIBUTED)} do; start it without torchrun"
        )


@contextmanager
def _loading(display: Display, forked_need: Sequence[str] = ()) -> Iterator[None]:
    """Context of the imports of a command, which imports its modules when it runs, since --help need not wait for them.

    Until the block ends, a signal ends the process at once; from then on it raises Interrupted.

    Args:
        display: says so.
        forked_need: what the processes that the command will fork need; their server imports it at the same time.
    """
    display.doing("loading PyTorch and MLflow")
    if forked_need:
        forked.forkserver(*forked_need)
    with garbage.left_alone():
        yield
    signals.ready()
    display.doing("")


def _experiment(entry: str) -> Callable[[Options], None]:
    def run(options: Options) -> None:
        if getattr(options, "launcher", LOCAL) != LOCAL and ranks() > 1:
            raise UserError("launcher: torchrun has started the processes already; leave out one of the two")
        if rank() > 0:
            from pipelines.training.distributed import follow

            follow()
            return
        with showing(entry) as display:
            with _loading(display, modules_of(entry)):
                experiment = experiment_of(entry)
                from pipelines.launching import launch
                from pipelines.training.distributed import leading
            with leading():
                launch.run(experiment, options)

    return run


def _command(module: str, forked_need: Sequence[str] = ()) -> Callable[[Options], None]:
    def run(options: Options) -> None:
        with showing(module.rpartition(".")[2]) as display:
            with _loading(display, forked_need):
                imported = import_module(module)
            imported.run(options)

    return run


def _tune(options: TuneOptions) -> None:
    with showing("tune") as display:
        with _loading(display, ("pipelines.studies.worker", *modules_of(options.study))):
            from pipelines.experiments.study import study_of
            from pipelines.studies import command as tune

            experiment_of(options.study)
            study_of(options.study)
        tune.run(options)


def _rows(options: RowsOptions) -> None:
    from pipelines.commands import rows

    rows.run(options)


cli.add_command(command("rows", RowsOptions, _rows))
cli.add_command(command("prepare", PrepareOptions, _command("pipelines.commands.prepare")))
for _entry in ENTRIES:
    cli.add_command(command(_entry, options_of(_entry), _experiment(_entry)))
cli.add_command(command("tune", TuneOptions, _tune))
cli.add_command(command("reproduce", ReproduceOptions, _command("pipelines.commands.reproduce", _OF_ALL)))
cli.add_command(command("forecast", ForecastOptions, _command("pipelines.commands.forecast")))
cli.add_command(command("serve", ServeOptions, _command("pipelines.commands.serve")))
cli.add_command(command("replay", ReplayOptions, _command("pipelines.commands.replay")))
cli.add_command(command("main", MainOptions, _command("pipelines.commands.main", _OF_ALL)))

if __name__ == "__main__":
    cli()
