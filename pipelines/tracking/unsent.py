"""Sending of spools that ended processes have left on this machine."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.utils.time import get_current_time_millis

from pipelines.common import server
from pipelines.common.streams import announce
from pipelines.errors import AwayError, UnsentError
from pipelines.tracking import spool
from pipelines.tracking.delivery import Delivery, replay
from pipelines.tracking.outage import is_outage, reason, short_timeouts
from pipelines.tracking.outbox import STATUS, SUMMARY
from pipelines.tracking.run import KILLED, Run


def send_left(*run_ids: str) -> list[str]:
    """Send the spools of these runs and of those nested in them; returns why some of them still wait.

    The spools of active runs are not touched.
    """
    left = spool.of_owners(lambda owner: not {owner.run, owner.parent}.isdisjoint(run_ids))
    return [why for folder in left if (why := deliver(folder))]


def require_sent(run: Run) -> None:
    """Send the spools of the runs nested in `run`.

    Raises:
        UnsentError: some of them still wait.
    """
    if left := [why for folder in spool.within(run.id) if (why := deliver(folder))]:
        raise UnsentError(
            f"{len(left)} of its runs are not wholly on the tracking server ({left[0]}); send them: {replay()}"
        )


def require_all(run: Run) -> None:
    """Make sure that the runs nested in `run` are completely on the tracking server.

    Raises:
        AwayError: they are not, or the server is unreachable.
    """
    run.delivery.query(lambda: None, run.record.known)
    if run.delivery.is_away or spool.within(run.id):
        raise AwayError(f"{run.record.label}: not all of its runs are on the tracking server")


def put_off_summary(run: Run, entry: str) -> None:
    """Put off the summary of `run`, which `entry` makes from its nested runs, until they are sent."""
    run.delivery.outbox.keep(SUMMARY, {"entry": entry})


@contextmanager
def announced() -> Iterator[None]:
    """Announce an UnsentError of the block instead of raising it."""
    try:
        yield
    except UnsentError as error:
        announce(str(error))


def deliver(folder: Path, summarise: Callable[[Run, str], None] | None = None, dead: bool = False) -> str:
    """Send the items of a spool to the tracking server in use.

    Args:
        folder: of the spool.
        summarise: makes the summary of a launch, given its run and its entry point; without it, the summary waits.
        dead: the process has ended, so a run without a final status was killed.

    Returns:
        Reason why some items still wait, or "".
    """
    try:
        with spool.opened(folder) as opened:
            return _delivered(opened, summarise, dead)
    except spool.BusyError:
        return f"{folder} is in use by its run"
    except (OSError, ValueError) as error:
        return f"{folder}: {reason(error)}"


def _delivered(opened: spool.Spool, summarise: Callable[[Run, str], None] | None, dead: bool) -> str:
    owner, here = opened.owner, server.address()
    if owner.server != here:
        return f"{opened.folder} is of {owner.server}, not of {here}: set MLFLOW_TRACKING_URI"
    sender = Delivery(owner.run, lambda: owner, opened)
    try:
        with short_timeouts(retries=0):
            tags = MlflowClient().get_run(owner.run).data.tags
    except MlflowException as error:
        why = "does not answer" if is_outage(error) else "refuses it"
        return f"{opened.folder}: {here} {why} ({reason(error)})"
    if spool.fingerprint(tags) not in owner.processes:
        return f"{opened.folder}: the run {owner.run} was continued by another process since: remove it if all is well"
    if dead and not any(waiting.kind == STATUS for waiting in opened.waiting):
        sender.outbox.keep(STATUS, {"status": KILLED, "time": get_current_time_millis()})
    if summarise is not None:
        sender.summarise = lambda entry: _sum_up(Run(owner.run), entry, summarise)
    sender.catch_up(at_once=True)
    return sender.left


def _sum_up(run: Run, entry: str, summarise: Callable[[Run, str], None]) -> None:
    """Make the summary that was put off.

    Raises:
        AwayError: the server became unreachable meanwhile.
    """
    summarise(run, entry)
    run.flush()
    if run.delivery.outbox.waiting or run.delivery.outbox.lost:
        raise AwayError(f"{run.record.label}: the tracking server went away again")
