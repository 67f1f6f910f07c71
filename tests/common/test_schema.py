"""Databases of other versions of MLflow, and stores that are none: named with the remedy, and never changed."""

import hashlib
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy
from alembic import command
from click.testing import CliRunner
from mlflow.store.db.utils import _get_alembic_config
from mlflow.store.tracking.dbmodels.initial_models import Base

from analysis.__main__ import cli
from pipelines.common import schema
from pipelines.errors import UserError
from pipelines.tracking.server import connect

MLFLOW_2_9 = "acf3f17fdcc7"
BEFORE_ALEMBIC = ""
RUN = "a" * 32

# What reads the tracking server, and what of it must not be there for the command to be right.
READERS = [
    ("compare",),
    ("compare", "--experiment", "churn", "--format", "csv"),
    ("claims",),
    ("export",),
    ("export", "--history"),
    ("diff", RUN, RUN),
    ("sweep", "--dry-run"),
    ("sweep",),
    ("report",),
    ("readme", "--refresh", "true", "--file", "page.md", "--results", "results"),
]


def made_by(path: Path, revision: str) -> Path:
    """A database as the MLflow of that revision of the schema made it, with a finished run of another project."""
    fill(f"sqlite:///{path}", revision)
    return path


def fill(uri: str, revision: str) -> None:
    engine = sqlalchemy.create_engine(uri)
    Base.metadata.create_all(engine)
    if revision:
        config = _get_alembic_config("")
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
    with engine.begin() as connection:
        for table, row in (
            ("experiments", {"experiment_id": 0, "name": "Default", "lifecycle_stage": "active"}),
            ("experiments", {"experiment_id": 1, "name": "churn", "lifecycle_stage": "active"}),
            (
                "runs",
                {
                    "run_uuid": RUN,
                    "name": "theirs",
                    "status": "FINISHED",
                    "experiment_id": 1,
                    "start_time": 1_700_000_000_000,
                    "end_time": 1_700_000_001_000,
                    "lifecycle_stage": "active",
                    "source_type": "LOCAL",
                    "user_id": "ann",
                },
            ),
            ("params", {"key": "depth", "value": "3", "run_uuid": RUN}),
        ):
            names = ", ".join(row)
            connection.execute(
                sqlalchemy.text(f"INSERT INTO {table} ({names}) VALUES ({', '.join(f':{name}' for name in row)})"), row
            )
    engine.dispose()


@pytest.fixture(scope="module")
def older(tmp_path_factory) -> Path:
    return made_by(tmp_path_factory.mktemp("older") / "team.db", MLFLOW_2_9)


@pytest.fixture
def team(older, tmp_path, at) -> Path:
    """The tracking server is a team's database, of MLflow 2.9; the working directory another folder."""
    (tmp_path / "team").mkdir()
    path = tmp_path / "team" / "team.db"
    path.write_bytes(older.read_bytes())
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "page.md").write_text("")
    at(tmp_path / "here", f"sqlite:///{path}")
    return path


def state(folder: Path) -> dict[str, str]:
    """Digest of every file under `folder` by its path."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def refused(*arguments: str) -> str:
    result = CliRunner().invoke(cli, list(arguments))
    assert result.exit_code == 2, result.output
    assert not result.stdout
    (line,) = result.stderr.strip().splitlines()[-1:]
    return line


@pytest.mark.parametrize("arguments", READERS, ids=" ".join)
def test_a_reader_leaves_an_older_database_as_it_is(team, arguments):
    before = state(team.parent)
    line = refused(*arguments)
    assert state(team.parent) == before
    assert line.startswith(f"error: the database sqlite:///{team} was made by an older MLflow")
    assert f"mlflow db upgrade sqlite:///{team}" in line
    assert "MLFLOW_TRACKING_URI" not in line


def test_a_launch_leaves_it_as_it_is_too(team):
    before = state(team.parent)
    with pytest.raises(UserError, match=f"mlflow db upgrade sqlite:///{team}"):
        connect()
    assert state(team.parent) == before


@pytest.mark.parametrize("revision", [BEFORE_ALEMBIC, "451aebb31d03", "cc1f77228345", "75868b020152"])
def test_every_older_schema_is_known(tmp_path, revision):
    path = made_by(tmp_path / "old.db", revision)
    before = state(tmp_path)
    assert schema.look(f"sqlite:///{path}").state == schema.OLDER
    assert state(tmp_path) == before


def test_a_copy_is_migrated_and_read_instead(team, monkeypatch):
    before = state(team.parent)
    result = CliRunner().invoke(cli, ["export", "--migrate", "copy.db"])
    assert result.exit_code == 0, result.output
    header, line = result.stdout.splitlines()
    values = dict(zip(header.split(","), line.split(","), strict=True))
    assert (values["run_id"], values["experiment"], values["params.depth"]) == (RUN, "churn", "3")
    assert state(team.parent) == before
    assert schema.look("sqlite:///copy.db").state == schema.READY


@pytest.mark.parametrize("arguments", [each for each in READERS if each[0] in ("compare", "diff", "export")])
@pytest.mark.medium
def test_every_reader_takes_the_copy(team, arguments):
    result = CliRunner().invoke(cli, [*arguments, "--migrate", "copy.db"])
    assert result.exit_code == (1 if arguments == ("compare",) else 0), result.output  # no run of a row of ours
    assert "Traceback" not in result.output


def test_a_copy_takes_no_other_files_place(team):
    Path("copy.db").write_text("mine")
    assert "copy.db is there already" in refused("export", "--migrate", "copy.db")
    assert Path("copy.db").read_text() == "mine"


def test_a_copy_that_cannot_be_written_leaves_nothing(team):
    assert "cannot copy" in refused("export", "--migrate", "absent/copy.db")
    assert list(Path().iterdir()) == [Path("page.md")]


def test_a_copy_that_cannot_be_migrated_leaves_nothing(team):
    with sqlite3.connect(team) as connection:
        connection.execute("CREATE TABLE trace_info (theirs TEXT)")
    connection.close()
    assert "cannot migrate the copy" in refused("export", "--migrate", "copy.db")
    assert list(Path().iterdir()) == [Path("page.md")]


def test_a_database_that_needs_no_migration_is_read_as_it_is(blank_database, at, tmp_path):
    at(tmp_path, f"sqlite:///{blank_database}")
    result = CliRunner().invoke(cli, ["export", "--migrate", "copy.db"])
    assert result.exit_code == 0
    assert "needs none" in result.stderr
    assert not Path("copy.db").exists()


def test_writers_at_work_are_in_the_copy(team, tmp_path):
    writer = sqlite3.connect(team)
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute("UPDATE params SET value = '4'")
    writer.commit()
    schema.copy_sqlite(f"sqlite:///{team}", tmp_path / "copy.db")
    copy = sqlite3.connect(tmp_path / "copy.db")
    assert copy.execute("SELECT value FROM params").fetchone() == ("4",)
    writer.close()
    copy.close()


def test_a_newer_database_is_left_as_it_is(blank_database, at, tmp_path):
    path = tmp_path / "newer.db"
    path.write_bytes(blank_database.read_bytes())
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
    connection.close()
    at(tmp_path, f"sqlite:///{path}")
    before = state(tmp_path)
    line = refused("export")
    assert "newer MLflow" in line
    assert "pip install --upgrade mlflow" in line
    assert "db upgrade" not in line
    assert refused("export", "--migrate", "copy.db") == line
    assert state(tmp_path) == before


@pytest.fixture
def others(tmp_path) -> dict[str, Path]:
    """What is no database of MLflow's."""
    connection = sqlite3.connect(tmp_path / "study.db")
    connection.execute("CREATE TABLE studies (study_id INTEGER)")
    connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
    connection.execute("INSERT INTO alembic_version VALUES ('v3.2.0.a')")
    connection.commit()
    connection.close()
    (tmp_path / "text.db").write_text("run,value\n" * 100)
    (tmp_path / "folder.db").mkdir()
    os.mkfifo(tmp_path / "fifo.db")
    return {name: tmp_path / f"{name}.db" for name in ("study", "text", "folder", "fifo")}


@pytest.mark.parametrize(
    ("what", "said"),
    [("study", "holds studies"), ("text", "no SQLite database"), ("folder", "is no file"), ("fifo", "is no file")],
)
def test_what_is_no_database_of_mlflow_gets_no_tables(others, at, tmp_path, what, said):
    path = others[what]
    at(tmp_path, f"sqlite:///{path}")
    before = path.read_bytes() if path.is_file() else None
    line = refused("export")
    assert said in line
    assert str(path) in line
    with pytest.raises(UserError, match=said):
        connect()
    assert before is None or path.read_bytes() == before


@pytest.mark.parametrize("content", [None, b""])
def test_where_nothing_was_logged_readers_make_nothing(at, tmp_path, content):
    if content is not None:
        (tmp_path / "new.db").write_bytes(content)
    at(tmp_path, f"sqlite:///{tmp_path / 'new.db'}")
    before = state(tmp_path)
    result = CliRunner().invoke(cli, ["compare"])
    assert result.exit_code == 1, result.output
    assert "no finished runs" in result.stderr
    assert state(tmp_path) == before


def test_a_first_set_up_that_was_broken_off_is_taken_up(at, tmp_path):
    engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path / 'half.db'}")
    Base.metadata.create_all(engine)
    engine.dispose()
    at(tmp_path, f"sqlite:///{tmp_path / 'half.db'}")
    assert schema.look(f"sqlite:///{tmp_path / 'half.db'}").state == schema.NOTHING
    connect()
    assert schema.look(f"sqlite:///{tmp_path / 'half.db'}").state == schema.READY


def test_a_database_in_wal_mode_gets_no_files_beside_it(blank_database, tmp_path):
    path = tmp_path / "wal.db"
    path.write_bytes(blank_database.read_bytes())
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.close()
    assert schema.look(f"sqlite:///{path}").state == schema.READY
    assert [each.name for each in tmp_path.iterdir()] == ["wal.db"]


def test_what_a_killed_writer_left_is_recovered(blank_database, tmp_path):
    path = tmp_path / "hot.db"
    path.write_bytes(blank_database.read_bytes())
    killed = (
        "import os, sqlite3; c = sqlite3.connect('hot.db'); c.execute('PRAGMA cache_size = 1');"
        "c.execute('CREATE TABLE bulk (text)');"
        "c.executemany('INSERT INTO bulk VALUES (?)', [('x' * 900,)] * 900); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", killed], cwd=tmp_path, check=True)
    assert (tmp_path / "hot.db-journal").exists()
    assert schema.look(f"sqlite:///{path}").state == schema.READY
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT COUNT(*) FROM experiments").fetchone() == (1,)
    connection.close()


@pytest.mark.medium
def test_an_older_postgresql_is_left_as_it_is(postgresql, at, tmp_path):
    fill(postgresql, MLFLOW_2_9)
    at(tmp_path, postgresql)
    for line in (refused("export"), refused("export", "--migrate", "copy.db")):
        assert "made by an older MLflow" in line
        assert f"mlflow db upgrade {postgresql.split('@')[0].split(':')[0]}" in line
    assert "only an SQLite database is copied" in line
    with pytest.raises(UserError, match="older MLflow"):
        connect()
    engine = sqlalchemy.create_engine(postgresql)
    with engine.connect() as connection:
        assert connection.execute(sqlalchemy.text("SELECT version_num FROM alembic_version")).scalars().all() == [
            MLFLOW_2_9
        ]
    engine.dispose()


# Stores of files.


@pytest.fixture
def files(tmp_path, monkeypatch) -> Path:
    """A folder in which MLflow 2 has left its mlruns."""
    import mlflow

    experiment = tmp_path / "mlruns" / "0"
    experiment.mkdir(parents=True)
    (experiment / "meta.yaml").write_text(
        "artifact_location: mlruns/0\nexperiment_id: '0'\nlifecycle_stage: active\nname: Default\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    mlflow.set_tracking_uri(None)
    return tmp_path


def test_a_store_of_files_is_named_with_mlflows_own_tool(files):
    before = state(files)
    line = refused("compare")
    assert f"{files / 'mlruns'} is a store of files" in line
    assert f"mlflow migrate-filestore --source {files} --target sqlite:///mlflow.db" in line
    assert "MLFLOW_TRACKING_URI is not set" in line
    with pytest.raises(UserError, match="migrate-filestore"):
        connect()
    assert state(files) == before


@pytest.mark.medium
def test_the_advice_on_a_store_of_files_works(files, monkeypatch):
    advised = refused("compare").split("mlflow migrate-filestore ")[1].split(" and set ")[0]
    done = subprocess.run(
        [Path(sys.executable).with_name("mlflow"), "migrate-filestore", *advised.split()],
        cwd=files,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert schema.look(f"sqlite:///{files / 'mlflow.db'}").state == schema.READY


def test_a_store_of_files_that_is_allowed_is_read(files, monkeypatch):
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    before = state(files)
    result = CliRunner().invoke(cli, ["compare"])
    assert result.exit_code == 1, result.output
    assert "no finished runs" in result.stderr
    assert state(files) == before
