"""Sending of what a run logs to the tracking server: at once or, if that fails, later from a spool.

While the server is unreachable, it is polled at growing intervals only, so that training is not held up. If it refuses
a file, the file waits and everything else is sent. An answer may be lost, so an item may be sent twice, which has no
effect: MLflow keeps one metric of a name, step, time and value, and the other kinds are sent in a way that allows it.
"""

import contextlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from pipelines import names
from pipelines.common.command import hint
from pipelines.common.streams import announce
from pipelines.errors import AwayError
from pipelines.processes.signals import signals_later
from pipelines.tracking.outage import Pause, is_outage, reason, short_timeouts
from pipelines.tracking.outbox import REGISTER, STATUS, SUMMARY, TAGS, Outbox, StatusContent
from pipelines.tracking.senders import SENDERS
from pipelines.tracking.spool import Owner, Spool, Waiting

RETRY_TIMEOUT_S = 600  # of requests that cannot be put off: a new run, the state of a resumed one
END_TIMEOUT_S = 30  # of sending what is left, at the end of a run

Answer = TypeVar("Answer")


def replay() -> str:
    """The command that sends what is left."""
    return hint("python -m pipelines replay")


class Delivery:
    """Sender of what one run logs.

    Args:
        run_id: of the run.
        owner: returns the owner of the spool, called when a spool is needed.
        spool: an open spool of the run, if there is one.

    Attributes:
        outbox: items that have not been sent.
        summarise: draws the summary of a launch, given the name of its entry; None where it cannot be drawn.
    """

    def __init__(self, run_id: str, owner: Callable[[], Owner], spool: Spool | None = None):
        self._run_id = run_id
        self._client = MlflowClient()
        self.outbox = Outbox(run_id, owner, spool)
        self._server: Pause | None = None
        self._files: Pause | None = None
        self._refused = ""
        self.summarise: Callable[[str], None] | None = None

    def send(self, kind: str, content: Mapping[str, Any], file: Path | None = None, place: str = "") -> Any:
        """Send an item now, or keep it for later.

        Args:
            kind, content, place: see `spool.Waiting`.
            file: file of the item, if it has one; copied if it has to wait.

        Returns:
            The result of its sender, None if it waits.

        Raises:
            MlflowException: the server refuses it, and it has no file.
        """
        self.catch_up()
        # A file must not overtake an older one, nor a registration its model.
        pause = self._server or (self._files if file or kind == REGISTER else None)
        if not pause:
            try:
                with short_timeouts():
                    return SENDERS[kind](self._client, self._run_id, content, file, False)
            except Exception as error:
                if not is_outage(error) and not file:
                    raise
                self._failed(error, bool(file), place)
        self.outbox.keep(kind, content, file, place)
        return None

    def query(self, request: Callable[[], Answer], known: Callable[[], Answer]) -> Answer:
        """Return the result of a request to the server, or of `known` if it is unreachable or items still wait.

        Raises:
            MlflowException: the server refuses the request.
        """
        self.catch_up()
        if not self._server and not self.outbox.waiting:
            try:
                with short_timeouts():
                    return request()
            except Exception as error:
                if not is_outage(error):
                    raise
                self._failed(error, False, "")
        return known()

    def retry(self, request: Callable[[bool], Answer], purpose: str) -> Answer:
        """Return the result of a request to the server, retried for RETRY_TIMEOUT_S while that is unreachable.

        Args:
            request: its argument says whether it was made before, as the answer may have been lost.
            purpose: of the request, in a few words, for messages.

        Raises:
            AwayError: the server stays unreachable.
            MlflowException: the server refuses the request.
        """
        deadline, again = time.monotonic() + RETRY_TIMEOUT_S, False
        while True:
            try:
                with short_timeouts():
                    answer = request(again)
                self._server = None
                return answer
            except Exception as error:
                if not is_outage(error):
                    raise
                if not again:
                    announce(f"{purpose} waits for the tracking server ({reason(error)})")
                again = True
                self._server = Pause.after(self._server, error)
                if time.monotonic() > deadline:
                    raise AwayError(f"{purpose}: the tracking server stays away ({reason(error)})") from error
            time.sleep(min(self._server.seconds, max(0.0, deadline - time.monotonic()) + 0.1))

    def catch_up(self, at_once: bool = False) -> None:
        """Send the waiting items in order while the server accepts them; after a failure, when the pause is over."""
        if self._server and (at_once or time.monotonic() >= self._server.due):
            self._check_server()
        if self._server or not self.outbox.waiting:
            return
        self._send_waiting(at_once)
        if not self.outbox.waiting:
            announce(f"{self.outbox.name}: all that waited is on the tracking server now")
            self._files = None
            self.outbox.close()

    def finish(self, status: str, timeout: float, held: str = "") -> str:
        """Send the waiting items, then the final status. If that fails, the run is FAILED for now, and a tag says why.

        Args:
            status: FINISHED, FAILED or KILLED.
            timeout: seconds.
            held: why the status is not to be sent yet, "" if it is.

        Returns:
            Why the server has not got everything, or "".
        """
        if self.outbox.lost and status == "FINISHED":
            status = "FAILED"
            self.send(TAGS, {names.FAILURE: f"lost: {self.outbox.lost}"[:5000]})
        content = StatusContent(status=status, time=round(time.time() * 1000))
        deadline = time.monotonic() + timeout
        if self.outbox.waiting or held:
            self.outbox.keep(STATUS, content)
        else:
            self.send(STATUS, content)
        while self.outbox.waiting and not held:
            self.catch_up(at_once=True)
            if not self.outbox.waiting or time.monotonic() >= deadline:
                break
            time.sleep(min(1.0, timeout))
        if not self.outbox.waiting:
            return ""
        self.outbox.give_up_memory()
        where = f"it is in {self.outbox.where}; send it: {replay()}"
        why = held or f"not all of it is on the tracking server ({self._why()}): {where}"
        self._mark_incomplete(why)
        self.outbox.close()
        return why

    def answers(self) -> bool:
        """Returns whether the server answers now, even with a refusal; has a short timeout."""
        try:
            with short_timeouts(retries=0, timeout=5):
                self._client.get_run(self._run_id)
        except Exception as error:
            return not is_outage(error)
        return True

    @property
    def is_away(self) -> bool:
        """True if the server was unreachable at the last request."""
        return self._server is not None

    @property
    def left(self) -> str:
        """Reason why items still wait, and the place where they do, or ""."""
        return f"{self.outbox.where}: {self._why()}" if self.outbox.waiting else ""

    def adopt(self) -> bool:
        """Send what an earlier process of the run left, except its final status; returns whether there was any."""
        if not self.outbox.adopt():
            return False
        self.catch_up(at_once=True)
        return True

    def _why(self) -> str:
        pause = self._server or self._files
        return pause.reason if pause else self._refused or "it waits"

    def _check_server(self) -> None:
        """Note whether the server answers again."""
        began = time.monotonic()
        try:
            with short_timeouts(retries=0, timeout=5):
                self._client.get_run(self._run_id)
        except Exception as error:
            if is_outage(error):
                self._server = Pause.after(self._server, error, time.monotonic() - began)
                return
        self._server = None

    def _send_waiting(self, at_once: bool) -> None:
        """Send the waiting items until the server is unreachable; refused ones stay, and no item overtakes a file."""
        files_wait = self._files is not None and not at_once and time.monotonic() < self._files.due
        for waiting in list(self.outbox.waiting):
            last = waiting.kind in (SUMMARY, STATUS) and waiting is not self.outbox.waiting[0]
            is_file = bool(waiting.file) or waiting.kind == REGISTER
            if last or (is_file and files_wait) or (waiting.kind == SUMMARY and self.summarise is None):
                continue
            try:
                self._send_one(waiting)
            except Exception as error:
                if not is_file and not is_outage(error):
                    self._refused = f"{waiting.kind}: {reason(error)}"
                    continue
                files_wait |= is_file
                self._failed(error, is_file, "")
                if self._server:
                    return

    def _send_one(self, waiting: Waiting) -> None:
        if waiting.kind == SUMMARY and self.summarise is not None:
            self.summarise(waiting.content["entry"])
        else:
            path = self.outbox.path(waiting)
            with short_timeouts():
                SENDERS[waiting.kind](self._client, self._run_id, waiting.content, path, True)
        self.outbox.drop(waiting)

    def _failed(self, error: Exception, is_file: bool, place: str) -> None:
        """Note a failure: of the store of artifacts if the server itself answers, else of the server."""
        if is_file and not self._server and self.answers():
            if self._files is None and place:
                announce(f"{self.outbox.name}: {place} could not be uploaded ({reason(error)}); a copy waits here")
            self._files = Pause.after(self._files, error)
        elif is_outage(error):
            if self._server is None:
                away = f"the tracking server is away ({reason(error)})"
                announce(f"{self.outbox.name}: {away}; it goes on, what it logs waits here")
            self._server = Pause.after(self._server, error)

    def _mark_incomplete(self, why: str) -> None:
        """Mark the run FAILED on the server, if that answers, until everything is there and the final status is set."""
        with contextlib.suppress(MlflowException, OSError), short_timeouts(retries=0, timeout=5), signals_later():
            # First: a full database may still have room for this.
            self._client.set_terminated(self._run_id, "FAILED")
            self._client.set_tag(self._run_id, names.FAILURE, why[:5000])
