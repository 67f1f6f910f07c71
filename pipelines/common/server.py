"""Connection to a tracking server, for both halves: first contact, credentials, and the messages of failures."""

import contextlib
import logging
import os
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

import mlflow
import requests
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.store.db.utils import create_sqlalchemy_engine
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from pipelines.common import addresses
from pipelines.common.addresses import redacted
from pipelines.common.streams import announce

LIMIT_S = 8  # timeout of the whole first contact, whatever the server does
CONNECT_S = 3  # timeout of one connection of it
RETRIES = 1
QUIET_S = 2  # a longer wait is announced
_NOWHERE = "nn-experiment-registry-asks"
_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")
_NAMED = ("databricks", "databricks-uc", "uc")  # addresses of one word
_FILES = ("", "file", "sqlite")
_DATABASES = ("postgresql", "mysql", "mssql")
_CONNECT_OPTION = {  # of the drivers
    "psycopg": "connect_timeout",
    "psycopg2": "connect_timeout",
    "pymysql": "connect_timeout",
    "mysqldb": "connect_timeout",
    "mysqlconnector": "connection_timeout",
}

# Remedies.
_OTHER = "set MLFLOW_TRACKING_URI to another, e.g. sqlite:///mlflow.db"
_START = f"start it, or {_OTHER}"
_FILE = "set MLFLOW_TRACKING_URI to a file in a folder that can be written, e.g. sqlite:////home/me/mlflow.db"
_ADDRESS = "write MLFLOW_TRACKING_URI as http://host:5000, postgresql+psycopg://host:5432/name or sqlite:///mlflow.db"
_ENCODE = "in its user and password write %40 for @, %23 for #, %2F for /, %3F for ?, %5B for [, %25 for %"
_LOGIN = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN, to what it accepts"
_DRIVER = "install it, e.g. pip install 'psycopg[binary]' for postgresql, pip install pymysql for mysql+pymysql"
_TRUST = (
    "set MLFLOW_TRACKING_SERVER_CERT_PATH or REQUESTS_CA_BUNDLE to the certificate of the authority that signed its "
    "own, and check that it is reached by https"
)
_SERVE = (
    "make that folder available here, or start the server so that it passes artifacts on (mlflow server without "
    "--default-artifact-root and --no-serve-artifacts) and set MLFLOW_EXPERIMENT_NAME to a new experiment"
)
_STORE = "check the address and credentials of that store, or start the server so that it passes artifacts on"
_CLIENT = "install the client of that store, e.g. pip install boto3 for s3:, google-cloud-storage for gs:"
# A part of the password has been read as host or port, so the error's text, which repeats it, is not shown.
_NOT_ENCODED = "user or password are not encoded as addresses must be"
_PROXY = "check HTTP_PROXY, HTTPS_PROXY and, for hosts that are reached without, NO_PROXY"


class ServerError(Exception):
    """A server, database or store of artifacts cannot be used. The message is one line, without secrets.

    Attributes:
        reason: the part of the message that says why.
    """

    def __init__(self, text: str, reason: str):
        super().__init__(text)
        self.reason = reason


class _Trouble(Exception):  # noqa: N818 - on its way to a ServerError
    """Reason of a failure, and its remedy."""

    def __init__(self, reason: object, remedy: str = ""):
        super().__init__(reason)
        self.reason = str(reason)
        self.remedy = remedy


def address() -> str:
    """Returns the address of the tracking server or database in use, without user and password, for messages."""
    return redacted(mlflow.get_tracking_uri())


def settled() -> str:
    """Brings the tracking address into a form that MLflow reads as the same place, uses it from now on, and returns it.

    Raises:
        ServerError: its path has to be written in another way.
    """
    uri = mlflow.get_tracking_uri()
    try:
        plain = addresses.for_mlflow(uri)
    except ValueError as error:
        raise ServerError(f"MLFLOW_TRACKING_URI: {error}", str(error)) from None
    if plain != uri:
        mlflow.set_tracking_uri(plain)
    return plain


