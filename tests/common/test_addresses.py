"""Addresses of databases and artifacts, held to what SQLAlchemy, SQLite and MLflow make of them."""

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository
from mlflow.store.db.utils import create_sqlalchemy_engine_with_retry
from sqlalchemy import text

from pipelines.common import addresses

NAMES = (
    "plain",
    "a b",
    "ü",
    "a#b",
    "a%41b",
    "100%",
    "a%2Fb",
    "a?b",
    "a?b=c",
    "it's",
    'a"b',
    "two\nlines",
    "-dash",
    "a;b",
    "a:b",
    "$HOME",
    "back\\slash",
    "a+b",
    "a@b",
    "&",
    "~",
)


@pytest.fixture(params=NAMES, ids=repr)
def folder(request, tmp_path) -> Path:
    """A folder of that name, the only one in `tmp_path`."""
    folder = tmp_path / request.param
    folder.mkdir()
    return folder


def opened_by_mlflow(uri: str) -> Path:
    """The file that MLflow opens at an address."""
    engine = create_sqlalchemy_engine_with_retry(uri)
    with engine.connect() as connection:
        (file,) = connection.execute(text("SELECT file FROM pragma_database_list")).scalars()
    engine.dispose()
    return Path(file)


@pytest.mark.parametrize("is_here", [True, False])
def test_mlflow_opens_the_file_that_is_meant(folder, tmp_path, monkeypatch, is_here):
    monkeypatch.chdir(folder if is_here else tmp_path)
    uri = addresses.sqlite_uri(folder / "mlflow.db")
    assert addresses.sqlite_file(uri) == folder / "mlflow.db"
    assert opened_by_mlflow(uri) == folder / "mlflow.db"
    if is_here:
        assert list(tmp_path.iterdir()) == [folder]


def test_mlflows_own_address_is_read_as_mlflow_reads_it_and_written_so_that_it_makes_no_other_folder(
    folder, tmp_path, monkeypatch
):
    from mlflow.tracking import get_tracking_uri, set_tracking_uri

    monkeypatch.chdir(folder)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    set_tracking_uri(None)
    uri = get_tracking_uri()
    assert addresses.sqlite_file(uri) == folder / "mlflow.db"
    assert opened_by_mlflow(addresses.for_mlflow(uri)) == folder / "mlflow.db"
    assert list(tmp_path.iterdir()) == [folder]


def test_settings_go_with_the_address(folder, monkeypatch):
    monkeypatch.chdir(folder)
    uri = addresses.sqlite_uri("mlflow.db", {"timeout": "5"})
    assert addresses.for_mlflow(uri) == uri
    assert opened_by_mlflow(uri) == folder / "mlflow.db"
    assert uri.endswith("?timeout=5")


@pytest.mark.medium
def test_artifacts_lie_where_a_new_experiment_keeps_them(folder, tmp_path, monkeypatch, blank_database):
    monkeypatch.chdir(folder)
    # MLflow remembers an address that is relative to the working directory: one of its own for each folder.
    database = f"{NAMES.index(folder.name)}.db"
    shutil.copy(blank_database, database)
    uri = addresses.sqlite_uri(database)
    client = MlflowClient(uri)
    experiment = client.create_experiment("ours", addresses.artifact_location(uri, "ours"))
    run = client.create_run(experiment)
    client.log_text(run.info.run_id, "found", "sub folder/a.txt")
    (found,) = folder.glob("mlruns/*/*/artifacts/sub folder/a.txt")
    assert addresses.local_path(run.info.artifact_uri) == found.parents[1]
    assert Path(client.download_artifacts(run.info.run_id, "sub folder/a.txt")).read_text() == "found"
    assert list(tmp_path.iterdir()) == [folder]


def test_artifacts_lie_beside_the_database_where_the_working_directory_cannot_be_written(tmp_path, monkeypatch):
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    assert addresses.artifact_location(uri, "ours") is None
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != here)  # root may write anywhere
    assert addresses.artifact_location(uri, "ours") == (tmp_path / "mlruns" / "ours").as_uri()


