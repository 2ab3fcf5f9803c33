"""A program that waits with everything imported: whoever calls `rhythmai` a hundred times imports it once.

`python warm_program.py SOCKET` listens there until its standard input ends. A caller (warm_call.py) sends its arguments,
folder and environment, and its three standard files. Each call runs in a fork of its own, as `python -m rhythmai` would.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import io
import json
import os
import pkgutil
import select
import signal
import socket
import sys

import rhythmai.cli

LARGEST = 2**20
"""Bytes of a call."""


def warm_up() -> None:
    """All of our face."""
    for module in pkgutil.walk_packages(rhythmai.__path__, "rhythmai."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    gc.collect()
    gc.freeze()  # a program's end would go through all of it


def become(call: dict, files: list[int]) -> None:
    """This process is from now on the program that was called."""
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(call["cwd"])
    os.environ.clear()
    os.environ.update(call["environ"])
    sys.argv = ["rhythmai", *call["arguments"]]
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = io.TextIOWrapper(io.FileIO(1, "w", closefd=False), write_through=True)
    sys.stderr = io.TextIOWrapper(io.FileIO(2, "w", closefd=False), write_through=True, errors="backslashreplace")


def attend(caller: socket.socket) -> bool:
    """Fork, wait and tell the exit code; the number of a signal that comes meanwhile goes to the program. True in the program itself."""
    message, files, *_ = socket.recv_fds(caller, LARGEST, 3)
    program = os.fork()
    if program == 0:
        caller.close()
        become(json.loads(message), files)
        return True
    for file in files:
        os.close(file)
    ended = os.pidfd_open(program)
    while ended not in (ready := select.select([ended, caller], [], [])[0]):
        assert ready
        number = caller.recv(1)
        os.kill(program, number[0] if number else signal.SIGKILL)
        if not number:
            break
    code = os.waitstatus_to_exitcode(os.waitpid(program, 0)[1])
    with contextlib.suppress(BrokenPipeError):
        caller.sendall(str(code).encode())
    return False


def serve(listener: socket.socket) -> bool:
    """Until standard input ends; returns in every program, too, and True there."""
    calls = 0
    while True:
        ready, *_ = select.select([listener, 0], [], [])
        if 0 in ready:
            return False
        caller, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            if attend(caller):
                return True
            os._exit(0)
        caller.close()
        calls += 1
        while calls and os.waitpid(-1, os.WNOHANG)[0]:
            calls -= 1


if __name__ == "__main__":
    warm_up()
    sys.path[0] = ""  # as with -m
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(sys.argv[1])
        door.listen(100)
        called = serve(door)
    if called:
        rhythmai.cli.main()
