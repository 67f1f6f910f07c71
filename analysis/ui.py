"""MLflow's interface: its server for this machine, the links to the runs in it, and a browser."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import webbrowser
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import click
import psutil

from analysis import server
from analysis.errors import InputError, UnexpectedError
from analysis.server import Page
from pipelines.common import ui as links
from pipelines.common.command import hint

ANSWERS_S = 120  # limit for the first answer of a server that was started
ENDS_S = 10  # limit for its end, before it is killed
_POLL_S = 0.2

_ELSEWHERE = ("CI", "SSH_CONNECTION", "SSH_CLIENT", "SSH_TTY")  # variables of places without a screen of their own
_SCREEN = ("DISPLAY", "WAYLAND_DISPLAY")

# On top of what `_command` says. No job runner: 2 processes and 0.5 GB instead of 15 and 3 GB. MLflow warns of what its
# own dependencies are about to remove.
_SETTINGS = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "PYTHONWARNINGS": "ignore"}


def run(port: int) -> None:
    """Serves the interface until a signal comes; of an HTTP tracking server, which has its own, only prints the links.

    Raises:
        InputError: the tracking server cannot be read, or the port is taken.
        UnexpectedError: MLflow's server does not start, or ends by itself.
    """
    uri = server.settled()
    pages = server.pages()
    if links.is_served(uri):
        _show(links.base(uri), pages)
        return
    _require_free(port)
    click.echo(f"starting MLflow's interface on port {port} ...", err=True)
    with contextlib.suppress(KeyboardInterrupt), _serving(uri, port) as process:
        _await_answer(process, port)
        _show(links.local(port), pages)
        click.echo("\nCtrl-C ends it.")
        code = process.wait()
        raise UnexpectedError(f"MLflow's interface has ended, with exit code {code}")


def text(base: str, pages: Sequence[Page]) -> str:
    """Returns the links to the runs and saved views of these experiments, a line each.

    Args:
        base: address of the interface.
        pages: in the order in which they are listed.
    """
    if not pages:
        made = f"make some with: {hint('python -m pipelines recurrent --dataset sample')}"
        return f"{base}\nThere are no runs of this project yet; {made}"
    return "\n\n".join(_section(base, page) for page in pages)


def is_desktop(environment: Mapping[str, str], platform: str) -> bool:
    """Returns whether a browser that is opened there can be seen.

    Args:
        environment: environment variables.
        platform: as `sys.platform`.
    """
    if any(environment.get(name) for name in _ELSEWHERE):
        return False
    return platform == "darwin" or any(environment.get(name) for name in _SCREEN)


def _section(base: str, page: Page) -> str:
    lines = {"launches": links.runs(base, page.experiment)}
    lines |= {view.name: links.view(base, page.experiment, view.id) for view in page.views}
    width = max(map(len, lines))
    return "\n".join([f"{page.name}:", *(f"  {name:{width}}  {link}" for name, link in lines.items())])


def _show(base: str, pages: Sequence[Page]) -> None:
    click.echo(text(base, pages))
    if sys.stdout.isatty() and is_desktop(os.environ, sys.platform):
        webbrowser.open(links.runs(base, pages[0].experiment) if pages else base)


def _require_free(port: int) -> None:
    try:
        socket.create_server((links.HOST, port)).close()
    except OSError as error:
        raise InputError(
            f"port: cannot serve on {port} of this machine ({error.strerror}); it may be an interface that was started "
            f"before: open {links.local(port)}, or give another port, such as --port {port % 65535 + 1}"
        ) from error


def _command(port: int) -> list[str]:
    """Returns the command of MLflow's server.

    One worker is enough for one user. It is for this machine alone, whatever the environment says; by default MLflow
    also answers to names such as 10.evil.example, which may lead here. A line for each request would push the links off
    the screen.
    """
    hosts = f"localhost:*,{links.HOST}:*"
    own = ["--host", links.HOST, "--port", str(port), "--workers", "1", "--allowed-hosts", hosts]
    return [sys.executable, "-m", "mlflow", "ui", *own, "--uvicorn-opts", "--log-level warning"]


@contextmanager
def _serving(uri: str, port: int) -> Iterator[subprocess.Popen]:
    """Runs MLflow's server within the block. SIGTERM and SIGHUP raise KeyboardInterrupt there, as Ctrl-C does."""
    # Not in the command, which everybody on this machine can read: the address may have a password.
    environment = {**os.environ, **_SETTINGS, "MLFLOW_BACKEND_STORE_URI": uri}
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup has it
        signal.signal(signal.SIGHUP, signal.default_int_handler)
    # The terminal signals the processes of one group. MLflow's would answer with tracebacks; this one ends them.
    process = subprocess.Popen(
        _command(port), env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, process_group=0
    )
    try:
        yield process
    finally:
        _end(process)


def _end(process: subprocess.Popen) -> None:
    """Ends a process and those that it has started."""
    family = []
    with contextlib.suppress(psutil.Error):
        first = psutil.Process(process.pid)
        family = [first, *first.children(recursive=True)]
    for each in family:
        with contextlib.suppress(psutil.Error):
            each.terminate()
    for each in psutil.wait_procs(family, timeout=ENDS_S)[1]:
        with contextlib.suppress(psutil.Error):
            each.kill()
    process.wait()


def _await_answer(process: subprocess.Popen, port: int) -> None:
    """Returns when MLflow's server answers.

    Raises:
        UnexpectedError: it has ended, or does not answer in time.
    """
    deadline = time.monotonic() + ANSWERS_S
    while not _answers(port):
        if process.poll() is not None:
            raise UnexpectedError(f"MLflow's interface did not start (exit code {process.returncode}), see above")
        if time.monotonic() > deadline:
            raise UnexpectedError(f"MLflow's interface does not answer on port {port} within {ANSWERS_S} s")
        time.sleep(_POLL_S)


def _answers(port: int) -> bool:
    # Without a proxy, which would look for the port on its own machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{links.local(port)}/health", timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False
