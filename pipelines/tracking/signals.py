"""Signals and the tracking server: a write to it is never broken off."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from pipelines.errors import Interrupted


@contextmanager
def signals_later() -> Iterator[None]:
    """SIGINT and SIGTERM that come within it are handled at its end; for writes to the tracking server.

    One that is broken off would leave an SQLite database locked for those on the way out. A server that does not answer
    delays the signal by the seconds of MLflow's time limit.
    """
    if threading.current_thread() is not threading.main_thread():  # signals come to the main thread only
        yield
        return
    came: list[int] = []
    before = {
        number: signal.signal(number, lambda number, frame: came.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])


def interruption(error: BaseException | None) -> Interrupted | None:
    """The interruption that `error` came of, if any: a file half written by torch.save fails when it is closed."""
    while error is not None and not isinstance(error, Interrupted):
        error = error.__cause__ or error.__context__
    return error
