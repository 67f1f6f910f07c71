"""Command lines as text, in both halves: the one that reproduces a run, made from its options, and hints."""

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from pipelines import names
from pipelines.common import launcher
from pipelines.common.addresses import redacted

NNREG = "TYPED_AS_NNREG"  # environment variable: set if the command was typed so, also for processes that it starts

_MLPROJECT = Path(__file__).parents[2] / "MLproject"
# Options of `mlflow run` that are of one launch: what it runs, and what it is called.
_OF_ONE_LAUNCH = {"-e", "--entry-point", "-P", "--param-list", "--run-id", "--run-name"}


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
            flag = [] if isinstance(parameter, click.Argument) else [parameter.opts[0]]
            words += flag if is_flag else [*flag, _text(value)]
    return shlex.join(words)


def kept(line: str, flag: str) -> str:
    """Returns the option `flag` of a recorded command line with its value, after a space; "" where it has none."""
    try:
        words = shlex.split(line)
    except ValueError:  # no command line: anyone can change a tag
        return ""
    return f" {flag} {shlex.quote(words[words.index(flag) + 1])}" if flag in words[:-1] else ""


def hint(line: str) -> str:
    """Returns a command to try next in the form in which the present one was typed: by python, nnreg or `mlflow run`.

    Args:
        line: the command as it is recorded, ``python -m pipelines NAME …`` or ``python -m analysis NAME …``.
    """
    recorded = re.fullmatch(r"python -m (?:pipelines|analysis) (.+)", line, re.DOTALL)
    if not recorded:
        return line
    if launched := launcher.command():
        return _by_mlflow(launched, recorded[1]) or line
    return f"nnreg {recorded[1]}" if os.environ.get(NNREG) else line


def _by_mlflow(launched: Sequence[str], given: str) -> str:
    """Returns the `mlflow run` that gives a command, with the project and the settings of the present one.

    Args:
        launched: words of the present one, after ``mlflow run``.
        given: the command's name and options; "" is returned if it is no entry point with options alone.
    """
    words = iter(launched)
    kept = []
    for word in words:
        name, joined, _ = word.partition("=")
        if name not in _OF_ONE_LAUNCH:
            kept.append(word)
        elif not joined:
            next(words, "")
    entry, *options = shlex.split(given)
    flags, values = options[::2], options[1::2]
    if len(flags) > len(values) or any(not flag.startswith("--") for flag in flags) or entry not in _entry_points():
        return ""
    parameters = [f"{flag[2:].replace('-', '_')}={value}" for flag, value in zip(flags, values, strict=True)]
    made = ["mlflow", "run", *kept, "-e", entry, *(word for parameter in parameters for word in ("-P", parameter))]
    return redacted(shlex.join(made))


def _entry_points() -> list[str]:
    return re.findall(r"^  (\w+):$", _MLPROJECT.read_text(encoding="utf-8"), re.MULTILINE)


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
