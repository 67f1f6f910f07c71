"""Commands in processes that are forked: a new Python would import what they need for ten seconds, twice.

Such a process has its own session, folder, environment and output, as one that was started has, and the same
descendants: its server of rows is forked too.
"""

import atexit
import gc
import multiprocessing.process
import os
import runpy
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from multiprocessing import forkserver, resource_tracker, util
from multiprocessing.context import ForkServerContext

from pipelines.common import garbage

_SERVER = "pipelines.processes.forkserver"  # the module that a server of rows imports first, for what that does


class Forked:
    """A command that runs, with the methods of subprocess.Popen.

    Args:
        server: context of processes that are forked with the imports.
        words: module and arguments.
        folder: where it runs, with its output in the files ``stdout`` and ``stderr``.
        environment: all of it.
    """

    def __init__(self, server: ForkServerContext, words: Sequence[str], folder: str, environment: Mapping[str, str]):
        self._words = words
        self._process = server.Process(target=_run, args=(words, folder, environment))
        self._process.start()
        self.pid = self._process.pid
        self.kill, self.terminate = self._process.kill, self._process.terminate

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(self._words, timeout)
        return self._process.exitcode


def _run(words: Sequence[str], folder: str, environment: Mapping[str, str]) -> None:
    """Become a process that was started: the main function of one that was forked."""
    os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for number, name in enumerate(("stdout", "stderr"), start=1):
        with open(name, "w") as file:  # noqa: PTH123 - its number is what matters
            os.dup2(file.fileno(), number)
    forkserver._forkserver.__init__()
    resource_tracker._resource_tracker.__init__()
    multiprocessing.process._parent_process = None
    process = multiprocessing.current_process()
    process.name = "MainProcess"
    process._config.pop("tempdir", None)
    tempfile.tempdir = None
    util.spawnv_passfds = _forking(util.spawnv_passfds)
    garbage.collect()
    sys.path.insert(0, folder)
    sys.argv = list(words)
    try:
        runpy.run_module(words[0], run_name="__main__", alter_sys=True)
    finally:
        atexit._run_exitfuncs()


def _forking(start):
    """A stand-in for `start`, with which multiprocessing starts its helpers: the server of rows is forked."""

    def begin(path, arguments, passed):
        *_, program = arguments
        if "forkserver" not in program:
            return start(path, arguments, passed)
        pid = os.fork()
        if pid == 0:
            try:
                for number in (signal.SIGINT, signal.SIGTERM):
                    signal.signal(number, signal.SIG_DFL)
                kept = sorted({0, 1, 2, *passed})
                for below, above in zip(kept, [*kept[1:], os.sysconf("SC_OPEN_MAX")], strict=True):
                    os.closerange(below + 1, above)
                sys.modules.pop(_SERVER, None)
                gc.freeze()
                forkserver._forkserver.__init__()
                exec(program, {})
            finally:
                os._exit(0)
        return pid

    return begin
