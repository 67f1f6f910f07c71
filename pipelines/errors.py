"""The exceptions whose text alone the command line prints."""


class UserError(Exception):
    """Something the user can mend: bad input, missing data, an unreachable server.

    Its text is one line that says what is wrong, where, and the remedy. The command line prints it on stderr and exits
    with code 2, before any run is created.
    """


class UnreachableError(UserError):
    """The tracking server cannot be used."""


class FailedRunsError(Exception):
    """Rows of a launch failed; exit code 1. Their runs tell why."""
