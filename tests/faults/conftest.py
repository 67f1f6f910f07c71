"""Fixtures of the tests of faults."""

import shutil

import pytest
from support.launches import until
from support.place import Place
from support.servers import is_up, unused


@pytest.fixture
def mlflow_server(tmp_path_factory, blank_database) -> int:
    """The port of an MLflow server with a database of its own."""
    place = Place(tmp_path_factory.mktemp("server"))
    shutil.copy(blank_database, place.database)
    place.set("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
    port = unused()
    options = ("--port", str(port), "--workers", "1", "--backend-store-uri", place.uri)
    process = place.start("server", *options, module="mlflow")
    try:
        until(lambda: is_up(port), process)
        yield port
    finally:
        place.end()
