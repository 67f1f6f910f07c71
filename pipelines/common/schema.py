"""The state of a tracking store, read without writing to it: MLflow migrates whatever database it opens.

Shared by both halves, so it needs neither torch nor mlflow. Only databases and folders are inspected; an HTTP server
has opened its database already.
"""

import os
import shlex
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

from pipelines.common import addresses
from pipelines.common.command import hint

if TYPE_CHECKING:
    from sqlalchemy import URL

# READY: MLflow can work with it as it is. NOTHING: nothing has been logged there, so there is nothing to read, and it
# may be set up to be written.
STATES = READY, NOTHING, OLDER, NEWER, OTHER, FOLDER = "ready", "nothing", "older", "newer", "other", "folder"

BUSY = 20  # seconds to wait for a database that another process has locked, as MLflow does
CONNECT = 10  # seconds to wait for a database server
ALLOW_FILES = "MLFLOW_ALLOW_FILE_STORE"

_EXPERIMENTS, _RUNS = "experiments", "runs"  # tables that every version of MLflow has, in the order of creation
_DIALECTS = ("sqlite", "postgresql", "mysql", "mssql")
_LOCAL = ("", "file")
_WAL = b"\x02\x02"  # in bytes 18 and 19 of a database in SQLite's WAL mode
# SQLite recovers by itself from a writer that was killed, but a read-only connection cannot do it.
_RECOVERY = ("SQLITE_READONLY_ROLLBACK", "SQLITE_READONLY_RECOVERY", "SQLITE_READONLY_CANTINIT", "SQLITE_CANTOPEN")


@dataclass(frozen=True)
class Store:
    """State of a tracking store, one of STATES; for all but the first two also the problem and its remedy."""

    state: str
    trouble: str = ""


def look(uri: str) -> Store:
    """Returns the state of the store at `uri`, without writing to it.

    Raises:
        OSError: the file cannot be opened.
        sqlite3.Error: the file is locked or damaged.
        sqlalchemy.exc.SQLAlchemyError: the database cannot be reached.
        ImportError: its driver is not installed.
    """
    scheme = urlsplit(uri).scheme.split("+")[0]
    if scheme in _DIALECTS:
        return _database(uri)
    return _folder(uri) if scheme in _LOCAL else Store(READY)


def copy_sqlite(uri: str, path: Path) -> str:
    """Copies an SQLite database, also while it is being written; returns the address of the copy.

    Args:
        uri: of the database.
        path: of the copy, which must not exist.

    Raises:
        ValueError: `uri` is not the address of an existing SQLite database.
        OSError: `path` cannot be written, or exists.
        sqlite3.Error: the database cannot be read.
    """
    source = addresses.sqlite_file(uri)
    if source is None or not source.is_file():
        raise ValueError("only an SQLite database is copied")
    path.open("xb").close()
    try:
        with closing(_opened(source)) as original, closing(sqlite3.connect(path)) as copy:
            original.backup(copy)
    except BaseException:
        path.unlink()
        raise
    return addresses.sqlite_uri(path)


def _database(uri: str) -> Store:
    path = addresses.sqlite_file(uri)
    if path is not None:
        return _sqlite(addresses.for_mlflow(uri), path)
    url = _parsed(uri)
    if url.get_backend_name() == "sqlite":
        return Store(READY)  # in memory
    return _judged(url.render_as_string(hide_password=True), *_read_server(url))


def _sqlite(shown: str, path: Path) -> Store:
    if path.exists() and not path.is_file():
        return Store(OTHER, f"{path} is no file: set MLFLOW_TRACKING_URI to a database or server")
    if not path.exists() or not path.stat().st_size:
        return Store(NOTHING)
    try:
        return _judged(shown, *_read_sqlite(path))
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorname", "") != "SQLITE_NOTADB":
            raise
        return Store(OTHER, f"{path} is no SQLite database: set MLFLOW_TRACKING_URI to one, or to a server")


def _judged(shown: str, tables: set[str], revisions: list[str], filled: bool) -> Store:
    """Returns the state of a database with these tables and revisions of its schema; it has experiments if `filled`."""
    if tables and (_EXPERIMENTS not in tables or (filled and _RUNS not in tables)):
        listed = ", ".join(sorted(tables)[:5])
        trouble = f"the database {shown} is not MLflow's (it holds {listed}): set MLFLOW_TRACKING_URI to one that is"
        return Store(OTHER, trouble)
    known, head = _revisions()
    if not set(revisions) <= known:
        return Store(
            NEWER,
            f"the database {shown} was made by a newer MLflow (its schema {', '.join(revisions)} is unknown to the one "
            "that is installed here, and nothing was changed): pip install --upgrade mlflow",
        )
    if not filled:
        return Store(NOTHING)  # also while it is being set up, or if that was interrupted
    if revisions == [head]:
        return Store(READY)
    aside = f"; or leave it and read a migrated copy: {hint('python -m analysis compare --migrate COPY.db')}"
    return Store(
        OLDER,
        f"the database {shown} was made by an older MLflow, which cannot open it any more once it is migrated, so "
        f"nothing was changed: back it up, then run mlflow db upgrade {shlex.quote(shown)}"
        + (aside if shown.startswith("sqlite") else ""),
    )


