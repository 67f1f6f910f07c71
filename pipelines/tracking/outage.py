"""Temporary failures of the tracking server: their detection, growing pauses between attempts, and short timeouts."""

import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from mlflow.exceptions import MlflowException

from pipelines.common.addresses import redacted

_LONGEST_S = 30  # longest pause between two attempts
_RETRIES = 2  # of one request; if they fail, it waits, and is tried again later


def is_outage(error: BaseException) -> bool:
    """Returns whether a request may succeed later: the server is unreachable, busy, broken, or refuses the credentials.

    An error in the request itself would only occur again.
    """
    if isinstance(error, MlflowException):
        status = error.get_http_status_code()
        return status >= 500 or status in (401, 403, 408, 429) or _is_of_connection(error.__cause__)
    return isinstance(error, OSError)


def _is_of_connection(cause: BaseException | None) -> bool:
    """Returns whether the cause is an error of a database connection; MLflow reports some of these as bad requests."""
    return type(cause).__name__ in ("OperationalError", "InterfaceError", "InternalError", "TimeoutError")


def reason(error: BaseException) -> str:
    """Returns the message of `error`, short and without secrets."""
    text = str(error)
    for inner in (r"\[Errno -?\d+\] ([^'\")\]]+)", r"\(\w+\.OperationalError\) ([^\n]+)"):
        if found := re.findall(inner, text):
            return redacted(found[-1].strip())
    return redacted((text.splitlines() or [type(error).__name__])[0])


@dataclass
class Pause:
    """A pause in which no request is made, until `due` by the monotonic clock; each is longer than the one before."""

    reason: str
    seconds: float = 1.0
    due: float = 0.0

    @classmethod
    def after(cls, before: "Pause | None", error: BaseException, took: float = 0.0) -> "Pause":
        """Returns a pause twice as long as the one before, and at least twenty times as long as an attempt takes.

        Args:
            before: the pause before, None after a first failure.
            error: raised by the attempt.
            took: duration of the attempt in seconds.
        """
        seconds = min(_LONGEST_S, 2 * before.seconds) if before else 1.0
        seconds = max(seconds, 20 * took)
        return cls(reason(error), seconds, time.monotonic() + seconds)


class _Limits:
    """Retries and timeout of MLflow, set in the environment, by several threads at once if need be."""

    def __init__(self):
        self._lock = threading.Lock()
        self._set: list[dict[str, str]] = []
        self._original: dict[str, str | None] = {}

    @contextmanager
    def __call__(self, retries: int = _RETRIES, timeout: int | None = None) -> Iterator[None]:
        """Have MLflow give up sooner than its own defaults, which are minutes, within the block.

        Args:
            retries: of one request.
            timeout: seconds to wait for an answer; None for MLflow's own.
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
                # By identity: another thread may have set the same values.
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


short_timeouts = _Limits()
