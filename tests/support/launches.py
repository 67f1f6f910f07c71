"""What the tests of launches ask and require of the place where something was launched."""

import time

WAY_OUT_S = 120  # for a launch to record its end, most of it for want of a free core


def until(condition, process, seconds=240):
    """What `condition` gives as soon as that is true, while `process` runs."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert process.poll() is None, "it ended before"
        assert time.monotonic() < deadline, "it takes too long"
        time.sleep(0.02)
    return found


def run_of(place, name):
    return lambda: place.runs().get(name)


def checkpoint_of(place, name):
    """The run once it has a checkpoint, so in the midst of its training."""
    return lambda: (run := place.runs().get(name)) and "checkpoint" in run.data.tags and run


def statuses(place):
    return {name: run.info.status for name, run in place.runs().items()}


def complaint(place) -> str:
    """The one line that begins with `error:`, the last of stderr."""
    assert "Traceback" not in place.stderr
    lines = place.stderr.splitlines()
    assert [line for line in lines if line.startswith("error:")] == lines[-1:]
    return lines[-1]


def require_nothing_left(place):
    deadline = time.monotonic() + WAY_OUT_S
    while left := place.processes():
        assert time.monotonic() < deadline, [process.cmdline() for process in left]
        time.sleep(0.2)
