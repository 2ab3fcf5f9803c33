"""Tickets for uploads: how many, how large, and that what was announced is what comes."""

from uuid import uuid4

import asyncpg
import pytest

from tests.conftest import fixture
from tests.database.roles import ALICE, ALICES

NEWEST_ONLY = True
TAKE = "select queue.take_upload($1, $2, $3, $4)"
MB = 2**20
AT = "https://ref.supabase.co/storage/v1/object/public/uploads/"


@fixture
async def take(db):
    """Takes a ticket; answers with its path."""
    await db.execute("delete from private.uploads")

    async def take(size=MB, owner=None, client="203.0.113.7"):
        path = f"{uuid4().hex}.mp4"
        await db.execute(TAKE, path, size, owner, client)
        return path

    return take


@fixture
async def put(db):
    """An upload arrives, as Storage would note it."""

    async def put(path, size):
        await db.execute(
            "insert into storage.objects (bucket_id, name, metadata) values ('uploads', $1, $2)", path, {"size": size}
        )

    yield put
    await db.execute("set storage.allow_delete_query = 'true'; delete from storage.objects where bucket_id = 'uploads'")


async def refused(attempt):
    with pytest.raises(asyncpg.PostgresError) as refusal:
        await attempt
    assert refusal.value.sqlstate == "RY430"
    return refusal.value


async def test_an_hour_has_twice_as_many_uploads_as_jobs_may_wait(db, take):
    """Twenty for a visitor, a hundred for a user; then RY430 with the seconds until the first is an hour old; others are served."""
    for who, limit in (({}, 20), ({"owner": ALICE}, 100)):
        for _ in range(limit):
            await take(**who)
        told = await refused(take(**who))
        assert f"{limit} uploads of yours" in str(told)
        assert 3500 < int(told.hint) <= 3600
    await take(client="203.0.113.8")
    await db.execute("update private.uploads set taken_at = taken_at - interval '61 minutes'")
    await take()


async def test_an_hour_has_half_a_gigabyte_for_each_of_these_jobs(take):
    """Ten of the largest uploads, and no byte more."""
    for _ in range(10):
        await take(512 * MB)
    assert "5120 MB, are the limit" in str(await refused(take(1)))


async def test_what_came_counts_when_it_is_more_than_was_announced(take, put):
    """Announcing a byte and sending half a gigabyte uses up half a gigabyte."""
    for _ in range(10):
        await put(await take(1), 512 * MB)
    await refused(take(1))


async def test_a_key_has_as_many_as_jobs_of_it_may_wait(db, queue, take):
    """A key's upload counts while its signature holds and no job of the key reads it; another's job frees nothing."""
    key = await db.fetchval("select queue.add_key($1, $2, 2)", str(uuid4()), uuid4().hex * 2)
    first, _ = await take(owner=key), await take(owner=key, size=512 * MB)
    told = await refused(take(owner=key))
    assert "2 uploads of this key wait for a job already" in str(told)
    assert 7100 < int(told.hint) <= 7200
    await queue.submit(p_video_url=AT + first)
    await refused(take(owner=key))
    await queue.submit(p_video_url=AT + first, p_owner=key)
    await take(owner=key)
    await refused(take(owner=key))
    await db.execute("update private.uploads set taken_at = taken_at - interval '121 minutes'")
    await take(owner=key)


async def test_a_ticket_that_was_of_no_use_is_given_back(db, take):
    """An upload that could not be signed counts for nothing."""
    paths = [await take() for _ in range(20)]
    await db.execute("select queue.return_upload($1)", paths[0])
    await take()


async def test_tickets_of_more_than_a_day_are_forgotten(db, take):
    """Whoever takes one clears away what is old: the table stays as large as a day."""
    for _ in range(3):
        await take(client=str(uuid4()))
    await db.execute("update private.uploads set taken_at = now() - interval '25 hours'")
    path = await take()
    assert [row["path"] for row in await db.fetch("select path from private.uploads")] == [path]


@pytest.mark.parametrize("door", ["submit", "insert", "user"])
async def test_the_announced_size_binds(db, queue, take, put, door):
    """No door takes a job whose upload is larger than its ticket; one that is as announced, or not there yet, is taken."""

    async def enter(path):
        if door == "user":
            async with ALICES.acts(db):
                return await db.execute("insert into public.jobs (video_url) values ($1)", AT + path)
        return await getattr(queue, door)(**{"p_video_url" if door == "submit" else "video_url": AT + path + "?x#y"})

    exact, larger, missing = [await take(MB) for _ in range(3)]
    await put(exact, MB)
    await put(larger, MB + 1)
    await enter(exact)
    await enter(missing)
    with pytest.raises(asyncpg.InvalidParameterValueError, match="has 1048577 bytes and was announced with 1048576"):
        await enter(larger)


async def test_a_claim_tells_what_was_announced(queue, take):
    """A job may be made before its upload is there: who fetches it is told how large it may be; other videos have no such size."""
    await queue.submit(p_video_url=AT + await take(MB))
    await queue.submit()
    worker = await queue.worker()
    assert {(await worker.claim())["announced_bytes"] for _ in range(2)} == {MB, None}
