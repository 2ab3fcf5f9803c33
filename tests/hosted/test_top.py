"""`rhythmai top`: one look, and a live screen."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import re
import signal
import sys

import asyncpg
import pytest

from tests.database.desk import EMPTY, Queue, connect
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


class Terminal:
    """A program in a terminal of its own: `await shows(text)` waits until that was drawn since the last time."""

    async def start(self, *command, **environment):
        self._own, theirs = pty.openpty()
        self.process = await asyncio.create_subprocess_exec(
            *command, stdin=theirs, stdout=theirs, stderr=theirs, env=os.environ | {"TERM": "xterm", "COLUMNS": "200", "LINES": "50"} | environment
        )  # fmt: skip
        os.close(theirs)
        self._said, self._more = "", asyncio.Event()
        asyncio.get_running_loop().add_reader(self._own, self._read)
        return self

    def _read(self):
        try:
            self._said += os.read(self._own, 2**16).decode(errors="replace")
        except OSError:  # how a terminal ends
            asyncio.get_running_loop().remove_reader(self._own)
        self._more.set()

    async def shows(self, pattern):
        async with asyncio.timeout(120):
            while not (found := re.search(pattern, self._said)):
                self._more.clear()
                await self._more.wait()
        self._said = self._said[found.end() :]

    async def end(self):
        self.process.send_signal(signal.SIGINT)
        await self.process.wait()
        asyncio.get_running_loop().remove_reader(self._own)
        os.close(self._own)
        return self.process.returncode


async def test_a_live_screen(database_url):
    """It follows the queue, tells while the database is away and goes on when it is back, until Ctrl-C."""
    db = await asyncpg.connect(database_url)
    await db.execute(EMPTY)
    async with Line(database_url) as line:
        terminal = await Terminal().start(
            sys.executable, "-m", "rhythmai", "top", "--every", "0.1", DATABASE_URL=line.url
        )
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
