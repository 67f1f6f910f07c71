"""The version of the project and of the libraries it builds on, found without importing them."""

import platform
import subprocess
import tomllib
from importlib import metadata
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_NAME = "nn-experiment-registry"
_LIBRARIES = ("torch", "torchvision", "mlflow", "optuna")
_GIT_S = 5


def versions() -> str:
    """Returns two lines: the project with its commit, if it is a checkout, and what it runs on."""
    commit = _commit()
    libraries = ", ".join(f"{name} {_version(name) or 'missing'}" for name in _LIBRARIES)
    return (
        f"{_NAME} {_own_version()}{f', commit {commit}' if commit else ''}\n"
        f"Python {platform.python_version()}, {libraries}"
    )


def _own_version() -> str:
    """Version of the checkout, else of the installed package."""
    project = _ROOT / "pyproject.toml"
    if project.is_file():
        return tomllib.loads(project.read_text(encoding="utf-8"))["project"]["version"]
    return _version(_NAME) or "of unknown version"


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    """Short id of the commit that is checked out, with a plus sign if files were changed since."""
    if not (_ROOT / ".git").exists():
        return None
    command = ["git", "-C", str(_ROOT), "describe", "--always", "--exclude=*", "--dirty=+"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=_GIT_S).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
