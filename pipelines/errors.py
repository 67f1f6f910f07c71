"""Exceptions that end a command, of which the command line prints the text only, and the exception of signals."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

UNSENT = 75  # exit code of UnsentError: EX_TEMPFAIL of sysexits.h


class UserError(Exception):
    """An error that the user can fix: invalid input, missing data, an unreachable server.

    Its text is one line that says what is wrong, where, and how to fix it. The command line prints it on stderr and
    exits with code 2, before any run is created.
    """


class FaultsError(UserError):
    """Several faults of one input, each of which is a line.

    Attributes:
        faults: one or more, each with the place and the remedy.
    """

    most = 10  # that are named

    def __init__(self, where: str, faults: Sequence[str]):
        self.faults = tuple(faults[: self.most])
        more = len(faults) - len(self.faults)
        self.summary = f"{where}: {len(faults)} faults, {f'of which {more} are not named' if more else 'named above'}"
        super().__init__(faults[0] if len(faults) == 1 else "; ".join(self.faults))


class UnreachableError(UserError):
    """The tracking server cannot be used."""


class FailedRunsError(Exception):
    """Rows of a launch failed; exit code 1. The reasons are on their runs."""


class AwayError(Exception):
    """The tracking server is away, and a request to it cannot be postponed; exit code 1."""


class UnsentError(Exception):
    """The work is complete, but some results wait on disk to be sent to the tracking server; exit code UNSENT."""


class Interrupted(BaseException):
    """A signal stops the process; not an Exception, so that no handler takes it for an ordinary failure."""

    def __init__(self, signal_number: int):
        super().__init__(f"signal {signal_number}")
        self.signal_number = signal_number


def require_known(what: str, name: str, known: Sequence[str]) -> None:
    """Raise a UserError that says which was meant, unless `name` is one of `known`."""
    if name not in known:
        raise UserError(f"unknown {what} {name!r:.60}; {meant(name, sorted(known))}")


def meant(name: str, known: Iterable[str]) -> str:
    """The end of an error's text for a `name` that is none of those `known`: the most similar one, then all of them."""
    listed = list(known)
    near = nearest(name, listed)
    return f"{near}{'K' if near else 'k'}nown are {', '.join(listed)}"


def nearest(name: str, known: Iterable[str]) -> str:
    """The question whether the most similar of the `known` was meant, with a space after it, or ""."""
    # So that a name in capitals is found too.
    by_letters = {each.lower(): each for each in known}
    near = get_close_matches(name.lower(), by_letters, n=1)
    return f"did you mean {by_letters[near[0]]}? " if near else ""
