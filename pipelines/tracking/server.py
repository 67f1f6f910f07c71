"""The tracking server before there is a run: first contact, the set-up of a new database, the experiment."""

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
        existing: refuse to make a new database.

    Raises:
        UserError: the server or database cannot be reached, within 15 s.
    """
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
        # MLflow would migrate an older one without a word, and whoever else uses it could not open it any more.
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
    except Exception as error:  # a driver raises whatever it likes
        raise UnreachableError(str(server.explained(error))) from error
    os.environ["MLFLOW_TRACKING_URI"] = uri


def uri() -> str:
    """Address of the tracking server, or database, which may hold a password."""
    return mlflow.get_tracking_uri()


@signals_later()
def experiment() -> str:
    """Id of the experiment that new runs belong to: the one that the environment names, or ours, made where it is not.

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
    """Make sure that artifacts can be kept at `location`.

    Raises:
        UserError: not from here.
    """
    try:
        server.require_artifacts(location)
    except server.ServerError as error:
        raise UserError(str(error)) from error


def _new_experiment(client: MlflowClient, name: str) -> Experiment:
    note = "Neural networks compared honestly: each run is a row of the catalogue; its parent is one launch."
    location = addresses.artifact_location(mlflow.get_tracking_uri(), name)
    try:
        return client.get_experiment(client.create_experiment(name, location, {names.DESCRIPTION: note}))
    except MlflowException:
        # Another process may have made it at the same moment.
        if found := client.get_experiment_by_name(name):
            return found
        raise


def _set_up(uri: str) -> None:
    """Have MLflow make the tables of a new database.

    Several processes that do so at once crash, in MLflow's own migration. Ours wait for one another; of a plain MLflow
    that is at it too, the tables are found at the next attempt.
    """
    with locks.of_database(uri, "set up the tracking database", limit=locks.FIRST_USE_S):
        for attempt in range(_ATTEMPTS):
            if schema.look(uri).state != schema.NOTHING:
                return
            try:
                MlflowClient().search_experiments(max_results=1)
            except Exception:  # whatever the driver of the database raises
                if attempt + 1 == _ATTEMPTS:
                    raise
                time.sleep(2**attempt)


def _require_folder(uri: str) -> None:
    """Raises OSError where a database's folder is not there or not writable, which MLflow tries for minutes."""
    file = addresses.sqlite_file(uri)
    if file and not os.access(file.parent, os.W_OK):
        raise OSError(f"the folder {file.parent} is not there or not writable")
