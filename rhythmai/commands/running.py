"""From a command into asyncio and cleanly back."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec

import typer

P = ParamSpec("P")


def command(work: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run to the end, or until Ctrl-C or SIGTERM: then the work is cancelled once, cleans up, and the exit code is 130."""

    @wraps(work)  # typer reads the options of what is wrapped
    def run(*arguments: P.args, **options: P.kwargs) -> None:
        try:
            asyncio.run(_interruptible(work(*arguments, **options)))
        except asyncio.CancelledError:
            raise typer.Exit(130) from None

    return run


async def _interruptible(work: Coroutine[Any, Any, None]) -> None:
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(work)
    for number in (signal.SIGINT, signal.SIGTERM):
        # One cancellation is enough: a second one would break off the cleaning up.
        loop.add_signal_handler(number, lambda: None if task.cancelling() else task.cancel())
    await task
