"""Processes in which tracks are mastered: away from the interpreter that feeds the engine and turns the event loop, and nice to it.

In threads of the worker each of numpy's and scipy's longer calls would hold up whoever needs the interpreter next.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from importlib import import_module
from multiprocessing import get_context
from typing import Any, TypeVar

from worker.pipeline.look.child import NICE
from worker.pipeline.look.confinement import die_with, hide

T = TypeVar("T")
MOST = 3
"""As many as a usual job has variants."""
LOADED = ("worker.pipeline.finish.mend", "worker.pipeline.finish.fit", "pyloudnorm")
"""What a process has ready before its first track."""


class MasteringPool(Executor):
    """At most `at_once` processes, started when they are first needed or by `open`. One that dies takes what is being
    mastered along, and nothing that comes later.
    """

    def __init__(self, at_once: int | None = None) -> None:
        self._at_once = at_once or min(MOST, os.cpu_count() or 1)
        self._pool = self._new()

    def open(self) -> None:
        """Have the processes load what they need; does not wait for them."""
        for _ in range(self._at_once):
            self.submit(os.getpid)

    def submit(self, work: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        try:
            return self._pool.submit(work, *args, **kwargs)
        except BrokenProcessPool:
            self._pool = self._new()
            return self._pool.submit(work, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._pool.shutdown(wait, cancel_futures=cancel_futures)

    def _new(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            self._at_once, mp_context=get_context("spawn"), initializer=_settle_in, initargs=(os.getpid(),)
        )


def _settle_in(parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for the worker, which drains
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # of a pool's processes each has one track and one core
    hide()
    die_with(parent)
    with suppress(OSError):
        os.nice(NICE)
    for name in LOADED:
        import_module(name)
