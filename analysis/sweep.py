"""Runs that say RUNNING though the process that made them is gone."""

import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import psutil

from pipelines import names

STATES = GONE, ALIVE, ELSEWHERE, UNKNOWN = "gone", "alive", "on another host", "without host and process"

# Seconds; the clock that dates a process may be set by a little.
_CLOCK = 1


@dataclass(frozen=True)
class Fate:
    """What became of the process of a running run: one of GONE, ALIVE, ELSEWHERE, UNKNOWN, and why we think so."""

    run_id: str
    run_name: str
    state: str
    reason: str = ""


def fates(records: Iterable[Mapping[str, object]]) -> list[Fate]:
    """What became of each of the runs, flat records as of runs.every, in their order."""
    return [_fate(record) for record in records]


def _fate(record: Mapping[str, object]) -> Fate:
    host, pid, start = (record.get(f"tags.{tag}") for tag in (names.HOST, names.PID, names.PROCESS_START))
    called = (str(record["run_id"]), str(record["run_name"]))
    try:
        number, began = int(pid), float(start)
    except (TypeError, ValueError):
        return Fate(*called, UNKNOWN)
    if not host:
        return Fate(*called, UNKNOWN)
    if host != socket.gethostname():
        return Fate(*called, ELSEWHERE, str(host))
    try:
        process = psutil.Process(number)
        if abs(process.create_time() - began) >= _CLOCK:
            return Fate(*called, GONE, f"process {number} of {host} is another one now")
        if process.status() == psutil.STATUS_ZOMBIE:
            return Fate(*called, GONE, f"process {number} of {host} has ended")
    except psutil.NoSuchProcess:
        return Fate(*called, GONE, f"process {number} of {host} is gone")
    return Fate(*called, ALIVE)
