"""Runs given on a command line: by an id, by the beginning of one, or by a name; only where that is one run.

Shared by both halves, so it needs neither torch nor mlflow: each hands in its own search of the tracking server.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from pipelines.common.command import hint
from pipelines.errors import UserError, nearest

SHORTEST = 6  # digits of a beginning
SHORT = 8  # digits of an id in tables and messages

_LISTED = 10  # runs that a message lists
_RECENT = 1000  # runs whose names may have been meant
# MLflow cannot read a run without a start time, and fails where one is found.
_READABLE = f"attributes.start_time >= {-(2**63)}"


@dataclass(frozen=True)
class Known:
    """A run of the tracking server: id, name, start (None outside the years 1 to 9999), and entry, "" without one."""

    run_id: str
    name: str
    started: datetime | None
    entry: str

    @classmethod
    def of(cls, run_id: str, name: str | None, milliseconds: int | None, entry: str | None) -> "Known":
        """A run from what MLflow has of it; it starts in local time."""
        try:
            started = datetime.fromtimestamp((milliseconds or 0) / 1000)
        except (OverflowError, ValueError, OSError):
            started = None
        return cls(run_id, name or "", started, entry or "")


# Runs that meet a condition in MLflow's search syntax, newest first, at most as many as the number.
Search = Callable[[str, int], Sequence[Known]]


def resolve(given: str, search: Search, server: str, preferred: str = "") -> str:
    """Returns the id of the run that `given` means.

    Args:
        given: an id of 32 digits, which is returned unseen; the first 6 or more digits of one; or a name.
        search: finds runs.
        server: address of the tracking server, for messages.
        preferred: condition in MLflow's search syntax: if `given` means several runs, only those that meet it count.

    Raises:
        UserError: there is no such run, or several, which are listed.
    """
    if re.fullmatch("[0-9a-f]{32}", given):
        return given
    found = _matching(given, search)
    if len(found) > 1 and preferred:
        found = _matching(given, search, preferred) or found
    if len(found) == 1:
        return found[0].run_id
    raise UserError(_listed(given, found) if found else _absent(given, search, server))


def _matching(given: str, search: Search, *conditions: str) -> list[Known]:
    """Runs whose id begins with `given`, or that are called so, newest first."""
    alternatives = []
    if re.fullmatch(f"[0-9a-f]{{{SHORTEST},31}}", given):
        alternatives.append(f"attributes.run_id LIKE '{given}%'")
    quote = '"' if "'" in given else "'"
    if given and quote not in given:
        alternatives.append(f"attributes.run_name = {quote}{given}{quote}")
    found = {
        run.run_id: run
        for alternative in alternatives
        for run in search(" and ".join((alternative, _READABLE, *conditions)), _LISTED + 1)
    }
    return sorted(found.values(), key=lambda run: run.started or datetime.min, reverse=True)


def _listed(given: str, found: Sequence[Known]) -> str:
    digits = next(size for size in range(SHORT, 33) if len({run.run_id[:size] for run in found}) == len(found))
    lines = [
        f"{run.run_id[:digits]} ({run.name}, {run.started or datetime.min:%Y-%m-%d %H:%M}, {run.entry or 'no entry'})"
        for run in found[:_LISTED]
    ]
    more = ", and more" if len(found) > _LISTED else ""
    return f"{given!r} is not one run: it may be {', '.join(lines)}{more}: give the id of one, or its first digits"


def _absent(given: str, search: Search, server: str) -> str:
    recent = [run.name for run in search(_READABLE, _RECENT)]
    remedy = nearest(given, recent).strip() or f"{hint('python -m analysis runs')} lists those there are"
    forms = f"an id, the first {SHORTEST} or more digits of one, or a name"
    return f"there is no run {given!r:.80} on {server}: give {forms}; {remedy}"
