"""Provenance of a run: its user, machine, and code, by commit and by a digest of the files on the disk."""

import getpass
import hashlib
import os
import platform
import re
import subprocess
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path

import torch

from pipelines import names
from pipelines.processes import identity

_ROOT = Path(__file__).parents[2]
_PACKAGES = ("pipelines", "nnmodels")
# Tags on which the bits of what is computed on a CPU depend, beside the code.
COMPUTING = ("torch", "numpy", "scikit-learn", names.CPU, names.ISA, "cores")


def tags() -> dict[str, str]:
    """Returns tags for the code, software, machine and process of a run."""
    return {
        "mlflow.user": _user(),
        "mlflow.source.name": "nn-experiment-registry",
        "mlflow.source.type": "PROJECT" if "MLFLOW_RUN_ID" in os.environ else "LOCAL",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": version("numpy"),
        "scikit-learn": version("scikit-learn"),
        names.CPU: _cpu(),
        names.ISA: torch.backends.cpu.get_cpu_capability(),
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


def differences(then: Mapping[str, str], now: Mapping[str, str]) -> dict[str, str]:
    """Returns what differs between the software and processors of two runs, by tag: ``2.13.0 then, 2.14.1 now``.

    Args:
        then: tags of the earlier run.
        now: tags of the later one, or those of this process.
    """
    return {
        tag: f"{then.get(tag, 'not recorded')} then, {now.get(tag, 'not recorded')} now"
        for tag in ("python", *COMPUTING)
        if then.get(tag) != now.get(tag)
    }


def other_code(then: Mapping[str, str], now: Mapping[str, str]) -> str:
    """Returns how the code of two runs differs, or "" if it is the same; of the earlier one that which continued it."""
    known = then.get(names.RESUMED_CODE, then.get(names.CODE))
    commits = [each.get(names.COMMIT, "") for each in (then, now)]
    if known is not None:
        changed = known != now[names.CODE]
    else:
        # Versions without a code digest: the commits are compared, and uncommitted changes may be anything.
        changed = all(commits) and (commits[0] != commits[1] or "true" in (then.get(names.DIRTY), now.get(names.DIRTY)))
    return f"the code was that of {_commit(then)}, now it is that of {_commit(now)}" if changed else ""


def _commit(tags: Mapping[str, str]) -> str:
    commit = tags.get(names.RESUMED_COMMIT, tags.get(names.COMMIT, "an unknown commit"))[:12]
    return commit + (" with changes" if tags.get(names.DIRTY) == "true" else "")


@cache
def digest() -> str:
    """Returns a digest of the Python files that train, as they are on the disk: 16 hexadecimal digits."""
    sha256 = hashlib.sha256()
    for path in sorted(path for package in _PACKAGES for path in (_ROOT / package).rglob("*.py")):
        name, content = path.relative_to(_ROOT).as_posix(), path.read_bytes()
        sha256.update(f"{name} {len(content)} ".encode() + content)
    return sha256.hexdigest()[:16]


def _cpu() -> str:
    """Returns the model of the processor: with the same instructions, another one may compute other bits."""
    try:
        found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1] if found else platform.processor() or platform.machine()


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
