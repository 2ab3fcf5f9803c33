"""The local stack under soak, as `rhythmai up` starts it, in a process of its own: python bench/soak_stack.py DATA PORT DB_PORT SQL.

One thing differs: its worker may fetch from loopback and call back there, where the films of strangers and their bad manners are
(with `--worker` this file is that worker).
"""

from __future__ import annotations

import asyncio
import signal
import sys
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from rhythmai.local import stack
from rhythmai.local.settings import LocalSettings

children = stack._children  # noqa: SLF001


def with_ours(*arguments: Any) -> list[tuple[str, tuple[str, ...], dict[str, str]]]:
    """The children of every stack, the worker as we need it."""
    ours = (sys.executable, "-P", __file__, "--worker")
    return [
        (name, ours if name == "worker" else command, environment)
        for name, command, environment in children(*arguments)
    ]


def be_the_worker() -> None:
    from worker import assembly
    from worker.__main__ import main

    def anywhere(_: object) -> None:
        """The policy that forbids nothing."""

    assembly.HttpFetcher = partial(assembly.HttpFetcher, policy=anywhere)
    assembly.Webhooks = partial(assembly.Webhooks, policy=anywhere, poll_every=timedelta(seconds=1))
    main()


async def serve(data: Path, port: int, db_port: int, script: Path) -> None:
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    stack._children = with_ours  # noqa: SLF001
    settings = LocalSettings(engine="sketch", worker_name="soak")
    async with stack.local_stack(data, port=port, db_port=db_port, scripts=[script], settings=settings):
        print("soak.ready", flush=True)
        await stop.wait()


if __name__ == "__main__":
    if sys.argv[1:] == ["--worker"]:
        be_the_worker()
    else:
        asyncio.run(serve(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])))
