"""A supervised child, with small programs that behave badly."""

from __future__ import annotations

import asyncio
import os
import sys

import psutil
import pytest

from rhythmai.local.supervisor import Child


class Watch:
    """Hears what a child says and when it starts."""

    def __init__(self):
        self.lines = asyncio.Queue()
        self.starts = asyncio.Queue()

    async def line(self, wanted: str) -> str:
        while wanted not in (line := await self.lines.get()):
            pass
        return line


@pytest.fixture
def watch():
    return Watch()


@pytest.fixture
def child(tmp_path, watch):
    def make(program: str, **options) -> Child:
        return Child(
            "child", (sys.executable, "-u", "-c", program), os.environ, logs=tmp_path,
            echo=lambda name, line: watch.lines.put_nowait(line),
            started=lambda name, pid: watch.starts.put_nowait(pid), **options,
        )  # fmt: skip

    return make


async def test_a_child_that_dies_is_started_again(child, watch):
    """A child that ends by itself is started again, as another process."""
    kept = child("import time; print('here'); time.sleep(60)")
    await kept.start()
    first = await watch.starts.get()
    await watch.line("here")
    os.kill(first, 9)
    assert await watch.starts.get() != first
    await watch.line("here")
    assert kept.failures == 1
    await kept.stop()


async def test_pauses_grow(child, watch):
    """The pause before each start is longer than the one before."""
    hasty = child("raise SystemExit(1)")
    await hasty.start()
    pauses = [float((await watch.line("starts again")).split()[-2]) for _ in range(2)]
    await hasty.stop()
    assert pauses == [0.5, 1.0]


async def test_a_misconfigured_child_is_hopeless(child, watch):
    """Exit code 2 says that another start will not help, and the last lines say why."""
    lost = child("print('SUPABASE_URL is not set'); raise SystemExit(2)")
    await lost.start()
    await watch.line("ended with code 2")
    assert lost.hopeless
    assert lost.last_lines[0] == "SUPABASE_URL is not set"
    await lost.stop()


async def test_stop_asks_first(child, watch, tmp_path):
    """SIGTERM lets a child end in its own way, and its last words are heard and kept."""
    polite = child(
        "import signal, time\n"
        "def bye(*_): print('good bye', end=''); raise SystemExit\n"
        "signal.signal(signal.SIGTERM, bye); print('ready'); time.sleep(60)"
    )
    await polite.start()
    await watch.line("ready")
    await polite.stop()
    await watch.line("good bye")
    assert (tmp_path / "child.log").read_text() == "ready\ngood bye\n"
    assert not psutil.pid_exists(await watch.starts.get())


async def test_stop_insists(child, watch):
    """A child that ignores SIGTERM is killed together with what it started."""
    stubborn = child(
        "import signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "grandchild = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print('grandchild', grandchild.pid); time.sleep(60)",
        grace_s=(0.05, 0.05),
    )
    await stubborn.start()
    grandchild = psutil.Process(int((await watch.line("grandchild")).split()[1]))
    await stubborn.stop()
    psutil.wait_procs([grandchild], timeout=120)
    assert not grandchild.is_running() or grandchild.status() == psutil.STATUS_ZOMBIE


async def test_a_line_without_end_is_no_trouble(child, watch):
    """A line of megabytes is heard whole."""
    talker = child("import time; print('x' * 3_000_000); time.sleep(60)")
    await talker.start()
    assert len(await watch.line("x")) == 3_000_000
    await talker.stop()