def scheme(uri: str) -> str:
    """Returns the scheme of `uri` in lower case, without a driver: ``postgresql`` of ``postgresql+psycopg://…``."""
    return uri.partition(":")[0].partition("+")[0].lower() if ":" in uri or uri in _NAMED else ""


def is_remote(uri: str) -> bool:
    """Returns whether `uri` is the address of an HTTP server."""
    return scheme(uri) in ("http", "https")


def require_answer() -> None:
    """Waits for a first answer of the tracking server or database in use; later requests have MLflow's own timeouts.

    The request is made by MLflow's own client, so that proxies, path prefixes, credentials and certificates are used as
    in all later requests. A file is not opened: that would create or change it. User and password in the address of an
    HTTP server move to MLflow's variables for them: MLflow prints addresses, and shows them in its errors.

    Raises:
        ServerError: no answer within LIMIT_S, or MLFLOW_HTTP_REQUEST_TIMEOUT if that is longer; or one of no use.
    """
    try:
        _hide_credentials()
        _ask(mlflow.get_tracking_uri())
    except Exception as error:  # a plugin or a driver may raise anything
        raise explained(error) from error


def explained(error: Exception) -> ServerError:
    """Returns the message for an exception that the use of the tracking server raised."""
    trouble = _trouble(error)
    reason, remedy, uri = trouble.reason, trouble.remedy, mlflow.get_tracking_uri()
    if scheme(uri) in _FILES:
        reason = one_line(reason)
        return ServerError(f"cannot open the tracking database {address()} ({reason}): {remedy or _FILE}", reason)
    remedy = remedy or _START
    if bare := _bare(uri):
        remedy = f"{remedy}; {_ENCODE}"
        if is_remote(uri) or "@" in bare:
            reason, remedy = _NOT_ENCODED, _ENCODE
    reason = one_line(reason)
    return ServerError(f"cannot reach the tracking server {address()} ({reason}): {remedy}", reason)


def require_database(uri: str) -> None:
    """Waits for a first answer of any database: see `require_answer`.

    Raises:
        ServerError: no answer within LIMIT_S, or one that is of no use.
    """
    if scheme(uri) not in _DATABASES:
        return
    try:
        _within(LIMIT_S, lambda: _ask_database(uri), redacted(uri))
    except Exception as error:  # a driver may raise anything
        reason = _NOT_ENCODED if "@" in _bare(uri) else one_line(_trouble(error).reason)
        raise ServerError(f"cannot reach {redacted(uri)} ({reason}): {_ENCODE}", reason) from error


def require_artifacts(location: str) -> None:
    """Makes sure that artifacts can be stored at `location`, which a server or database gives for an experiment or run.

    Raises:
        ServerError: they cannot from this machine.
    """
    path = addresses.local_path(location)
    try:
        if path is not None:
            _require_folder(path)
        else:
            _within(LIMIT_S, lambda: _list_artifacts(location), redacted(location))
    except Exception as error:  # a store's client may raise anything
        trouble = _trouble(error)
        if isinstance(error, ModuleNotFoundError):
            trouble = _Trouble(error, _CLIENT)
        reason, remedy = one_line(trouble.reason), _SERVE if path is not None else trouble.remedy or _STORE
        raise ServerError(
            f"the server's artifact store is not reachable from here: {redacted(location)} of {address()} ({reason}): "
            f"{remedy}",
            reason,
        ) from error


def _list_artifacts(location: str) -> None:
    """Lists a folder that does not exist in the store: MLflow lists before it reads."""
    get_artifact_repository(location, tracking_uri=mlflow.get_tracking_uri()).list_artifacts(_NOWHERE)


