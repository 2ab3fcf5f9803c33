"""The warm process: one thread, a bare environment, its death and its end."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator

import psutil
import pytest
import structlog

from tests.unit.looking import look
from tests.unit.media import RED, write_video
from worker.errors import Unavailable
from worker.pipeline.look.child import Limits, run_child
from worker.pipeline.look.warm_process import WARM

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]


async def until_there(number: int = 1) -> list[psutil.Process]:
    """So many children of the warm process that run their command, whoever of them comes first."""
    while len(found := [c for c in warm().children() if c.cmdline() == SLEEP]) < number:
        await asyncio.sleep(0.01)
    return found


def warm() -> psutil.Process:
    assert WARM._process is not None
    return psutil.Process(WARM._process.pid)


@pytest.fixture
async def sleeper() -> AsyncIterator[asyncio.Task[object]]:
    """A child that would sleep for long."""
    task = asyncio.create_task(run_child(SLEEP, Limits(), task="Testing"))
    await until_there()
    yield task
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_one_thread_and_a_bare_environment(tmp_path, monkeypatch) -> None:
    """The process that forks has one thread and nothing of the worker's environment but where things are."""
    monkeypatch.setenv("SUPABASE_KEY", "secret")
    WARM.open()
    await look(write_video(tmp_path / "a.mp4", [(RED, 0.2)], sound=False))
    assert warm().num_threads() == 1
    ended = await run_child(["-n1", "-r1", "import os; print(*os.environ)"], Limits(), task="Testing", module="timeit")
    ours = {
        "PATH",
        "LD_LIBRARY_PATH",
        "TMPDIR",
        "LC_CTYPE",
        "PYTHONPATH",
        "OPENBLAS_NUM_THREADS",
        "OMP_NUM_THREADS",
        "OMP_THREAD_LIMIT",
    }
    assert set(ended.output.splitlines()[0].decode().split()) <= ours


async def test_memory_is_counted_from_what_is_mapped() -> None:
    """However many libraries the warm process has loaded, a child has as much memory of its own."""
    ask = "import resource; print(resource.getrlimit(resource.RLIMIT_AS)[0])"
    ended = await run_child(["-n1", "-r1", ask], Limits(memory_bytes=2**30), task="Testing", module="timeit")
    mapped = warm().memory_info().vms
    assert int(ended.output.split()[0]) - 2**30 == pytest.approx(mapped, abs=2**25)


async def test_its_death_is_nobodys_fault(sleeper: asyncio.Task[object]) -> None:
    """Children end with it, their films may be looked at later, it is started again, and that is logged once."""
    (child,) = await until_there()
    dead = warm()
    with structlog.testing.capture_logs() as logs:
        dead.kill()
        with pytest.raises(Unavailable) as caught:
            await sleeper
        assert caught.value.code == "child_killed"
        ends = [await run_child(["true"], Limits(), task="Testing") for _ in range(2)]
    assert [ended.code for ended in ends] == [0, 0]
    assert warm().pid != dead.pid
    assert [line["event"] for line in logs] == ["zygote.died"]
    psutil.wait_procs([child], timeout=20)
    assert not child.is_running()


async def test_a_wall_limit_kills_the_child_alone(sleeper: asyncio.Task[object]) -> None:
    """One child that runs out of time or is cancelled takes neither the warm process nor another child along."""
    before, (other,) = warm().pid, await until_there()
    hasty = asyncio.create_task(run_child(SLEEP, Limits(), task="Testing"))
    await until_there(2)
    hasty.cancel()
    await asyncio.gather(hasty, return_exceptions=True)
    assert warm().pid == before
    assert await until_there() == [other]


async def test_it_ends_with_the_worker() -> None:
    """A worker that is killed takes it along, even when it hangs; and its children with it."""
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-c",
        "import asyncio, sys; from worker.pipeline.look.child import Limits, run_child\n"
        "from worker.pipeline.look.warm_process import WARM\n"
        "async def main():\n"
        f"    task = asyncio.create_task(run_child({SLEEP}, Limits(), task='Testing'))\n"
        "    await asyncio.sleep(0); await asyncio.sleep(0.1)\n"
        "    print(WARM._process.pid, flush=True)\n"
        "    await task\n"
        "asyncio.run(main())",
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert worker.stdout is not None
    zygote = psutil.Process(int(await worker.stdout.readline()))
    while not any(child.cmdline() == SLEEP for child in zygote.children()):
        await asyncio.sleep(0.01)
    family = [zygote, *zygote.children()]
    zygote.suspend()
    worker.kill()
    await worker.wait()
    _, alive = await asyncio.to_thread(psutil.wait_procs, family, 20)
    assert alive == []
