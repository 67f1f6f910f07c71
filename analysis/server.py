"""The tracking server in use: its address, a client whose server has answered, and errors where it does not."""

import logging
import sqlite3
from dataclasses import dataclass
from pathlib import Path

import mlflow
import mlflow.db
from mlflow import MlflowClient
from mlflow.entities import Experiment
from mlflow.exceptions import MlflowException

from analysis.errors import InputError, UnreachableError
from pipelines import names
from pipelines.common import schema, views
from pipelines.common import server as shared
from pipelines.common.server import one_line
from pipelines.common.views import Stored


@dataclass(frozen=True)
class Page:
    """The page of an experiment in MLflow's interface.

    Attributes:
        experiment: its id.
        name: of the experiment.
        views: saved ones that this project has made, oldest first.
    """

    experiment: str
    name: str
    views: tuple[Stored, ...]


def pages() -> list[Page]:
    """Pages of the experiments with saved views of this project, or its newest run, whose page comes first.

    Raises:
        InputError: the tracking server cannot be read.
    """
    if is_empty():
        return []
    client, token = reach(), None
    found: list[Page] = []
    while True:
        experiments = client.search_experiments(page_token=token)
        found += map(_page, experiments)
        token = experiments.token
        if not token:
            break
    newest = client.search_runs([page.experiment for page in found], f"tags.{names.ROW} LIKE '%'", max_results=1)
    first = newest[0].info.experiment_id if newest else ""
    kept = [page for page in found if page.views or page.experiment == first]
    return sorted(kept, key=lambda page: page.experiment != first)


def _page(experiment: Experiment) -> Page:
    made = tuple(view for view in views.stored(experiment.tags) if view.is_of_the_project)
    return Page(experiment.experiment_id, experiment.name, made)


def uri() -> str:
    """The tracking server in use, any user name and password left out."""
    settled()
    return shared.address()


def read_migrated(path: Path) -> bool:
    """Copies the SQLite database in use, an older MLflow's, to `path`, migrates the copy, and has that read instead.

    Returns:
        Whether it did: a database that MLflow can work with is read as it is.

    Raises:
        InputError: it is no SQLite database, or `path` is there already or cannot be written.
    """
    found = _looked()
    if found.state in (schema.READY, schema.NOTHING):
        return False
    if found.state != schema.OLDER:
        raise InputError(found.trouble)
    _quieten()
    try:
        copied = schema.copy_sqlite(settled(), path)
    except FileExistsError as error:
        raise InputError(
            f"migrate: {path} is there already; give another path, or read it with MLFLOW_TRACKING_URI"
        ) from error
    except ValueError as error:
        raise InputError(f"migrate: {error}; {found.trouble}") from error
    except (OSError, sqlite3.Error) as error:
        raise InputError(f"migrate: cannot copy {uri()} to {path} ({one_line(error)}); give another path") from error
    try:
        mlflow.db.upgrade.callback(copied)  # type: ignore[misc]  # click allows for commands without one
    except Exception as error:  # whatever stands in the way of a migration written for a database of another shape
        path.unlink()
        raise InputError(f"migrate: MLflow cannot migrate the copy ({one_line(error)}); nothing was changed") from error
    mlflow.set_tracking_uri(copied)
    return True


def reach() -> MlflowClient:
    """A client whose server has answered.

    Raises:
        UnreachableError: it has not.
    """
    _require_answer()
    try:
        client = MlflowClient()
        client.search_experiments(max_results=1)
    except Exception as error:  # a backend raises whatever its driver raises
        raise unreadable(error) from error
    return client


def _require_answer() -> None:
    _quieten()
    settled()
    try:
        shared.require_answer()
    except shared.ServerError as error:
        raise UnreachableError(str(error)) from error


def _quieten() -> None:
    for talkative in ("mlflow", "alembic", "urllib3"):
        logging.getLogger(talkative).setLevel(logging.ERROR)


def is_empty() -> bool:
    """Tells whether nothing was ever logged at the address in use, which MLflow would then set up: a reader must not.

    Raises:
        InputError: it cannot be read as it is, and MLflow would change it.
    """
    found = _looked()
    if found.trouble:
        raise InputError(found.trouble)
    return found.state == schema.NOTHING


def _looked() -> schema.Store:
    _require_answer()
    try:
        return schema.look(settled())
    except Exception as error:  # whatever a database's driver raises, a missing driver included
        raise unreadable(error) from error


def settled() -> str:
    """Address of the tracking server in use, in the form that both halves of the project give it.

    Raises:
        InputError: there is no such address.
    """
    try:
        return shared.settled()
    except shared.ServerError as error:
        raise InputError(str(error)) from None


def unreadable(error: Exception) -> UnreachableError:
    """Error for a tracking server that has answered a request with `error`."""
    if shared.scheme(settled()) in ("", "file", "sqlite") and isinstance(error, MlflowException):
        return UnreachableError(f"cannot read {uri()}, MLflow says: {one_line(error)}")
    return UnreachableError(str(shared.explained(error)))
