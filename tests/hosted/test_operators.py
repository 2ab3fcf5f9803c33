"""What operators call, over DATABASE_URL."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
from datetime import timedelta
from uuid import uuid4

import asyncpg
import pytest
from rich.cells import cell_len

from tests.cli.terminal import Terminal
from tests.warm.start import warm
from worker.domain import Licence, Result
from worker.jobs import PostgresQueue

OWNER = "8c5b2b8e-0000-4000-8000-000000000001"


@pytest.fixture
def url(database_url, sql):
    """A migrated database with an empty queue."""
    sql(database_url, "truncate public.jobs, public.workers, private.keys cascade")
    return database_url


@pytest.fixture
def insert(url, sql):
    """Inserts a job and returns its id."""

    def insert(**columns):
        columns = {"video_url": "https://example.com/a.mp4"} | columns
        marks = ", ".join(f"${i}" for i in range(1, len(columns) + 1))
        statement = f"insert into public.jobs ({', '.join(columns)}) values ({marks}) returning id"
        return str(sql(url, statement, *columns.values())[0][0])

    return insert


def claimed(url, **result):
    """A worker takes a job, makes a first track and is still at it when its process is gone."""

    async def work():
        queue = await PostgresQueue.connect(
            url, name="box", kinds=("generate",), engines=("sketch",), version="1",
            lease=timedelta(minutes=5), job_timeout=timedelta(minutes=5),
        )  # fmt: skip
        await queue.ready("sketch")
        job = await queue.claim()
        if result:
            await queue.put_result(job.lease, Result(index=0, **result))
        await queue.pool.close()
        return str(job.lease.job_id)

    return asyncio.run(work())


def test_keys_are_shown_once_and_kept_as_hashes(rhythmai, url, sql):
    """add prints a key, list shows it without it, revoke ends it; a name is taken once, and an unknown one is told."""
    key = rhythmai("keys", "add", "shop", "--limit", "7", DATABASE_URL=url).out.strip()
    assert re.fullmatch(r"rk_[A-Za-z0-9_-]{43}", key)
    assert sql(url, "select queue.key_of($1)", hashlib.sha256(key.encode()).hexdigest())[0][0] is not None
    assert "shop" in rhythmai("keys", "add", "shop").err
    listed = rhythmai("keys", "list")
    assert ("shop" in listed.out, "0 of 7" in listed.out, key in listed.out) == (True, True, False)
    assert key not in str(sql(url, "select k::text from private.keys k"))
    assert rhythmai("keys", "revoke", "shop").code == 0
    assert "revoked" in rhythmai("keys", "list").out
    refused = rhythmai("keys", "revoke", "shop")
    assert (refused.code, "rhythmai keys list" in refused.err) == (1, True)
    assert json.loads(rhythmai("keys", "add", "till", "--json").out)["limit"] == 50


def test_nothing_is_a_sentence(rhythmai, url):
    """An empty project is told in words, and is an empty list for programs."""
    assert "no workers" in rhythmai("workers", DATABASE_URL=url).out
    assert "no such jobs" in rhythmai("jobs").out
    assert json.loads(rhythmai("workers", "--json").out) == []
    assert json.loads(rhythmai("jobs", "--json").out) == []


def test_workers_tell_what_they_do(rhythmai, url, insert):
    """A worker is shown with its job, for people in one line and for programs as JSON."""
    insert()
    job = claimed(url)
    lines = rhythmai("workers", DATABASE_URL=url).out.splitlines()
    assert lines[0].split()[:3] == ["NAME", "STATE", "ENGINE"]
    assert lines[1].split()[:3] == ["box", "ready", "sketch"]
    assert job in lines[1]
    (box,) = json.loads(rhythmai("workers", "--json").out)
    assert (box["name"], box["jobs"][0]["job_id"]) == ("box", job)


def test_workers_tell_what_nobody_can_make(rhythmai, url, insert):
    """Jobs that wait for an engine which no living worker has are counted under the list, with the remedy."""
    insert(engine="acestep")
    insert(engine="acestep", lane="interactive")
    insert()
    claimed(url)
    told = rhythmai("workers", DATABASE_URL=url).out
    assert (
        told.splitlines()[-1]
        == "Jobs that wait for acestep, which no living worker has: 2. Start one with ENGINE=acestep."
    )
    assert len(json.loads(rhythmai("workers", "--json").out)) == 1
    rows = json.loads(rhythmai("jobs", "--json").out)
    assert sorted(row["engine"] for row in rows) == ["acestep", "acestep", "auto"]


def test_drain_asks_the_boxes_of_a_name(rhythmai, url, insert):
    """drain marks the workers of a name; a name that nobody has is an error."""
    insert()
    claimed(url)
    refused = rhythmai("drain", "bix", DATABASE_URL=url)
    assert (refused.code, "rhythmai workers" in refused.err) == (1, True)
    assert json.loads(rhythmai("drain", "box", "--json").out) == {"name": "box", "draining": 1}
    assert rhythmai("workers").out.splitlines()[1].split()[:2] == ["box", "draining"]


def test_jobs_are_listed_by_what_they_do(rhythmai, url, insert):
    """Running jobs come first, then waiting, then ended ones; --status keeps only its own."""
    ended = insert()
    rhythmai("cancel", "--any-owner", ended, DATABASE_URL=url)
    insert()
    running = claimed(url)
    waiting = insert()
    assert [job["job_id"] for job in json.loads(rhythmai("jobs", "--json").out)] == [running, waiting, ended]
    assert len({job["trace_id"] for job in json.loads(rhythmai("jobs", "--json").out)}) == 3
    some = rhythmai("jobs", "--status", "pending", "--status", "cancelled", "--json").out
    assert [job["job_id"] for job in json.loads(some)] == [waiting, ended]
    assert len(rhythmai("jobs", "--limit", "1").out.splitlines()) == 2
    assert len(rhythmai("jobs").out.splitlines()) == 4


def test_every_kind_of_job_that_waits_is_listed(rhythmai, url, insert):
    """Merges, briefs and packs as well."""
    music = '{"audio_url": "https://a", "packs": {}}'
    waiting = {insert(kind="brief"), insert(kind="pack", options=music), insert()}
    assert {job["job_id"] for job in json.loads(rhythmai("jobs", "--json", DATABASE_URL=url).out)} == waiting


def test_jobs_tell_the_licence_of_their_music(rhythmai, url, insert):
    """Its name stands beside the count of tracks, once for all of them, and nothing where there is no music."""
    licence = Licence("CC-BY-NC-4.0", commercial=False, url="https://creativecommons.org/licenses/by-nc/4.0/")
    made, waiting = insert(), insert()
    claimed(url, audio_url="https://s/a.flac", licence=licence)
    listed = {job["job_id"]: job["licence"] for job in json.loads(rhythmai("jobs", "--json", DATABASE_URL=url).out)}
    assert listed == {made: "CC-BY-NC-4.0", waiting: None}
    assert "1/3     CC-BY-NC-4.0" in rhythmai("jobs").out


@pytest.mark.parametrize("columns", [60, 80, 200])
async def test_ids_are_never_folded(url, columns):
    """In a terminal of any width a job is one line with its whole id; a long error is shortened at its end, never shredded."""
    errors = (
        "The link https://example.com/a/long/way/to/a/film.mp4 " + "cannot be fetched " * 20,
        "短い" * 200,
        "short",
    )
    connection = await asyncpg.connect(url)
    jobs = [
        await connection.fetchrow(
            "insert into public.jobs (video_url, status, finished_at, error, error_code)"
            " values ('https://example.com/a.mp4', 'failed', now(), $1, 'x') returning id::text, error", error,
        )
        for error in errors
    ]  # fmt: skip
    await connection.close()
    terminal = await Terminal.start(
        *warm("rhythmai"), "jobs", environment=os.environ | {"DATABASE_URL": url}, columns=columns
    )
    assert await terminal.ended() == 0
    header, *lines = terminal.said.splitlines()
    assert header.split()[:2] == ["JOB", "STATUS"]
    assert len(lines) == len(jobs)
    for job, error in jobs:
        (line,) = (line for line in lines if line.startswith(f"{job}  failed "))
        assert cell_len(line) <= columns
        shown = line.split("  ")[-1].strip()
        assert shown == error or (shown.endswith("…") and error.startswith(shown.removesuffix("…").strip()))
    assert (" LANE " in header) == (columns == 200)


def test_cancel_is_for_every_owner(rhythmai, url, insert):
    """An operator cancels owned jobs, too; a wrong id is told and does not keep the others from it."""
    owned, wrong = insert(owner=OWNER), str(uuid4())
    done = rhythmai("cancel", "--any-owner", wrong, owned, DATABASE_URL=url)
    assert done.out == f"{owned} cancelled\n"
    assert (done.code, f"there is no job {wrong}" in done.err) == (1, True)


def test_retry_gives_more_attempts(rhythmai, url, insert, sql):
    """A failed job waits again after retry; a waiting one is refused with a word."""
    job = insert()
    sql(url, "update public.jobs set status = 'failed', finished_at = now(), error = 'x', error_code = 'x'")
    (answer,) = json.loads(rhythmai("retry", job, "--json", DATABASE_URL=url).out)
    assert (answer["job_id"], answer["status"]) == (job, "pending")
    refused = rhythmai("retry", job)
    assert (refused.code, "only a job that has ended" in refused.err) == (1, True)


@pytest.mark.parametrize("age", ["soon", "30", "-1d", "30 d"])
def test_an_age_is_a_number_with_a_unit(rhythmai, url, age):
    """What is not an age is refused with an example."""
    refused = rhythmai("purge", "--older-than", age, DATABASE_URL=url)
    assert refused.code != 0
    assert "30d" in refused.err or "option" in refused.err.lower()


def test_a_database_without_migrations(rhythmai, empty_database):
    """A database that lacks our functions is a word about `rhythmai migrate`."""
    refused = rhythmai("workers", DATABASE_URL=empty_database)
    assert (refused.code, "run `rhythmai migrate`" in refused.err) == (1, True)


def test_a_database_that_is_away(rhythmai):
    """A database that does not answer is one line."""
    refused = rhythmai("jobs", DATABASE_URL="postgresql://u:p@127.0.0.1:9/x")
    assert (refused.code, len(refused.err.splitlines())) == (1, 1)


def test_nothing_to_work_on(rhythmai, monkeypatch):
    """Without DATABASE_URL and without a local stack there is a word about both."""
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.delenv("SUPABASE_DB_URL", raising=False)
    refused = rhythmai("workers")
    assert (refused.code, "DATABASE_URL is not set" in refused.err) == (1, True)


def test_purge_forgets_jobs_and_their_files(rhythmai, url, insert, sql, gateway):
    """purge deletes old jobs with their objects in Storage and uploads that no job uses, and leaves what is young."""
    environment = {"DATABASE_URL": url, "SUPABASE_URL": gateway.url, "SUPABASE_KEY": gateway.secret}
    old = insert()
    track, unused = gateway.put("audios", f"{old}/a.flac", "audio/flac"), gateway.put("uploads", "u.mp4", "video/mp4")
    used = gateway.put("uploads", "used.mp4", "video/mp4")
    assert claimed(url, audio_url=track) == old
    young = insert(video_url=used)
    sql(
        url,
        "update public.jobs set status = 'completed', worker_id = null, deadline_at = null, finished_at = now() - interval '31 days' where id = $1",
        old,
    )
    sql(url, "update storage.objects set created_at = now() - interval '2 days'")
    assert json.loads(rhythmai("purge", "--older-than", "30d", "--json", **environment).out) == {
        "jobs": 1,
        "objects": 1,
        "uploads": 1,
    }
    assert [str(row["id"]) for row in sql(url, "select id from public.jobs")] == [young]
    assert gateway.get(track) in {400, 404}
    assert gateway.get(unused) in {400, 404}
    assert gateway.get(used) == 200


def test_purge_comes_back_to_what_storage_did_not_delete(rhythmai, url, insert, sql, gateway):
    """While Storage is away the objects of purged jobs are remembered, and the next purge deletes them."""
    job = insert()
    track = gateway.put("audios", f"{job}/b.flac", "audio/flac")
    claimed(url, audio_url=track)
    sql(
        url,
        "update public.jobs set status = 'completed', worker_id = null, deadline_at = null, finished_at = now() - interval '31 days'",
    )
    refused = rhythmai(
        "purge", "--older-than", "30d", DATABASE_URL=url, SUPABASE_URL="http://127.0.0.1:9", SUPABASE_KEY="sb_secret_x"
    )
    assert (refused.code, "Storage" in refused.err) == (1, True)
    assert gateway.get(track) == 200
    environment = {"DATABASE_URL": url, "SUPABASE_URL": gateway.url, "SUPABASE_KEY": gateway.secret}
    assert json.loads(rhythmai("purge", "--older-than", "30d", "--json", **environment).out)["objects"] == 1
    assert gateway.get(track) in {400, 404}


def test_purge_goes_on_until_nothing_is_old(rhythmai, url, sql, gateway):
    """More old jobs than a batch holds are counted and forgotten to the last, also those that left nothing in Storage."""
    sql(
        url,
        "insert into public.jobs (video_url, status, finished_at, error, error_code)"
        " select 'https://example.com/a.mp4', 'failed', now() - interval '31 days', 'x', 'x' from generate_series(1, 250)",
    )
    environment = {"DATABASE_URL": url, "SUPABASE_URL": gateway.url, "SUPABASE_KEY": gateway.secret}
    assert json.loads(rhythmai("purge", "--older-than", "30d", "--json", **environment).out)["jobs"] == 250
    assert not sql(url, "select from public.jobs")
