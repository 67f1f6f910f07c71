"""Choosing rows by a comma-separated list of names."""

from collections.abc import Sequence

from pipelines.errors import UserError, meant


def choose(what: str, given: str, known: Sequence[str]) -> list[str]:
    """Read a comma-separated list of names.

    Args:
        what: name of the option, for the message.
        given: its value, a list or "all".
        known: all names.

    Returns:
        The names, each once, in the order given.

    Raises:
        UserError: a name is unknown, or the list is empty.
    """
    if given.strip() == "all":
        return list(known)
    chosen = list(dict.fromkeys(name.strip() for name in given.split(",") if name.strip()))
    if not chosen:
        raise UserError(f"{what}={given}: no name is given; known are all, {', '.join(known)}")
    for name in chosen:
        if name not in known:
            raise UserError(f"{what}={given}: unknown {name!r:.60}; {meant(name, ['all', *known])}")
    return chosen
