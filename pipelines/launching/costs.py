"""Processor time and energy of a run."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from pipelines import names
from pipelines.errors import UserError
from pipelines.processes import usage
from pipelines.tracking.run import Run

# Linux tells the energy that Intel's and AMD's processors have used, where it may be read (as a rule by root alone), in
# a folder for each package; the counters of its parts are in folders below, and are contained in it.
POWERCAP = Path("/sys/class/powercap")


@contextmanager
def costs(run: Run, powercap: Path = POWERCAP) -> Iterator[Callable[[], AbstractContextManager[None]]]:
    """Log the processor time and, where the machine tells, the energy of the block.

    The processor time is of this process and of those that worked for it and have ended, from the beginning of each.
    The energy is the machine's, whatever ran beside. Of a block that raises, both are noted in a tag, and added to what
    the run costs when it is continued; a process that was killed outright notes nothing.

    Yields:
        What makes a block within this one that is left out, also where it raises.

    Raises:
        UserError: the tag is not what was written.
    """
    before, earlier = energy(powercap), _spent_before(run)
    left_out: defaultdict[str, float] = defaultdict(float)

    def spent() -> dict[str, float]:
        after = energy(powercap)
        used = {name: (joules - before[name][0]) % whole for name, (joules, whole) in after.items() if name in before}
        own = {names.CPU_TIME: usage.processor_time()} | ({names.ENERGY: sum(used.values())} if used else {})
        return {name: value + earlier.get(name, 0.0) - left_out[name] for name, value in own.items()}

    @contextmanager
    def apart() -> Iterator[None]:
        began = spent()
        try:
            yield
        finally:
            for name, value in spent().items():
                left_out[name] += value - began.get(name, 0.0)

    try:
        yield apart
    except BaseException:
        run.set_tags({names.SPENT: json.dumps(spent())})
        raise
    run.log_metrics(spent())


def _spent_before(run: Run) -> dict[str, float]:
    """What the processes cost that were at work on a run and did not finish it, by the name of the metric."""
    text = run.tags.get(names.SPENT, "{}")
    try:
        return {str(name): float(value) for name, value in json.loads(text).items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise UserError(
            f"its tag {names.SPENT!r} is not what was written ({text[:60]!r}): delete that in MLflow's UI"
        ) from error


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
