"""PostgreSQL of a shared server, by its own programs: initdb, pg_ctl, psql, pg_dump and pg_restore."""

import os
import pwd
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pipelines.errors import UserError
from pipelines.server.configuration import (
    DATABASE_SECRETS,
    MLFLOW,
    POSTGRES_PASSWORD,
    SECRETS,
    STATEMENTS,
    SUPERUSER,
    Configuration,
)

NEEDED = ("initdb", "pg_ctl", "psql", "pg_dump", "pg_restore")
STARTS_S = 60
# Debian keeps the programs of each version in a folder of their own, off the PATH; elsewhere they are on it.
_DEBIAN = Path("/usr/lib/postgresql")
_RUNS_AS = "postgres"  # instead of root, as which it refuses to run


def is_made(server: Configuration) -> bool:
    """Returns whether there are data."""
    return (server.cluster / "PG_VERSION").exists()


def is_running(server: Configuration) -> bool:
    """Returns whether it runs."""
    return is_made(server) and _call(server, "pg_ctl", "status", check=False).returncode == 0


def make(server: Configuration) -> None:
    """Make an empty data folder, which one superuser can log in to, with a password.

    Raises:
        UserError: PostgreSQL is not installed, or cannot write there.
    """
    # Under another name until it is whole, should this be interrupted.
    new = server.cluster.with_suffix(".new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(mode=0o700)
    _give(new)
    with _written(server.secrets[POSTGRES_PASSWORD]) as password:
        as_who = ("--username", SUPERUSER, "--auth=scram-sha-256", f"--pwfile={password}")
        _call(server, "initdb", *as_who, "--encoding=UTF8", "--no-locale", "--no-instructions", data=new)
    new.rename(server.cluster)


def start(server: Configuration) -> None:
    """Start it, with the roles and databases of MLflow and Optuna, and return when it answers.

    Raises:
        UserError: it does not start, or does not accept the superuser's password.
    """
    # By TCP alone: the path of a socket may not be longer than 107 bytes.
    options = {"port": server.database_port, "listen_addresses": server.host, "unix_socket_directories": ""}
    settings = shlex.join(f"--{name}={value}" for name, value in options.items())
    _allow(server)
    _call(server, "pg_ctl", "--wait", f"--timeout={STARTS_S}", "--log", log(server), "-o", settings, "start")
    _client(server, "psql", "--no-psqlrc", "--quiet", "-v", "ON_ERROR_STOP=1", "-d", SUPERUSER, "-f", STATEMENTS)


def stop(server: Configuration) -> None:
    """Stop it, and with it the connections of whoever is connected."""
    _call(server, "pg_ctl", "--wait", "--mode=fast", "stop")


def dump(server: Configuration, database: str, file: Path) -> None:
    """Write a database into a file."""
    _client(server, "pg_dump", "--format=custom", f"--file={file}", "-d", database)


def restore(server: Configuration, database: str, file: Path) -> None:
    """Read an empty database, whose owner has its name, from a file."""
    whole = ("--no-owner", f"--role={database}", "--exit-on-error", "--single-transaction")
    _client(server, "pg_restore", *whole, "-d", database, file)


def query(server: Configuration, database: str, statement: str) -> str:
    """Returns the answer to a statement as plain text."""
    plain = ("--no-psqlrc", "--tuples-only", "--no-align")
    return _client(server, "psql", *plain, "-d", database, "-c", statement).stdout.strip()


def log(server: Configuration) -> Path:
    """What it prints."""
    return server.cluster / "log"


def programs(server: Configuration) -> Path:
    """Returns the folder of PostgreSQL's programs, of the version that made the data, else of the newest.

    Raises:
        UserError: there are none.
    """
    on_path = shutil.which("initdb")
    folders = {*_DEBIAN.glob("*/bin"), *([Path(on_path).resolve().parent] if on_path else [])}
    found = {each: _version(each) for each in folders if all((each / name).exists() for name in NEEDED)}
    if not found:
        raise UserError(
            f"PostgreSQL ({', '.join(NEEDED)}) is neither in {_DEBIAN} nor on the PATH: apt install postgresql, "
            "conda install postgresql, or brew install postgresql"
        )
    if not is_made(server):
        return max(found, key=lambda each: found[each])
    made = int((server.cluster / "PG_VERSION").read_text())
    for each, version in found.items():
        if version == made:
            return each
    there = ", ".join(map(str, sorted(found.values())))
    raise UserError(
        f"{server.cluster} was made by PostgreSQL {made}, and here is {there}: install that version; to move to "
        "another, make a backup with it, and restore that without it"
    )


def _version(folder: Path) -> int:
    printed = subprocess.run([folder / "pg_ctl", "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"\) (\d+)", printed)
    return int(found[1]) if found else 0


def _call(
    server: Configuration, program: str, *arguments: object, data: Path | None = None, check: bool = True
) -> subprocess.CompletedProcess:
    """Runs a program on the data, without the secrets, which the server's process would keep in its environment."""
    environment = {name: value for name, value in os.environ.items() if name not in SECRETS and name[:2] != "PG"}
    command = [programs(server) / program, "-D", data or server.cluster, *arguments]
    return _run(server, command, environment, check, **_as_who())


def _client(server: Configuration, program: str, *arguments: object) -> subprocess.CompletedProcess:
    """Runs a client of it, as the superuser."""
    passwords = {name: server.secrets[name] for name in DATABASE_SECRETS}
    environment = {name: value for name, value in os.environ.items() if name[:2] != "PG"}
    environment |= passwords | server.login(SUPERUSER, POSTGRES_PASSWORD)
    return _run(server, [programs(server) / program, "--no-password", *arguments], environment, True)


def _run(
    server: Configuration,
    command: Iterable[object],
    environment: Mapping[str, str],
    check: bool,
    **as_who: object,
) -> subprocess.CompletedProcess:
    words = [str(word) for word in command]
    # Its messages are read below. A file, since the server inherits it, and would keep a pipe open.
    with tempfile.TemporaryFile("w+") as errors, tempfile.TemporaryFile("w+") as printed:
        where = {"cwd": "/" if as_who else None, "stdin": subprocess.DEVNULL, "stdout": printed, "stderr": errors}
        done = subprocess.run(words, env={**environment, "LC_MESSAGES": "C"}, **where, **as_who)  # type: ignore[call-overload]
        errors.seek(0)
        printed.seek(0)
        done.stdout, done.stderr = printed.read(), errors.read()
    if check and done.returncode:
        raise _failed(server, Path(words[0]).name, done.stderr or done.stdout)
    return done


def _failed(server: Configuration, program: str, text: str) -> UserError:
    """Returns what a program's messages mean."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    said = [line for line in lines if re.search(r"error|FATAL|could not", line)] or lines or ["no reason given"]
    if "password authentication failed" in text:
        return UserError(f"PostgreSQL does not accept the password: set {POSTGRES_PASSWORD} to what it was made with")
    if "ermission denied" in text and os.getuid() == 0:
        remedy = f"root's PostgreSQL runs as {_RUNS_AS}, who cannot enter that folder: give another --folder"
    elif program == "pg_ctl" and log(server).exists():
        remedy = f"see {log(server)}"
    else:
        remedy = f"it is of {server.cluster}"
    return UserError(f"PostgreSQL's {program}: {said[0]}; {remedy}")


def _as_who() -> dict[str, object]:
    """Returns whom its own programs run as: whoever calls, but not root."""
    if os.getuid() != 0:
        return {}
    _require_user()
    return {"user": _RUNS_AS, "group": pwd.getpwnam(_RUNS_AS).pw_gid, "extra_groups": []}


def _give(path: Path) -> None:
    if os.getuid() == 0:
        _require_user()
        shutil.chown(path, _RUNS_AS, pwd.getpwnam(_RUNS_AS).pw_gid)


def _require_user() -> None:
    try:
        pwd.getpwnam(_RUNS_AS)
    except KeyError:
        raise UserError(f"PostgreSQL does not run as root, and there is no user {_RUNS_AS}: be another user") from None


@contextmanager
def _written(password: str) -> Iterator[Path]:
    """A file with a password, for initdb, within the block."""
    with tempfile.NamedTemporaryFile("w", prefix="initdb-") as file:
        file.write(f"{password}\n")
        file.flush()
        _give(Path(file.name))
        yield Path(file.name)


def _allow(server: Configuration) -> None:
    """Lets whoever reaches the port log in by a password, but the superuser from this machine only."""
    rules = [
        f"host all {SUPERUSER} samehost scram-sha-256",
        f"host {MLFLOW} {MLFLOW} samehost scram-sha-256",
        "host optuna optuna all scram-sha-256",
    ]
    (server.cluster / "pg_hba.conf").write_text("\n".join(rules) + "\n")
