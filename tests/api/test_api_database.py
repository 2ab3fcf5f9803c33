"""The database comes and goes, stands behind a pooler, or is not fit: clean answers, and recovery without a restart."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import tempfile
from pathlib import Path

import asyncpg
import pytest

from edge_api.database import Database
from rhythmai.local.postgres import Postgres
from rhythmai.project.dsn import connect_arguments
from supabase_standin import BASELINE
from tests.contract.conftest import ask

VIDEO = "https://example.com/holiday.mp4"
MIGRATIONS = Path(__file__).parents[2] / "supabase" / "migrations"


@pytest.fixture
def own_postgres():
    """A server of the test's own, not started yet, on a port that stays."""
    from rhythmai.local.postgres import free_port

    place = Path(tempfile.mkdtemp(prefix="rhythmai-postgres-"))
    server = Postgres(place / "data", password=secrets.token_hex(8), port=free_port(), careless=True)
    yield server
    server.stop()
    shutil.rmtree(place)


async def test_the_api_outlives_its_database(start_api, own_postgres):
    """Away at the start, empty, there, away again, back: 503 with a time to come back, then work, without a restart."""
    api = await start_api(database_url=own_postgres.url())

    async def health() -> tuple[int, str | None]:
        async with api.get("/healthz") as answer:
            problem = await answer.json(content_type=None)
            if answer.status == 503:
                assert int(answer.headers["Retry-After"]) > 0
                assert own_postgres.password not in str(problem)
            return answer.status, problem.get("code")

    assert await health() == (503, "database_unavailable")
    await asyncio.to_thread(own_postgres.start)
    assert await health() == (503, "database_unavailable")  # no migrations yet
    connection = await asyncpg.connect(own_postgres.url())
    for script in (BASELINE, *sorted(MIGRATIONS.glob("*.sql"))):
        await connection.execute(script.read_text())
    await connection.close()
    assert await health() == (200, None)
    status, answer = await ask(api, "post", "/api/v1/gen", json={"video_url": VIDEO})
    assert status == 200

    merge = {"video_url": VIDEO, "audio_url": VIDEO}
    waiting = asyncio.create_task(ask(api, "post", "/api/v1/merge", json=merge))
    connection = await asyncpg.connect(own_postgres.url())
    while not (job := await connection.fetchval("select id from public.jobs where kind = 'merge'")):
        await asyncio.sleep(0)
    looks = "select from pg_stat_activity where query like '%queue.moved%' and pid <> pg_backend_pid()"
    while not await connection.fetch(looks):  # a wait whose first look fails is a 202
        await asyncio.sleep(0)
    await connection.close()
    await asyncio.to_thread(own_postgres.stop)
    assert await health() == (503, "database_unavailable")
    assert (await ask(api, "post", "/api/v1/gen", json={"video_url": VIDEO}))[0] == 503
    await asyncio.to_thread(own_postgres.start)
    assert await health() == (200, None)
    assert (await ask(api, "get", f"/api/v1/job/{answer['job_id']}"))[0] == 200
    assert (await ask(api, "delete", f"/api/v1/job/{job}"))[1]["status"] == "cancelled"
    assert (await waiting)[0] == 409  # the wait outlived the restart


@pytest.mark.parametrize(
    ("url", "plain", "pooled"),
    [
        ("postgresql://u:p@h/d", "postgresql://u:p@h/d", False),
        ("postgresql://u:p@h:5432/d?sslmode=require", "postgresql://u:p@h:5432/d?sslmode=require", False),
        ("postgresql://u:p@h:6543/d", "postgresql://u:p@h:6543/d", True),
        ("postgresql://u:p@[::1]:6543/d", "postgresql://u:p@[::1]:6543/d", True),
        ("postgresql://u:x:6543@h/d", "postgresql://u:x:6543@h/d", False),
        ("postgresql://u:p@h/d?pgbouncer=true&sslmode=require", "postgresql://u:p@h/d?sslmode=require", True),
        ("postgresql+asyncpg://u:p@h/d", "postgresql://u:p@h/d", False),
        ("postgresql://u:p@h/d?pgbouncer=false", "postgresql://u:p@h/d", False),
        ("postgresql://u:p@a:5432,b:6543/d", "postgresql://u:p@a:5432,b:6543/d", True),
    ],
)
def test_a_transaction_pooler_is_known_by_its_port_or_a_word(url, plain, pooled):
    """Port 6543 or `?pgbouncer=true` turns prepared statements off; the word is not passed on to Postgres."""
    arguments = connect_arguments(url, "rhythmai api")
    assert (arguments["dsn"], "statement_cache_size" in arguments) == (plain, pooled)


async def test_without_prepared_statements_everything_works(start_api, database_url):
    """All calls work with the statement cache off, as behind a transaction pooler."""
    api = await start_api(database_url=f"{database_url}?pgbouncer=true", merge_wait_s=0)
    status, answer = await ask(api, "post", "/api/v1/gen", json={"video_url": VIDEO})
    assert status == 200
    job = f"/api/v1/job/{answer['job_id']}"
    assert (await ask(api, "get", job))[0] == 200
    assert (await ask(api, "post", f"{job}/again"))[0] == 200
    assert (await ask(api, "delete", job))[0] == 200
    assert (await ask(api, "post", "/api/v1/merge", json={"video_url": VIDEO, "audio_url": VIDEO}))[0] == 202
    assert (await ask(api, "get", "/healthz"))[0] == 200


async def test_opening_connects_to_nothing():
    """A pool is made without a word to the database."""
    database = await Database.open("postgresql://nobody:nothing@127.0.0.1:9/none")
    await database.close()
