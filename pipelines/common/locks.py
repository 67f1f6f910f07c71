"""Locks beside what they protect: beside a file, or in a database server. What keeps a process waiting is announced.

A lock in the shared temporary folder would miss processes that have another one, and anybody could plant it there.
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

PATIENCE_S = 2  # of waiting without a word
FIRST_USE_S = 300  # for another process to make the tables of a database, on a busy machine
CONNECT_S = 10
_LOOK_S = 0.2

# The question whether a lock is ours now, held until the connection ends; other servers have none that is as simple.
_ASK = {
    "postgresql": text("SELECT pg_try_advisory_xact_lock(:number)"),
    "mysql": text("SELECT GET_LOCK(:name, 0)"),
}


@contextmanager
def on_file(path: Path, doing: str, limit: float = -1) -> Iterator[None]:
    """Held by one process at a time, whoever may write to the folder of `path`.

    Args:
        path: of the lock, which stays there. A link is not followed.
        doing: what the process that holds it does, as in "waiting for another process to ...".
        limit: seconds to wait; negative without end.

    Raises:
        UserError: something else stands there, or it is another's, or it was held for `limit` seconds.
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
    """Held by one process at a time for one database and purpose.

    Of an SQLite database it is a file beside it, of PostgreSQL and MySQL a lock that the server keeps for as long as
    the connection lasts. Other servers have none: there it is held by all.

    Args:
        uri: of the database.
        doing: see `on_file`.
        purpose: another lock for each.
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
    elif (backend := make_url(uri).get_backend_name()) in _ASK:
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
    patience = {} if "connect_timeout" in url.query else {"connect_timeout": CONNECT_S}
    connection = create_engine(url, poolclass=NullPool, connect_args=patience).connect()
    try:
        where = f"the database {url.database} on {url.host or 'this machine'}"
        _await(lambda seconds: _answered(connection, backend, lock, seconds), doing, where, limit)
        yield
    finally:
        # Whatever becomes of the connection, the lock goes with it, and what was done under it is done.
        with suppress(SQLAlchemyError):
            connection.close()


def _answered(connection: Connection, backend: str, lock: dict[str, object], seconds: float) -> bool:
    """Whether the server gave the lock within so many seconds; negative: however long it takes."""
    deadline = time.monotonic() + seconds
    while not connection.execute(_ASK[backend], lock).scalar_one():
        if seconds >= 0 and deadline < time.monotonic():
            return False
        time.sleep(_LOOK_S)
    return True


def _acquired(lock: FileLock, seconds: float) -> bool:
    try:
        lock.acquire(timeout=seconds)
    except Timeout:
        return False
    return True


def _await(acquired: Callable[[float], bool], doing: str, where: str, limit: float) -> None:
    """Return when the lock is ours.

    Raises:
        UserError: it was not within `limit` seconds, where that is not negative.
    """
    if acquired(PATIENCE_S):
        return
    announce(f"waiting for another process to {doing} (it holds the lock {where})")
    if not acquired(limit):
        raise UserError(
            f"another process has held the lock {where} for {limit:.0f} s, to {doing}: end that process, then try again"
        )


def _mode(folder: Path) -> int:
    """Whoever may write to the folder may take its locks."""
    return folder.stat().st_mode & 0o666 | 0o600


def _obstacle(path: Path, error: OSError) -> UserError | None:
    """What stands in the place of a lock, if anything does."""
    if path.is_symlink():
        return UserError(f"the lock {path} is a link, which is not followed: remove it")
    if path.is_dir():
        return UserError(f"the lock {path} is a folder: remove it")
    if path.exists() and error.errno in (errno.EACCES, errno.EPERM):
        return UserError(f"the lock {path} is another user's ({error.strerror}): remove it, or have them do so")
    return None
