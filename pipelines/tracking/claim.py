"""A claim on a launch, kept in the tracking server with a heartbeat, so that one process at a time works on it.

Processes of other hosts and containers cannot be seen, so two could continue the same launch at once. The process that
works on a launch keeps a tag on it and changes the tag every few seconds. No other process begins unless that process
has certainly ended, or the tag has not changed for long, by the waiting process's own clock: those of hosts may differ.
"""

import contextlib
import json
import os
import secrets
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from pipelines import names
from pipelines.common.streams import announce
from pipelines.errors import UserError
from pipelines.processes import identity
from pipelines.processes.identity import Identity
from pipelines.processes.liveness import ALIVE, GONE, SILENT_S, fate
from pipelines.processes.signals import signals_later
from pipelines.tracking.outage import short_timeouts
from pipelines.tracking.run import Run

BEAT_S = 10  # between two heartbeats
SETTLE_S = 3  # a claim that no other process has overwritten after so long is held
_POLL_S = 1


@dataclass(frozen=True)
class Claim:
    """Content of the tag: a random number for the owner of the claim, its process, and the number of heartbeats."""

    owner: str
    process: Identity
    beat: int = 0

    @classmethod
    def own(cls) -> "Claim":
        """Returns a new claim of this process."""
        return cls(secrets.token_hex(8), identity.own())

    @classmethod
    def of(cls, tag: str | None) -> "Claim | None":
        """Returns the claim in a tag that `text` made, or None."""
        if tag is None:
            return None
        with contextlib.suppress(ValueError, TypeError, KeyError, AttributeError):
            fields = json.loads(tag)
            process = Identity.of(fields["process"])
            return cls(str(fields["owner"]), process, int(fields["beat"])) if process else None
        return None

    @property
    def text(self) -> str:
        """Text of the tag."""
        return json.dumps({"owner": self.owner, "beat": self.beat, "process": self.process.tags})


class Mark:
    """A tag of a run that is never sent later, if the server does not answer now: it would be out of date."""

    def __init__(self, run_id: str, name: str):
        self.run_id, self._name = run_id, name
        self._client = MlflowClient()

    def read(self) -> str | None:
        """Returns its text, "" if the run has no such tag, None if the server does not answer."""
        try:
            with short_timeouts(retries=0):
                return self._client.get_run(self.run_id).data.tags.get(self._name, "")
        except (MlflowException, OSError):
            return None

    @signals_later()
    def write(self, text: str) -> None:
        """Set the tag, or delete it if `text` is empty."""
        with contextlib.suppress(MlflowException, OSError), short_timeouts(retries=0):
            if text:
                self._client.set_tag(self.run_id, self._name, text)
            else:
                self._client.delete_tag(self.run_id, self._name)


@contextmanager
def held(run: Run, contested: bool = False) -> Iterator[None]:
    """Claim the launch `run` for this process, and send heartbeats within the block.

    Args:
        run: the parent run of the launch.
        contested: other processes may claim it at the same time.

    Raises:
        UserError: another process works on it, or has claimed it first.
    """
    claim, mark = Claim.own(), Mark(run.id, names.CLAIM)
    if contested:
        _await_free(mark)
    mark.write(claim.text)
    if contested:
        time.sleep(SETTLE_S)
        _require_own(mark, claim)
    ended = threading.Event()
    beating = threading.Thread(target=_beat, args=(Mark(run.id, names.CLAIM), claim, ended), daemon=True)
    beating.start()
    try:
        yield
    finally:
        ended.set()
        # With a timeout: the thread may be waiting for a server that does not answer.
        beating.join(_POLL_S)
        if (last := Claim.of(mark.read())) and last.owner == claim.owner:
            mark.write("")


def _await_free(mark: Mark) -> None:
    """Return when no live process claims the launch, as far as can be seen.

    Raises:
        UserError: a live process claims it.
    """
    claim = Claim.of(mark.read())
    if claim is None or (state := fate(claim.process).state) == GONE:
        return
    if state == ALIVE:
        raise _taken(mark, claim)
    announce(f"{claim.process} may be at work on run {mark.run_id}: waiting for a heartbeat, {SILENT_S:g} s at most")
    silent_at = time.monotonic() + SILENT_S
    while time.monotonic() < silent_at:
        time.sleep(_POLL_S)
        text = mark.read()
        # None: the server does not answer, which says nothing about other processes.
        if text is not None and (now := Claim.of(text)) != claim:
            if now is None:
                return
            raise _taken(mark, now)


def _require_own(mark: Mark, claim: Claim) -> None:
    now = Claim.of(mark.read())
    if now is None or now.owner != claim.owner:
        raise _taken(mark, now)


def _taken(mark: Mark, claim: Claim | None) -> UserError:
    who = claim.process if claim else "another process"
    return UserError(f"resume={mark.run_id}: {who} is at work on it: wait, or end it first")


def _beat(mark: Mark, claim: Claim, ended: threading.Event) -> None:
    """Send heartbeats; end this process if another one has taken over the launch."""
    while not ended.wait(BEAT_S):
        now = Claim.of(mark.read())
        if now and now.owner != claim.owner:
            announce(f"{now.process} works on run {mark.run_id} now, since this process sent no heartbeat: it ends")
            os.kill(os.getpid(), signal.SIGTERM)
            return
        claim = replace(claim, beat=claim.beat + 1)
        mark.write(claim.text)
