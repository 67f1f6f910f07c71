"""Runs that are marked RUNNING though the process that made them is gone."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pipelines.processes import identity, liveness


@dataclass(frozen=True)
class Fate:
    """State of the process of a running run, one of liveness.STATES, and the reason to think so."""

    run_id: str
    run_name: str
    state: str
    reason: str = ""


def fates(records: Iterable[Mapping[str, object]]) -> list[Fate]:
    """Determines the state of each of the runs, flat records as of runs.every, in their order."""
    return [_fate(record) for record in records]


def _fate(record: Mapping[str, object]) -> Fate:
    tags = {key.removeprefix("tags."): value for key, value in record.items() if key.startswith("tags.")}
    found = liveness.fate(identity.Identity.of(tags))
    return Fate(str(record["run_id"]), str(record["run_name"]), found.state, found.reason)
