"""Errors that the command line prints in one line on stderr."""

import sys
import traceback
from pathlib import Path
from typing import IO, Any

import click

from analysis.escapes import plain
from pipelines.common import streams
from pipelines.common.addresses import redacted
from pipelines.common.program import Program


class _OneLineError(click.ClickException):
    """One line, without secrets; what it names others may have called so."""

    def format_message(self) -> str:
        """Returns the line."""
        return plain(redacted(self.message))

    def show(self, file: IO[Any] | None = None) -> None:
        """Prints the line, as the commands of the pipelines do."""
        click.echo(f"error: {self.format_message()}", file=file, err=file is None)


class InputError(_OneLineError):
    """Something the user can mend: a bad option, an unknown column, a server that does not answer. Exit code 2."""

    exit_code = 2


class AmbiguousError(InputError):
    """A name that stands for several lines of a table, none of which is meant more than the others."""


class UnreachableError(InputError):
    """The tracking server cannot be used."""


class UnexpectedError(_OneLineError):
    """An error that was not foreseen. Exit code 1."""

    exit_code = 1


class NothingFoundError(_OneLineError):
    """No run matches, so there is no table. Exit code 1: an empty table would look like a result."""

    exit_code = 1


def unwritable(path: Path, error: OSError) -> InputError:
    """Error for an output that cannot be written, with a path that differs from it."""
    other = Path.home() / path.name
    other = other.with_stem(f"{other.stem}-2") if other == path.absolute() else other
    return InputError(f"output: cannot write {path.absolute()}: {error.strerror}; give another path, e.g. {other}")


class Commands(Program):
    """Commands that take and print any text, and whose every failure is one line.

    Python's own development mode, ``python -X dev -m analysis …``, shows the traceback of what was not foreseen.
    """

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Parses and runs, see click."""
        streams.take_any_text()
        return super().main(*args, **kwargs)

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Parses up to the name of the command."""
        try:
            return super().make_context(*args, **kwargs)
        except click.UsageError as error:
            raise InputError(error.format_message()) from error

    def invoke(self, ctx: click.Context) -> object:
        """Runs the command that `ctx` has parsed."""
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            raise InputError(error.format_message()) from error
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except Exception as error:
            if sys.flags.dev_mode:
                raise
            place = traceback.extract_tb(error.__traceback__)[-1]
            raise UnexpectedError(
                f"{type(error).__name__}: {error} ({Path(place.filename).name}, line {place.lineno}), which was not "
                "foreseen: please report it, with what python -X dev -m analysis … prints"
            ) from error
