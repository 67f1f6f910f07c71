"""Failures of the tracking server that may pass: told from refusals, waited for in growing pauses, not for minutes."""

import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from mlflow.exceptions import MlflowException

from pipelines.common.addresses import redacted

_LONGEST_S = 30  # of a pause between two attempts
_RETRIES = 2  # of one request: what fails then waits, and is tried again anyway


def is_outage(error: BaseException) -> bool:
    """Whether what failed may succeed later: the server is away, busy, broken, or wants other credentials.

    A server that says that something is wrong with what it was asked would say so again.
    """
    if isinstance(error, MlflowException):
        status = error.get_http_status_code()
        return status >= 500 or status in (401, 403, 408, 429) or _is_of_connection(error.__cause__)
    return isinstance(error, OSError)


def _is_of_connection(cause: BaseException | None) -> bool:
    """Whether SQLAlchemy's error is of the connection; MLflow takes some of these for errors of the request."""
    return type(cause).__name__ in ("OperationalError", "InterfaceError", "InternalError", "TimeoutError")


def reason(error: BaseException) -> str:
    """What `error` says, in a few words and without secrets."""
    text = str(error)
    for inner in (r"\[Errno -?\d+\] ([^'\")\]]+)", r"\(\w+\.OperationalError\) ([^\n]+)"):
        if found := re.findall(inner, text):
            return redacted(found[-1].strip())
    return redacted((text.splitlines() or [type(error).__name__])[0])


@dataclass
class Pause:
    """No attempt is made before `due`; the next pause is longer."""

    reason: str
    seconds: float = 1.0
    due: float = 0.0

    @classmethod
    def after(cls, before: "Pause | None", error: BaseException, took: float = 0.0) -> "Pause":
        """Twice as long as the one before, and twenty times as long as an attempt takes.

        Args:
            before: the pause before, None after a first failure.
            error: that the attempt raised.
            took: seconds of the attempt.
        """
        seconds = min(_LONGEST_S, 2 * before.seconds) if before else 1.0
        seconds = max(seconds, 20 * took)
        return cls(reason(error), seconds, time.monotonic() + seconds)


class _Limits:
    """How long MLflow tries, which it reads from the environment; several threads may set it at once."""

    def __init__(self):
        self._lock = threading.Lock()
        self._set: list[dict[str, str]] = []
        self._original: dict[str, str | None] = {}

    @contextmanager
    def __call__(self, retries: int = _RETRIES, timeout: int | None = None) -> Iterator[None]:
        """Within it MLflow gives up sooner than after the minutes of its own: what fails is kept.

        Args:
            retries: of one request.
            timeout: seconds for an answer; None for MLflow's own.
        """
        limits = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": str(retries)}
        if timeout is not None:
            limits["MLFLOW_HTTP_REQUEST_TIMEOUT"] = str(timeout)
        with self._lock:
            if not self._set:
                names_ = ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "MLFLOW_HTTP_REQUEST_TIMEOUT")
                self._original = {name: os.environ.get(name) for name in names_}
            self._set.append(limits)
            self._apply()
        try:
            yield
        finally:
            with self._lock:
                # Not by its value, which another's may have too.
                self._set = [each for each in self._set if each is not limits]
                self._apply()

    def _apply(self) -> None:
        merged = dict(self._original)
        for limits in self._set:
            merged.update(limits)
        for name, value in merged.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


impatient = _Limits()
