"""Provenance of a run: its user, machine, and code, by commit and by a digest of the files on the disk."""

import getpass
import hashlib
import os
import platform
import subprocess
from functools import cache
from pathlib import Path

import torch

from pipelines import names
from pipelines.processes import identity

_ROOT = Path(__file__).parents[2]
_PACKAGES = ("pipelines", "nnmodels")


def tags() -> dict[str, str]:
    """Returns tags for the code, software, machine and process of a run."""
    return {
        "mlflow.user": _user(),
        "mlflow.source.name": "nn-experiment-registry",
        "mlflow.source.type": "PROJECT" if "MLFLOW_RUN_ID" in os.environ else "LOCAL",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "isa": torch.backends.cpu.get_cpu_capability(),
        "cores": str(os.cpu_count()),
        **identity.own().tags,
        **code_tags(),
    }


def code_tags() -> dict[str, str]:
    """Returns tags for the code; without those of the commit if there is no git."""
    found = {names.CODE: digest()}
    commit, status = _git("rev-parse", "HEAD"), _git("status", "--porcelain")
    if commit is not None:
        found |= {names.COMMIT: commit, names.DIRTY: str(bool(status)).lower()}
    return found


@cache
def digest() -> str:
    """Returns a digest of the Python files that train, as they are on the disk: 16 hexadecimal digits."""
    sha256 = hashlib.sha256()
    for path in sorted(path for package in _PACKAGES for path in (_ROOT / package).rglob("*.py")):
        name, content = path.relative_to(_ROOT).as_posix(), path.read_bytes()
        sha256.update(f"{name} {len(content)} ".encode() + content)
    return sha256.hexdigest()[:16]


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A container may run under a user number without a name.
        return str(os.getuid())


def _git(*arguments: str) -> str | None:
    try:
        command = ["git", "-C", str(_ROOT), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
