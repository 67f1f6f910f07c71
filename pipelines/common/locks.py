"""Locks beside what they protect: beside a file, or in a database server. A process that has to wait says for what.

A lock in the temporary folder would not be seen by processes that use another one, and any user could create it there.
"""

import errno
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path

from filelock import FileLock, Timeout
from sqlalchemy import Connection, create_engine, make_url, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from pipelines.common import addresses
from pipelines.common.streams import announce
from pipelines.errors import UserError

ANNOUNCE_AFTER_S = 2  # a longer wait is announced
FIRST_USE_S = 300  # timeout while another process creates the tables of a database, on a busy machine
CONNECT_S = 10
_POLL_S = 0.2
# PostgreSQL's own limits would keep the lock of a machine that is gone for two hours. Of the lock's transaction only.
_ALIVE = [text(f"SET LOCAL tcp_keepalives_{name}") for name in ("idle = 30", "interval = 10", "count = 3")]

# Statements that try to take a lock, which is held until the connection ends; other servers have none so simple.
_TRY_LOCK = {
    "postgresql": text("SELECT pg_try_advisory_xact_lock(:number)"),
    "mysql": text("SELECT GET_LOCK(:name, 0)"),
}


@contextmanager
def on_file(path: Path, doing: str, limit: float = -1) -> Iterator[None]:
    """Holds a lock file, which one process at a time can do.

    Args:
        path: of the lock file, which is not removed. A link is not followed.
        doing: completes "waiting for another process to ...".
        limit: timeout in seconds; negative for none.

    Raises:
        UserError: `path` is no file or another user's, or another process held the lock for `limit` seconds.
        OSError: the folder cannot be written.
    """
    lock = FileLock(path, mode=_mode(path.parent))
    try:
        _await(lambda seconds: _acquired(lock, seconds), doing, str(path), limit)
    except OSError as error:
        raise _obstacle(path, error) or error from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def of_database(uri: str, doing: str, purpose: str = "", limit: float = -1) -> Iterator[None]:
    """Holds the lock of a database for a purpose, which one process at a time can do.

    For an SQLite database it is a file beside the database, for PostgreSQL and MySQL a lock that the server keeps for
    as long as the connection lasts. Other servers have no such lock: there nothing is locked.

    Args:
        uri: of the database.
        doing: see `on_file`.
        purpose: each has a lock of its own.
        limit: see `on_file`.

    Raises:
        UserError: see `on_file`.
        sqlalchemy.exc.SQLAlchemyError: the server cannot be reached.
        ImportError: its driver is not installed.
    """
    if file := addresses.sqlite_file(uri):
        file = Path(os.path.realpath(file))
        ending = f".{purpose}.lock" if purpose else ".lock"
        with on_file(file.with_name(f"{file.name}{ending}"), doing, limit):
            yield
    elif (backend := make_url(uri).get_backend_name()) in _TRY_LOCK:
        with _on_server(uri, backend, doing, purpose, limit):
            yield
    else:
        yield


@contextmanager
def _on_server(uri: str, backend: str, doing: str, purpose: str, limit: float) -> Iterator[None]:
    url = make_url(uri)
    digest = sha256(f"nn-experiment-registry {url.database} {purpose}".encode())
    number = int(digest.hexdigest()[:15], 16)
    lock: dict[str, object] = {"name": digest.hexdigest()} if backend == "mysql" else {"number": number}
    timeout = {} if "connect_timeout" in url.query else {"connect_timeout": CONNECT_S}
    connection = create_engine(url, poolclass=NullPool, connect_args=timeout).connect()
    try:
        if backend == "postgresql":
            for setting in _ALIVE:
                connection.execute(setting)
        where = f"the database {url.database} on {url.host or 'this machine'}"
        _await(lambda seconds: _locked(connection, backend, lock, seconds), doing, where, limit)
        yield
    finally:
        # An error here can be ignored: the lock ends with the connection, and the work under it is done.
        with suppress(SQLAlchemyError):
            connection.close()


def _locked(connection: Connection, backend: str, lock: dict[str, object], seconds: float) -> bool:
    """Returns whether the server gave the lock before a timeout in seconds; negative for none."""
    deadline = time.monotonic() + seconds
    while not connection.execute(_TRY_LOCK[backend], lock).scalar_one():
        if seconds >= 0 and deadline < time.monotonic():
            return False
        time.sleep(_POLL_S)
    return True


def _acquired(lock: FileLock, seconds: float) -> bool:
    try:
        lock.acquire(timeout=seconds)
    except Timeout:
        return False
    return True


def _await(acquired: Callable[[float], bool], doing: str, where: str, limit: float) -> None:
    """Returns when this process has the lock.

    Raises:
        UserError: it did not get it within `limit` seconds, where that is not negative.
    """
    if acquired(ANNOUNCE_AFTER_S):
        return
    announce(f"waiting for another process to {doing} (it holds the lock {where})")
    if not acquired(limit):
        raise UserError(
            f"another process has held the lock {where} for {limit:.0f} s, to {doing}: end that process, then try again"
        )


def _mode(folder: Path) -> int:
    """Returns the permissions of a new lock file: users who may write to the folder may take its locks."""
    return folder.stat().st_mode & 0o666 | 0o600


def _obstacle(path: Path, error: OSError) -> UserError | None:
    """Returns what is wrong with the path of a lock, None if nothing is."""
    if path.is_symlink():
        return UserError(f"the lock {path} is a link, which is not followed: remove it")
    if path.is_dir():
        return UserError(f"the lock {path} is a folder: remove it")
    if path.exists() and error.errno in (errno.EACCES, errno.EPERM):
        return UserError(f"the lock {path} is another user's ({error.strerror}): remove it, or have them do so")
    return None
