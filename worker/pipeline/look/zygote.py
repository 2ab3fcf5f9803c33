"""The warm process from which all who open strangers' files are forked: `python -m worker.pipeline.look.zygote CONTROL PARENT MODULE...`.

It has one thread, a bare environment and the modules loaded, so that a fork takes milliseconds. An order comes through the
socket CONTROL with three sockets: the child's stdout, its stderr, and a cord. The child's wait status goes back along the cord;
whoever lets go of the other end kills the child. It never sees a byte of a stranger's file.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import selectors
import shutil
import signal
import socket
import struct
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import NoReturn

from worker.pipeline.look.confinement import bare_environment, confine, die_with, hide

ORDER_BYTES = 2**17
STATUS = struct.Struct("i")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a child is to do, and with what it has to do."""

    module: str | None
    """Whose `main` is called with the arguments; None: they are a command."""
    arguments: Sequence[str]
    reads: Sequence[str]
    writes: Sequence[str]
    nice: int
    cpu_s: int
    memory_bytes: int
    file_bytes: int


class Zygote:
    """Takes orders until its control is closed."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._selector = selectors.DefaultSelector()
        self._selector.register(control, selectors.EVENT_READ, self._take)
        self._open = True

    def serve(self) -> None:
        while self._open:
            for key, _ in self._selector.select()[:1]:  # one at a time: it may end what another event is about
                key.data()

    def _take(self) -> None:
        data, fds, _, _ = socket.recv_fds(self._control, ORDER_BYTES, 3)
        if not data:
            self._open = False
            return
        *said, cord = fds
        zygote = os.getpid()
        try:
            pid = os.fork()
        except OSError:  # no memory, or too many processes: no status comes back
            said.append(cord)
            pid = None
        if pid == 0:
            _be(Order(**json.loads(data)), fds, zygote)
        for fd in said:
            os.close(fd)
        if pid is None:
            return
        life = os.pidfd_open(pid)
        self._selector.register(cord, selectors.EVENT_READ, partial(self._kill, pid, cord))
        self._selector.register(life, selectors.EVENT_READ, partial(self._bury, pid, cord, life))

    def _kill(self, pid: int, cord: int) -> None:
        self._selector.unregister(cord)
        os.kill(pid, signal.SIGKILL)  # it is ours until `_bury` has waited for it

    def _bury(self, pid: int, cord: int, life: int) -> None:
        self._selector.unregister(life)
        with suppress(KeyError):
            self._selector.unregister(cord)
        _, status = os.waitpid(pid, 0)
        with socket.socket(fileno=cord) as line, suppress(OSError):
            line.send(STATUS.pack(status))
        os.close(life)


def _be(order: Order, fds: Sequence[int], zygote: int) -> NoReturn:
    """Be the child."""
    code = 1
    try:
        die_with(zygote)
        os.dup2(fds[0], 1)
        os.dup2(fds[1], 2)
        os.closerange(3, 2**16)  # far more than are open
        os.nice(order.nice)
        mapped = 0 if order.module is None else _mapped_bytes()
        program = None if order.module else shutil.which(order.arguments[0])
        confine(reads=order.reads, writes=order.writes, program=program)
        for name, most in (
            (resource.RLIMIT_CORE, 0),
            (resource.RLIMIT_FSIZE, order.file_bytes),
            (resource.RLIMIT_AS, mapped + order.memory_bytes),
        ):
            resource.setrlimit(name, (most, most))
        resource.setrlimit(resource.RLIMIT_CPU, (order.cpu_s, order.cpu_s + 5))
        if order.module is None:
            for ignored in (signal.SIGPIPE, signal.SIGXFSZ):  # by Python; the command would go on ignoring them
                signal.signal(ignored, signal.SIG_DFL)
            os.execvpe(order.arguments[0], list(order.arguments), bare_environment())  # noqa: S606
        import_module(order.module).main(order.arguments)
        code = 0
    except BaseException:  # noqa: BLE001  # whatever it is, this process ends here
        traceback.print_exc()
    finally:
        with suppress(BaseException):
            sys.stdout.flush()
        os._exit(code)


def _mapped_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def main(arguments: Sequence[str]) -> None:
    control, parent, *modules = arguments
    hide()
    die_with(int(parent))
    for name in modules:
        import_module(name)
    gc.freeze()  # what is there is not walked again, so that forks go on sharing it
    Zygote(socket.socket(fileno=int(control))).serve()


if __name__ == "__main__":
    main(sys.argv[1:])