def _folder(uri: str) -> Store:
    """Returns the state of a store of files, which MLflow 3 refuses unless ALLOW_FILES is set."""
    parts = urlsplit(uri)
    path = Path(unquote(parts.path) if parts.scheme else uri)
    if os.environ.get(ALLOW_FILES, "").lower() in ("true", "1"):
        return Store(READY if path.is_dir() else NOTHING)
    chosen = "" if os.environ.get("MLFLOW_TRACKING_URI") else "; MLFLOW_TRACKING_URI is not set, so MLflow takes it"
    # MLflow's own tool takes the folder that holds mlruns, if the store has that name.
    source = path.parent if path.name == "mlruns" else path
    return Store(
        FOLDER,
        f"{path} is a store of files, as MLflow 2 kept them, and MLflow 3 does not open it{chosen}: move it to a "
        f"database with mlflow migrate-filestore --source {shlex.quote(str(source))} --target sqlite:///mlflow.db "
        "and set MLFLOW_TRACKING_URI=sqlite:///mlflow.db (which also leaves it as it is and starts a new database); "
        f"or set {ALLOW_FILES}=true to go on with the files",
    )


def _parsed(uri: str) -> "URL":
    from sqlalchemy import make_url  # takes a while, and servers need none of it

    return make_url(uri)


def _opened(path: Path) -> sqlite3.Connection:
    """Opens a database read-only, without creating files beside it in any journal mode."""
    with path.open("rb") as file:
        is_wal = file.read(20)[18:] == _WAL
    # Reading in WAL mode creates files beside the database. If there is no -wal file, no process is writing to it.
    mode = "immutable=1" if is_wal and not Path(f"{path}-wal").exists() else "mode=ro"
    return sqlite3.connect(f"file:{quote(str(path.absolute()))}?{mode}", uri=True, timeout=BUSY)


def _read_sqlite(path: Path) -> tuple[set[str], list[str], bool]:
    try:
        with closing(_opened(path)) as connection:
            return _contents(connection)
    except sqlite3.OperationalError as error:
        if getattr(error, "sqlite_errorname", "") not in _RECOVERY:
            raise
    with closing(sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=rw", uri=True, timeout=BUSY)) as connection:
        return _contents(connection)


def _contents(connection: sqlite3.Connection) -> tuple[set[str], list[str], bool]:
    """Returns the tables, the revisions of the schema, and whether there is any experiment."""
    listed = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    tables = {name for name in listed if not name.startswith("sqlite_")}
    revisions = []
    if "alembic_version" in tables:
        revisions = [revision for (revision,) in connection.execute("SELECT version_num FROM alembic_version")]
    filled = _EXPERIMENTS in tables and connection.execute("SELECT 1 FROM experiments LIMIT 1").fetchone() is not None
    return tables - {"alembic_version"}, revisions, filled


def _read_server(url: "URL") -> tuple[set[str], list[str], bool]:
    """Returns the same as `_contents`, of a database server."""
    from sqlalchemy import create_engine, inspect, text
    from sqlalchemy.pool import NullPool

    option = "connect_timeout"
    has_own = url.get_backend_name() not in ("postgresql", "mysql") or option in url.query
    engine = create_engine(url, poolclass=NullPool, connect_args={} if has_own else {option: CONNECT})
    with engine.connect() as connection:
        tables = set(inspect(connection).get_table_names())
        revisions, filled = [], False
        if "alembic_version" in tables:
            revisions = list(connection.execute(text("SELECT version_num FROM alembic_version")).scalars())
        if _EXPERIMENTS in tables:
            filled = connection.execute(text("SELECT COUNT(*) FROM experiments")).scalar_one() > 0
    return tables - {"alembic_version"}, revisions, filled


@cache
def _revisions() -> tuple[frozenset[str], str]:
    """Returns the revisions of the schema that the installed MLflow knows, and the newest, which it works with."""
    from alembic.script import ScriptDirectory

    package = find_spec("mlflow")
    if package is None or not package.submodule_search_locations:
        raise ImportError("mlflow is not installed")
    scripts = ScriptDirectory(str(Path(package.submodule_search_locations[0]) / "store" / "db_migrations"))
    return frozenset(script.revision for script in scripts.walk_revisions()), scripts.get_current_head() or ""
