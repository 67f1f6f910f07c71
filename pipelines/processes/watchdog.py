"""A look now and then at a process that is waited for, which may have been stopped or hang."""

import time
from dataclasses import dataclass, field

import psutil

from pipelines.processes import liveness

LOOK_S = 5  # between two looks
STOPPED_S = 60  # a process stopped (SIGSTOP) for so long is ended
HUNG_S = 3600  # so is one that has not computed for so long; uploads to a slow server take processor time, too
BUSY_S = 0.2  # seconds of processor time within HUNG_S; what watches within a process takes less


@dataclass
class Watchdog:
    """Tells when to give a process up.

    Attributes:
        pid: of the process.
        hung_s: limit in seconds, instead of HUNG_S.
        busy_s: seconds of processor time within `hung_s` that it must use.
    """

    pid: int
    hung_s: float = field(default_factory=lambda: HUNG_S)
    busy_s: float = BUSY_S

    def __post_init__(self) -> None:
        self._looked = time.monotonic()
        self._stopped = self._idle = 0.0
        self._used = self._processor_time()

    def verdict(self) -> str:
        """Why the process is to be ended, or ""; to be asked about every LOOK_S seconds."""
        now = time.monotonic()
        # Where nobody looked, both may have been stopped, as by Ctrl-Z: such a time does not count.
        passed, self._looked = min(now - self._looked, 2 * LOOK_S), now
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
