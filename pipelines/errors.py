"""The one exception a user is meant to see."""


class UserError(Exception):
    """Something the user can mend: bad input, missing data, an unreachable server.

    Its text is one line that says what is wrong, where, and the remedy. The command line prints it on stderr and exits
    with code 2, before any run is created.
    """
