"""A PostgreSQL server started from the programs installed on this machine, for tests that need a real one."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def postgresql(password: str = "") -> Iterator[str]:
    """URL of a new database, which requires `password` if given; skips the test where PostgreSQL is not installed."""
    # Debian keeps the programs of each version in a folder of their own, off the PATH.
    folders = [*Path("/usr/lib/postgresql").glob("*/bin"), Path(shutil.which("initdb") or "/").parent]
    programs = next((each for each in folders if (each / "initdb").exists()), None)
    if programs is None:
        pytest.skip("PostgreSQL is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # It refuses to run as root, and another user cannot reach into pytest's folders.
    user = {"user": "postgres"} if os.getuid() == 0 else {}
    with tempfile.TemporaryDirectory(prefix="postgresql-") as folder:
        data, secret = Path(folder) / "data", Path(folder) / "password"
        secret.write_text(f"{password}\n")
        for path in (Path(folder), secret):
            shutil.chown(path, user.get("user", os.getuid()))

        def call(program: str, *arguments: object) -> None:
            command = [f"{programs}/{program}", "-D", data, *arguments]
            subprocess.run(command, check=True, cwd="/", stdout=subprocess.DEVNULL, **user)

        method = ("-A", "scram-sha-256", f"--pwfile={secret}") if password else ("-A", "trust")
        call("initdb", *method, "-U", "postgres", "--no-sync")
        call("pg_ctl", "-w", "-l", data / "log", "-o", f"-p {port} -c listen_addresses=127.0.0.1 -k {data} -F", "start")
        login = f"postgres:{password}" if password else "postgres"
        try:
            yield f"postgresql+psycopg://{login}@127.0.0.1:{port}/postgres"
        finally:
            call("pg_ctl", "-w", "-m", "immediate", "stop")