def _require_folder(path: Path) -> None:
    """Raises OSError unless MLflow may create `path`: a remote server may mean a folder on its own disk."""
    there = next(folder for folder in (path, *path.parents) if folder.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise OSError(f"{there} on this machine is no folder that can be written")
    uri = mlflow.get_tracking_uri()
    if is_remote(uri) and urlsplit(uri).hostname not in _THIS_MACHINE and there not in (path, path.parent):
        raise OSError(f"there is no folder {path.parent} on this machine")


def one_line(text: object) -> str:
    """Returns the whole text on one line, without secrets."""
    return redacted(" ".join(str(text).split()))


def _hide_credentials() -> None:
    """Moves user and password of an HTTP server from the address to MLflow's variables, also for child processes."""
    uri = mlflow.get_tracking_uri()
    if not is_remote(uri) or _bare(uri):
        return
    parts = urlsplit(uri)
    if parts.username and parts.password:
        os.environ["MLFLOW_TRACKING_USERNAME"] = unquote(parts.username)
        os.environ["MLFLOW_TRACKING_PASSWORD"] = unquote(parts.password)
        mlflow.set_tracking_uri(urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])))
    elif parts.username:
        # MLflow has no variable for a user without a password.
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")


def _bare(uri: str) -> str:
    """Returns the characters of user and password that should have been encoded."""
    user, _, _ = uri.partition("://")[2].rpartition("@")
    ends = r"[#/?\[\]]" if is_remote(uri) else r"[#/?\[\]@]"
    return "".join(re.findall(ends, user)) if ":" in user else ""


# Requests.


def _ask(uri: str) -> None:
    if is_remote(uri):
        own = os.environ.get("MLFLOW_HTTP_REQUEST_TIMEOUT")
        limit = max(LIMIT_S, int(own or 0))
        _within(limit, lambda: _ask_server(uri, int(own) if own else (CONNECT_S, limit)), address())
    elif scheme(uri) in _DATABASES:
        _within(LIMIT_S, lambda: _ask_database(uri), address())
    elif scheme(uri) not in _FILES:
        _within(LIMIT_S, lambda: MlflowClient().search_experiments(max_results=1), address())


def _ask_server(uri: str, timeout: int | tuple[int, int]) -> None:
    response = http_request(
        get_default_host_creds(uri),
        "/api/2.0/mlflow/experiments/search",
        "POST",
        json={"max_results": 1},
        timeout=timeout,
        max_retries=int(os.environ.get("MLFLOW_HTTP_REQUEST_MAX_RETRIES", RETRIES)),
        raise_on_status=False,
    )
    if trouble := _refusal(response):
        raise trouble


def _ask_database(uri: str) -> None:
    """Connects once. MLflow's store itself would try ten times, for minutes and without a message."""
    url = make_url(uri)
    option = _CONNECT_OPTION.get(url.get_dialect().driver)
    if option and option not in url.query:
        url = url.update_query_dict({option: str(CONNECT_S)})
    engine = create_sqlalchemy_engine(url.render_as_string(hide_password=False))
    try:
        engine.connect().close()
    finally:
        engine.dispose()


def _within(seconds: float, ask: Callable[[], object], whom: str) -> None:
    """Runs `ask`, a request to `whom`, in a thread that is abandoned after a timeout.

    No library limits the time of a whole request: a server that sends a byte a second is never timed out.

    Raises:
        _Trouble: the timeout is over. And whatever `ask` raises.
    """
    answer: Future[object] = Future()

    def work() -> None:
        try:
            answer.set_result(ask())
        except BaseException as error:
            answer.set_exception(error)

    with _quiet():
        threading.Thread(target=work, daemon=True).start()
        with contextlib.suppress(TimeoutError):
            answer.result(QUIET_S)
        if not answer.done():
            announce(f"waiting for {whom}, up to {seconds:g} s")
        try:
            answer.result(seconds - QUIET_S)
        except TimeoutError as error:
            if answer.done():
                raise
            raise _Trouble(f"no complete answer within {seconds:g} s") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Silences urllib3's messages about retries."""
    logger = logging.getLogger("urllib3.connectionpool")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


# Messages.


