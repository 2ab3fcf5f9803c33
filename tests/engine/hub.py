"""A hub of weights on loopback, and a process that asks it."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.warm.start import warm

BESIDE = ("worker.engines.mmaudio.download", "huggingface_hub.hf_api", "huggingface_hub.file_download")


@dataclass
class Hub:
    """What it has: paths and their bytes; several bodies are sent one after the other."""

    bodies: dict[str, list[bytes]] = field(default_factory=dict)
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)
    """Method, path without its query, Range."""
    cut_after: int | None = None
    commit: str = "a" * 40
    url: str = ""
    address: str = ""
    """Where it is, whatever `url` says."""

    def forget(self) -> None:
        """As it was at first."""
        self.__init__(url=self.address, address=self.address)

    def asked_by(self, module: str, *words: str, home: Path) -> subprocess.CompletedProcess[str]:
        """Run a module in a process of its own: the hub's client reads HF_ENDPOINT when it is imported, as it is in a warm one."""
        environment = {"HF_ENDPOINT": self.url, "HF_HOME": str(home), "HF_HUB_DISABLE_TELEMETRY": "1"}
        with pytest.MonkeyPatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            command = warm(module, *BESIDE) if self.url == self.address else (sys.executable, "-P", "-m", module)
            return subprocess.run([*command, *words], capture_output=True, text=True, check=False)


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
    hub.url = hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
