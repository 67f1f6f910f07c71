"""What ends a command with one line: the exceptions whose text alone the command line prints, and the signals."""


class UserError(Exception):
    """Something the user can mend: bad input, missing data, an unreachable server.

    Its text is one line that says what is wrong, where, and the remedy. The command line prints it on stderr and exits
    with code 2, before any run is created.
    """


class UnreachableError(UserError):
    """The tracking server cannot be used."""


class FailedRunsError(Exception):
    """Rows of a launch failed; exit code 1. Their runs tell why."""


class Interrupted(BaseException):
    """A signal asks the process to stop: no Exception, so that nothing takes it for a failure of its own."""

    def __init__(self, signal_number: int):
        super().__init__(f"signal {signal_number}")
        self.signal_number = signal_number
