"""Detection of a process that was stopped, or hangs, while another one waits for it."""

import time
from dataclasses import dataclass, field

import psutil

from pipelines.processes import liveness

POLL_S = 5  # between two polls
STOPPED_S = 60  # a process stopped (SIGSTOP) for so long is ended
HUNG_S = 3600  # so is one that has used no processor time for so long; uploads to a slow server use some, too
BUSY_S = 0.2  # seconds of processor time within HUNG_S; the threads that watch inside a process use less


@dataclass
class Watchdog:
    """Decides when a process is to be ended.

    Attributes:
        pid: of the process.
        hung_s: limit in seconds, instead of HUNG_S.
        busy_s: seconds of processor time within `hung_s` that it must use.
    """

    pid: int
    hung_s: float = field(default_factory=lambda: HUNG_S)
    busy_s: float = BUSY_S

    def __post_init__(self) -> None:
        self._polled = time.monotonic()
        self._stopped = self._idle = 0.0
        self._used = self._processor_time()

    def verdict(self) -> str:
        """Returns why the process is to be ended, "" if it is not; to be called about every POLL_S seconds."""
        now = time.monotonic()
        # A long time between two polls does not count: both processes may have been stopped, as by Ctrl-Z.
        passed, self._polled = min(now - self._polled, 2 * POLL_S), now
        self._stopped = self._stopped + passed if liveness.state(self.pid) == "T" else 0
        used = self._processor_time()
        if used - self._used >= self.busy_s:
            self._used, self._idle = used, 0
        else:
            self._idle += passed
        if self._stopped > STOPPED_S:
            return f"it was stopped (SIGSTOP) for more than {STOPPED_S:g} s"
        if self._idle > self.hung_s:
            return f"it has computed nothing for {self.hung_s:g} s"
        return ""

    def _processor_time(self) -> float:
        try:
            times = psutil.Process(self.pid).cpu_times()
        except psutil.Error:
            return 0.0
        return times.user + times.system
