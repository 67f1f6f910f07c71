"""Conversion of paths to URIs and back, as MLflow, SQLAlchemy and Optuna read them; removal of secrets from text.

Shared by both halves, so it needs neither torch nor mlflow.

How they read them, measured with MLflow 3.17 and SQLAlchemy 2.1: SQLAlchemy splits an address at ``?`` and unquotes the
part before it, ``%`` included; ``#`` is an ordinary character. MLflow quotes its default address, and before it opens
an SQLite database it creates the folder in the address without unquoting it: for ``sqlite:////home/a%20b/mlflow.db`` a
folder ``a%20b`` beside the one that is meant, or an error if it may not. MLflow writes the location of artifacts
without quoting, and unquotes it later. So an address for MLflow is quoted only if no other form has the same meaning.
"""

import os
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit
from urllib.request import url2pathname

from pipelines.common.files import file_name

if TYPE_CHECKING:
    from sqlalchemy import URL

ARTIFACTS = "mlruns"  # MLflow's folder of artifacts, in the working directory

_SQLITE = "sqlite"
_MEMORY = ":memory:"
_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
_THIS_MACHINE = {"", "localhost", "127.0.0.1", "::1"}
_SCHEMA = "options"  # setting of PostgreSQL that may select a schema, and so other tables in the same database

HIDDEN = "***"
_SHORTEST = 8  # characters of a secret that is searched for anywhere in a text
_MARKS = re.compile("[:=@]")

# A user or password that was not encoded may hold any character, so everything up to the last @ is removed. Without a
# colon before the first slash, the part before an @ is a path: s3://bucket/key@version.
_USERINFO = re.compile(r"(?P<scheme>\b[a-z][a-z0-9+.-]*)://(?P<user>[^\s/@:]*:\S*|[^\s/@:'\"]+)@", re.IGNORECASE)
_WORD = re.compile(r"\S+")
# Text in the place of a port that is not a number may be a password without a host.
_NO_PORT = re.compile(r"(?P<before>://[^\s/@:\[\]]+:)(?!\d*(?:[^\w]|$))[^\s/,;'\")]+")
_KEEPS_ITS_USER = ("ssh", "sftp", "git+ssh", "ftp")  # a name alone is no secret there; a token is one for http
_NAMES = (
    r"(?:[a-z0-9]+[_-])*(?:[a-z]*password|passwd|pwd|passphrase|[a-z]*token|secret|(?:secret|access|api|account)_?key)"
)
_QUOTED = r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\""
_VALUE = rf"(?P<value>{_QUOTED}|[^\s&;,'\"]+)"
_SETTINGS = tuple(
    re.compile(rf"(?P<before>{before}){_VALUE}", re.IGNORECASE)
    for before in (
        rf"(?<![\w-]){_NAMES}\s*=\s*",  # of a query, of libpq, of a shell
        rf"[\"']{_NAMES}[\"']\s*:\s*",  # of JSON, or a dict as Python shows it
        r"[?&](?:sig|signature|key|x-amz-(?:signature|credential|security-token))=",
        r"\b(?:proxy-)?authorization[\"']?\s*[:=]\s*(?:[a-z]+\s+)?",
        r"\b(?:bearer|basic)\s+(?=\S*[0-9=])(?=\S{8})",
    )
)
_KNOWN_FORM = re.compile(r"\b(?:A(?:KIA|SIA)[A-Z0-9]{16}|gh[pousr]_\w{30,}|github_pat_\w{30,}|glpat-[\w-]{20,})")
_SECRET_VARIABLE = re.compile(r"(?:PASSWORD|PASSWD|TOKEN|SECRET|_KEY)$")


