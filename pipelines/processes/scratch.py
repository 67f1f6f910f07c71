"""Temporary folders of a process; those that a killed process (kill −9) has left are removed by the next launch.

Each records its owner, and only those of processes that have certainly ended are removed.
"""

import contextlib
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipelines.processes import identity, liveness
from pipelines.processes.identity import Identity

_PREFIX = "nn-experiment-registry-scratch-"
_OWNER = "owner.json"


@contextmanager
def folder() -> Iterator[Path]:
    """Creates a temporary folder, and removes it at the end."""
    path = Path(tempfile.mkdtemp(prefix=_PREFIX))
    try:
        (path / _OWNER).write_text(json.dumps(identity.own().tags))
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def everything() -> Iterator[None]:
    """Puts all temporary files of this process, also those that MLflow creates, into one such folder.

    Not for a process that starts others: its sockets, through which they reach it, would be there, and their paths may
    not be long.
    """
    with folder() as path:
        before, tempfile.tempdir = tempfile.tempdir, str(path)
        try:
            yield
        finally:
            tempfile.tempdir = before


def sweep() -> None:
    """Remove the folders of this user's processes that have ended."""
    for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError, ValueError):
            if _is_own(path) and liveness.fate(_owner(path)).state == liveness.GONE:
                shutil.rmtree(path, ignore_errors=True)


def _is_own(path: Path) -> bool:
    """Returns whether `path` is a folder of this user, and no link."""
    status = path.lstat()
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()


def _owner(path: Path) -> Identity | None:
    tags = json.loads((path / _OWNER).read_text())
    return Identity.of(tags) if isinstance(tags, dict) else None
