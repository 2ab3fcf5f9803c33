"""What a purge tells: Realtime asks no policy about a DELETE, here as on a hosted project."""

from __future__ import annotations

from uuid import UUID

import pytest

from tests.standin.conftest import mint

COPY_OF = "template"
ANN, BEN = "00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b"
FEED = [{"event": "*", "schema": "public", "table": table} for table in ("jobs", "results")]


@pytest.mark.parametrize("owner", [ANN, None], ids=["another's", "ownerless"])
async def test_a_deleted_job_tells_its_id_which_opens_nothing(dial, database, owner):
    """A signed-in stranger hears of no job but of its end: the key, and with it no row, no answer and no topic."""
    ben = await dial()
    await ben.join("feed", token=mint(sub=BEN), postgres_changes=FEED)
    assert (await ben.get())[4]["status"] == "ok"
    job: UUID = await database.fetchval(
        "insert into public.jobs (video_url, user_request, owner) values ('https://example.com/a.mp4', 'calm', $1) returning id",
        owner,
    )
    await database.execute(
        "insert into public.results (job_id, index, attempt, audio_url) values ($1, 0, 1, 'https://example.com/a.flac')",
        job,
    )
    await database.execute("update public.jobs set priority = 1 where id = $1", job)
    await database.execute("delete from public.jobs where id = $1", job)
    told = [(await ben.get())[4]["data"] for _ in range(2)]
    assert {data["table"]: data["old_record"] for data in told} == {
        "jobs": {"id": str(job)},
        "results": {"job_id": str(job), "index": 0},
    }
    assert all(data["type"] == "DELETE" and "record" not in data for data in told)
    assert await database.fetchval("select queue.view($1, $2)", job, UUID(BEN)) is None
    refusal = await ben.join(f"job:{job}", ref="2", token=mint(sub=BEN), private=True)
    assert refusal[4]["status"] == "error"
