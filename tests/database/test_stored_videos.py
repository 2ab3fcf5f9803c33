"""storage://bucket/path as a job's video: who may name one, of which buckets, and what a worker's key reads then."""

from __future__ import annotations

import re
from uuid import uuid4

import asyncpg
import pytest

from edge_api.models import STORED_PATTERN
from tests.conftest import fixture
from tests.database.matrix import buckets, may
from tests.database.roles import ALICE, ALICES, SERVICE, VISITOR, WORKER
from worker.errors import Rejected
from worker.inputs import Inputs

NEWEST_ONLY = True
INSERT = "insert into public.jobs (video_url) values ($1)"
FILM = "storage://films/2026/a film (1).mp4"
GOOD = (FILM, "storage://films/a", "storage://films/..a/b..c/.d", "storage://films/" + "x" * 2032)
BAD = (
    "storage://", "storage://films", "storage://films/", "storage:///a.mp4", "storage://films//a.mp4", "storage://films/a/", "STORAGE://films/a.mp4",
    "storage:films/a.mp4", "storage://films/..", "storage://films/../audios/a", "storage://films/a/./b", "storage://films/a/../b", "storage://films/...",
    "storage://../films/a", "storage://films/%2e%2e/a", "storage://films/%2E%2E%2Fa", "storage://films/a%2fb", "storage://films/%252e%252e/a",
    "storage://films/a%00", "storage://films/..\\a", "storage://films\\a", "storage://fi%6cms/a", "storage://films/a?token=1", "storage://films/a#b",
    "storage://me@films/a", "storage://films:80/a", "storage://films/a\n", "storage://films/a\t", "storage://films/ä", "storage://films/\u2024\u2024/a",
    "storage://films/\uff0e\uff0e/a",
)  # fmt: skip
ELSEWHERE = (
    "storage://audios/a.flac",
    "storage://film/a",
    "storage://films2/a",
    "storage://FILMS/a",
    "storage://ref.supabase.co/films/a",
)


@fixture
async def films(db):
    """INPUT_BUCKETS=films, as `rhythmai migrate` sets it; the bucket and others are private."""
    for name in ("films", "other"):
        await db.execute("insert into storage.buckets (id, name, public) values ($1, $1, false)", name)
    assert await db.fetchval("select queue.set_input_buckets('{films}')")
    yield db
    await db.fetchval("select queue.set_input_buckets('{}')")
    async with db.transaction():
        await db.execute("set local storage.allow_delete_query = 'true'")
        await db.execute("delete from storage.buckets where id in ('films', 'other')")


async def said(db, url: str) -> str:
    try:
        async with db.transaction():
            await db.execute(INSERT, url)
            raise asyncpg.RaiseError("taken")
    except asyncpg.PostgresError as error:
        return str(error)


async def test_no_bucket_is_open_unless_named(db):
    """By default nobody names any object, by SQL neither."""
    assert (
        await said(db, FILM)
        == "video_url: bucket films is none of INPUT_BUCKETS; name it there and run `rhythmai migrate`"
    )


async def test_sql_names_what_lies_in_the_buckets(films):
    """The shape is the contract's and the worker's, and other buckets and projects are none of ours."""
    inputs = Inputs(supabase_url="https://ref.supabase.co", buckets=("films",))
    for url in GOOD:
        assert await said(films, url) == "taken"
        assert inputs.find(url)
    for url in (*BAD, f"{GOOD[-1]}x"):
        assert "must be storage://bucket/path" in await said(films, url)
    for url in BAD:
        with pytest.raises(Rejected):
            inputs.find(url)
    for url in ELSEWHERE:
        assert "is none of INPUT_BUCKETS" in await said(films, url)
        with pytest.raises(Rejected, match="INPUT_BUCKETS"):
            inputs.find(url)


async def test_keys_name_them_and_users_do_not(films, queue):
    """With a key as with SQL; a visitor, a user and a user's own insert are told to upload; so is who would repeat such a job."""
    key = await films.fetchval("select queue.add_key('server', $1, 5)", uuid4().hex * 2)
    made = await queue.submit(p_video_url=FILM, p_owner=key, p_client="203.0.113.7")
    assert await films.fetchval("select queue.again($1, $2, p_client => 'c')", made, key)
    ownerless = await queue.insert(video_url=FILM)
    refusals = (
        queue.submit(p_video_url=FILM, p_client="203.0.113.7"),
        queue.submit(p_video_url=FILM, p_owner=uuid4(), p_client="203.0.113.7"),
        queue.submit(p_video_url="Storage://films/a", p_client="203.0.113.7"),
        films.fetchval("select queue.again($1, p_client => 'c')", ownerless),
    )
    for refusal in refusals:
        with pytest.raises(asyncpg.InvalidParameterValueError, match="upload the video"):
            await refusal
    with pytest.raises(asyncpg.InvalidParameterValueError, match="upload the video"):
        async with ALICES.acts(films):
            await films.execute(INSERT, FILM)
    assert not await may(films, VISITOR, INSERT, FILM)
    assert await may(films, SERVICE, INSERT, FILM)


async def test_a_worker_s_key_reads_in_exactly_these(films):
    """It sees and reads the bucket that is named and writes nothing there; others stay closed; nobody else gains anything."""
    transaction = films.transaction()
    await transaction.start()
    lines = await buckets(films)
    here = lines.index("bucket films  [private, at most  bytes, ]")
    assert lines[here + 1 :][:2] == [
        "    service: see, change, list, upload, overwrite, remove", "    worker: see, list",
    ]  # fmt: skip
    there = lines.index("bucket other  [private, at most  bytes, ]")
    assert lines[there + 1 :][:1] == ["    service: see, change, list, upload, overwrite, remove"]
    assert not [line for line in lines[there + 2 :][:1] if line.startswith("    ")]
    await transaction.rollback()


async def test_what_is_named_no_more_is_closed(films):
    """Setting the same changes nothing, another set replaces the one before, and none leaves no policy."""
    policies = "select count(*) from pg_policies where policyname like '%input buckets'"
    assert not await films.fetchval("select queue.set_input_buckets('{films}')")
    assert await films.fetchval(policies) == 2
    assert await films.fetchval("select queue.set_input_buckets($1)", ["other", "o'her"])
    assert "is none of INPUT_BUCKETS" in await said(films, FILM)
    see = "select from storage.buckets where id = $1"
    assert [await may(films, WORKER, see, name) for name in ("films", "other")] == [False, True]
    assert await films.fetchval("select queue.set_input_buckets('{}')")
    assert await films.fetchval(policies) == 0


def test_the_contract_has_the_same_shape():
    """What the hosts let through to SQL is what SQL takes."""
    assert all(re.fullmatch(STORED_PATTERN[1:-1], url) for url in GOOD)
    assert not [url for url in BAD if re.fullmatch(STORED_PATTERN[1:-1], url)]


async def test_a_key_is_no_way_to_another_s_job(films, queue):
    """An owned job that names an object is its owner's alone, as every other."""
    key = await films.fetchval("select queue.add_key('one', $1, 5)", uuid4().hex * 2)
    made = await queue.submit(p_video_url=FILM, p_owner=key)
    assert await films.fetchval("select queue.view($1, $2)", made, ALICE) is None
