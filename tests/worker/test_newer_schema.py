"""A worker of the version before works on a newer schema: the database is upgraded first, then the boxes, one by one."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import pytest

from rhythmai.sample import make_sample
from worker.jobs import PostgresQueue

NEWER = """
alter table public.jobs add column mood_board text, add column region text not null default 'eu';
alter table public.results add column stems jsonb not null default '[]';
alter table public.workers add column gpu_memory bigint;
alter table public.deliveries add column signed_by text;
alter function private.job_is_sound(public.jobs) rename to job_is_sound_before;
create function private.job_is_sound(j public.jobs) returns boolean language plpgsql immutable as $$
begin
  j.stage := case when j.stage = 'separating' then 'fetching' else j.stage end;
  return private.job_is_sound_before(j);
end $$;
alter table public.jobs drop constraint jobs_sound, add constraint jobs_sound check (private.job_is_sound(jobs));

-- Answers with one more key.
alter function queue.claim(bigint, interval) rename to claim_before;
create function queue.claim(p_worker bigint, p_timeout interval) returns jsonb language sql as $$
  select c || '{"mood_board_url": "https://example.com/board.png"}' from queue.claim_before(p_worker, p_timeout) c $$;
alter function queue.claim_delivery(bigint, interval) rename to claim_delivery_before;
create function queue.claim_delivery(p_worker bigint, p_lease interval default '1 minute') returns jsonb language sql as $$
  select c || '{"signed_by": "us"}' from queue.claim_delivery_before(p_worker, p_lease) c $$;

-- One more option, which only newer workers heed.
alter function private.options_error(text, jsonb, boolean) rename to options_error_before;
create function private.options_error(p_kind text, p_options jsonb, p_operator boolean) returns text language sql as $$
  select private.options_error_before(p_kind, p_options - 'stems', p_operator) $$;

-- One more argument: without a default beside the old signature, or with one in its place.
create function queue.register(
  p_name text, p_kinds text[], p_engines text[], p_version text, p_lease interval, p_slots integer, p_gpu_memory bigint
) returns bigint language sql as $$ select queue.register(p_name, p_kinds, p_engines, p_version, p_lease, p_slots) $$;
create function queue.beat(p_worker bigint, p_jobs uuid[], p_attempts integer[], p_gpu_memory bigint)
returns table (job_id uuid, attempt integer, verdict text) language sql as $$ select * from queue.beat(p_worker, p_jobs, p_attempts) $$;
alter function queue.put_result(uuid, integer, bigint, jsonb) rename to put_result_before;
create function queue.put_result(p_job uuid, p_attempt integer, p_worker bigint, p_result jsonb, p_stems jsonb default null)
returns text language sql as $$ select queue.put_result_before(p_job, p_attempt, p_worker, p_result) $$;
alter function queue.finish(uuid, integer, bigint) rename to finish_before;
create function queue.finish(p_job uuid, p_attempt integer, p_worker bigint, p_note text default null)
returns text language sql as $$ select queue.finish_before(p_job, p_attempt, p_worker) $$;
"""
"""What migrations may do, made up: they add columns, keys, options, a stage and arguments."""


@pytest.fixture
def video(tmp_path):
    make_sample(tmp_path / "video.mp4", seconds=1)
    return (tmp_path / "video.mp4").read_bytes()


async def test_a_worker_lives_through_an_upgrade_of_the_schema(worker, insert, db, queue, database_url, video):
    """Before and after, with what is new in the rows it gets: it composes, merges, refuses, sends webhooks and registers."""
    url = await worker.upload(video)
    assert (await worker.until_ended(await insert(video_url=url)))["status"] == "completed"

    await db.execute(NEWER)

    options = {"variants": 2, "stems": True, "callback_url": "https://example.com/hook"}
    job = await insert(video_url=url, options=json.dumps(options), mood_board="blue")
    done = await worker.until_ended(job)
    assert (done["status"], done["completed_count"], done["error"]) == ("completed", 2, None)
    merge = json.dumps({"audio_url": done["results"][0]["audio_url"]})
    assert (await worker.until_ended(await insert(kind="merge", video_url=url, options=merge)))["status"] == "completed"
    gone = await worker.until_ended(await insert(video_url=f"{url}.gone"))
    assert (gone["status"], gone["error_code"]) == ("failed", "not_found")

    delivery = await queue.claim_delivery()
    assert (delivery.job_id, delivery.body["type"]) == (job, "job.completed")
    await queue.settle_delivery(delivery, delivered=True, error=None, again=False)
    assert await db.fetchval("select state from public.deliveries") == "delivered"

    async with asyncio.timeout(120):
        another = await PostgresQueue.connect(
            database_url, name="another", kinds=("merge",), engines=(), version="0",
            lease=timedelta(seconds=30), job_timeout=timedelta(minutes=30),
        )  # fmt: skip
        await another.ready("")
        await another.close()