def _refusal(response: requests.Response) -> _Trouble | None:
    """Returns the failure that an answer means, None if MLflow has answered the request."""
    status, message = response.status_code, _message(response)
    answer = f"HTTP {status} {response.reason or ''}".strip()
    if status == 401:
        return _Trouble(f"it asks for credentials, or does not accept those it was given: {answer}", _LOGIN)
    if status == 403:
        return _Trouble(f"the user may not do this, or is not known: {answer}", _LOGIN)
    if status == 407:
        return _Trouble(f"the proxy asks for credentials: {answer}", _PROXY)
    if status in (429, 502, 503, 504):
        return _Trouble(f"it is overloaded or not ready: {answer}", f"try again later, or {_OTHER}")
    if status >= 500:
        return _Trouble(f"{answer}: {message or 'no more is said'}", f"look into its log, or {_OTHER}")
    if status != 200 or message is None:
        return _Trouble(
            f"what answers there is no MLflow server: {answer}",
            f"check host, port and path of the address, and the proxy if there is one, or {_OTHER}",
        )
    return None


def _message(response: requests.Response) -> str | None:
    """Returns the message of an error of MLflow, empty for its other answers, None if MLflow has not answered."""
    try:
        answer = response.json()
    except requests.JSONDecodeError:
        return None
    return str(answer.get("message", "")) if isinstance(answer, dict) else None


def _trouble(error: Exception) -> _Trouble:
    """Returns the failure that an exception means: of a driver, of requests or of MLflow, which wraps both."""
    for each in _chain(error):
        match each:
            case _Trouble():
                return each
            case requests.RequestException():
                return _network_trouble(each)
            case NoSuchModuleError() | ArgumentError():
                return _Trouble("it is no address of a server or a database", _ADDRESS)
            case DBAPIError():
                return _database_trouble(str(each.orig))
            case ModuleNotFoundError():
                return _Trouble(f"its driver is not installed: {each}", _DRIVER)
    if isinstance(error, MlflowException) and error.get_http_status_code() in (401, 403):
        return _Trouble(error, _LOGIN)
    if isinstance(error, ValueError):
        return _Trouble("it is no address of a server or a database", _ADDRESS)
    return _Trouble(str(error) or type(error).__name__)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _network_trouble(error: requests.RequestException) -> _Trouble:
    text = str(error)
    match error:
        case requests.exceptions.ProxyError() if "407" in text:
            return _Trouble("the proxy asks for credentials", _PROXY)
        case requests.exceptions.ProxyError():
            return _Trouble(f"by way of the proxy: {_innermost(text)}", _PROXY)
        case requests.exceptions.SSLError():
            return _Trouble(f"TLS: {_innermost(text)}", _TRUST)
        case requests.exceptions.ConnectTimeout():
            return _Trouble("nothing answers at that host and port in time", f"check both, start it, or {_OTHER}")
        case requests.exceptions.Timeout():
            return _Trouble("no answer in time")
        case requests.exceptions.InvalidURL() | requests.exceptions.MissingSchema():
            return _Trouble("it is no address of a server", _ADDRESS)
    if "NameResolutionError" in text:
        return _Trouble("its host's name cannot be resolved", f"check the name and the network, or {_OTHER}")
    return _Trouble(_innermost(text))


def _innermost(text: str) -> str:
    """Returns the last of the nested messages of urllib3: `Connection refused`, `certificate verify failed: …`."""
    found = re.findall(r"\[(?:Errno -?\d+|SSL[^\]]*)\]\s*([^'\")\[]+)", text)
    return found[-1].strip() if found else text


def _database_trouble(text: str) -> _Trouble:
    """Returns the message of a driver, in any language, and a remedy for the most common ones."""
    lower = text.lower()
    if "password" in lower or "access denied" in lower or "authentication" in lower:
        return _Trouble(text, f"check the user and password in MLFLOW_TRACKING_URI; {_ENCODE}")
    if "does not exist" in lower or "unknown database" in lower:
        return _Trouble(text, f"create it, or {_OTHER}")
    return _Trouble(text)