@pytest.mark.parametrize("path", ["/a b/c", "/a%41b/c", "/a#b/c", "/a?b/c"])
def test_a_place_of_artifacts_is_the_one_that_mlflow_takes(path):
    for uri in (path, Path(path).as_uri()):
        assert addresses.local_path(uri) == Path(LocalArtifactRepository(uri).artifact_dir)
    assert addresses.local_path(Path(path).as_uri()) == Path(path)


@pytest.mark.parametrize("uri", ["s3://bucket/a", "mlflow-artifacts:/a", "http://host/a"])
def test_a_place_of_artifacts_elsewhere_is_none_of_this_machine(uri):
    assert addresses.local_path(uri) is None


@pytest.mark.parametrize(
    "uri", ["sqlite://", "sqlite:///:memory:", "sqlite:///file::memory:?uri=true", "http://host:5000/a?b", "databricks"]
)
def test_other_addresses_have_no_file_and_stay_as_they_are(uri):
    assert addresses.sqlite_file(uri) is None
    assert addresses.for_mlflow(uri) == uri
    assert addresses.artifact_location("http://host:5000", "ours") is None


def test_a_database_given_to_sqlite_as_a_uri(tmp_path):
    path = tmp_path / "a b.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (x)")
    uri = f"sqlite:///file:{path}?mode=ro&uri=true"
    assert addresses.sqlite_file(uri) == path
    assert addresses.for_mlflow(uri) == uri


def test_a_question_mark_that_belongs_to_the_path_is_pointed_out():
    with pytest.raises(ValueError, match=r"a \? in a path is written %3F: sqlite:////a%3Fb/mlflow\.db"):
        addresses.sqlite_file("sqlite:////a?b/mlflow.db")


SAME = [
    ("sqlite:///a.db", "sqlite+pysqlite:///./a.db?timeout=5"),
    ("sqlite:////tmp/a%20b.db", "sqlite:////tmp/x/../a b.db"),
    ("postgresql://one:secret@host/db", "postgresql+psycopg2://two@HOST:5432/db?connect_timeout=3"),
    ("postgresql://localhost/db", "postgresql:///db"),
    ("mysql://127.0.0.1/db", "mysql+pymysql://localhost:3306/db"),
]
OTHERS = [
    ("sqlite:///a.db", "sqlite:///b.db"),
    ("sqlite:////tmp/a%2541.db", "sqlite:////tmp/aA.db"),
    ("postgresql://host/db", "postgresql://host:5433/db"),
    ("postgresql://host/db", "postgresql://host/db?options=-csearch_path%3Dstudies"),
    ("postgresql://host/db", "mysql://host/db"),
    ("sqlite:///a.db", "http://a.db"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_the_same_place_by_different_names(one, other, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert addresses.same_place(one, other)


@pytest.mark.parametrize(("one", "other"), OTHERS)
def test_different_places(one, other, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert not addresses.same_place(one, other)


def test_a_link_to_a_database_is_the_same_place(tmp_path):
    (tmp_path / "link.db").symlink_to(tmp_path / "a.db")
    assert addresses.same_place(f"sqlite:///{tmp_path}/a.db", f"sqlite:///{tmp_path}/link.db")


@pytest.mark.parametrize(
    ("uri", "own"),
    [
        ("http://127.0.0.1:5000", True),
        ("http://127.0.1.1:5000", True),
        ("http://LOCALHOST", True),
        ("http://me:word@[::1]:5000/path", True),
        ("postgresql://me@localhost:5432/studies", True),
        ("postgresql:///studies", True),
        ("postgresql+psycopg:///studies?host=/var/run/postgresql", True),
        ("postgresql:///studies?host=server", False),
        ("http://first-node:5000", False),
        ("http://10.0.0.7:5000", False),
        ("http://localhost.example:5000", False),
        ("databricks", False),
        ("databricks://profile", False),
    ],
)
def test_an_address_that_each_machine_takes_for_its_own_is_known(uri, own):
    assert addresses.is_of_whoever_reads_it(uri) is own
