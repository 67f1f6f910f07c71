"""Paths as URIs and back, as MLflow, SQLAlchemy and Optuna read them: the one place that quotes and unquotes.

Shared by both halves, so it needs neither torch nor mlflow.

What they do, found out with MLflow 3.17 and SQLAlchemy 2.1: SQLAlchemy splits an address at ``?`` and unquotes the
rest, ``%`` in it included; ``#`` is a letter like any other. MLflow quotes its default address, and before it opens an
SQLite database it makes the folder that the address names as it stands: for ``sqlite:////home/a%20b/mlflow.db`` a
folder ``a%20b`` beside the one that is meant, or an error where it may not. Where it keeps artifacts it writes a path
without quoting, and unquotes it later. So what MLflow is handed is quoted only where nothing else has the same meaning.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlencode, urlsplit
from urllib.request import url2pathname

from pipelines.files import file_name

if TYPE_CHECKING:
    from sqlalchemy import URL

ARTIFACTS = "mlruns"  # MLflow's folder of artifacts, in the working directory

_SQLITE = "sqlite"
_MEMORY = ":memory:"
_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
_THIS_MACHINE = {"", "localhost", "127.0.0.1", "::1"}
_SCHEMA = "options"  # of PostgreSQL: may name a schema, and so another place in the same database


def sqlite_file(uri: str) -> Path | None:
    """Absolute path of the file of an SQLite database, None for any other address and for databases in memory.

    Raises:
        ValueError: what follows a ``?`` is no setting, so that the ``?`` is meant to belong to the path.
    """
    if not _is_sqlite(uri):
        return None
    before, mark, settings = uri.partition("?")
    if mark and "=" not in settings:
        raise ValueError(f"a ? in a path is written %3F: {before}%3F{settings}")
    url = _parsed(uri)
    if "uri" in url.query:
        return _file_of_uri(url)
    return Path(url.database).absolute() if url.database and url.database != _MEMORY else None


def sqlite_uri(file: str | Path, settings: Mapping[str, str] | None = None) -> str:
    """The address of an SQLite database, in the form that MLflow makes nothing else of.

    Args:
        file: its path, absolute or as seen from the working directory.
        settings: what follows the ``?``.

    Returns:
        The absolute path without quoting; where it has a ``%`` or ``?`` that would not survive, the path as seen from
        the working directory, if that is below it; else quoted.
    """
    end = f"?{urlencode(settings)}" if settings else ""
    file = Path(file).absolute()
    for path in (str(file), _below_here(file)):
        if path and "?" not in path and _parsed(plain := f"sqlite:///{path}").database == path:
            return plain + end
    return f"sqlite:///{quote(str(file))}{end}"


def for_mlflow(uri: str) -> str:
    """`uri` as MLflow is to be handed it: an SQLite database's as `sqlite_uri` writes it, any other unchanged.

    Raises:
        ValueError: see `sqlite_file`.
    """
    file = sqlite_file(uri)
    if file is None or (settings := _parsed(uri).query).get("uri"):
        return uri
    return sqlite_uri(file, settings)


def local_path(uri: str) -> Path | None:
    """The folder or file that MLflow takes a URI or path of artifacts for, None where it is on no disk of this machine.

    A path is unquoted like a URI.
    """
    parts = urlsplit(uri)
    if parts.scheme == "file":
        return Path(url2pathname(parts.path))
    return Path(url2pathname(uri)) if not parts.scheme else None


def artifact_location(tracking_uri: str, experiment: str) -> str | None:
    """Where a new experiment keeps its artifacts: None for MLflow's own choice.

    MLflow's choice for an SQLite database is a folder in the working directory. Where MLflow would read that folder's
    path as another one, it is given as a URI.
    """
    folder = Path(ARTIFACTS).absolute()
    plain = str(folder)
    if not _is_sqlite(tracking_uri) or (local_path(plain) == folder and plain.isprintable() and "\\" not in plain):
        return None
    return (folder / file_name(experiment)).as_uri()


def same_place(one: str, other: str) -> bool:
    """Whether two addresses of databases name the same one, by whatever user, driver and settings it is opened."""
    return _place(one) == _place(other)


def _is_sqlite(uri: str) -> bool:
    return uri.partition("://")[0].partition("+")[0].lower() == _SQLITE


def _parsed(uri: str) -> "URL":
    from sqlalchemy import make_url  # takes a while, and servers need none of it

    return make_url(uri)


def _file_of_uri(url: "URL") -> Path | None:
    """The file of a database that SQLite itself is given as a URI."""
    database = url.database or ""
    if not database or _MEMORY in database or url.query.get("mode") == "memory":
        return None
    return Path(unquote(urlsplit(database).path)).absolute()


def _below_here(file: Path) -> str:
    """`file` as seen from the working directory, empty where it is not below it."""
    try:
        return str(file.relative_to(Path.cwd()))
    except ValueError:
        return ""


def _place(uri: str) -> tuple[object, ...]:
    if _is_sqlite(uri):
        file = sqlite_file(uri)
        return _SQLITE, file and os.path.realpath(file)
    backend = uri.partition("://")[0].partition("+")[0]
    if backend not in _PORTS:
        return (uri,)
    url = _parsed(uri)
    host = (url.host or "").lower()
    where = "" if host in _THIS_MACHINE else host
    return backend, where, url.port or _PORTS[backend], url.database, url.query.get(_SCHEMA)
