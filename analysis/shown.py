"""What a command shows, and where: in a terminal, in a pipe, or in a file."""

import sys
from collections.abc import Iterable
from pathlib import Path

import click

from pipelines.common.screen import Screen, Table, draw, screen

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


def show(text: str) -> None:
    """Prints a text that ends its last line, with the colours that it has."""
    click.echo(text, sys.stdout, nl=False, color=True)
