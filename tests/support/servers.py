"""Little servers that behave like real ones, good and bad, for the tests of how a tracking server is reached."""

import base64
import contextlib
import json
import socket
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

EXPERIMENTS = {"experiments": [{"experiment_id": "0", "name": "Default", "lifecycle_stage": "active"}]}


class Handler(BaseHTTPRequestHandler):
    """Answers every request with `reply`; the requested paths are in `server.asked`."""

    def do_GET(self):
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append(self.path)
        self.server.reply(self)

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815

    def answer(self, status: int, body: str | bytes | dict, **headers: str) -> None:
        text = json.dumps(body) if isinstance(body, dict) else body
        raw = text.encode() if isinstance(text, str) else text
        self.send_response(status)
        for name, value in {"Content-Length": str(len(raw)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(raw)

    def forward(self, port: int, path: str) -> None:
        """Passes the request on to another server of this machine, and its answer back."""
        onward = HTTPConnection("127.0.0.1", port)
        kind = self.headers.get("Content-Type", "application/json")
        onward.request(self.command, path, self.body, {"Content-Type": kind})
        answer = onward.getresponse()
        self.answer(answer.status, answer.read(), Content_Type=answer.headers.get("Content-Type", "text/plain"))
        onward.close()

    def log_message(self, *arguments):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, address):
        """A client that went away is no error of the server."""


@contextmanager
def serving(reply: Callable[[Handler], None], wrap: Callable[[socket.socket], socket.socket] | None = None):
    """A server on a port of its own, with the attributes `asked` and `port`; `wrap` makes its socket one of TLS."""
    with Server(("127.0.0.1", 0), Handler) as server:
        server.reply, server.asked, server.port = reply, [], server.server_port
        if wrap:
            server.socket = wrap(server.socket)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def mlflow_like(handler: Handler) -> None:
    """Answers a search for experiments as an MLflow server with the experiment Default does."""
    handler.answer(200, EXPERIMENTS, Content_Type="application/json")


def behind_login(user: str, password: str, prefix: str = "", port: int = 0) -> Callable[[Handler], None]:
    """Answers like `mlflow_like`, or with `port` like the server there, below a path and to one user only."""
    wanted = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    def reply(handler: Handler) -> None:
        if not handler.path.startswith(prefix + "/api/"):
            handler.answer(404, "<html>nothing here</html>")
        elif handler.headers.get("Authorization") != wanted:
            handler.answer(401, "You are not authenticated.", WWW_Authenticate='Basic realm="mlflow"')
        elif port:
            handler.forward(port, handler.path.removeprefix(prefix))
        else:
            mlflow_like(handler)

    return reply


def proxy_to(port: int) -> Callable[[Handler], None]:
    """Answers like a proxy that sends the requests for all hosts to one port of this machine."""

    def reply(handler: Handler) -> None:
        handler.forward(port, urlsplit(handler.path).path)

    return reply


def dripping(handler: Handler) -> None:
    """An answer that comes a byte a second, so that no limit of a single wait is ever met."""
    with contextlib.suppress(OSError):
        handler.send_response(200)
        handler.send_header("Content-Length", "10000")
        handler.end_headers()
        for _ in range(100):
            handler.wfile.write(b" ")
            handler.wfile.flush()
            time.sleep(1)


@contextmanager
def silent() -> Iterator[int]:
    """The port of a server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@contextmanager
def swallowing() -> Iterator[int]:
    """A port that drops all attempts to connect, because its queue is full."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.socket())
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(4):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(server.getsockname())
        yield server.getsockname()[1]


def unused() -> int:
    """A port to listen on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def is_up(port: int) -> bool:
    """Tells whether MLflow answers on this port."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False
