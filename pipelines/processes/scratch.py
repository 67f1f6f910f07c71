"""Temporary folders of a process; what a killed one (kill −9) has left is removed by the next launch.

Each tells whose it is, and only those of processes that are surely gone are touched.
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
    """A new temporary folder, removed at the end."""
    path = Path(tempfile.mkdtemp(prefix=_PREFIX))
    try:
        (path / _OWNER).write_text(json.dumps(identity.own().tags))
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def everything() -> Iterator[None]:
    """Within it all temporary files of this process, also those that MLflow makes, lie in one such folder.

    Not for a process that starts others: the addresses at which they reach it lie there, and may not be long.
    """
    with folder() as path:
        before, tempfile.tempdir = tempfile.tempdir, str(path)
        try:
            yield
        finally:
            tempfile.tempdir = before


def sweep() -> None:
    """Remove what processes of this user that are gone have left."""
    for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError, ValueError):
            if _is_own(path) and liveness.fate(_owner(path)).state == liveness.GONE:
                shutil.rmtree(path, ignore_errors=True)


def _is_own(path: Path) -> bool:
    """Whether it is a folder, and no link, of this user."""
    status = path.lstat()
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()


def _owner(path: Path) -> Identity | None:
    tags = json.loads((path / _OWNER).read_text())
    return Identity.of(tags) if isinstance(tags, dict) else None
