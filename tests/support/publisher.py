"""A file server like those of the publishers of data and weights, with the faults that such servers have."""

import contextlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Publisher(ThreadingHTTPServer):
    """Serves `files` by name, from where a range begins; `asked` has the name and Range of each request for a body."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.statuses: list[int] = []  # answers to give instead of a body, first to last
        self.ranges = True
        self.names_range = True  # by a Content-Range
        self.shift = 0  # by which the next answer misses the range that was asked for
        self.cut_after: int | None = None  # bytes of the next body after which the connection breaks
        self.halt_after: int | None = None  # bytes of the next body after which it waits for `gate`
        self.gate = threading.Event()
        self.halted = threading.Event()

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{name}"

    def redirected(self, name: str) -> str:
        """A URL that redirects to the file, as those of releases do."""
        return self.url(f"releases/{name}")


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        name = self.path.rpartition("/")[2].partition("?")[0]
        if self.path.startswith("/releases/"):
            self._head(302, Location=f"/storage/{name}?signature=a%2Fb", Content_Length="0")
            return
        server, wanted = self.server, self.headers.get("Range")
        server.asked.append((name, wanted))
        status = server.statuses.pop(0) if server.statuses else 200 if name in server.files else 404
        if status != 200:
            self.send_error(status)
            return
        whole = server.files[name]
        part = server.ranges and wanted is not None
        start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1]) if part else 0
        if start >= len(whole):
            self._head(416, **({"Content_Range": f"bytes */{len(whole)}"} if server.names_range else {}))
            return
        start, server.shift = max(0, start - server.shift), 0
        body = whole[start:]
        named = {"Content_Range": f"bytes {start}-{len(whole) - 1}/{len(whole)}"} if part and server.names_range else {}
        self._head(206 if part else 200, Content_Length=str(len(body)), **named)
        self._send(body)

    def _head(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def _send(self, body: bytes) -> None:
        server = self.server
        cut, server.cut_after = server.cut_after, None
        halt, server.halt_after = server.halt_after, None
        self.wfile.write(body[: cut if halt is None else halt])
        if halt is not None:
            self.wfile.flush()
            server.halted.set()
            server.gate.wait(60)
            # Whom it kept waiting may be gone by now.
            with contextlib.suppress(OSError):
                self.wfile.write(body[halt:])

    def log_message(self, *arguments):
        pass


@contextmanager
def publishing() -> Iterator[Publisher]:
    with Publisher() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.gate.set()
            server.shutdown()
            thread.join()
