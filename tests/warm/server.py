"""A process that waits with our programs imported, and forks for each call: `python server.py SOCKET [MODULE...]`, until its standard input ends.

A caller (caller.py) sends a module, arguments, folder and environment, and the files that it has open.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import functools
import gc
import importlib
import io
import marshal
import multiprocessing.spawn
import os
import pkgutil
import runpy
import select
import signal
import socket
import sys
import threading
from pathlib import Path

import aiohttp.connector
import typer.main

import rhythmai.cli

LARGEST = 2**20
"""Bytes of a call."""
MOST = 64
"""Its files, at most."""
BESIDE = (
    "anyio._backends._asyncio",
    "edge_api.app",
    "httpcore",
    "supabase",
    "supabase_standin.gateway",
    "worker.assembly",
    "worker.engines.sketch.engine",
    "worker.pipeline.finish.fit",
    "worker.pipeline.finish.fit_files",
    "worker.pipeline.finish.mend",
    "worker.pipeline.look.reading",
)
"""What servers and workers import when they run, and commands that look at files."""


def warm_up(*names: str) -> None:
    ours = (module.name for module in pkgutil.walk_packages(rhythmai.__path__, "rhythmai."))
    for name in (*ours, *BESIDE, *names):
        if not name.endswith("__main__"):
            importlib.import_module(name)
    typer.main.get_command = functools.cache(typer.main.get_command)
    typer.main.get_command(rhythmai.cli.app)  # reading all signatures is half of what a command costs
    gc.collect()
    gc.freeze()  # no program goes through all of it


def become(call: dict, files: list[int]) -> str:
    """This process is from now on the program that was called: the module to run."""
    aside = [fcntl.fcntl(file, fcntl.F_DUPFD, MOST) for file in files]
    for file in files:
        os.close(file)
    for file, number in zip(aside, call["files"], strict=True):
        os.dup2(file, number)
        os.close(file)
    os.chdir(call["cwd"])
    known = os.environ.get("SSL_CERT_FILE")
    os.environ.clear()
    os.environb.update(call["environ"])
    trusted = os.environ.get("SSL_CERT_FILE")
    if trusted and trusted != known:  # aiohttp made its context when it was imported
        aiohttp.connector._SSL_CONTEXT_VERIFIED.load_verify_locations(trusted)
    sys.executable = str(Path(DOOR).with_name("python"))  # for the programs that this one starts
    multiprocessing.spawn.set_executable(sys.executable)
    sys.argv = [call["module"], *call["arguments"]]
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = io.TextIOWrapper(io.FileIO(1, "w", closefd=False), write_through=True)
    sys.stderr = io.TextIOWrapper(io.FileIO(2, "w", closefd=False), write_through=True, errors="backslashreplace")
    return call["module"]


def attend(caller: socket.socket) -> str | None:
    """Fork, wait and tell the exit code; the number of a signal that comes meanwhile goes to the program. In that, what it is to run."""
    message, files, *_ = socket.recv_fds(caller, LARGEST, MOST)
    program = os.fork()
    if program == 0:
        caller.close()
        return become(marshal.loads(message), files)
    for file in files:
        os.close(file)
    ended = os.pidfd_open(program)
    while ended not in select.select([ended, caller], [], [])[0]:
        number = caller.recv(1)
        os.kill(program, number[0] if number else signal.SIGKILL)
        if not number:
            break
    code = os.waitstatus_to_exitcode(os.waitpid(program, 0)[1])
    with contextlib.suppress(BrokenPipeError):
        caller.sendall(str(code).encode())
    return None


def serve(listener: socket.socket) -> str | None:
    """Until standard input ends; in every program it returns what that is to run."""
    calls = 0
    while True:
        ready, *_ = select.select([listener, 0], [], [])
        if 0 in ready:
            return None
        caller, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            if module := attend(caller):
                return module
            os._exit(0)
        caller.close()
        calls += 1
        while calls and os.waitpid(-1, os.WNOHANG)[0]:
            calls -= 1


def end_of(module: str) -> int:
    """Run it to its exit code. It goes as an interpreter does, but for taking apart what is imported: most of what a short call costs."""
    try:
        if module == "-c":
            exec(sys.argv.pop(1), {"__name__": "__main__"})
        else:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        code = None
    except SystemExit as end:
        if isinstance(code := end.code, str):
            raise
    threading._shutdown()
    atexit._run_exitfuncs()
    return int(code or 0)


if __name__ == "__main__":
    DOOR, *beside = sys.argv[1:]
    sys.path[0] = str(Path(__file__).parents[2])
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(DOOR)
        door.listen(100)
        print("open", flush=True)  # who calls from now on is answered when all is imported
        warm_up(*beside)
        module = serve(door)
    if module:
        os._exit(end_of(module))
