"""Backups of a shared server: one file with its databases, the files of its runs, and its secrets."""

import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipelines.common import files
from pipelines.errors import UserError
from pipelines.server import postgresql
from pipelines.server.configuration import DATABASES, Configuration, write_variables

_SECRETS, _ARTIFACTS = "secrets.env", "artifacts"


def write(server: Configuration, path: Path) -> None:
    """Write a backup that only this user can read, while the server is in use or not.

    Raises:
        UserError: it cannot be written.
    """
    try:
        with tempfile.TemporaryDirectory(dir=server.folder, prefix="backup-") as folder:
            kept = Path(folder)
            write_variables(kept / _SECRETS, server.secrets)
            # First the databases: files only come to be, so whatever a database knows of is there afterwards.
            for database in DATABASES:
                postgresql.dump(server, database, kept / _dump(database))
            with files.replacing(path) as file:
                os.fchmod(file.fileno(), 0o600)
                with tarfile.open(fileobj=file, mode="w") as archive:
                    for member in (_SECRETS, *map(_dump, DATABASES)):
                        archive.add(kept / member, member)
                    archive.add(server.artifacts, _ARTIFACTS)
    except OSError as error:
        raise UserError(f"file={path}: cannot be written ({error.strerror or error}); give another --file") from error


@contextmanager
def unpacked(path: Path, folder: Path) -> Iterator[Path]:
    """A folder with the content of a backup, below `folder`, within the block.

    Raises:
        UserError: it is no backup.
    """
    if not path.is_file():
        raise UserError(f"file={path}: there is no such backup; nnreg server backup --file FILE writes one")
    with tempfile.TemporaryDirectory(dir=folder, prefix="restore-") as inside:
        try:
            with tarfile.open(path) as archive:
                if missing := {_SECRETS, _ARTIFACTS, *map(_dump, DATABASES)} - set(archive.getnames()):
                    raise UserError(f"file={path}: no backup of a server, it lacks {', '.join(sorted(missing))}")
                archive.extractall(inside, filter="data")
        except (tarfile.TarError, OSError) as error:
            raise UserError(f"file={path}: no whole backup of a server ({error}); give another --file") from error
        yield Path(inside)


def take_secrets(server: Configuration, inside: Path) -> None:
    """Have a new server keep the secrets of a backup."""
    shutil.move(inside / _SECRETS, server.secrets_file)


def take(server: Configuration, inside: Path) -> None:
    """Have a new server, whose PostgreSQL runs, take the databases and files of a backup."""
    for database in DATABASES:
        postgresql.restore(server, database, inside / _dump(database))
    shutil.move(inside / _ARTIFACTS, server.artifacts)


def _dump(database: str) -> str:
    return f"{database}.dump"
