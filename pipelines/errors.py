"""What ends a command with one line: the exceptions whose text alone the command line prints, and the signals."""

from collections.abc import Sequence
from difflib import get_close_matches

UNSENT = 75  # exit code of UnsentError: EX_TEMPFAIL of sysexits.h


class UserError(Exception):
    """Something the user can mend: bad input, missing data, an unreachable server.

    Its text is one line that says what is wrong, where, and the remedy. The command line prints it on stderr and exits
    with code 2, before any run is created.
    """


class UnreachableError(UserError):
    """The tracking server cannot be used."""


class FailedRunsError(Exception):
    """Rows of a launch failed; exit code 1. Their runs tell why."""


class AwayError(Exception):
    """The tracking server is away, and what is asked of it cannot be put off; exit code 1."""


class UnsentError(Exception):
    """All is done, but not all of it is on the tracking server; exit code UNSENT. It waits on the disk for a replay."""


class Interrupted(BaseException):
    """A signal asks the process to stop: no Exception, so that nothing takes it for a failure of its own."""

    def __init__(self, signal_number: int):
        super().__init__(f"signal {signal_number}")
        self.signal_number = signal_number


def require_known(what: str, name: str, known: Sequence[str]) -> None:
    """Raise a UserError, which names the nearest known name, unless `name` is among the `known`."""
    if name not in known:
        near = get_close_matches(name, known, n=1)
        raise UserError(
            f"unknown {what} {name!r:.60}"
            + (f"; did you mean {near[0]}?" if near else f"; known are {', '.join(sorted(known))}")
        )
