"""MLflow's server of a shared server: a process that outlives the command that starts it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import requests

from pipelines.common import files
from pipelines.common.addresses import redacted
from pipelines.errors import UserError
from pipelines.processes import identity, liveness
from pipelines.processes.identity import Identity
from pipelines.processes.signals import signals_later
from pipelines.server.configuration import ADMIN, ADMIN_PASSWORD, SECRETS, Configuration

COMMAND = ("server", "--app-name", "basic-auth")
STARTS_S, STOPS_S = 180, 20
_POLL_S = 0.3
# Variables of another server, or of this one as its clients see it.
_OTHERS = ("MLFLOW_", "PG", "OPTUNA_")


def process(server: Configuration) -> Identity | None:
    """Returns the process that was started last and runs, None if it does not.

    Raises:
        UserError: it was started on another machine.
    """
    started = _started(server)
    if started is None:
        return None
    fate = liveness.fate(started)
    if fate.state in (liveness.ELSEWHERE, liveness.UNKNOWN):
        raise UserError(
            f"{server.folder}: its server was started on another machine ({fate.reason}): stop it there, or, if that "
            f"machine is gone, remove {_record(server)}"
        )
    return started if fate.state == liveness.ALIVE else None


def start(server: Configuration) -> None:
    """Start it, and return when it answers and accepts the administrator's password.

    Raises:
        UserError: it does not.
    """
    started: subprocess.Popen | None = None
    try:
        with log(server).open("wb") as output, signals_later():
            started = subprocess.Popen(
                [sys.executable, "-m", "mlflow", *COMMAND],
                env=plain() | server.mlflow() | {"PYTHONWARNINGS": "ignore"},
                cwd=server.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
            _keep(server, started.pid)
        deadline = time.monotonic() + STARTS_S
        while (status := _status(server, "/health")) != requests.codes.ok:
            if started.poll() is not None:
                raise UserError(f"MLflow's server has ended: {_last_words(server)}")
            if time.monotonic() > deadline:
                raise UserError(f"MLflow's server does not answer within {STARTS_S} s: see {log(server)}")
            time.sleep(_POLL_S)
        status = _status(server, f"/api/2.0/mlflow/users/get?username={ADMIN}")
        if status == requests.codes.unauthorized:
            raise UserError(
                f"MLflow does not accept the password of {ADMIN}: set {ADMIN_PASSWORD} to what its account has"
            )
        if status != requests.codes.ok:
            raise UserError(f"MLflow's server answers with HTTP status {status}: see {log(server)}")
    except BaseException:
        if started:
            _end(started.pid)
        raise


def stop(server: Configuration) -> None:
    """Stop it, and processes of it that are left where it was killed."""
    started = _started(server)
    # A number that another process has now is nobody's group any more.
    if process(server) or (started and not psutil.pid_exists(started.pid)):
        assert started
        _end(started.pid)
    _record(server).unlink(missing_ok=True)


def plain() -> dict[str, str]:
    """Returns this process's environment without secrets and what is about servers."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_OTHERS) and name not in SECRETS}


def log(server: Configuration) -> Path:
    """What it prints."""
    return server.folder / "mlflow.log"


def _status(server: Configuration, path: str) -> int:
    """Returns the HTTP status of an answer to the administrator, 0 without one."""
    with requests.Session() as session:
        session.trust_env = False  # a proxy would look for the port on its own machine
        session.auth = (ADMIN, server.secrets[ADMIN_PASSWORD])
        try:
            return session.get(f"{server.address}{path}", timeout=10).status_code
        except requests.RequestException:
            return 0


def _last_words(server: Configuration) -> str:
    text = log(server).read_text(errors="replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    last = next((line for line in reversed(lines) if "rror" in line or "xception" in line), "")
    return redacted(f"{last or (lines or ['without a word'])[-1]}; see {log(server)}")


def _end(group: int) -> None:
    """Ends a process and those that it has started, which are its group."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if not (members := list(_members(group))):
            return
        with suppress(ProcessLookupError):
            os.killpg(group, number)
        psutil.wait_procs(members, timeout=STOPS_S)


def _members(group: int) -> Iterator[psutil.Process]:
    for each in psutil.process_iter():
        with suppress(ProcessLookupError, psutil.Error):
            if os.getpgid(each.pid) == group and each.status() != psutil.STATUS_ZOMBIE:
                yield each


def _started(server: Configuration) -> Identity | None:
    try:
        return Identity.of(json.loads(_record(server).read_text()))
    except (FileNotFoundError, ValueError):
        return None


def _keep(server: Configuration, pid: int) -> None:
    here = identity.own()
    known = Identity(
        here.host,
        pid,
        psutil.Process(pid).create_time(),
        identity.ticks(pid),
        here.boot,
        here.namespace,
        here.machine,
    )
    files.write_text(_record(server), json.dumps(known.tags, indent=1) + "\n")


def _record(server: Configuration) -> Path:
    return server.folder / "mlflow.json"