def sqlite_file(uri: str) -> Path | None:
    """Returns the absolute path of an SQLite database, None for any other address and for databases in memory.

    Raises:
        ValueError: no setting follows a ``?``, so the ``?`` is probably meant as a part of the path.
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


def sqlite_uri(file: str | Path, settings: Mapping[str, str | tuple[str, ...]] | None = None) -> str:
    """Returns the address of an SQLite database, in a form that MLflow reads as the same file.

    Args:
        file: its path, absolute or relative to the working directory.
        settings: query of the address, after the ``?``.

    Returns:
        The absolute path without quoting. If it has a ``%`` or ``?`` that would be changed: the path relative to the
        working directory, if it is below that and has none; else the quoted absolute path.
    """
    end = f"?{urlencode(settings)}" if settings else ""
    file = Path(file).absolute()
    for path in (str(file), _below_here(file)):
        if path and "?" not in path and _parsed(plain := f"sqlite:///{path}").database == path:
            return plain + end
    return f"sqlite:///{quote(str(file))}{end}"


def is_of_whoever_reads_it(uri: str) -> bool:
    """Tells whether an address names the machine that it is read on: another machine would not find what is meant."""
    parts = urlsplit(uri)
    host = parts.hostname or parse_qs(parts.query).get("host", [""])[0]
    # A path is that of a socket.
    return "://" in uri and (host in _THIS_MACHINE or host.startswith(("127.", "/")))


def for_mlflow(uri: str) -> str:
    """Returns `uri` in the form for MLflow: that of `sqlite_uri` for an SQLite database, any other unchanged.

    Raises:
        ValueError: see `sqlite_file`.
    """
    file = sqlite_file(uri)
    if file is None or (settings := _parsed(uri).query).get("uri"):
        return uri
    return sqlite_uri(file, settings)


def local_path(uri: str) -> Path | None:
    """Returns the folder or file of a URI or path of artifacts as MLflow reads it, None if it is not a local one.

    Like MLflow, it unquotes a path as it does a URI.
    """
    parts = urlsplit(uri)
    if parts.scheme == "file":
        return Path(url2pathname(parts.path))
    return Path(url2pathname(uri)) if not parts.scheme else None


def artifact_location(tracking_uri: str, experiment: str) -> str | None:
    """Returns the location for the artifacts of a new experiment; None leaves it to MLflow.

    For an SQLite database MLflow chooses a folder in the working directory. If MLflow would read that folder's path as
    another one, it is given as a URI; if it cannot be written, a folder beside the database is.
    """
    file = sqlite_file(tracking_uri)
    if file is None:
        return None
    folder = Path(ARTIFACTS).absolute()
    if not _is_writable(folder):
        folder = file.parent / ARTIFACTS
    elif _is_plain(folder):
        return None
    return (folder / file_name(experiment)).as_uri()


def same_place(one: str, other: str) -> bool:
    """Returns whether two addresses are of the same database, with whatever user, driver and settings it is opened."""
    return _place(one) == _place(other)


def redacted(text: str) -> str:
    """Returns `text` without secrets, for anything that is stored, printed or shown.

    Removes user and password from any URI, whatever characters the password has, encoded or not. Replaces by HIDDEN the
    values of settings whose name says that they are secret (``password=``, ``token=``, ``sslpassword=`` …, of a query,
    of libpq or of JSON), Authorization headers, keys of a known form, and, anywhere in the text, the values of secret
    environment variables and the passwords of addresses in the environment.

    Text that only looks like an address with a password may lose its beginning: better that than to show a secret.
    """
    if len(text) < _SHORTEST and not _MARKS.search(text):
        return text  # most values that are stored are numbers
    text = _WORD.sub(_without_user, text)
    text = _NO_PORT.sub(rf"\g<before>{HIDDEN}", text)
    for setting in _SETTINGS:
        text = setting.sub(_without_value, text)
    text = _KNOWN_FORM.sub(HIDDEN, text)
    for secret in _secrets(tuple(os.environ.items())):
        text = text.replace(secret, HIDDEN)
    return text


def redacted_data(value: object) -> object:
    """Returns plain data, lists and dicts, with every text in them `redacted`."""
    if isinstance(value, str):
        return redacted(value)
    if isinstance(value, Mapping):
        return {redacted_data(key): redacted_data(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [redacted_data(each) for each in value]
    return value


def has_secret(text: str) -> bool:
    """Returns whether `redacted` removes anything from `text`."""
    return redacted(text) != text


def _is_plain(folder: Path) -> bool:
    """Returns whether MLflow reads the path of a folder as that folder."""
    path = str(folder)
    return local_path(path) == folder and path.isprintable() and "\\" not in path


def _is_writable(folder: Path) -> bool:
    """Returns whether files can be created in a folder, which need not exist yet."""
    return os.access(folder if folder.exists() else folder.parent, os.W_OK)


def _is_sqlite(uri: str) -> bool:
    return uri.partition("://")[0].partition("+")[0].lower() == _SQLITE


def _parsed(uri: str) -> "URL":
    from sqlalchemy import make_url  # takes a while, and servers need none of it

    return make_url(uri)


def _file_of_uri(url: "URL") -> Path | None:
    """Returns the file of a database whose address SQLite itself reads as a URI."""
    database = url.database or ""
    if not database or _MEMORY in database or url.query.get("mode") == "memory":
        return None
    return Path(unquote(urlsplit(database).path)).absolute()


def _below_here(file: Path) -> str:
    """Returns the path of `file` relative to the working directory, empty if it is not below that."""
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


def _without_user(word: re.Match) -> str:
    """Returns `word` without user and password; searched up to its last @, since more would take quadratic time."""
    user, at, rest = word[0].rpartition("@")
    return _USERINFO.sub(_scheme, user + at) + rest if "://" in user else word[0]


def _without_value(setting: re.Match) -> str:
    """Returns `setting` with HIDDEN as its value, quoted as that was: JSON stays JSON."""
    quote = setting["value"][0] if setting["value"][0] in "'\"" else ""
    return f"{setting['before']}{quote}{HIDDEN}{quote}"


def _scheme(found: re.Match) -> str:
    if found["scheme"].lower() in _KEEPS_ITS_USER and ":" not in found["user"]:
        return found[0]
    return f"{found['scheme']}://"


@lru_cache(maxsize=1)
def _secrets(environment: tuple[tuple[str, str], ...]) -> list[str]:
    """Returns the secrets in `environment`, the longest first: a short one may be a part of another."""
    found = set()
    for name, value in environment:
        if address := _USERINFO.search(value):
            found |= _forms(address["user"].partition(":")[2])
        elif _SECRET_VARIABLE.search(name):
            found |= _forms(value)
    return sorted(filter(_is_distinct, found), key=len, reverse=True)


def _forms(secret: str) -> set[str]:
    """Returns `secret` unchanged, decoded, and encoded: a message may show any of them."""
    plain = unquote(secret)
    return {secret, plain, quote(plain, safe="")}


def _is_distinct(secret: str) -> bool:
    """Returns whether a secret differs from ordinary words: `mlflow` is a common password, and a part of many paths."""
    return len(secret) >= 16 or (len(secret) >= _SHORTEST and not secret.isalpha())
