"""Every write of a worker carries (job, attempt, worker) and is refused when that no longer holds."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import asyncpg
import pytest

NEWEST_ONLY = True
WRITES: dict[str, Callable[[Any, Any], Awaitable[str]]] = {
    "set_stage": lambda worker, job: worker.stage(job),
    "note": lambda worker, job: worker.note(job, "One sound was left out."),
    "preview": lambda worker, job: worker.preview(job, "https://s/p.mp4"),
    "save_plan": lambda worker, job: first(worker.plan(job, {"variants": []})),
    "put_result": lambda worker, job: worker.put(job, 1),
    "finish": lambda worker, job: worker.finish(job),
    "fail": lambda worker, job: worker.fail(job, again=True),
    "release": lambda worker, job: worker.release(job),
}


async def first(pair: Awaitable[tuple[str, Any]]) -> str:
    return (await pair)[0]


@pytest.fixture(params=WRITES)
def write(request):
    return WRITES[request.param]


async def everything(db) -> list:
    jobs = await db.fetch("select * from public.jobs order by id")
    return [*jobs, *await db.fetch("select * from public.results order by job_id, index")]


async def test_a_zombie_changes_nothing(db, queue, write):
    """A worker that wakes after its job went to another may try any write: it is told 'lost' and not a byte changes."""
    await queue.insert()
    zombie, heir = await queue.worker(), await queue.worker()
    job = await zombie.claim()
    await zombie.crash()
    assert await heir.claim()
    before = await everything(db)
    assert await write(zombie, job) == "lost"
    assert await everything(db) == before


async def test_an_old_attempt_of_the_same_worker_is_lost(db, queue, write):
    """The attempt is part of the fence: a late write of the first try does not count as one of the second."""
    await queue.insert()
    worker = await queue.worker()
    job = await worker.claim()
    await worker.release(job)
    assert (await worker.claim())["attempt"] == 2
    before = await everything(db)
    assert await write(worker, job) == "lost"
    assert await everything(db) == before


async def test_another_worker_s_id_does_not_open_the_fence(db, queue, write):
    """Knowing job and attempt is not enough: the holder writes, nobody else."""
    await queue.insert()
    holder, other = await queue.worker(), await queue.worker()
    job = await holder.claim()
    before = await everything(db)
    assert await write(other, job) == "lost"
    assert await everything(db) == before


async def test_an_ended_job_stays_as_it_is(db, queue, write):
    """Terminal is terminal, also for the worker that ended it."""
    await queue.insert()
    worker = await queue.worker()
    job = await worker.claim()
    await worker.put(job, 0)
    await worker.finish(job)
    before = await everything(db)
    assert await write(worker, job) == "lost"
    assert await everything(db) == before


async def test_a_pending_job_takes_no_writes(db, queue, write):
    """A job in backoff belongs to nobody."""
    await queue.insert()
    worker = await queue.worker()
    job = await worker.claim()
    await worker.fail(job, again=True)
    before = await everything(db)
    assert await write(worker, job) == "lost"
    assert await everything(db) == before


async def test_the_stage_is_shown(queue):
    """set_stage writes where the job stands; a stage nobody knows is refused."""
    await queue.insert()
    worker = await queue.worker()
    job = await worker.claim()
    assert await worker.stage(job, "describing") == "ok"
    assert (await queue.job(job))["stage"] == "describing"
    with pytest.raises(asyncpg.CheckViolationError, match="jobs_stage"):
        await worker.stage(job, "dreaming")


async def test_the_first_plan_holds(queue):
    """A retry finds the plan of the first attempt and makes the same music."""
    await queue.insert()
    worker = await queue.worker()
    job = await worker.claim()
    plan = {"variants": [{"index": 0, "seed": 1}], "describer": "local"}
    assert await worker.plan(job, plan) == ("ok", plan)
    await worker.release(job)
    again = await worker.claim()
    assert again["plan"] == plan
    assert await worker.plan(again, {"variants": [], "describer": "other"}) == ("ok", plan)


async def test_a_result_is_written_whole(db, queue):
    """Every field of a result arrives; the attempt that made it is on record."""
    await queue.insert()
    worker = await queue.worker()
    job = await worker.claim()
    result = {
        "prompt": "warm strings", "title": "Dawn", "description": "calm", "audio_url": "https://s/a.flac",
        "seed": 2**32 - 1, "duration": 12.5, "engine": "sketch", "model": "1", "describer": "local", "bpm": 92.5,
        "key": "D minor", "peaks": "AID/", "loudness_lufs": -15.5, "true_peak_db": -1.25, "ignored": ["negative_prompt"],
        "audio_preview_url": "https://s/a.m4a", "licence": {"name": "MIT", "commercial": True, "url": "https://s/mit"},
    }  # fmt: skip
    assert await worker.put(job, 2, **result) == "ok"
    row = await db.fetchrow("select * from public.results")
    assert {name: row[name] for name in result} == result
    assert (row["index"], row["attempt"]) == (2, 1)


async def test_the_first_preview_holds(db, queue):
    """It is shown with the job; what another attempt makes does not take its place."""
    job_id = await queue.submit()
    worker = await queue.worker()
    for url in ("https://s/1.mp4", "https://s/2.mp4"):
        job = await worker.claim()
        assert await worker.preview(job, url) == "ok"
        assert (await db.fetchval("select queue.answer($1)", job_id))["preview_url"] == "https://s/1.mp4"
        await worker.release(job)


async def test_a_note_is_kept_once(db, queue):
    """Sentences are shown in the order in which they were said, each once, also after a retry; of very many the first sixteen."""
    job_id = await queue.submit()
    worker = await queue.worker()
    job = await worker.claim()
    assert await worker.note(job, "First.") == "ok"
    await worker.note(job, "Second.")
    await worker.release(job)
    job = await worker.claim()
    await worker.note(job, "First.")
    assert await db.fetchval("select queue.answer($1) -> 'notes'", job_id) == ["First.", "Second."]
    for count in range(20):
        await worker.note(job, f"{count}: {'long' * 200}")
    notes = await db.fetchval("select queue.answer($1) -> 'notes'", job_id)
    assert (len(notes), max(map(len, notes))) == (16, 500)


async def test_a_result_is_never_overwritten(db, queue):
    """The same index again is accepted and changes nothing: no user sees a track change."""
    await queue.insert()
    worker = await queue.worker()
    job = await worker.claim()
    await worker.put(job, 0, title="first")
    assert await worker.put(job, 0, title="second") == "ok"
    assert await db.fetchval("select title from public.results") == "first"


@pytest.mark.parametrize(
    ("address", "known"),
    [
        ("https://s/audios/{job}/1-2c26.flac", True),
        ("https://s/audios/{job}/1-2c26.flac?download=", True),
        ("https://s/audios/{job}/1-7d86.m4a", True),
        ("https://elsewhere/audios/{job}/1-2c26.flac", False),
        ("https://s/audios/{job}/0-2c26.flac", False),
        ("https://s/song.flac", False),
    ],
)
async def test_a_merge_knows_the_licence_of_its_music(db, queue, address, known):
    """A track of ours keeps its licence, by the address of its file or of its players' one; of other music nothing is known."""
    worker = await queue.worker()
    await queue.submit()
    job, licence = await worker.claim(), {"name": "MIT", "commercial": True, "url": "https://s/mit"}
    ours = {
        "audio_url": f"https://s/audios/{job['id']}/1-2c26.flac",
        "audio_preview_url": f"https://s/audios/{job['id']}/1-7d86.m4a",
    }
    await worker.put(job, 1, **ours, licence=licence)
    merge = await queue.submit("merge", p_options={"audio_url": address.format(job=job["id"])})
    assert await db.fetchval("select queue.music_licence($1)", merge) == (licence if known else None)


