"""The child process for hostile media: limits, secrets, ends of every kind."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import sys
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import psutil
import pytest

from worker.errors import Rejected, Unavailable
from worker.pipeline.look.child import NICE, Ended, Limits, run_child
from worker.pipeline.look.warm_process import WARM


async def run(script: str, *writes: Path, **limits: object) -> Ended:
    return await run_child([sys.executable, "-c", script], Limits(**limits), task="Testing", writes=writes)


async def test_it_stands_back() -> None:
    """A child asks for the processor after the worker's own threads."""
    ended = await run("import os; print(os.nice(0))")
    assert int(ended.output) == min(19, os.nice(0) + NICE)


async def test_what_it_says(tmp_path) -> None:
    """Output, exit code and complaints come back apart."""
    ended = await run("import sys; print('out'); print('oops', file=sys.stderr); sys.exit(3)")
    assert ended == Ended(code=3, output=b"out\n", complaints="oops\n")


async def test_no_secrets(monkeypatch) -> None:
    """Nothing of the worker's environment reaches a child but where programs and libraries are."""
    monkeypatch.setenv("SUPABASE_KEY", "secret")
    WARM.close()  # else it would have been started before
    ended = await run("import os; print(sorted(os.environ))")
    assert set(eval(ended.output)) <= {"PATH", "LD_LIBRARY_PATH", "TMPDIR", "LC_CTYPE"}


async def test_a_program_of_ones_own(tmp_path) -> None:
    """A program may lie anywhere, as an ffmpeg that IMAGEIO_FFMPEG_EXE names."""
    program = tmp_path / "true"
    program.write_bytes(Path("/bin/true").read_bytes())
    program.chmod(0o755)
    assert (await run_child([str(program)], Limits(), task="Testing")).code == 0


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGABRT", "SIGBUS", "SIGFPE"])
async def test_a_crash_is_the_files_fault(name: str) -> None:
    """A child that crashes will crash again: the file is refused."""
    with pytest.raises(Rejected, match=name) as caught:
        await run(f"import os, signal; os.kill(os.getpid(), signal.{name})")
    assert caught.value.code == "broken_video"


@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM"])
async def test_a_killed_child_is_not(name: str) -> None:
    """A child killed from outside (by the system when memory is short, by an operator) may live next time."""
    with pytest.raises(Unavailable, match=name) as caught:
        await run(f"import os, signal; os.kill(os.getpid(), signal.{name})")
    assert caught.value.code == "child_killed"


async def test_processor_time() -> None:
    """A child that computes for ever is stopped by its own processor time."""
    with pytest.raises(Rejected, match="SIGXCPU"):
        await run("while True: pass", cpu=timedelta(seconds=1))


async def test_a_child_that_hangs() -> None:
    """A child that waits for ever is stopped by the clock, and no process is left."""
    await run("pass")
    others = set(psutil.Process().children(recursive=True))
    with pytest.raises(Unavailable) as caught:
        await run("import time; time.sleep(600)", wall=timedelta(seconds=0.2))
    assert caught.value.code == "timeout"
    assert set(psutil.Process().children(recursive=True)) <= others


async def test_memory() -> None:
    """Memory beyond the limit is not to be had."""
    ended = await run("bytearray(2**31)", memory_bytes=2**30)
    assert "MemoryError" in ended.complaints


async def test_files(tmp_path) -> None:
    """A child that may not write files does not."""
    path = tmp_path / "out"
    path.touch()
    ended = await run(f"import os; os.write(os.open({str(path)!r}, os.O_WRONLY), b'x')", path)
    assert "File too large" in ended.complaints
    assert path.stat().st_size == 0


async def test_a_flood_of_output() -> None:
    """Output beyond the limit is thrown away as it comes, and the child's file refused."""
    with pytest.raises(Rejected, match="too much output"):
        await run("import sys\nfor _ in range(64): sys.stdout.write('x' * 2**20)", output_bytes=2**20)


async def test_cancelling_kills(tmp_path) -> None:
    """Cancelling ends the child at once and waits for it."""
    told = tmp_path / "told"
    os.mkfifo(told)
    task = asyncio.create_task(
        run(f"import os, time; open({str(told)!r}, 'w').write(str(os.getpid())); time.sleep(600)", told, file_bytes=100)
    )
    pid = int(await asyncio.to_thread(told.read_text))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not Path(f"/proc/{pid}").exists()


async def test_a_killed_worker_takes_its_children_along(tmp_path) -> None:
    """After a kill -9 of the worker nothing of it goes on decoding: its child ends, too."""
    told = tmp_path / "told"
    os.mkfifo(told)
    child = f"import os, time; open({str(told)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-c",
        "import asyncio, pathlib, sys; from worker.pipeline.look.child import Limits, run_child\n"
        f"told = pathlib.Path({str(told)!r})\n"
        f"asyncio.run(run_child([sys.executable, '-c', {child!r}], Limits(file_bytes=100), task='Testing', writes=[told]))",
    )  # fmt: skip
    pid = int(await asyncio.to_thread(told.read_text))
    life = os.pidfd_open(pid)
    try:
        worker.send_signal(signal.SIGKILL)
        await worker.wait()
        ended, _, _ = await asyncio.to_thread(select.select, [life], [], [], 20)
        assert ended == [life]
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        os.close(life)


async def test_signals_are_as_a_program_expects_them() -> None:
    """A command starts with the signals' defaults, not with those that Python ignores."""
    status = Path("/proc/self/status")
    ended = await run_child(["grep", "SigIgn", str(status)], Limits(), task="Testing", reads=[status])
    ignored = int(ended.output.split()[1], 16)
    # Not the whole mask: libraries of other tests may ignore signals below the C library's reach.
    assert [
        name for name in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGTERM) if ignored >> name - 1 & 1
    ] == []
