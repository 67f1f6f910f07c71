"""Options of a shared server; torch-free."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from pipelines.cli.declare import Options, argument, option
from pipelines.common.choices import Integer, OneOf, Place
from pipelines.common.program import Example


class Action(StrEnum):
    """What is done with a server."""

    START = "start"
    STOP = "stop"
    STATUS = "status"
    BACKUP = "backup"
    RESTORE = "restore"
    UPGRADE = "upgrade"


@dataclass(frozen=True, kw_only=True)
class ServerOptions(Options):
    """Run a shared server of MLflow, its files included, and of Optuna, on a PostgreSQL of its own.

    ACTION is start, stop, status, backup, restore (of a backup, into a new server) or upgrade (of the databases, after
    MLflow or Optuna was updated).
    """

    examples: ClassVar[Sequence[Example]] = (
        Example("For this machine, and others that come through ssh", "start"),
        Example("Everything that it has, in one file", "backup --file server.tar"),
        Example("The same server again, on another machine", "restore --file server.tar"),
    )

    action: str = argument(OneOf([each.value for each in Action]))
    folder: str = option("server", Place(folders=True), "Folder of its data, which git ignores.")
    host: str = option("127.0.0.1", str, "Address to listen at, and to be reached under; without TLS.")
    port: int = option(5000, Integer(1, 65535), "Port of MLflow.")
    database_port: int = option(5433, Integer(1, 65535), "Port of PostgreSQL.")
    workers: int = option(4, Integer(1, 64), "Processes that answer for MLflow.")
    file: str = option("", Place(), "Backup to write or to restore.", shown="FOLDER/backups/<time>.tar is written")
