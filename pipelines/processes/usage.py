"""Processor time of this process and of those that work for it, whoever their parent is."""

import contextlib
import os
import time
from multiprocessing.process import BaseProcess

import psutil

_helped_s = 0.0  # of the processes that `count_in` and `count` were told of


def processor_time() -> float:
    """Seconds of this process, of its children that have ended, and of what `count_in` and `count` were told of."""
    import resource  # not available on Windows

    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime + _helped_s


def count(seconds: float) -> None:
    """Count in what processes that are no children of this one, or on another machine, have worked for it."""
    global _helped_s
    _helped_s += seconds


def count_in(process: BaseProcess) -> None:
    """Count in the time of a process that works for this one and is about to end.

    The system tells that of children alone, and a process that was forked from the server is none.
    """
    with contextlib.suppress(psutil.Error):  # it has ended already
        worker = psutil.Process(process.pid)
        if worker.ppid() != os.getpid():
            used = worker.cpu_times()
            count(used.user + used.system)
