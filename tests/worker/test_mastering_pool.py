"""The processes that master: what comes back, what is nice, what a death costs."""

import asyncio
import os
from concurrent.futures.process import BrokenProcessPool
from functools import partial

import numpy as np
import pytest

from worker.domain import Track
from worker.mastering_pool import MasteringPool
from worker.pipeline.finish.master import master
from worker.pipeline.look.child import NICE


@pytest.fixture(scope="module")
def mastering_pool():
    mastering_pool = MasteringPool(1)
    mastering_pool.open()
    yield mastering_pool
    mastering_pool.shutdown()


async def test_a_track_is_mastered_elsewhere_as_it_would_be_here(mastering_pool):
    """The bytes are the same, and another process made them."""
    wave = np.sin(np.arange(4 * 44_100, dtype=np.float32) / 20)[np.newaxis] * np.float32(0.1)
    work = partial(
        master,
        Track(index=0, samples=wave, sample_rate=44_100),
        duration_s=4.0,
        loudness_lufs=-14,
        format="flac",
        tags={"title": "A"},
    )
    loop = asyncio.get_running_loop()
    assert await loop.run_in_executor(mastering_pool, work) == work()
    assert await loop.run_in_executor(mastering_pool, os.getpid) != os.getpid()


def test_it_stands_back_for_the_worker(mastering_pool):
    """Whoever feeds the engine gets the processor first."""
    assert mastering_pool.submit(os.nice, 0).result(60) == os.nice(0) + NICE


def test_it_keeps_to_one_core(mastering_pool):
    """What multiplies matrices in it has no threads beside it: a pool has a process for each track."""
    assert mastering_pool.submit(eval, "__import__('os').environ['OPENBLAS_NUM_THREADS']").result(60) == "1"
    assert mastering_pool.submit(eval, "len(__import__('os').listdir('/proc/self/task'))").result(60) == 1


def test_nobody_reads_its_memory(mastering_pool):
    """It is not dumpable, as the worker is not."""
    assert mastering_pool.submit(eval, "__import__('ctypes').CDLL(None).prctl(3)").result(60) == 0  # PR_GET_DUMPABLE


@pytest.mark.parametrize("victim", ["os.getpid()", "os.getppid()"], ids=["one", "what they are forked from"])
def test_a_process_that_dies_takes_only_its_own_work_along(mastering_pool, victim):
    """What is mastered next is mastered by a new one."""
    with pytest.raises(BrokenProcessPool):
        mastering_pool.submit(exec, f"import os, time; os.kill({victim}, 9); time.sleep(60)").result(60)
    assert mastering_pool.submit(abs, -1).result(60) == 1