@pytest.mark.parametrize("index", [-1, 3, None])
async def test_a_result_must_be_one_of_the_job_s(queue, index):
    """A job of three takes the indices 0, 1 and 2."""
    await queue.insert()
    worker = await queue.worker()
    job = await worker.claim()
    with pytest.raises(asyncpg.DataError, match="not one of this job's 3"):
        await worker.put(job, index)


async def test_a_retry_makes_only_what_is_missing(queue):
    """After a crash between two variants the next worker learns which are done."""
    await queue.insert()
    one, other = await queue.worker(), await queue.worker()
    job = await one.claim()
    await one.put(job, 0)
    await one.put(job, 2)
    await one.crash()
    assert (await other.claim())["done"] == [0, 2]


async def test_a_job_with_music_is_completed(queue):
    """finish completes a job as soon as one track came out, and clears the traces of running."""
    await queue.insert()
    worker = await queue.worker()
    job = await worker.claim()
    await worker.stage(job)
    await worker.put(job, 0)
    assert await worker.finish(job) == "ok"
    row = await queue.job(job)
    assert (row["status"], row["stage"], row["worker_id"], row["deadline_at"]) == ("completed", None, None, None)
    assert row["finished_at"] is not None


async def test_a_job_without_music_has_failed(queue):
    """finish with nothing to show is a failure that says so."""
    await queue.insert()
    worker = await queue.worker()
    job = await worker.claim()
    await worker.finish(job)
    row = await queue.job(job)
    assert (row["status"], row["error_code"]) == ("failed", "no_result")


async def test_a_last_failure_with_music_is_completed(queue):
    """When some variants fail for good the job is completed with fewer tracks and no error."""
    await queue.insert()
    worker = await queue.worker()
    job = await worker.claim()
    await worker.put(job, 0)
    await worker.fail(job, again=False, error="out of memory")
    row = await queue.job(job)
    assert (row["status"], row["error"], row["error_code"]) == ("completed", None, None)


