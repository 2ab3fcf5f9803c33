"""Where somebody speaks in a film: shown within what is set to music, and known to whoever may know."""

from __future__ import annotations

import uuid

import asyncpg
import pytest

FILM = "https://example.com/film.mp4"
SPANS = ((1.0, 2.5), (9.0, 12.0), (30.0, 31.0))
SHOWN = [{"start": 1.0, "end": 2.5}, {"start": 9.0, "end": 12.0}, {"start": 30.0, "end": 31.0}]


async def shown(db, job):
    return await db.fetchval("select queue.answer($1) -> 'speech'", job["id"])


async def heard(queue, **job):
    """A job whose worker has heard the whole film."""
    worker = await queue.worker(kinds=("generate",))
    await queue.submit(p_video_url=FILM, **job)
    claimed = await worker.claim()
    await worker.hear(claimed, *SPANS, heard_s=60, film_s=60)
    await worker.put(claimed)
    await worker.finish(claimed)
    return claimed


async def test_speech_is_null_until_the_film_was_heard(db, queue):
    """Null, then the spans; a film in which nobody speaks has none."""
    worker = await queue.worker()
    for spans, then in ((SPANS, SHOWN), ((), [])):
        await queue.submit()
        job = await worker.claim()
        assert await shown(db, job) is None
        assert await worker.hear(job, heard_s=30, film_s=60) == "ok"
        assert await shown(db, job) is None
        assert await worker.hear(job, *spans, heard_s=60, film_s=60) == "ok"
        assert await shown(db, job) == then


async def test_speech_is_shown_within_duration(db, queue):
    """What lies behind the part that is set to music is left out, and need not be heard first."""
    await queue.submit(p_options={"duration": 10})
    worker = await queue.worker()
    job = await worker.claim()
    await worker.hear(job, *SPANS[:2], heard_s=11, film_s=60)
    assert await shown(db, job) is None
    await worker.hear(job, *SPANS[:2], heard_s=13, film_s=60)
    assert await shown(db, job) == [{"start": 1.0, "end": 2.5}, {"start": 9.0, "end": 10}]
    await worker.hear(job, *SPANS, heard_s=60, film_s=60)
    assert await shown(db, job) == [{"start": 1.0, "end": 2.5}, {"start": 9.0, "end": 10}]


async def test_only_the_holder_says_what_was_heard(db, queue):
    """A lease that is lost, or a job that was cancelled, is told so."""
    worker = await queue.worker()
    await queue.submit()
    job = await worker.claim()
    await worker.release(job)
    assert await worker.hear(job, *SPANS, heard_s=60, film_s=60) == "lost"
    assert await shown(db, job) is None
    job = await worker.claim()
    await db.execute("select queue.cancel($1)", job["id"])
    assert await worker.hear(job, heard_s=60, film_s=60) == "cancelled"


async def test_speech_is_a_list(db, queue):
    """Nothing else fits the column."""
    await queue.submit()
    with pytest.raises(asyncpg.CheckViolationError, match="jobs_speech"):
        await db.execute("update public.jobs set speech = '{}'")


async def test_a_merge_knows_what_was_heard_of_the_same_film(db, queue):
    """The newest job's that heard the film to its end, also where another film's address begins alike."""
    known = "select queue.known_speech($1)"
    await heard(queue)
    worker = await queue.worker()
    await queue.submit(p_video_url=FILM)
    partly = await worker.claim()
    await worker.hear(partly, heard_s=30, film_s=60)
    merge = await queue.submit(kind="merge", p_video_url=FILM, p_options={"audio_url": "https://a"})
    assert [span["start_s"] for span in (await db.fetchval(known, merge))["spans"]] == [1.0, 9.0, 30.0]
    await worker.hear(partly, heard_s=60, film_s=60)
    assert (await db.fetchval(known, merge))["spans"] == []
    other = await queue.submit(kind="merge", p_video_url=f"{FILM}?2", p_options={"audio_url": "https://a"})
    assert await db.fetchval(known, other) is None


async def test_what_was_heard_stays_with_its_owner(db, queue):
    """Neither another user, nor another client without an account, nor anybody of a user's job."""
    known, one, other = "select queue.known_speech($1)", uuid.uuid4(), uuid.uuid4()
    for teller in ({"p_owner": one}, {"p_client": "203.0.113.1"}):
        await heard(queue, **teller)
        for asker in (
            {"p_owner": one},
            {"p_owner": other},
            {"p_client": "203.0.113.1"},
            {"p_client": "203.0.113.2"},
            {},
        ):
            merge = await queue.submit(kind="merge", p_video_url=FILM, p_options={"audio_url": "https://a"}, **asker)
            assert (await db.fetchval(known, merge) is not None) == (asker == teller)
        await db.execute("delete from public.jobs")


async def test_known_speech_is_found_by_an_index(db, queue):
    """However many jobs there are."""
    await heard(queue)
    merge = await queue.submit(kind="merge", p_video_url=FILM, p_options={"audio_url": "https://a"})
    await db.execute("set enable_seqscan = off")
    source = await db.fetchval("select prosrc from pg_proc where proname = 'known_speech'")
    plan = await db.fetch("explain " + source.strip().rstrip(";").replace("p_job", f"'{merge}'"))
    await db.execute("reset enable_seqscan")
    assert any("jobs_heard" in row[0] for row in plan)
