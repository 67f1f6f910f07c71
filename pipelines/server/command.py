"""The command `server`: starts, stops, backs up, restores and upgrades a shared server."""

import shutil
import socket
import subprocess
import sys
from contextlib import ExitStack, nullcontext
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path

from pipelines.common import locks, schema
from pipelines.common.streams import announce
from pipelines.errors import UserError
from pipelines.server import archive, postgresql, tracking
from pipelines.server.configuration import DATABASES, OPTUNA, OPTUNA_DB_PASSWORD, Configuration, given, saved
from pipelines.server.options import Action, ServerOptions
from pipelines.terminal.display import conclude, doing, showing

NEEDED = {"flask_wtf": "Flask-WTF", "psycopg": "psycopg[binary]"}  # module and package, of a server only
LOCK_S = 300  # that another command on the same folder is waited for
_OPTUNA = "import sys; from optuna.cli import main; sys.exit(main())"


def run(options: ServerOptions) -> None:
    """Carry out the action.

    Raises:
        UserError: it cannot be done.
    """
    action, folder = Action(options.action), Path(options.folder)
    server = given(options) if action in (Action.START, Action.RESTORE) else saved(folder)
    file = Path(options.file).absolute() if options.file else None
    try:
        # Open for PostgreSQL's own user; what others may not read has modes of its own.
        folder.mkdir(mode=0o711, parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"folder={folder}: {error.strerror}; give another --folder") from error
    alone = nullcontext() if action is Action.STATUS else locks.on_file(folder / ".lock", f"work on {folder}", LOCK_S)
    with showing("server"), alone:
        match action:
            case Action.START:
                _start(server)
            case Action.STOP:
                _stop(server)
                conclude(f"stopped; {server.folder} keeps its data\n")
            case Action.STATUS:
                conclude(_described(server))
            case Action.BACKUP:
                conclude(f"{_backup(server, file)}\n")
            case Action.RESTORE:
                _restore(server, file)
            case Action.UPGRADE:
                _upgrade(server)


def _start(server: Configuration) -> None:
    _require_packages()
    running = tracking.process(server)
    if running and postgresql.is_running(server):
        raise UserError(f"{server.folder}: its server runs already ({running}); nnreg server stop ends it")
    _stop(server)  # what is left of one that was killed
    _require_free("port", server.host, server.port)
    _require_free("database-port", server.host, server.database_port)
    if not postgresql.is_made(server):
        _make(server)
    server.artifacts.mkdir(mode=0o700, exist_ok=True)
    server.save()
    with ExitStack() as on_failure:
        _start_postgresql(server, on_failure)
        _require_schema(server)
        doing("starting MLflow")
        tracking.start(server)
        server.write_client_file()
        on_failure.pop_all()
    conclude(_described(server))


def _stop(server: Configuration) -> None:
    doing("stopping")
    tracking.stop(server)
    _stop_postgresql(server)


def _stop_postgresql(server: Configuration) -> None:
    if postgresql.is_running(server):
        postgresql.stop(server)


def _backup(server: Configuration, file: Path | None) -> Path:
    """Returns the path of a new backup."""
    if not postgresql.is_running(server):
        raise UserError(f"{server.folder}: its PostgreSQL does not run; nnreg server start starts it")
    if file is None:
        server.backups.mkdir(mode=0o700, exist_ok=True)
        file = server.backups / f"{datetime.now():%Y%m%d-%H%M%S}.tar"
    doing("writing a backup")
    archive.write(server, file)
    return file


def _restore(server: Configuration, file: Path | None) -> None:
    if file is None:
        raise UserError("restore: give the backup as --file")
    if postgresql.is_made(server):
        raise UserError(f"folder={server.folder}: it has a server, which is not replaced: move it, or give another")
    _require_free("database-port", server.host, server.database_port)
    with archive.unpacked(file, server.folder) as inside, ExitStack() as on_failure:
        archive.take_secrets(server, inside)
        _make(server)
        on_failure.callback(shutil.rmtree, server.cluster)
        server.save()
        with ExitStack() as always:
            _start_postgresql(server, always)
            doing("reading the backup")
            archive.take(server, inside)
        on_failure.pop_all()
    _start(server)


def _upgrade(server: Configuration) -> None:
    _require_packages()
    _stop(server)
    with ExitStack() as always:
        _start_postgresql(server, always)
        announce(f"backup, should the upgrade fail: {_backup(server, None)}")
        doing("upgrading the databases")
        variables = server.mlflow()
        _python(variables, "-m", "mlflow", "db", "upgrade", variables["MLFLOW_BACKEND_STORE_URI"])
        if postgresql.query(server, OPTUNA, "SELECT to_regclass('alembic_version')"):
            login = server.login(OPTUNA, OPTUNA_DB_PASSWORD)
            _python(login, "-c", _OPTUNA, "storage", "upgrade", "--storage", server.studies)
    _start(server)


def _make(server: Configuration) -> None:
    doing("making PostgreSQL's data")
    server.generate_secrets()
    postgresql.make(server)


def _start_postgresql(server: Configuration, at_end: ExitStack) -> None:
    """Starts PostgreSQL, and stops it at the end."""
    doing("starting PostgreSQL")
    at_end.callback(_stop_postgresql, server)
    postgresql.start(server)


def _python(variables: dict[str, str], *arguments: str) -> None:
    """Runs Python with further variables.

    Raises:
        UserError: it fails.
    """
    environment = tracking.plain() | variables
    done = subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise UserError(f"{' '.join(arguments[-4:])}: {''.join(last)}; the databases are in the backup as they were")


def _require_packages() -> None:
    missing = [package for module, package in NEEDED.items() if find_spec(module) is None]
    if missing:
        raise UserError(f"a server needs {' and '.join(missing)}: pip install {' '.join(missing)}")


def _require_schema(server: Configuration) -> None:
    """Refuses a database of another MLflow, which MLflow's server would migrate without asking."""
    store = schema.look(server.tracking_database)
    if store.state == schema.OLDER:
        raise UserError(
            f"{server.folder}: its database was made by an older MLflow, which cannot open it any more once it is "
            "migrated: nnreg server upgrade does so, after a backup"
        )
    if store.trouble:
        raise UserError(store.trouble)


def _require_free(option: str, host: str, port: int) -> None:
    try:
        socket.create_server((host, port)).close()
    except OSError as error:
        raise UserError(
            f"{option}: cannot listen at {host}:{port} ({error.strerror}); give another --{option}"
        ) from error


def _described(server: Configuration) -> str:
    """Describes what runs, a line each."""
    running, has_database = tracking.process(server), postgresql.is_running(server)
    sizes = [
        f"{name} {postgresql.query(server, 'postgres', f'SELECT pg_size_pretty(pg_database_size({name!r}))')}"
        for name in (DATABASES if has_database else ())
    ]
    database = f"{server.host}:{server.database_port}; {', '.join(sizes)}" if has_database else "stopped"
    lines = {
        "MLflow": f"{server.address}, {running}" if running else "stopped",
        "PostgreSQL": database,
        "files": str(server.artifacts),
        "use it": f"set -a; . {server.client_file}; set +a" if running else "nnreg server start",
    }
    return "".join(f"{name:<11} {text}\n" for name, text in lines.items())
