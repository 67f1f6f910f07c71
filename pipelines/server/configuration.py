"""Configuration of a shared server: its folder, addresses and databases, and its secrets.

No address that is shown or given to a program holds a password. Programs get it as a variable of their environment,
which other users cannot read.
"""

import os
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import URL

from pipelines.common import files
from pipelines.errors import UserError
from pipelines.server.options import ServerOptions

MLFLOW, OPTUNA = DATABASES = ("mlflow", "optuna")  # each with an owner of the same name
SUPERUSER, ADMIN = "postgres", "admin"  # of PostgreSQL, of MLflow
STATEMENTS = Path(__file__).with_name("databases.sql")
ACCOUNTS = Path(__file__).with_name("basic_auth.ini")

# Secrets, by the name of their variable.
POSTGRES_PASSWORD, MLFLOW_DB_PASSWORD, OPTUNA_DB_PASSWORD = DATABASE_SECRETS = (
    "POSTGRES_PASSWORD",
    "MLFLOW_DB_PASSWORD",
    "OPTUNA_DB_PASSWORD",
)
ADMIN_PASSWORD, SECRET_KEY = "MLFLOW_AUTH_ADMIN_PASSWORD", "MLFLOW_FLASK_SERVER_SECRET_KEY"
SECRETS = (*DATABASE_SECRETS, ADMIN_PASSWORD, SECRET_KEY)

_SECRET_BYTES = 24


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """A shared server.

    Attributes:
        folder: of all that it keeps.
        host: address that it listens at.
        port: of MLflow.
        database_port: of PostgreSQL.
        workers: processes that answer for MLflow.
    """

    folder: Path
    host: str
    port: int
    database_port: int
    workers: int

    @property
    def address(self) -> str:
        """The tracking server."""
        return f"http://{self.host}:{self.port}"

    @property
    def studies(self) -> str:
        """Optuna's database."""
        return f"postgresql+psycopg://{OPTUNA}@{self.host}:{self.database_port}/{OPTUNA}"

    @property
    def tracking_database(self) -> str:
        """MLflow's database, with its password, for use within this process."""
        password = self.secrets[MLFLOW_DB_PASSWORD]
        url = URL.create("postgresql+psycopg", MLFLOW, password, self.host, self.database_port, MLFLOW)
        return url.render_as_string(hide_password=False)

    @property
    def cluster(self) -> Path:
        """PostgreSQL's data."""
        return self.folder / "postgresql"

    @property
    def artifacts(self) -> Path:
        """Files of the runs."""
        return self.folder / "artifacts"

    @property
    def backups(self) -> Path:
        """Backups without a name of their own."""
        return self.folder / "backups"

    @property
    def secrets_file(self) -> Path:
        """Secrets that the environment does not give."""
        return self.folder / "secrets.env"

    @property
    def client_file(self) -> Path:
        """Variables of whoever uses the server."""
        return self.folder / "client.env"

    @cached_property
    def secrets(self) -> Mapping[str, str]:
        """Secrets by the name of their variable: of the environment, or of the file.

        Raises:
            UserError: one is in neither.
        """
        stored = _variables(self.secrets_file)
        found = {name: os.environ.get(name) or stored.get(name, "") for name in SECRETS}
        if missing := [name for name, value in found.items() if not value]:
            raise UserError(
                f"{self.secrets_file} does not have {', '.join(missing)}: set what the server was made with in the "
                "environment"
            )
        return found

    def login(self, role: str, password: str) -> dict[str, str]:
        """Variables that PostgreSQL's clients log in by, MLflow's server included."""
        where = {"PGHOST": self.host, "PGPORT": str(self.database_port)}
        return {**where, "PGUSER": role, "PGPASSWORD": self.secrets[password]}

    def mlflow(self) -> dict[str, str]:
        """Variables of MLflow's server: its whole configuration."""
        return {
            **self.login(MLFLOW, MLFLOW_DB_PASSWORD),
            "MLFLOW_BACKEND_STORE_URI": f"postgresql+psycopg:///{MLFLOW}",
            "MLFLOW_ARTIFACTS_DESTINATION": str(self.artifacts),
            "MLFLOW_AUTH_CONFIG_PATH": str(ACCOUNTS),
            ADMIN_PASSWORD: self.secrets[ADMIN_PASSWORD],
            SECRET_KEY: self.secrets[SECRET_KEY],
            "MLFLOW_HOST": self.host,
            "MLFLOW_PORT": str(self.port),
            "MLFLOW_WORKERS": str(self.workers),
            # By default it also answers to names such as 10.evil.example, which may lead here.
            "MLFLOW_SERVER_ALLOWED_HOSTS": ",".join(
                f"{host}:*" for host in sorted({"localhost", "127.0.0.1", self.host})
            ),
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_UVICORN_OPTS": "--log-level warning",  # no line for each request
        }

    def client(self) -> dict[str, str]:
        """Variables of whoever uses the server, of MLflow and of Optuna."""
        return {
            "MLFLOW_TRACKING_URI": self.address,
            "MLFLOW_TRACKING_USERNAME": ADMIN,
            "MLFLOW_TRACKING_PASSWORD": self.secrets[ADMIN_PASSWORD],
            "OPTUNA_STORAGE": self.studies,
            "PGPASSWORD": self.secrets[OPTUNA_DB_PASSWORD],
        }

    def generate_secrets(self) -> None:
        """Generate the secrets of a new server that are neither in the environment nor in the file."""
        stored = _variables(self.secrets_file)
        missing = [name for name in SECRETS if not os.environ.get(name) and name not in stored]
        write_variables(self.secrets_file, stored | {name: secrets.token_urlsafe(_SECRET_BYTES) for name in missing})

    def write_client_file(self) -> None:
        """Write the variables of whoever uses the server."""
        write_variables(self.client_file, self.client())

    def save(self) -> None:
        """Keep the configuration, without secrets, for the other actions."""
        files.write_text(_saved(self.folder), TypeAdapter(Configuration).dump_json(self, indent=1).decode() + "\n")


def given(options: ServerOptions) -> Configuration:
    """The configuration of a server that is to be started."""
    values = asdict(options)
    chosen = {name: values[name] for name in ("host", "port", "database_port", "workers")}
    return Configuration(folder=Path(options.folder).absolute(), **chosen)


def saved(folder: Path) -> Configuration:
    """The configuration of a server that was started before.

    Raises:
        UserError: there is none.
    """
    try:
        found = TypeAdapter(Configuration).validate_json(_saved(folder).read_bytes())
    except FileNotFoundError:
        raise UserError(f"folder={folder}: no server was started there; nnreg server start makes one") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(
            f"{_saved(folder)}: {first['loc']}: {first['msg']}; remove it, then nnreg server start"
        ) from None
    # The folder may have been moved.
    return Configuration(**{**asdict(found), "folder": folder.absolute()})


def write_variables(path: Path, variables: Mapping[str, str]) -> None:
    """Write a file of variables, a line each, that only this user can read."""
    with files.replacing(path) as file:
        os.fchmod(file.fileno(), 0o600)
        file.write("".join(f"{name}={value}\n" for name, value in variables.items()).encode())


def _variables(path: Path) -> dict[str, str]:
    lines = path.read_text().splitlines() if path.exists() else []
    return dict(line.split("=", 1) for line in lines if "=" in line)


def _saved(folder: Path) -> Path:
    return folder / "server.json"
