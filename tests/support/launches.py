"""Questions and requirements that tests of launches have for the place where something was launched."""

import re
import time

import psutil

ENDLESS = 20000  # epochs of a training that is never at its end, however fast, when a test stops it
WAY_OUT_S = 120  # for a launch to record its end; most of it is waiting for a free core


def until(condition, process, seconds=240):
    """Waits, while `process` runs, until `condition` returns something true, and returns that."""
    deadline = time.monotonic() + seconds
    asking = time.process_time()
    while not (found := condition()):
        assert process.poll() is None, f"it ended before{_last_words(process)}"
        assert time.monotonic() < deadline, "it takes too long"
        # Asking takes a tenth of a core at most: the process needs it.
        time.sleep(max(0.02, 9 * (time.process_time() - asking)))
        asking = time.process_time()
    return found


def _last_words(process) -> str:
    """What a process that a `Place` has started said last, which tells why it ended."""
    folder = getattr(process, "folder", None)
    return f": {(folder / 'stderr').read_text()[-2000:]}" if folder else ""


def run_of(place, name):
    """A condition for `until`: the run of that name, None until it is there."""
    return lambda: place.runs().get(name)


def checkpoint_of(place, name):
    """A condition for `until`: the run of that name once it has a checkpoint, so in the middle of its training."""
    return lambda: (run := place.runs().get(name)) and "checkpoint" in run.data.tags and run


def statuses(place):
    """Name to status of every run."""
    return {name: run.info.status for name, run in place.runs().items()}


def complaint(place) -> str:
    """The last line of stderr, which must be its only one that begins with `error:`, without a traceback."""
    assert "Traceback" not in place.stderr
    lines = place.stderr.splitlines()
    assert [line for line in lines if line.startswith("error:")] == lines[-1:]
    return lines[-1]


def without_progress(stderr: str) -> list[str]:
    """The lines of a log without those that say, every ten seconds, what goes on: a busy machine may need so long."""
    phases = r"(starting|loading data|fitting|training( for validation)?|evaluating|exporting|trial \d+)"
    going_on = re.compile(rf"\S.*: ({phases}(, epoch \d+/\d+.*)?|.* \(\d.*\))")
    return [line for line in stderr.splitlines() if not going_on.fullmatch(line)]


def require_nothing_left(place):
    """Waits until no process of the launch is left, and fails after WAY_OUT_S."""
    deadline = time.monotonic() + WAY_OUT_S
    while left := place.processes():
        assert time.monotonic() < deadline, "\n".join([*map(_described, left), place.stderr[-2000:]])
        time.sleep(0.2)


def _described(process: psutil.Process) -> str:
    """What tells why a process is still there: whether it sleeps or computes, and for whom."""
    try:
        with process.oneshot():
            used = process.cpu_times()
            return (
                f"{process.pid} of {process.ppid()}: {process.status()}, {used.user + used.system:.1f} s of processor "
                f"time, {process.num_threads()} threads: {' '.join(process.cmdline())}"
            )
    except psutil.Error as error:
        return str(error)
