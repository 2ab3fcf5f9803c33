"""What stands beside the API in a project, as far as the API asks it: Storage's signing of uploads, Auth's published keys."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt

from tests.contract.keys import SECRET, SERVICE_KEY

CODECS = {
    "ES256": jwt.algorithms.ECAlgorithm,
    "RS256": jwt.algorithms.RSAAlgorithm,
    "EdDSA": jwt.algorithms.OKPAlgorithm,
}


class Neighbours(ThreadingHTTPServer):
    """Answers on `.url`; with `away` like a proxy whose server is away. `asked` counts the calls for keys."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.keys: list[dict[str, Any]] = []
        self.asked = 0
        self.away = False

    def publish(self, kid: str, key: Any, algorithm: str) -> None:
        public = CODECS[algorithm].to_jwk(key.public_key(), as_dict=True)
        self.keys.append({**public, "kid": kid, "alg": algorithm, "use": "sig"})


class _Answers(BaseHTTPRequestHandler):
    server: Neighbours

    def do_GET(self) -> None:
        self.server.asked += 1
        self._answer(200, {"keys": self.server.keys})

    def do_POST(self) -> None:
        path = self.path.partition("/upload/sign/")[2]
        keys = self.headers["apikey"], self.headers["Authorization"]
        if keys != (SERVICE_KEY, f"Bearer {SERVICE_KEY}") or not path.startswith("uploads/"):
            return self._answer(400, {"statusCode": "403", "error": "Unauthorized", "message": "no"})
        token = jwt.encode({"url": path, "exp": 1_900_000_000}, SECRET)
        return self._answer(200, {"url": f"/object/upload/sign/{path}?token={token}"})

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        self.send_response(502 if self.server.away else status)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(b"<html>Bad gateway</html>" if self.server.away else json.dumps(body).encode())

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@contextmanager
def neighbours() -> Iterator[Neighbours]:
    with Neighbours() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
