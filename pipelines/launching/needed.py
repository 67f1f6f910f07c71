"""Runs of earlier launches that need not be made again: same settings, code, data and seed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from pipelines import names
from pipelines.common.run_ids import SHORT
from pipelines.common.streams import announce
from pipelines.experiments.base import SettingsType
from pipelines.launching.continuation import resumption
from pipelines.launching.jobs import Job
from pipelines.processes import liveness
from pipelines.processes.identity import Identity
from pipelines.tracking import provenance
from pipelines.tracking.artifacts import log_table
from pipelines.tracking.record import Snapshot
from pipelines.tracking.run import FAILED, FINISHED, KILLED, RUNNING, Run, shown

LISTED = 8  # runs that a message names


@dataclass(frozen=True)
class Earlier:
    """Earlier runs of jobs, made from the code and data that are here.

    Attributes:
        finished: the newest run of each job that has finished, by the name of the job.
        stopped: launches in which other jobs were stopped between two of their epochs, the newest last.
    """

    finished: Mapping[str, Run]
    stopped: Sequence[str]


def earlier(entry: str, jobs: Sequence[Job[SettingsType]], digest: str) -> Earlier:
    """Search the tracking server for runs of `jobs` of an entry, on data with this digest.

    The settings have to be the same to the last, device and precision included; but one GPU is as good as another.

    Raises:
        AwayError: the server does not answer.
    """
    code = provenance.digest()
    tags = {names.ENTRY: entry, names.CODE: code, names.DATA_DIGEST: digest}
    condition = " and ".join(f"tags.{name} = '{value}'" for name, value in tags.items())
    finished, stopped = {}, {}
    for run in Run.search(f"{condition} and tags.{names.ROW} LIKE '%'"):
        state = run.record.known()
        key = alike(state.params)
        if state.tags.get(names.RESUMED_CODE, code) != code:
            continue
        if state.status == FINISHED:
            finished[key] = run
        elif _was_stopped(state) and {names.CHECKPOINT, names.PARENT_RUN} <= state.tags.keys():
            stopped[key] = state.tags[names.PARENT_RUN]
    keys = {job.name: alike(shown(job.settings.params())) for job in jobs}
    return Earlier(
        {name: finished[key] for name, key in keys.items() if key in finished},
        list(dict.fromkeys(stopped[key] for key in keys.values() if key in stopped and key not in finished)),
    )


def _was_stopped(state: Snapshot) -> bool:
    """Whether a run has ended without a result, be it that its process is gone and it still says that it runs."""
    if state.status == RUNNING:
        return liveness.fate(Identity.of(state.tags)).state == liveness.GONE
    return state.status in (FAILED, KILLED)


def alike(params: Mapping[str, str]) -> frozenset[tuple[str, str]]:
    """Logged parameters as a key that runs of the same settings share: of the device only its kind."""
    return frozenset((name, value.partition(":")[0] if name == "device" else value) for name, value in params.items())


def announce_earlier(found: Earlier, of: int, entry: str, data_dir: str) -> None:
    """Say which of so many jobs of a launch of `entry` have finished before, and which launches may be continued."""
    if found.finished:
        listed = [f"{name} ({run.id[:SHORT]})" for name, run in list(found.finished.items())[:LISTED]]
        more = f" and {len(found.finished) - LISTED} more" if len(found.finished) > LISTED else ""
        left = of - len(found.finished)
        what = f"{left} to run" if left else "nothing is left to run"
        announce(f"{of - left} of {of} runs have finished before, {what}: {', '.join(listed)}{more}")
    for launch in found.stopped:
        announce(
            f"launch {launch[:SHORT]} was stopped between two epochs of such a run, which begins anew here; "
            f"{resumption(entry, launch, data_dir)} there instead"
        )


def log_reused(parent: Run, finished: Mapping[str, Run]) -> None:
    """Record on a launch which runs of earlier launches are part of its results."""
    parent.set_tags({names.REUSED: len(finished)})
    if finished:
        states = {run.id: run.record.known() for run in finished.values()}
        table = {
            "name": list(finished),
            "run_id": list(states),
            "launch": [state.tags.get(names.PARENT_RUN, "") for state in states.values()],
        }
        log_table(parent, pd.DataFrame(table), names.REUSED_RUNS)
