"""Command lines of the entry points: the one that made a launch, and the one that continues it."""

from collections.abc import Mapping

import click

from pipelines.common import command
from pipelines.tracking.run import Run


def resumes(entry: str) -> bool:
    """Whether launches of `entry` can be resumed."""
    return any(parameter.name == "resume" for parameter in commands()[entry].params)


def continuation(entry: str, run: Run) -> str:
    """The command that continues the launch or row `run` of `entry`."""
    return f"python -m pipelines {entry} --resume {run.id}"


def command_of(entry: str, params: Mapping[str, object]) -> str:
    """The command line of a launch of `entry` with these parameters, see command.line."""
    return command.line("pipelines", commands()[entry], params)


def commands() -> Mapping[str, click.Command]:
    """The commands of the command line by their names, which are the entry points'."""
    from pipelines.__main__ import cli  # here, since the entry points that it leads to import this module

    return cli.commands
