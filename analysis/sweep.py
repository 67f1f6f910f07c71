"""Runs that are marked RUNNING though the process that made them is gone."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from analysis import resuming
from analysis.tables.columns import ENTRY, PARTS
from pipelines import names
from pipelines.processes import identity, liveness


@dataclass(frozen=True)
class Fate:
    """State of the process of a running run, one of liveness.STATES, and the reason to think so.

    `launch` is the id of the launch that it belongs to or is, and `continued` the command that continues that, if any.
    """

    run_id: str
    run_name: str
    state: str
    reason: str = ""
    launch: str = ""
    continued: str = ""


def fates(records: Iterable[Mapping[str, object]]) -> list[Fate]:
    """Determines the state of each of the runs, flat records as of records.every, in their order."""
    return [_fate(record) for record in records]


def _fate(record: Mapping[str, object]) -> Fate:
    tags = {key.removeprefix("tags."): value for key, value in record.items() if key.startswith("tags.")}
    found = liveness.fate(identity.Identity.of(tags))
    is_part = any(record.get(column) is not None for column in PARTS)
    launch = str(record.get("parent_run_id") or "") if is_part else str(record["run_id"])
    line = str(record.get(f"tags.{names.COMMAND}") or "")
    continued = resuming.command(str(record.get(ENTRY) or ""), launch, line) if launch else ""
    return Fate(str(record["run_id"]), str(record["run_name"]), found.state, found.reason, launch, continued)