async def test_an_old_error_is_gone_once_the_job_is_completed(queue):
    """The error of a retried attempt is in the row while it matters and not afterwards."""
    await queue.insert()
    worker = await queue.worker()
    await worker.fail(await worker.claim(), again=True, error="away")
    await queue.no_more_waiting()
    job = await worker.claim()
    assert (await queue.job(job))["error"] == "away"
    await worker.put(job, 0)
    await worker.finish(job)
    assert (await queue.job(job))["error"] is None


async def test_handing_back_burns_no_attempt(queue):
    """A release adds one to max_attempts, because the attempt, the fencing token, never goes down."""
    job_id = await queue.insert()
    worker = await queue.worker()
    for attempt in range(1, 6):
        job = await worker.claim()
        assert job["attempt"] == attempt
        assert await worker.release(job) == "ok"
    row = await queue.job(job_id)
    assert (row["status"], row["attempt"], row["max_attempts"], row["run_at"]) == ("pending", 5, 8, None)


async def test_a_cancelled_job_takes_no_results(db, queue):
    """After the cancel the writes answer 'cancelled', no row is written, and finish ends the job as cancelled."""
    await queue.insert()
    worker = await queue.worker()
    job = await worker.claim()
    await worker.put(job, 0)
    await db.execute("select queue.cancel($1)", job["id"])
    assert await worker.stage(job) == "cancelled"
    assert (await worker.plan(job, {}))[0] == "cancelled"
    assert await worker.put(job, 1) == "cancelled"
    assert await queue.results(job) == [0]
    assert await worker.beat(job) == {UUID(job["id"]): "cancelled"}
    assert await worker.finish(job) == "ok"
    assert (await queue.job(job))["status"] == "cancelled"


@pytest.mark.parametrize("end", ["finish", "fail", "release"])
async def test_whatever_ends_a_cancelled_attempt_cancels_the_job(db, queue, end):
    """A job that the user took back is not retried, not handed back, not completed."""
    await queue.insert()
    worker = await queue.worker()
    job = await worker.claim()
    await db.execute("select queue.cancel($1)", job["id"])
    assert await WRITES[end](worker, job) == "ok"
    row = await queue.job(job)
    assert (row["status"], row["worker_id"], row["error"]) == ("cancelled", None, None)
    assert row["finished_at"] is not None


@pytest.mark.parametrize(("put", "status", "code"), [(False, "failed", "device_lost"), (True, "completed", None)])
async def test_a_job_that_breaks_devices_does_not_travel_through_all_of_them(queue, put, status, code):
    """Two boxes whose device broke under a job are enough: it ends, with what there is."""
    await queue.insert()
    worker = await queue.worker()
    for crashes in (1, 2):
        job = await worker.claim()
        if put:
            await worker.put(job)
        assert await worker.write("crash", job, "device_lost", "the GPU stopped working") == "ok"
        assert await worker.write("crash", job, "device_lost", "again") == "lost"
        row = await queue.job(job)
        assert (row["crashes"], row["run_at"]) == (crashes, None)
    assert (row["status"], row["error_code"]) == (status, code)


async def test_a_result_is_small(db, queue):
    """A result with a waveform and a long caption takes less than 1,200 bytes in an answer and in an event, and less than 1,000
    without the addresses of its players' file and of its licence."""
    await queue.insert()
    worker = await queue.worker()
    job = await worker.claim()
    await worker.put(
        job, 0, prompt="slow cinematic piano, soft strings that open with the picture, " * 2, title="Tender Clearing",
        description="A quiet piano over strings, growing with the second scene.", engine="mmaudio", model="large_44k_v2",
        describer="openai:ernie-4.5-vl-28b-a3b", key="D minor", bpm=72, seed=2**32 - 1, duration=175.04, peaks="A" * 216,
        audio_url=f"https://abcdefghijklmnopqrst.supabase.co/storage/v1/object/public/audios/{job['id']}/0-2c26b46b68ffc68f.flac",
        loudness_lufs=-14.01, true_peak_db=-1.13,
        licence={"name": "CC-BY-NC-4.0", "commercial": False, "url": "https://creativecommons.org/licenses/by-nc/4.0/"},
        audio_preview_url=f"https://abcdefghijklmnopqrst.supabase.co/storage/v1/object/public/audios/{job['id']}/0-7d865e95.m4a",
    )  # fmt: skip
    whole, without = await db.fetchrow(
        "select octet_length(j::text), octet_length((j - 'audio_preview_url' #- '{licence,url}')::text) "
        "from public.results r, cast(private.result_json(r, 'generate') as jsonb) j"
    )
    assert (without < 1000, whole < 1200) == (True, True)
