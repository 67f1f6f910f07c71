"""Generation of the file MLproject from the commands: ``python -m pipelines.cli.mlproject MODULE[:NAME,NAME] …``."""

import json
import re
import sys
import textwrap
from collections.abc import Iterator, Sequence
from importlib import import_module

import click

_HEAD = """\
# Written by `make mlproject` from the options of the commands.
name: nn-experiment-registry

conda_env: conda.yaml

# Parameters are texts (`string`) where MLflow would check too little or too much; the command validates all of them.
entry_points:
"""
_WIDTH = 120
_TOGETHER = "\N{NO-BREAK SPACE}"  # between a flag and its value
# Matches words that need no quotes in YAML.
_PLAIN = re.compile(r"(?!(?:true|false|yes|no|on|off|null)$)[a-z][a-z0-9_-]*")


def written(groups: Sequence[str]) -> str:
    """Write the whole file.

    Args:
        groups: names of the packages whose commands are the entry points, each followed by ``:`` and a comma-separated
            list of commands if it is not all of them.
    """
    entries = [entry(module, each) for module, found in map(_commands, groups) for each in found]
    return _HEAD + "\n".join(entries)


def entry(module: str, command: click.Command) -> str:
    """Write the entry point that calls `command` of ``python -m module``, with a parameter for each option."""
    lines = [f"  {command.name}:", "    parameters:"]
    call = f"python -m {module} {command.name}"
    for parameter in command.params:
        flag = parameter.opts[0]
        name = flag.removeprefix("--").replace("-", "_")
        lines.append(f"      {name}: {{type: string, default: {_quoted(_text(parameter.default))}}}")
        typed = "" if isinstance(parameter, click.Argument) else f" {flag}"
        call += f"{typed}{_TOGETHER}{{{name}}}"
    return "\n".join([*lines, *_call(call)]) + "\n"


def _call(call: str) -> Iterator[str]:
    line = f"    command: {json.dumps(call.replace(_TOGETHER, ' '))}"
    if len(line) <= _WIDTH:
        yield line
        return
    yield "    command: >-"
    indent = " " * 6
    wrapped = textwrap.wrap(call, _WIDTH, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)
    yield from (part.replace(_TOGETHER, " ") for part in wrapped)


def _text(default: object) -> str:
    return str(default).lower() if isinstance(default, bool) else str(default)


def _quoted(text: str) -> str:
    return text if _PLAIN.fullmatch(text) else json.dumps(text)


def _commands(group: str) -> tuple[str, list[click.Command]]:
    module, _, names = group.partition(":")
    commands = import_module(f"{module}.__main__").cli.commands
    return module, [commands[name] for name in (names.split(",") if names else commands)]


if __name__ == "__main__":
    sys.stdout.write(written(sys.argv[1:]))
