"""What the command line tells its user in one line on stderr."""

from pathlib import Path

import click

from pipelines.addresses import redacted


class _ToldError(click.ClickException):
    """One line, without secrets."""

    def format_message(self) -> str:
        """Returns the line."""
        return redacted(" ".join(self.message.split()))


class InputError(_ToldError):
    """Something the user can mend: a bad filter, an unknown column, a server that does not answer. Exit code 2."""

    exit_code = 2


class UnreachableError(InputError):
    """The tracking server cannot be used."""


class NothingFoundError(_ToldError):
    """No run matches, so there is no table. Exit code 1: an empty table would look like a result."""

    exit_code = 1


def unwritable(path: Path, error: OSError) -> InputError:
    """What is said of an output that cannot be written, with a path that differs from it."""
    other = Path.home() / path.name
    other = other.with_stem(f"{other.stem}-2") if other == path.absolute() else other
    return InputError(f"output: cannot write {path.absolute()}: {error.strerror}; give another path, e.g. {other}")
