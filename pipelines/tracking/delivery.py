"""Brings what a run logs to the tracking server: at once, or, where that fails, from a spool once it can be.

Where the server is away, it is only asked now and then whether it is back, so that no training is held up. Where it
refuses a file, the file waits and everything else goes on. Sending twice does no harm, as the answer to what was sent
may have been lost: MLflow keeps one metric of a name, step, time and value, and so is all else here.
"""

import contextlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from pipelines import names
from pipelines.common.streams import announce
from pipelines.errors import AwayError
from pipelines.processes.signals import signals_later
from pipelines.tracking.outage import Pause, impatient, is_outage, reason
from pipelines.tracking.outbox import REGISTER, STATUS, SUMMARY, TAGS, Outbox
from pipelines.tracking.senders import SENDERS
from pipelines.tracking.spool import Owner, Spool, Waiting

PATIENCE_S = 600  # for what cannot be put off: a new run, the state of one that goes on
END_PATIENCE_S = 30  # at the end of a run, for what waits
REPLAY = "python -m pipelines replay"

Answer = TypeVar("Answer")


class Delivery:
    """All that one run sends.

    Args:
        run_id: of the run.
        owner: of the spool, asked for when one is needed.
        spool: what waits already.

    Attributes:
        outbox: what has not been sent.
        summarise: draws the summary of a launch, by the entry that made it.
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
        """Send something now, or keep it for later.

        Args:
            kind, content, place: see `spool.Waiting`.
            file: that goes with it; copied where it has to wait.

        Returns:
            What its sending gave, None where it waits.

        Raises:
            MlflowException: the server refuses it, and it is no file.
        """
        self.catch_up()
        # A file must not overtake an older one, nor a registration its model.
        pause = self._server or (self._files if file or kind == REGISTER else None)
        if not pause:
            try:
                with impatient():
                    return SENDERS[kind](self._client, self._run_id, content, file, False)
            except Exception as error:
                if not is_outage(error) and not file:
                    raise
                self._failed(error, bool(file), place)
        self.outbox.keep(kind, content, file, place)
        return None

    def ask(self, question: Callable[[], Answer], known: Callable[[], Answer]) -> Answer:
        """What the server says to `question`, or what is `known` here where it is away, or does not know all yet.

        Raises:
            MlflowException: the server refuses to answer.
        """
        self.catch_up()
        if not self._server and not self.outbox.waiting:
            try:
                with impatient():
                    return question()
            except Exception as error:
                if not is_outage(error):
                    raise
                self._failed(error, False, "")
        return known()

    def insist(self, question: Callable[[bool], Answer], what: str) -> Answer:
        """What the server says to `question`, asked again for PATIENCE_S while it is away.

        Args:
            question: told whether it was asked before; its answer may have been lost.
            what: it is for, in a few words.

        Raises:
            AwayError: it stays away.
            MlflowException: the server refuses to answer.
        """
        deadline, again = time.monotonic() + PATIENCE_S, False
        while True:
            try:
                with impatient():
                    answer = question(again)
                self._server = None
                return answer
            except Exception as error:
                if not is_outage(error):
                    raise
                if not again:
                    announce(f"{what} waits for the tracking server ({reason(error)})")
                again = True
                self._server = Pause.after(self._server, error)
                if time.monotonic() > deadline:
                    raise AwayError(f"{what}: the tracking server stays away ({reason(error)})") from error
            time.sleep(min(self._server.seconds, max(0.0, deadline - time.monotonic()) + 0.1))

    def catch_up(self, at_once: bool = False) -> None:
        """Send what waits, in order, as far as the server takes it; after a failure not before a pause is over."""
        if self._server and (at_once or time.monotonic() >= self._server.due):
            self._ask_whether_it_is_back()
        if self._server or not self.outbox.waiting:
            return
        self._send_waiting(at_once)
        if not self.outbox.waiting:
            announce(f"{self.outbox.name}: all that waited is on the tracking server now")
            self._files = None
            self.outbox.close()

    def finish(self, status: str, patience: float, held: str = "") -> str:
        """Send what waits, then the final status. Where that cannot be, the run is FAILED meanwhile, and says why.

        Args:
            status: FINISHED, FAILED or KILLED.
            patience: seconds.
            held: why it is not to be told yet, "" if it is.

        Returns:
            Why the server does not know all now, or "".
        """
        if self.outbox.lost and status == "FINISHED":
            status = "FAILED"
            self.send(TAGS, {names.FAILURE: f"lost: {self.outbox.lost}"[:5000]})
        content = {"status": status, "time": round(time.time() * 1000)}
        deadline = time.monotonic() + patience
        if self.outbox.waiting or held:
            self.outbox.keep(STATUS, content)
        else:
            self.send(STATUS, content)
        while self.outbox.waiting and not held:
            self.catch_up(at_once=True)
            if not self.outbox.waiting or time.monotonic() >= deadline:
                break
            time.sleep(min(1.0, patience))
        if not self.outbox.waiting:
            return ""
        self.outbox.give_up_memory()
        where = f"it is in {self.outbox.where}; send it: {REPLAY}"
        why = held or f"not all of it is on the tracking server ({self._why()}): {where}"
        self._tell(why)
        self.outbox.close()
        return why

    def answers(self) -> bool:
        """Whether the server answers now, be it with a refusal; asked cheaply."""
        try:
            with impatient(retries=0, timeout=5):
                self._client.get_run(self._run_id)
        except Exception as error:
            return not is_outage(error)
        return True

    @property
    def is_away(self) -> bool:
        """Whether the server did not answer when it was asked last."""
        return self._server is not None

    @property
    def left(self) -> str:
        """Why something waits still, and where, or ""."""
        return f"{self.outbox.where}: {self._why()}" if self.outbox.waiting else ""

    def adopt(self) -> bool:
        """Whether an earlier process of the run has left something here; it is sent, but for the end it came to."""
        if not self.outbox.adopt():
            return False
        self.catch_up(at_once=True)
        return True

    def _why(self) -> str:
        pause = self._server or self._files
        return pause.reason if pause else self._refused or "it waits"

    def _ask_whether_it_is_back(self) -> None:
        began = time.monotonic()
        try:
            with impatient(retries=0, timeout=5):
                self._client.get_run(self._run_id)
        except Exception as error:
            if is_outage(error):
                self._server = Pause.after(self._server, error, time.monotonic() - began)
                return
        self._server = None

    def _send_waiting(self, at_once: bool) -> None:
        """Send what waits until the server is away again; what is refused stays, and nothing overtakes a file."""
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
            with impatient():
                SENDERS[waiting.kind](self._client, self._run_id, waiting.content, path, True)
        self.outbox.drop(waiting)

    def _failed(self, error: Exception, is_file: bool, place: str) -> None:
        """Note a failure: of the store of artifacts where the server itself answers, else of the server."""
        if is_file and not self._server and self.answers():
            if self._files is None and place:
                announce(f"{self.outbox.name}: {place} could not be uploaded ({reason(error)}); a copy waits here")
            self._files = Pause.after(self._files, error)
        elif is_outage(error):
            if self._server is None:
                away = f"the tracking server is away ({reason(error)})"
                announce(f"{self.outbox.name}: {away}; it goes on, what it logs waits here")
            self._server = Pause.after(self._server, error)

    def _tell(self, why: str) -> None:
        """Say on the server, if it listens, that not all is there; the final status takes the place of this."""
        with contextlib.suppress(MlflowException, OSError), impatient(retries=0, timeout=5), signals_later():
            # First: a full database may have room for this yet.
            self._client.set_terminated(self._run_id, "FAILED")
            self._client.set_tag(self._run_id, names.FAILURE, why[:5000])
