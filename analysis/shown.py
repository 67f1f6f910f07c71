"""What a command shows, and where: in a terminal, in a pipe, or in a file."""

import contextlib
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from analysis.escapes import plain
from pipelines.common.screen import Screen, Table, draw, screen
from pipelines.processes import parents

AUTO, TERMINAL, MARKDOWN = "auto", "terminal", "markdown"

# Formats that the ending of a file tells.
_ENDINGS = {".csv": "csv", ".json": "json", ".tex": "latex", ".html": "html"}


def chosen(form: str, output: str = "") -> str:
    """The format that `form` stands for: AUTO for that of the file's ending, or for what standard output shows."""
    if form != AUTO:
        return form
    if output:
        return _ENDINGS.get(Path(output).suffix.lower(), MARKDOWN)
    return TERMINAL if sys.stdout.isatty() else MARKDOWN


def on_screen(tables: Iterable[Table], output: str = "") -> str:
    """The tables as TERMINAL has them: for standard output, or plain for a file."""
    return draw(tables, Screen() if output else screen())


@contextlib.contextmanager
def working(what: str) -> Iterator[None]:
    """Says on a terminal what goes on, in a line of standard error that moves and is gone at the end.

    Nothing may be printed on standard output meanwhile.
    """
    if not (sys.stderr.isatty() and screen(sys.stderr).styled):
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(f"{what} …"):
        yield


def next_steps(*steps: str) -> None:
    """Prints commands that lead on from a result, dim and each on a line, if standard output is a terminal.

    A command that another one of the project has started leads nowhere: that one goes on, and says what is next.
    """
    if not sys.stdout.isatty() or parents.is_announced():
        return
    styled = screen().styled
    for step in map(plain, steps):
        line = f"next  {step}"
        click.echo(click.style(line, dim=True) if styled else line, sys.stdout, color=styled)


def show(text: str) -> None:
    """Prints a text that ends its last line, with the colours that it has."""
    click.echo(text, sys.stdout, nl=False, color=True)
