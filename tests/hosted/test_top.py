"""`rhythmai top`: one look, and a live screen."""

from __future__ import annotations

import asyncio
import json
import os

import asyncpg
import pytest

from tests.cli.terminal import Terminal
from tests.database.desk import EMPTY, Queue, connect
from tests.warm.start import warm
from tests.worker.line import Line


@pytest.fixture
def busy(database_url):
    """A waiting, a running, a completed and a failed job."""

    async def fill():
        db = await connect(database_url)
        await db.execute(EMPTY)
        queue = Queue(db)
        worker = await queue.worker("gpu-1")
        for _ in range(4):
            await queue.insert(tenant="t")
        done = await worker.claim()
        await worker.put(done, title="Slow Rain\x1b[2J", engine="sketch")
        await worker.finish(done)
        await worker.fail(await worker.claim(), again=False, code="not_a_video", error="this is not a video")
        running = await worker.claim()
        await db.close()
        return running["id"]

    return asyncio.run(fill())


def test_one_look(rhythmai, database_url, busy):
    """--once shows lanes, boxes with what they do, and the last jobs with what came out, a line each; nobody's title moves the cursor."""
    lines = rhythmai("top", "--once", DATABASE_URL=database_url).out.splitlines()
    assert lines[0] == "1 jobs wait, 1 workers are ready, 0 webhooks are due"
    words = [line.split() for line in lines]
    assert ["generate", "batch", "1", "0", "0", "1"] in [line[:6] for line in words]
    assert ["merge", "interactive", "0", "0", "0", "0", "-"] in words
    (box,) = [line for line in lines if line.startswith("gpu-1")]
    assert busy in box
    (done,) = [line for line in lines if " completed " in line]
    assert "1/3" in done
    assert done.rstrip().endswith("Slow Rain [2J")
    assert any(line.rstrip().endswith("this is not a video") for line in lines)


def test_a_lane_is_one_line_whatever_its_engines(rhythmai, database_url, sql):
    """Jobs for several engines are counted together; the head that has waited longest is told."""
    sql(database_url, "truncate public.jobs, public.workers cascade")
    for engine, age in (("", "1 minute"), ("acestep", "2 hours")):
        insert = "insert into public.jobs (video_url, engine, created_at) values ('https://example.com/a.mp4', $1, now() - $2::text::interval) returning 1"
        sql(database_url, insert, engine, age)
    lines = [line.split() for line in rhythmai("top", "--once", DATABASE_URL=database_url).out.splitlines()]
    (lane,) = [words for words in lines if words[:2] == ["generate", "batch"]]
    assert (lane[2], " ".join(lane[6:])) == ("2", "2 h")


def test_one_look_for_programs(rhythmai, database_url, busy):
    """--json is the same as data, and --last bounds it."""
    seen = json.loads(rhythmai("top", "--json", "--last", "1", DATABASE_URL=database_url).out)
    assert {(row["lane"], row["state"], row["engine"]): row["count"] for row in seen["queue"]["jobs"] if row["count"]} == {
        ("batch", "ready", ""): 1, ("batch", "running", "sketch"): 1,
    }  # fmt: skip
    assert (seen["workers"][0]["name"], seen["workers"][0]["jobs"][0]["job_id"]) == ("gpu-1", busy)
    ((last,),) = [seen["last"]]
    assert (last["status"], last["error"], last["titles"]) == ("failed", "this is not a video", [])


def test_an_empty_house(rhythmai, database_url, sql):
    """Nothing at all is said in words."""
    sql(database_url, "truncate public.jobs, public.workers cascade")
    out = rhythmai("top", "--once", DATABASE_URL=database_url).out
    assert "There are no workers." in out
    assert "No job has ended yet." in out


def test_a_database_that_is_away(rhythmai):
    """From the start it is one line and exit code 1."""
    refused = rhythmai("top", DATABASE_URL="postgresql://u:p@127.0.0.1:9/x")
    assert (refused.code, len(refused.err.splitlines())) == (1, 1)


async def test_a_live_screen(database_url):
    """It follows the queue, tells while the database is away and goes on when it is back, until Ctrl-C."""
    db = await asyncpg.connect(database_url)
    await db.execute(EMPTY)
    async with Line(database_url) as line:
        command = (*warm("rhythmai"), "top", "--every", "0.1")
        terminal = await Terminal.start(*command, environment=os.environ | {"DATABASE_URL": line.url}, columns=200)
        await terminal.shows("0 jobs wait")
        await db.execute("insert into public.jobs (video_url) values ('https://example.com/a.mp4')")
        await terminal.shows("1 jobs wait")
        line.cut()
        await terminal.shows("The database d")
        await db.execute("insert into public.jobs (video_url) values ('https://example.com/a.mp4')")
        line.mend()
        await terminal.shows("2 jobs wait")
        assert await terminal.end() == 130
    await db.close()
