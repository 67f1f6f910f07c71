"""The command `replay`: sends the data that runs could not send while their tracking server was away."""

from pathlib import Path

from pipelines.commands import reproduce
from pipelines.commands.options import ReplayOptions
from pipelines.common.command import hint
from pipelines.common.streams import announce
from pipelines.errors import UnsentError, UserError
from pipelines.experiments.index import ENTRIES, experiment_of
from pipelines.launching.summary import summarise
from pipelines.studies import command as tune
from pipelines.terminal.display import conclude
from pipelines.tracking import spool
from pipelines.tracking.run import Run
from pipelines.tracking.server import connect
from pipelines.tracking.unsent import deliver


def run(options: ReplayOptions) -> None:
    """Send all waiting data, and set the final status of its runs.

    Raises:
        UserError: there is no such spool.
        UnsentError: some data could not be sent.
    """
    where = Path(options.spool) if options.spool else spool.root()
    waiting = spool.folders(where)
    if not waiting:
        if options.spool:
            raise UserError(f"spool={where}: no spool is there; give spool= as it was named, or none for all")
        announce(f"nothing waits in {where}")
        return
    connect(existing=True)
    sent, reasons = 0, {}
    for folder in _innermost_first(waiting):
        if why := deliver(folder, _summarise, dead=True):
            reasons[folder] = why
        else:
            sent += 1
    announce(f"sent what waited of {sent} run(s)")
    if sent:
        conclude(f"next  {hint('python -m analysis compare')}\n")
    if reasons:
        raise UnsentError(f"{len(reasons)} run(s) wait on: {'; '.join(reasons.values())}")


def _summarise(run: Run, entry: str) -> None:
    if entry in ENTRIES:
        summarise(experiment_of(entry), run)
    elif entry == reproduce.ENTRY:
        reproduce.compare(run)
    else:
        tune.summarise(run)


def _innermost_first(folders: list[Path]) -> list[Path]:
    """Sort spools so that nested runs come before their parents: a launch is summarised when all its runs are sent."""
    owners = {}
    for folder in folders:
        try:
            owners[folder] = spool.read(folder)[0]
        except (OSError, ValueError) as error:
            announce(f"{folder}: {error}")
    parents = {owner.run: owner.parent for owner in owners.values()}

    def depth(run_id: str) -> int:
        return 0 if run_id not in parents else 1 + depth(parents[run_id])

    return sorted(owners, key=lambda folder: -depth(owners[folder].run))
