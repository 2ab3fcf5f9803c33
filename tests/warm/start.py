"""Where a program is started often, its imports are most of what it costs: one process has them done, and each start is a fork of it."""

from __future__ import annotations

import atexit
import functools
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
CALLER = HERE / "caller.py"
SHARED = "RHYTHMAI_TESTS_WARM"
PYTHON = """#!/bin/sh
case "$1 $2 $3" in
  "-P -m worker" | "-P -m edge_api" | "-P -m supabase_standin") shift 2;;
  "-m worker "* | "-m edge_api "* | "-m supabase_standin "*) shift;;
  "-c from multiprocessing.forkserver "*) ;;
  "-B -c from multiprocessing.forkserver "*) shift;;
  *) exec '{python}' "$@";;
esac
exec '{python}' -IS '{caller}' '{door}' "$@"
"""
"""In place of sys.executable: what a program starts is warm, too."""


def warm(module: str, *beside: str) -> tuple[str, ...]:
    """A command that does as `python -P -m module` does, with the caller's arguments, files, folder, environment and signals.

    `beside` are modules that are imported already, more than usual. What looks at the process itself (its environment in /proc, its children, what it imports) starts the module itself.
    """
    return (sys.executable, "-IS", str(CALLER), str(_door(*beside)), module)


def warm_python() -> Path:
    """A `python` whose programs are warm."""
    return _door().with_name("python")


def share() -> None:
    """One server for all processes that this one starts."""
    os.environ[SHARED] = str(_door())


@functools.cache
def _door(*beside: str) -> Path:
    """Where a server listens; it ends with the process that started it."""
    if not beside and (shared := os.environ.get(SHARED)):
        return Path(shared)
    folder = tempfile.TemporaryDirectory(prefix="rhythmai-warm-")
    Path(folder.name).chmod(0o755)
    atexit.register(folder.cleanup)
    door, python = Path(folder.name) / "door", Path(folder.name) / "python"
    python.write_text(PYTHON.format(caller=CALLER, door=door, python=sys.executable))
    python.chmod(0o755)
    command = [sys.executable, HERE / "server.py", door, *beside]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
    atexit.register(server.wait)
    assert server.stdin is not None
    atexit.register(server.stdin.close)  # before that: what is registered last runs first
    assert server.stdout is not None
    with server.stdout as said:
        assert said.readline() == b"open\n"
    return door
