"""Processor time and energy of a run."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipelines import names
from pipelines.tracking.run import Run

# Linux tells the energy that Intel's and AMD's processors have used, where it may be read (as a rule by root alone), in
# a folder for each package; the counters of its parts are in folders below, and are contained in it.
POWERCAP = Path("/sys/class/powercap")


@contextmanager
def costs(run: Run, powercap: Path = POWERCAP) -> Iterator[None]:
    """Log the processor time and, where the machine tells, the energy of the block, unless it raises.

    The processor time is of this process and of those that it has started and waited for, from the beginning of each:
    of a continued run, of the processes that finished it. The energy is the machine's, whatever ran beside.
    """
    before = energy(powercap)
    yield
    after = energy(powercap)
    used = {name: (joules - before[name][0]) % whole for name, (joules, whole) in after.items() if name in before}
    run.log_metrics({names.CPU_TIME: _cpu_time()} | ({names.ENERGY: sum(used.values())} if used else {}))


def energy(powercap: Path = POWERCAP) -> dict[str, tuple[float, float]]:
    """Energy counter of each package that tells it, and the value at which it begins again at 0, in joules."""
    found = {}
    for package in powercap.glob("intel-rapl:*"):
        if package.name.count(":") == 1:
            try:
                counter, whole = (int((package / name).read_text()) for name in ("energy_uj", "max_energy_range_uj"))
            except (OSError, ValueError):
                continue
            found[package.name] = counter / 1e6, whole / 1e6
    return found


def _cpu_time() -> float:
    import resource  # not available on Windows

    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime
