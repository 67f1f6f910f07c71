"""A shared server from its start to its restoration, on a PostgreSQL of its own."""

import io
import os
import shutil
import socket
import stat
import subprocess
import tarfile
from unittest import mock

import optuna
import psutil
import psycopg
import pytest
from alembic import command as alembic
from support.launches import until
from support.place import Place
from support.shared import SharedServer, shared_server, unmade_server

from pipelines.common import locks
from pipelines.errors import UserError
from pipelines.server import command, postgresql, tracking
from pipelines.server.configuration import SECRETS, Configuration, saved
from pipelines.server.options import ServerOptions


@pytest.fixture(scope="module")
def server():
    with shared_server() as running:
        yield running


@pytest.fixture
def away(tmp_path) -> SharedServer:
    """A server that was never started."""
    return SharedServer(tmp_path / "server")


def complaint(result) -> str:
    *_, last = result.stderr.splitlines()
    assert (result.returncode, last[:7]) == (2, "error: "), result.stderr
    return last.removeprefix("error: ")


def start(server) -> None:
    """Starts a server from this process."""
    command.run(ServerOptions(action="start", folder=str(server.folder), port=server.ports[0]))


def serves(server) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", server.ports[0])) == 0


# What a user may do wrong.


@pytest.mark.parametrize("action", ["stop", "status", "backup", "upgrade"])
def test_what_needs_a_server_names_the_command_that_makes_one(away, action):
    assert complaint(away.call(action)) == (
        f"folder={away.folder}: no server was started there; nnreg server start makes one"
    )
    assert not away.folder.exists()


@pytest.mark.parametrize("at", [0, 1])
def test_a_port_that_is_taken_is_named_with_its_option(away, at):
    option = ("--port", "--database-port")[at]
    with socket.create_server(("127.0.0.1", 0)) as other:
        away.ports = tuple(other.getsockname()[1] if at == place else port for place, port in enumerate(away.ports))
        said = complaint(away.start())
    assert f"127.0.0.1:{away.ports[at]} (Address already in use" in said
    assert said.endswith(f"give another {option}")


def test_without_postgresql_the_ways_to_have_it_are_named(away, monkeypatch, tmp_path):
    monkeypatch.setattr(postgresql, "_DEBIAN", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError) as error:
        start(away)
    said = str(error.value)
    assert said.startswith("PostgreSQL (initdb, pg_ctl, psql, pg_dump, pg_restore) is neither in")
    assert said.endswith("apt install postgresql, conda install postgresql, or brew install postgresql")


def test_without_the_packages_of_a_server_they_are_named(away, monkeypatch):
    monkeypatch.setattr(command, "NEEDED", {"flask_nothing": "Flask-Nothing"})
    with pytest.raises(UserError, match="a server needs Flask-Nothing: pip install Flask-Nothing"):
        start(away)


def test_a_backup_that_is_not_there_is_named(away, tmp_path):
    assert complaint(away.start("restore")) == "restore: give the backup as --file"
    missing = tmp_path / "none.tar"
    assert complaint(away.start("restore", "--file", str(missing))) == (
        f"file={missing}: there is no such backup; nnreg server backup --file FILE writes one"
    )


def test_a_file_that_is_no_backup_is_refused(away, tmp_path):
    text = tmp_path / "text.tar"
    text.write_text("no archive")
    assert "no whole backup of a server" in complaint(away.start("restore", "--file", str(text)))
    other = tmp_path / "other.tar"
    with tarfile.open(other, "w") as archive:
        archive.addfile(tarfile.TarInfo("mlflow.dump"), io.BytesIO())
    said = complaint(away.start("restore", "--file", str(other)))
    assert said == f"file={other}: no backup of a server, it lacks artifacts, optuna.dump, secrets.env"
    assert not postgresql.is_made(saved_of(away))


def saved_of(server):
    return Configuration(folder=server.folder, host="", port=0, database_port=0, workers=1)


def test_one_command_at_a_time_works_on_a_server_and_others_see_it(away, monkeypatch, capsys):
    away.folder.mkdir()
    saved_of(away).save()
    monkeypatch.setattr(locks, "ANNOUNCE_AFTER_S", 0)
    monkeypatch.setattr(command, "LOCK_S", 0)
    with locks.on_file(away.folder / ".lock", "write a backup"):
        command.run(ServerOptions(action="status", folder=str(away.folder)))
        with pytest.raises(UserError, match=r"has held the lock .*/\.lock"):
            command.run(ServerOptions(action="stop", folder=str(away.folder)))
    assert capsys.readouterr().out.splitlines()[:2] == ["MLflow      stopped", "PostgreSQL  stopped"]


@pytest.mark.medium
def test_a_start_that_is_interrupted_leaves_nothing_running():
    with unmade_server() as server:
        process = subprocess.Popen(server.command("start", *server.own), stderr=subprocess.PIPE, text=True)
        until(lambda: (server.folder / "mlflow.json").exists(), process)
        assert postgresql.is_running(saved(server.folder))
        process.terminate()
        _, said = process.communicate(timeout=120)
        assert (process.returncode, said.splitlines()[-1]) == (143, "error: stopped by signal 15")
        assert not postgresql.is_running(saved(server.folder))
        assert tracking.process(saved(server.folder)) is None


# A server that runs.


@pytest.mark.slow
def test_a_server_that_runs_is_not_started_again(server):
    assert "its server runs already (process " in complaint(server.start())
    assert serves(server)
    shown = server.call("status").stdout
    assert f"MLflow      http://127.0.0.1:{server.ports[0]}, process " in shown
    assert f"PostgreSQL  127.0.0.1:{server.ports[1]}; mlflow " in shown


@pytest.mark.slow
def test_a_restore_does_not_replace_a_server(server):
    assert "it has a server, which is not replaced" in complaint(server.start("restore", "--file", "any.tar"))


@pytest.mark.slow
def test_a_wrong_password_of_the_database_is_named(server):
    said = complaint(server.call("status", POSTGRES_PASSWORD="another-password"))
    assert said == "PostgreSQL does not accept the password: set POSTGRES_PASSWORD to what it was made with"


@pytest.mark.slow
def test_the_secrets_are_in_two_files_of_their_owner_and_nowhere_else(server):
    secrets = server.variables("secrets.env")
    assert sorted(secrets) == sorted(SECRETS)
    assert len(set(secrets.values())) == len(SECRETS)
    lines = [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
    files = {path: path.read_bytes() for path in server.folder.rglob("*") if path.is_file()}
    holding = {path.name for path, content in files.items() for each in secrets.values() if each.encode() in content}
    assert holding == {"secrets.env", "client.env"}
    assert [stat.S_IMODE((server.folder / name).stat().st_mode) for name in holding] == [0o600, 0o600]
    assert len(lines) > 5
    assert not [line for line in lines for each in secrets.values() if each in line]


@pytest.mark.slow
def test_who_has_optunas_password_cannot_read_mlflows_accounts(server):
    secrets, where = server.variables("secrets.env"), {"host": "127.0.0.1", "port": server.ports[1]}
    login = {**where, "user": "optuna", "password": secrets["OPTUNA_DB_PASSWORD"]}
    psycopg.connect(dbname="optuna", **login).close()
    for other in ({"dbname": "mlflow"}, {"dbname": "optuna", "user": "mlflow"}, {"dbname": "optuna", "password": ""}):
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(**login | other)


@pytest.mark.slow
def test_an_account_is_needed(server, place):
    for name, value in server.variables().items():
        place.set(name, value)
    place.set("MLFLOW_TRACKING_PASSWORD", "another-password")
    assert place.invoke("compare", module="analysis") == 2
    assert "it asks for credentials, or does not accept those it was given: HTTP 401" in place.stderr


@pytest.mark.slow
def test_what_was_restored_is_what_was_backed_up_also_after_an_upgrade(server, place, monkeypatch):
    """On the way the server is killed, dropped, and its database that of an older MLflow."""
    client = server.variables()
    for name, value in client.items():
        place.set(name, value)
        monkeypatch.setenv(name, value)
    assert place.invoke("recurrent", "--dataset", "sample", "--models", "persistence") == 0, place.stderr
    assert client["PGPASSWORD"] not in place.stdout + place.stderr
    storage = optuna.storages.RDBStorage(client["OPTUNA_STORAGE"])
    study = optuna.create_study(storage=storage, study_name="parabola")
    study.optimize(lambda trial: trial.suggest_float("x", -1, 1) ** 2, n_trials=3)
    before, files, trials = compared(place), files_of(server), trials_of(client)
    storage.engine.dispose()
    assert "persistence" in before
    assert files
    assert len(trials) == 3

    backup = place.folder / "server.tar"
    assert server.call("backup", "--file", str(backup)).returncode == 0
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    kill(server)
    assert server.call("stop").returncode == 0
    assert not serves(server)
    shutil.rmtree(server.folder)

    restored = server.start("restore", "--file", str(backup))
    assert restored.returncode == 0, restored.stderr
    assert server.variables() == client
    assert (compared(place), files_of(server), trials_of(client)) == (before, files, trials)

    assert server.call("stop").returncode == 0
    assert complaint(server.start(MLFLOW_AUTH_ADMIN_PASSWORD="another-password")) == (
        "MLflow does not accept the password of admin: set MLFLOW_AUTH_ADMIN_PASSWORD to what its account has"
    )
    assert not serves(server)
    make_older(server)
    assert "its database was made by an older MLflow" in complaint(server.start())
    assert not postgresql.is_running(saved(server.folder))
    upgraded = server.call("upgrade")
    assert upgraded.returncode == 0, upgraded.stderr
    assert (compared(place), files_of(server), trials_of(client)) == (before, files, trials)
    assert len(list((server.folder / "backups").glob("*.tar"))) == 1


def compared(place: Place) -> str:
    assert place.invoke("compare", "--format", "csv", module="analysis") == 0, place.stderr
    return place.stdout


def files_of(server: SharedServer) -> dict[str, bytes]:
    top = server.folder / "artifacts"
    return {str(path.relative_to(top)): path.read_bytes() for path in top.rglob("*") if path.is_file()}


def trials_of(client) -> list[tuple]:
    storage = optuna.storages.RDBStorage(client["OPTUNA_STORAGE"])
    trials = optuna.load_study(study_name="parabola", storage=storage).trials
    storage.engine.dispose()
    return [(each.number, each.state, each.params, each.values) for each in trials]


def kill(server: SharedServer) -> None:
    """Leaves MLflow's workers without the process that started them."""
    running = tracking.process(saved(server.folder))
    killed = psutil.Process(running.pid)
    killed.kill()
    psutil.wait_procs([killed])
    assert serves(server)


def make_older(server: SharedServer) -> None:
    """Takes MLflow's database back by a revision, as its own migrations can."""
    from mlflow.store.db.utils import _get_alembic_config

    configuration = saved(server.folder)
    variables = configuration.mlflow()
    postgresql.start(configuration)
    with mock.patch.dict(os.environ, variables):
        alembic.downgrade(_get_alembic_config(variables["MLFLOW_BACKEND_STORE_URI"]), "-1")
    postgresql.stop(configuration)
