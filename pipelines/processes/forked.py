"""Processes that are forked from a server, which has imported what they need: that would take each of them seconds.

Needs neither torch nor mlflow, so that a command can start the server before its own imports: both then import at the
same time, on two cores.
"""

import multiprocessing
import os
import tempfile
from typing import TYPE_CHECKING

from pipelines.errors import UserError
from pipelines.processes.parents import announce_parent
from pipelines.processes.signals import SIGNALS, held, remove_at_once

if TYPE_CHECKING:  # Windows has no fork server
    from multiprocessing.context import ForkServerContext, SpawnContext

# Settings of glibc's allocator, which others ignore. Every update allocates and frees tensors of some megabytes. By
# default glibc returns each to the system, and faults it in again, which takes a tenth of the training time.
ALLOCATOR = {
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 33),
    "MALLOC_TOP_PAD_": str(1 << 28),
}

# The path of a socket has 103 bytes at most on macOS, 107 on Linux; multiprocessing appends a folder and a name.
_LONGEST = 103 - len("/pymp-01234567/listener-01234567")
_SHORT = ("/tmp", "/var/tmp")


def forkserver(*modules: str) -> "ForkServerContext":
    """Start the server, which imports `modules`, unless it runs; returns the context of processes forked from it.

    Raises:
        UserError: the path of the folder for temporary files is too long for it.
    """
    # Not available on Windows, where commands that need no processes run.
    from multiprocessing.forkserver import ensure_running

    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(["pipelines.processes.forkserver", *modules])
    announce_parent()
    os.environ.update({key: os.environ.get(key, value) for key, value in ALLOCATOR.items()})
    remove_at_once(_folder_of_sockets())
    with held(*SIGNALS):
        ensure_running()
    return server


def _folder_of_sockets() -> str:
    """The folder of multiprocessing's sockets, here and in the processes that are forked: a new one for temporary
    files, elsewhere if the path of the usual place is too long."""
    from multiprocessing.util import get_temp_dir

    usual = tempfile.gettempdir()
    if len(os.fsencode(usual)) <= _LONGEST:
        return get_temp_dir()
    short = next((folder for folder in _SHORT if os.access(folder, os.W_OK | os.X_OK)), None)
    if short is None:
        raise UserError(f"{usual} is too long a path for sockets: set TMPDIR to one of at most {_LONGEST} bytes")
    before, tempfile.tempdir = tempfile.tempdir, short
    try:
        return get_temp_dir()  # which remembers it
    finally:
        tempfile.tempdir = before


def beside() -> "ForkServerContext | SpawnContext":
    """The context of processes that help this one: forked from the same server, or spawned if it is from none."""
    from multiprocessing import forkserver

    if forkserver.get_inherited_fds() is None:
        return multiprocessing.get_context("spawn")
    # Python would start another server here, although it knows where this process's own is, and documents that it
    # reuses that one.
    forkserver._forkserver.ensure_running = lambda: None  # type: ignore[method-assign]
    return multiprocessing.get_context("forkserver")
