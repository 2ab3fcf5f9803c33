"""WarmProcess: the zygote (`worker.pipeline.look.zygote`) as the worker holds it. Linux only."""

from __future__ import annotations

import atexit
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO

import structlog

import worker
from worker.errors import Unavailable
from worker.pipeline.look.confinement import bare_environment
from worker.pipeline.look.zygote import Order

log = structlog.get_logger()
DECODER = "worker.pipeline.look.decoder"
# -P: the folder of a stranger's file is no place to import from; -B: nothing is written.
PYTHON = (sys.executable, "-P", "-B", "-s", "-m")
ENVIRONMENT = {
    "PYTHONPATH": str(Path(worker.__file__).parents[1]),
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "OMP_THREAD_LIMIT": "1",  # for who asks for more all the same, and would turn them in circles
}


class WarmProcess:
    """The zygote as the worker holds it: started when it is first needed or by `open`, and again after it died."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._modules: tuple[str, ...] = ()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def need(self, module: str) -> None:
        """Have it load what children need besides the decoder. One that runs without it ends, and its children with it."""
        with self._lock:
            if module not in self._modules:
                self._end()
                self._modules += (module,)

    def open(self) -> None:
        """Start it before it is needed; does not wait for it."""
        with self._lock:
            if self._control is None:
                self._start()

    def order(self, order: Order, lines: Sequence[socket.socket | IO[bytes]]) -> None:
        """Have a child forked, with its stdout, its stderr and its cord. Raises Unavailable."""
        with self._lock:
            for _ in range(2):
                control = self._control or self._start()
                with suppress(BrokenPipeError, ConnectionResetError):
                    socket.send_fds(control, [json.dumps(asdict(order)).encode()], [line.fileno() for line in lines])
                    return
                log.warning("zygote.died", code=self._end())
        raise Unavailable("The process that starts decoders does not live; try again later", code="decoder_failed")

    def close(self) -> None:
        """End it and all its children."""
        with self._lock:
            self._end()

    def _start(self) -> socket.socket:
        control, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with other:
            ends = [str(other.fileno()), str(os.getpid())]
            self._process = subprocess.Popen(
                [*PYTHON, "worker.pipeline.look.zygote", *ends, DECODER, *self._modules],
                pass_fds=[other.fileno()],
                stdin=subprocess.DEVNULL,
                env=bare_environment() | ENVIRONMENT,
                start_new_session=True,  # a terminal's Ctrl-C is for the worker, which drains
            )
        self._control = control
        atexit.register(self.close)
        return control

    def _end(self) -> int | None:
        if self._control is None or self._process is None:
            return None
        self._control.close()
        self._control = None
        self._process.kill()  # it may be loading still
        return self._process.wait()


WARM = WarmProcess()
"""One for the whole process, as multiprocessing has one fork server."""
