"""A vision-language model that says yes, except to what it is told to refuse."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self


class Director:
    """A context; `.url` is BASE_URL. Words of `refuses` in a request make it a 400; words of `hangs` leave it unanswered."""

    def __init__(self) -> None:
        self.refuses: set[str] = set()
        self.hangs: set[str] = set()
        self._over = threading.Event()
        director = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked = self.rfile.read(int(self.headers["content-length"])).decode()
                if any(word in asked for word in director.hangs):
                    director._over.wait()
                    self.close_connection = True
                    return
                if self.headers["authorization"] != "Bearer right":
                    status, answer = 401, {"error": {"message": "bad key"}}
                elif word := next((word for word in director.refuses if word in asked), None):
                    status, answer = 400, {"error": {"message": f"{word} is not supported"}}
                else:
                    message = {"role": "assistant", "content": '{"colour": "red"}'}
                    choice = {"index": 0, "finish_reason": "stop", "message": message}
                    status = 200
                    answer = {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]}
                body = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
