"""From a command into asyncio and cleanly back."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

import typer

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end, or until Ctrl-C or SIGTERM: then the work is cancelled once, cleans up, and the exit code is 130."""
    try:
        return asyncio.run(_interruptible(work))
    except asyncio.CancelledError:
        raise typer.Exit(130) from None


async def _interruptible(work: Coroutine[Any, Any, T]) -> T:
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(work)
    for number in (signal.SIGINT, signal.SIGTERM):
        # One cancellation is enough: a second one would break off the cleaning up.
        loop.add_signal_handler(number, lambda: None if task.cancelling() else task.cancel())
    return await task
