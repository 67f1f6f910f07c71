"""The command `serve`: the champion of a data set as a service on this machine."""

import shlex
import socket
from contextlib import ExitStack, suppress

from fastapi import FastAPI

from pipelines.commands import champions
from pipelines.commands.options import ServeOptions
from pipelines.errors import Interrupted, UserError
from pipelines.forecasting.champion import Champion
from pipelines.processes import scratch
from pipelines.terminal.display import conclude, doing
from pipelines.tracking import serving
from pipelines.tracking.models import fetched


def run(options: ServeOptions) -> None:
    """Serve a forecaster until a signal comes.

    Raises:
        UserError: there is no forecaster, or the port cannot be had.
    """
    with scratch.folder() as folder, ExitStack() as on_failure:
        listening = on_failure.enter_context(_bound(options.host, options.port))
        doing("fetching the forecaster")
        where = champions.address(options.dataset, options.model)
        model = fetched(where, folder)
        champion = champions.read(where, model)
        doing("starting the service")
        app = serving.application(model)
        on_failure.pop_all()
    # The display ends before, and what was fetched is in memory.
    conclude(_introduction(options, where, champion))
    conclude(lambda: _serve(app, listening))


def _bound(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port))
    except OSError as error:
        raise UserError(f"port {port} of {host}: {error.strerror or error}; give another --port") from error


def _serve(app: FastAPI, listening: socket.socket) -> None:
    with suppress(Interrupted):
        serving.serve(app, listening)


def _introduction(options: ServeOptions, where: str, champion: Champion) -> str:
    address = f"http://{options.host}:{options.port}"
    series = ", ".join(each.name for each in champion.known)
    post = shlex.join(
        ["curl", f"{address}/invocations", "-H", "Content-Type: text/csv", "--data-binary", "@history.csv"]
    )
    return (
        f"{where} ({champion.row}) answers at {address}/invocations\n"
        f"It takes at least {champion.network.lookback} hours of a load as CSV with columns time and load (MW), and\n"
        f"series where that is one of its training: {series}. For example:\n\n"
        f"    {post}\n\nCtrl-C ends it.\n"
    )
