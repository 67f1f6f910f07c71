"""A shared server of the project's own, with PostgreSQL, for tests that need a real one."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from pipelines.errors import UserError
from pipelines.server import postgresql
from pipelines.server.configuration import Configuration
from support.servers import unused


class SharedServer:
    """A server in a folder of its own, which the commands are about."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.ports = (unused(), unused())

    @property
    def own(self) -> tuple[str, ...]:
        """Options of its ports, and one worker."""
        port, database_port = map(str, self.ports)
        return ("--port", port, "--database-port", database_port, "--workers", "1")

    def command(self, action: str, *options: str) -> list[str]:
        """The words of ``nnreg server action options``."""
        return [sys.executable, "-m", "nnreg", "server", action, "--folder", str(self.folder), *options]

    def call(self, action: str, *options: str, **variables: str) -> CompletedProcess[str]:
        """Carries out ``nnreg server action options``, with these variables besides."""
        command = self.command(action, *options)
        return subprocess.run(command, env=os.environ | variables, capture_output=True, text=True)

    def start(self, action: str = "start", *options: str, **variables: str) -> CompletedProcess[str]:
        """Starts it, or restores it, with one worker."""
        return self.call(action, *self.own, *options, **variables)

    def variables(self, name: str = "client.env") -> Mapping[str, str]:
        """Variables of one of its files."""
        lines = (self.folder / name).read_text().splitlines()
        return dict(line.split("=", 1) for line in lines)


@contextmanager
def shared_server() -> Iterator[SharedServer]:
    """A server that runs; skips the test where PostgreSQL is not installed."""
    with unmade_server() as server:
        started = server.start()
        assert started.returncode == 0, started.stderr
        yield server


@contextmanager
def unmade_server() -> Iterator[SharedServer]:
    """A server that can be started; skips the test where PostgreSQL is not installed."""
    # PostgreSQL's own user, where this is root, cannot reach into pytest's folders.
    folder = Path(tempfile.mkdtemp(prefix="shared-server-"))
    folder.chmod(0o711)
    server = SharedServer(folder / "server")
    try:
        unmade = Configuration(folder=server.folder, host="", port=0, database_port=0, workers=0)
        try:
            postgresql.programs(unmade)
        except UserError as error:
            pytest.skip(str(error))
        yield server
    finally:
        if (server.folder / "server.json").exists():
            server.call("stop")
        shutil.rmtree(folder)
