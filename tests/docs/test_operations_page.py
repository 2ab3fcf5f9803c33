"""docs/operations.md: every example runs, in the order of the page, and does what is said about it."""

from __future__ import annotations

import asyncio
import subprocess
from datetime import timedelta

import pytest

from rhythmai.local.postgres import embedded_bin
from tests.docs.blocks import DOCS, blocks
from tests.docs.shell import Shell
from tests.hosted.gateway import running_gateway
from worker.jobs import PostgresQueue

PSQL = embedded_bin() / "psql"


@pytest.fixture
def register(database_url):
    """A box of the name `first` that runs."""

    async def enter():
        queue = await PostgresQueue.connect(
            database_url, name="first", kinds=("generate",), engines=("sketch",), version="1",
            lease=timedelta(hours=1), job_timeout=timedelta(hours=1),
        )  # fmt: skip
        await queue.ready("sketch")
        await queue.pool.close()

    asyncio.run(enter())


@pytest.mark.slow
def test_an_operator_reads_on(database_url, register, sql, tmp_path):
    """Ten thousand jobs are made once, counted, put in order, paused, gone on with and cancelled, by the page's own words."""
    states = {}

    def count(where: str) -> int:
        return sql(database_url, f"select count(*) from public.jobs where {where}")[0][0]

    folder = tmp_path / "operator"
    folder.mkdir()
    sql(database_url, "insert into public.jobs (video_url) values ('https://example.com/a.mp4')")
    sql(database_url, "update public.jobs set status = 'failed', finished_at = now(), error = 'x', error_code = 'x'")
    with running_gateway(database_url, tmp_path / "storage") as gateway:
        environment = {"DATABASE_URL": database_url, "SUPABASE_URL": gateway.url, "SUPABASE_KEY": gateway.secret}
        with Shell(folder, environment) as shell:
            for block in blocks(DOCS / "operations.md"):
                if block.language == "bash" and block.order == "run":
                    shell.run(block)
                if block.language == "sql":
                    for _ in range(2):  # what is said twice does no harm
                        done = subprocess.run(
                            [PSQL, database_url, "--no-psqlrc", "-v", "ON_ERROR_STOP=1", "-c", block.text],
                            capture_output=True, text=True, check=False,
                        )  # fmt: skip
                        assert done.returncode == 0, f"line {block.line}: {block.text}\n{done.stderr}"
                assert sql(database_url, "select queue.next_due()")[0][0] is None, "a pause is no backoff"
                states[block.line] = (
                    count("tenant = 'archive'"),
                    count("run_at > now()"),
                    count("priority = 10"),
                    count("lane = 'interactive'"),
                    count("status = 'cancelled'"),
                )
    jobs, paused, first, interactive, cancelled = zip(*states.values(), strict=True)
    assert max(jobs) == 10_000
    assert max(paused) == 10_000
    assert paused[-1] == 0
    assert max(first) == 100
    assert max(interactive) == 1
    assert max(cancelled) == 1111
    assert sql(database_url, "select draining from public.workers")[0][0]
