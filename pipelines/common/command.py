"""The command line that reproduces a run, made from its options; both halves record it."""

import os
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import click
from click.core import ParameterSource

from pipelines import names
from pipelines.common.addresses import redacted


def line(module: str, command: click.Command, options: Mapping[str, Any]) -> str:
    """Returns the command line that gives `command` these options, to be pasted into a shell.

    It has the options that were typed, and those of the others that differ from their defaults. So a launch from
    Python, by `main` or by `mlflow run`, which types every option, also gets the line that does the same.

    Args:
        module: run by ``python -m``.
        command: has the options.
        options: value by name, as the command gets them; an option that is missing has its default.
    """
    defaults = command.make_context(command.name, []).params
    typed = _typed(command)
    words = ["python", "-m", module, command.name or ""]
    for parameter in command.params:
        name = parameter.name
        if name not in defaults:  # one that only a callback gets
            continue
        value = options.get(name, defaults[name])
        if name in typed or value != defaults[name]:
            is_flag = isinstance(parameter, click.Option) and parameter.is_flag
            words += [parameter.opts[0]] if is_flag else [parameter.opts[0], _text(value)]
    return shlex.join(words)


def refused(module: str, arguments: Sequence[str], reason: str) -> dict[str, str]:
    """Tags, without secrets, of the run that `mlflow run` made for a command which was refused: name, reason, line.

    Args:
        module: what ``python -m`` runs.
        arguments: of the command line, the command's name first.
        reason: why it was refused.
    """
    tags = {
        names.RUN_NAME: " ".join([*arguments[:1], "refused"]),
        names.FAILURE: reason,
        names.COMMAND: shlex.join(["python", "-m", module, *arguments]),
    }
    return {tag: redacted(text) for tag, text in tags.items()}


def _typed(command: click.Command) -> set[str]:
    """Returns the names of the options on the present command line, if that is one of `command`."""
    context = click.get_current_context(silent=True)
    if context is None or context.command.name != command.name or "MLFLOW_RUN_ID" in os.environ:
        return set()
    return {name for name in context.params if context.get_parameter_source(name) is ParameterSource.COMMANDLINE}


def _text(value: Any) -> str:
    """Returns the value of an option as it is typed, without secrets."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return ",".join(map(str, value))
    return redacted(str(value))
