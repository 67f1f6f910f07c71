"""The page docs/reference.md: what every command says of itself, ``python -m nnreg.reference > docs/reference.md``."""

import click

from nnreg.program import NAME, cli

_WIDTH = 78  # columns of a help text in a terminal of 80

_INTRODUCTION = """\
# Command reference

What `--help` prints for each command of `nnreg`. [commands.md](commands.md) tells how the command line works.
"""


def page() -> str:
    """The page in markdown."""
    every = [name for names in cli.sections.values() for name in names]
    parts = [_INTRODUCTION, f"{' · '.join(f'[{name}](#{name})' for name in every)}\n"]
    for title, names in cli.sections.items():
        parts += [f"## {title}\n", *(f"### {name}\n\n```text\n{_help(name)}\n```\n" for name in names)]
    return "\n".join(parts)


def _help(name: str) -> str:
    """The help of a command, as wide as in a usual terminal."""
    group, command = click.Context(cli, info_name=NAME, terminal_width=_WIDTH), cli.commands[name]
    return command.get_help(click.Context(command, info_name=name, parent=group, **command.context_settings))


if __name__ == "__main__":
    click.echo(page(), nl=False)
