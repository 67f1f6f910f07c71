"""The rows that a comma list names."""

from collections.abc import Sequence

from pipelines.errors import UserError


def choose(what: str, given: str, known: Sequence[str]) -> list[str]:
    """The names in the comma list `given`, or all.

    Raises:
        UserError: a name is not known, or there is none.
    """
    if given.strip() == "all":
        return list(known)
    chosen = list(dict.fromkeys(name.strip() for name in given.split(",") if name.strip()))
    unknown = [name for name in chosen if name not in known]
    if unknown or not chosen:
        raise UserError(f"{what}={given}: unknown {', '.join(unknown) or '(none)'}; known are all, {', '.join(known)}")
    return chosen
