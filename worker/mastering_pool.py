"""Processes in which tracks are mastered: away from the interpreter that feeds the engine and turns the event loop, and nice to it.

In threads of the worker each of numpy's and scipy's longer calls would hold up whoever needs the interpreter next.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any, TypeVar

from worker.pipeline.look.confinement import die_with

T = TypeVar("T")
MOST = 3
"""As many as a usual job has variants."""


class MasteringPool(Executor):
    """At most `at_once` processes, forked when they are first needed, or by `open`, from one that has loaded all they need
    (mastering_process.py). One that dies takes what is being mastered along, and nothing that comes later.
    """

    def __init__(self, at_once: int | None = None) -> None:
        self._at_once = at_once or min(MOST, os.cpu_count() or 1)
        self._pool = self._new()

    def open(self) -> None:
        """Have the processes started; does not wait for them."""
        for _ in range(self._at_once):
            self.submit(os.getpid)

    def submit(self, work: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        try:
            return self._pool.submit(work, *args, **kwargs)
        except (BrokenProcessPool, ConnectionError):
            time.sleep(0.1)  # what they are forked from may be dying, too
            self._pool = self._new()
            return self._pool.submit(work, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._pool.shutdown(wait, cancel_futures=cancel_futures)

    def _new(self) -> ProcessPoolExecutor:
        context = get_context("forkserver")
        context.set_forkserver_preload(["worker.mastering_process", __name__])
        return ProcessPoolExecutor(self._at_once, mp_context=context, initializer=_settle_in)


def _settle_in() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for the worker, which drains
    die_with(os.getppid())
