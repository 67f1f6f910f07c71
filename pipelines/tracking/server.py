"""Connection to the tracking server: first contact, the set-up of a new database, the experiment."""

import os
import time

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Experiment
from mlflow.exceptions import MlflowException

from pipelines import names
from pipelines.common import addresses, locks, schema, server
from pipelines.errors import UnreachableError, UserError
from pipelines.processes.signals import signals_later

_ATTEMPTS = 4  # at setting up a database


def connect(existing: bool = False) -> None:
    """Find the tracking server and set up its database if it is new; the processes started later use the same one.

    Args:
        existing: refuse to create a new database.

    Raises:
        UserError: the server or database cannot be reached, within 15 s.
    """
    # MLflow would draw a bar for each artifact that it reads, over the display.
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    try:
        uri = server.settled()
    except server.ServerError as error:
        raise UserError(str(error)) from None
    file = addresses.sqlite_file(uri)
    if existing and file and not file.exists():
        raise UserError(f"there is no database {file}: set MLFLOW_TRACKING_URI to the one that has the run")
    try:
        _require_folder(uri)
        server.require_answer()
        uri = mlflow.get_tracking_uri()
        # MLflow would migrate an older one without asking, and older versions of MLflow could not open it any more.
        store = schema.look(uri)
        if store.trouble:
            raise UserError(store.trouble)
        if store.state == schema.NOTHING:
            _set_up(uri)
        MlflowClient().search_experiments(max_results=1)
    except UserError:
        raise
    except server.ServerError as error:
        raise UnreachableError(str(error)) from error
    except Exception as error:  # a driver may raise anything
        raise UnreachableError(str(server.explained(error))) from error
    os.environ["MLFLOW_TRACKING_URI"] = uri


def is_set_up() -> bool:
    """Whether there is a server, or a database that has been used; nothing is created.

    Raises:
        UserError: the database cannot be reached.
    """
    try:
        uri = server.settled()
        file = addresses.sqlite_file(uri)
        return (not file or file.exists()) and schema.look(uri).state != schema.NOTHING
    except server.ServerError as error:
        raise UserError(str(error)) from None
    except Exception as error:  # a driver may raise anything
        raise UnreachableError(str(server.explained(error))) from error


def uri() -> str:
    """Returns the address of the tracking server or database, which may hold a password."""
    return mlflow.get_tracking_uri()


@signals_later()
def experiment() -> str:
    """Returns the id of the experiment for new runs, which is that of the environment, or ours; creates it if need be.

    Raises:
        UserError: it is deleted.
    """
    if given := os.environ.get("MLFLOW_EXPERIMENT_ID"):
        return given
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME", names.EXPERIMENT)
    client = MlflowClient()
    found = client.get_experiment_by_name(name) or _new_experiment(client, name)
    if found.lifecycle_stage == "deleted":
        raise UserError(f"the experiment {name!r} is deleted: restore it in the UI, or set MLFLOW_EXPERIMENT_NAME")
    return found.experiment_id


def require_artifacts(location: str) -> None:
    """Make sure that artifacts can be stored at `location`.

    Raises:
        UserError: they cannot from this machine.
    """
    try:
        server.require_artifacts(location)
    except server.ServerError as error:
        raise UserError(str(error)) from error


def _new_experiment(client: MlflowClient, name: str) -> Experiment:
    location = addresses.artifact_location(mlflow.get_tracking_uri(), name)
    try:
        return client.get_experiment(client.create_experiment(name, location))
    except MlflowException:
        # Another process may have created it at the same moment.
        if found := client.get_experiment_by_name(name):
            return found
        raise


def _set_up(uri: str) -> None:
    """Have MLflow create the tables of a new database.

    Several processes that do so at once crash, in MLflow's own migration. Processes of this project wait for one
    another; if another program does it at the same time, the next attempt finds its tables.
    """
    with locks.of_database(uri, "set up the tracking database", limit=locks.FIRST_USE_S):
        for attempt in range(_ATTEMPTS):
            if schema.look(uri).state != schema.NOTHING:
                return
            try:
                # SQLite keeps the tables of a step that is broken off, and the next attempt at it would fail.
                with signals_later():
                    MlflowClient().search_experiments(max_results=1)
            except Exception:  # a driver may raise anything
                if attempt + 1 == _ATTEMPTS:
                    raise
                time.sleep(2**attempt)


def _require_folder(uri: str) -> None:
    """Raises OSError if a database's folder does not exist or cannot be written: MLflow would retry for minutes."""
    file = addresses.sqlite_file(uri)
    if file and not os.access(file.parent, os.W_OK):
        raise OSError(f"the folder {file.parent} is not there or not writable")
