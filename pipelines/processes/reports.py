"""Reports of a row's process to the process that launched it: its phase, its progress, and messages for the user."""

import os
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

_EVERY_S = 0.1  # between two reports of progress: nobody reads faster
_ATOMIC = 512  # bytes: POSIX writes so many to a pipe whole or not at all


@dataclass(frozen=True)
class Report:
    """State of a row.

    Attributes:
        phase: what it does, such as "loading data", "training" or "evaluating".
        epoch: number of epochs done; 0 where there is no training.
        epochs: of all.
        share: of the training that is done, 0-1.
        loss: of the last update, None before the first.
        rate: updates a second.
        left_s: estimated seconds that the training still takes, with its evaluations; None before the first update.
        follows: whether the epochs are those of a training that follows the row's own.
    """

    phase: str
    epoch: int = 0
    epochs: int = 0
    share: float = 0.0
    loss: float | None = None
    rate: float = 0.0
    left_s: float | None = None
    follows: bool = False


@dataclass
class Reports:
    """The end at which a row's process reports; without a pipe, reports go nowhere and messages to stderr.

    A report that finds the pipe full is dropped, since the process that draws may be stopped: training never waits.
    """

    pipe: Connection | None = None
    last: Report = field(default_factory=lambda: Report("starting"))
    _sent: float = 0.0

    def open(self) -> None:
        """Prepare the pipe, in the process that reports."""
        if self.pipe is not None:
            os.set_blocking(self.pipe.fileno(), False)

    def copy(self) -> "Reports":
        """Another end of the same pipe, already prepared, which stays open when this one is closed."""
        copied = Reports(Connection(os.dup(self.pipe.fileno()), readable=False) if self.pipe else None)
        copied.open()
        return copied

    def close(self) -> None:
        """Close this end."""
        if self.pipe is not None:
            self.pipe.close()

    def pass_on(self, contents: Sequence[Report | str]) -> None:
        """Report what a row on another machine has reported."""
        for content in contents:
            if isinstance(content, str):
                self.message(content)
            else:
                self.progress(content, now=True)

    def phase(self, name: str) -> None:
        """Report that another phase has begun; figures of the training stay as they are."""
        self.progress(Report(name, self.last.epoch, self.last.epochs, follows=self.last.follows), now=True)

    def progress(self, report: Report, now: bool = False) -> None:
        """Report progress, at most every 0.1 s unless it is to be sent `now`."""
        self.last = report
        if now or time.monotonic() - self._sent > _EVERY_S:
            self._sent = time.monotonic()
            self._send(report)

    def message(self, text: str) -> None:
        """Pass on a message to the user; on stderr if the pipe does not take it."""
        if not self._send(text):
            print(text, file=sys.stderr, flush=True)

    def _send(self, content: Report | str) -> bool:
        if self.pipe is None or (isinstance(content, str) and len(content.encode()) > _ATOMIC // 2):
            return False
        with suppress(OSError):  # full, or the reader is gone
            self.pipe.send(content)
            return True
        return False
