"""A hub of weights on loopback."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Hub:
    """What it has: paths and their bytes; several bodies are sent one after the other."""

    bodies: dict[str, list[bytes]] = field(default_factory=dict)
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)
    """Method, path without its query, Range."""
    cut_after: int | None = None
    commit: str = "a" * 40
    url: str = ""

    def forget(self) -> None:
        """As it was at first."""
        self.__init__(url=self.url)


@contextmanager
def served() -> Iterator[Hub]:
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

        def do_HEAD(self):
            self.answer(body=False)

        def do_GET(self):
            self.answer(body=True)

        def refuse(self, status: int):
            self.send_response(status)
            self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def answer(self, *, body: bool):
            path = self.path.partition("?")[0]
            hub.asked.append((self.command, path, self.headers["Range"]))
            if not (queue := hub.bodies.get(path)):
                self.refuse(404)
                return
            content = queue[0] if not body or len(queue) == 1 else queue.pop(0)
            start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-")) if self.headers["Range"] else 0
            if start >= len(content):
                self.refuse(416)
                return
            self.send_response(206 if start else 200)
            self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
            self.send_header("X-Repo-Commit", hub.commit)
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            if body:
                self.wfile.write(content[start : hub.cut_after])
                self.close_connection = True

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
