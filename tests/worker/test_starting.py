"""A worker that still loads its models: it ends at once when it is told to, and says at once what is wrong."""

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from tests.hosted.programs import clean
from tests.unit.certificates import signatory

LOADS_FOR_EVER = """
import sys, time
from pathlib import Path
from worker import loading
from worker.__main__ import main

def load(settings, name):
    Path(sys.argv[1]).touch()
    time.sleep(3600)

loading.load_engine = load
main()
"""


@pytest.fixture
async def start(database_url, tmp_path):
    """A worker whose engine takes an hour to load, once it has begun with that; its files are in `tmp_path / "work"`."""
    started = []

    async def start(**changes):
        (tmp_path / "work").mkdir()
        environment = {
            "SUPABASE_URL": "http://127.0.0.1:9", "SUPABASE_KEY": "k", "DATABASE_URL": database_url, "WORKER_NAME": "loading",
            "WORK_DIR": str(tmp_path / "work"),
        } | changes  # fmt: skip
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-c", LOADS_FOR_EVER, str(loads := tmp_path / "loads"),
            cwd=tmp_path, env=clean(environment), stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        started.append(process)
        while not await asyncio.to_thread(Path.exists, loads):
            await asyncio.sleep(0.02)
        return process

    async with asyncio.timeout(120):
        yield start
    for process in started:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.parametrize("told_by", ["signal", "operator"])
async def test_a_worker_that_is_told_to_end_does_not_load_to_the_end(start, db, tmp_path, told_by):
    """It drains as any other: exit code 0, signed off, no file left behind."""
    worker = await start()
    while not await db.fetchval("select count(*) from public.workers where name = 'loading' and state <> 'gone'"):
        await asyncio.sleep(0.02)
    if told_by == "signal":
        worker.send_signal(signal.SIGTERM)
    else:
        await db.execute("select queue.drain('loading')")
    assert await worker.wait() == 0
    said = (await worker.stderr.read()).decode()
    assert "Traceback" not in said
    assert await db.fetchval("select state from public.workers where name = 'loading'") in {"gone", None}
    assert list((tmp_path / "work").iterdir()) == []


async def test_a_host_that_is_none_is_told_before_the_models_are_there(start):
    """It may come yet, so the worker waits; meanwhile its log names the variable, and it still ends when told to."""
    worker = await start(DATABASE_URL="postgresql://u:p@nowhere.invalid/d")
    while b"no answer from the host of DATABASE_URL" not in (line := await worker.stderr.readline()):
        assert line
    worker.send_signal(signal.SIGTERM)
    assert await worker.wait() == 0


async def test_a_database_that_refuses_us_is_told_before_the_models_are_there(start, database_url):
    """A wrong password is one line on stderr and exit code 2, whatever the engine still does."""
    worker = await start(DATABASE_URL=database_url.replace("postgres:", "postgres:wrong", 1))
    assert await worker.wait() == 2
    said = (await worker.stderr.read()).decode()
    assert said.splitlines()[-1].startswith("DATABASE_URL does not let us in")
    assert "Traceback" not in said


async def test_an_engine_that_may_not_be_used_commercially_is_refused(database_url, tmp_path):
    """COMMERCIAL_ONLY with the default engine is one line with the remedy and exit code 2, before any weights are looked for."""
    environment = {
        "SUPABASE_URL": "http://127.0.0.1:9", "SUPABASE_KEY": "k", "DATABASE_URL": database_url, "COMMERCIAL_ONLY": "true",
        "MODELS_DIR": str(tmp_path),
    }  # fmt: skip
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "worker", cwd=tmp_path, env=clean(environment), stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(120):
        _, said = await worker.communicate()
    (*_, line) = said.decode().splitlines()
    assert worker.returncode == 2
    assert line.startswith(
        "COMMERCIAL_ONLY=true and ENGINE=mmaudio: the weights of mmaudio large_44k_v2 stand under CC-BY-NC-4.0"
    )
    assert "Set ENGINE=acestep or ENGINE=sketch" in line


async def test_a_key_without_a_certificate_is_told_before_the_models_are_there(start, tmp_path):
    """Who cannot sign as told does not begin: one line on stderr and exit code 2."""
    worker = await start(C2PA_KEY=str(tmp_path / "key.pem"))
    assert await worker.wait() == 2
    said = (await worker.stderr.read()).decode()
    assert said.splitlines()[-1].startswith("C2PA_KEY is set and C2PA_CERT is not")
    assert "Traceback" not in said


async def test_a_key_that_does_not_sign_is_told_before_the_models_are_there(start, tmp_path):
    """Signing is tried once at the start."""
    cert = signatory().written(tmp_path)["C2PA_CERT"]
    worker = await start(C2PA_CERT=cert, C2PA_SIGNER="sh -c 'echo the vault is sealed >&2; exit 4'")
    assert await worker.wait() == 2
    said = (await worker.stderr.read()).decode()
    assert "the vault is sealed" in said.splitlines()[-1]
    assert "Traceback" not in said
