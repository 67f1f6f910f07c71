"""Paths under `mlflow run`: the folder that its user is in, and whether the checkout is a temporary clone.

`mlflow run` starts a command in the project's folder. If the project is given by the address of a repository, that is
a clone in a temporary folder. Shared by both halves, so it needs neither torch nor mlflow.
"""

import os
import re
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from pipelines.common.addresses import sqlite_uri
from pipelines.common.streams import announce
from pipelines.processes import parents

RUN_ID = "MLFLOW_RUN_ID"  # set by `mlflow run` for the command that it starts
STORAGE = "OPTUNA_STORAGE"  # the address of Optuna's database; Optuna's own tools read it too
DATA_DIR = "data"
STUDIES = "optuna.db"

_CLONE = re.compile(r"tmp[a-z0-9_]{8}")  # as Python's tempfile names a folder


def users_folder() -> Path:
    """Returns the folder that the user is in: that of the `mlflow run` which started this, else the working directory.

    An MLFLOW_RUN_ID that was exported in a shell does not count as set by `mlflow run`.
    """
    folder = parents.launchers_folder(RUN_ID)
    return Path(folder) if folder else Path.cwd()


def command() -> Sequence[str]:
    """Returns the words after ``mlflow run`` in the command that started this; none if it was not started so."""
    words = parents.launchers_words(RUN_ID)
    return words[words.index("run") + 1 :] if "run" in words else ()


def given_input(path: str) -> Path:
    """Returns a path to read: relative to the folder that the user is in or, if nothing is there, to this one."""
    seen = users_folder() / path
    return seen if os.environ.get(RUN_ID) and (seen.exists() or not Path(path).exists()) else Path(path)


def given_output(path: str) -> Path:
    """Returns a path to write: relative to the folder that the user is in."""
    return users_folder() / path if os.environ.get(RUN_ID) else Path(path)


def data_dir(given: str) -> str:
    """Returns the folder of prepared data: `given`, but never one in a temporary clone, which the next run would miss.

    In a clone, the default becomes a folder in the user's cache, and any other path is relative to the user's folder.
    """
    if Path(given).is_absolute() or not _clone():
        return given
    if given != DATA_DIR:
        return str(users_folder() / given)
    return _kept("prepared data", str(_cache() / DATA_DIR))


def studies() -> str:
    """Returns the default address of Optuna's database: in the working directory, but never in a temporary clone."""
    if not _clone():
        return f"sqlite:///{STUDIES}"
    return _kept("studies", sqlite_uri(users_folder() / STUDIES))


@cache
def _kept(what: str, where: str) -> str:
    """Returns `where`, and announces it the first time."""
    announce(f"{what} in {where}: the checkout is a temporary clone")
    return where


def _clone() -> bool:
    """Returns whether the working directory is in a clone that `mlflow run` made for this run alone."""
    if not os.environ.get(RUN_ID):
        return False
    temporary = Path(tempfile.gettempdir()).resolve()
    here = Path.cwd()
    root = next((folder for folder in (here, *here.parents) if folder.parent == temporary), None)
    return root is not None and bool(_CLONE.fullmatch(root.name)) and not users_folder().is_relative_to(root)


def _cache() -> Path:
    """Returns the folder of the user's cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nn-experiment-registry"
