"""Server-sent events on both hosts."""

from __future__ import annotations

import asyncio
import json
from uuid import UUID

AUDIO = "https://example.com/track.flac"


async def frames(answer):
    """Parse a stream into (event, data, id); comments and retry hints are left out."""
    frame: dict[str, str] = {}
    async for raw in answer.content:
        line = raw.decode().rstrip("\n")
        if line:
            name, _, value = line.partition(": ")
            frame[name] = value
        else:
            if "event" in frame:
                yield frame["event"], json.loads(frame["data"]), frame.get("id")
            frame = {}


async def test_a_stream_tells_every_change_and_ends_with_the_job(api, gen, hand):
    """State and tracks come as they happen; the last event carries id `end`, then the stream is over."""
    job = await gen(variants=2)
    async with asyncio.timeout(120), api.get(f"/api/v1/job/{job}/events") as answer:
        assert answer.headers["Content-Type"] == "text/event-stream"
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        stream = frames(answer)
        event, data, _ = await anext(stream)
        assert (event, data["status"], data["completed_count"]) == ("job", "pending", 0)
        assert set(data) == {"job_id", "status", "stage", "completed_count", "total_count", "error", "error_code"}
        await hand.claim(job)
        await hand.stage("composing")
        while data["stage"] != "composing":
            event, data, _ = await anext(stream)
        for index in range(2):
            await hand.result(index=index, prompt=f"Stück {index}", audio_url=AUDIO)
            event, data, _ = await anext(stream)
            assert (event, data["job_id"], data["index"], data["prompt"]) == ("result", job, index, f"Stück {index}")
            event, data, _ = await anext(stream)
            assert (event, data["completed_count"]) == ("job", index + 1)
        await hand.finish()
        event, data, last = await anext(stream)
        assert (event, data["status"], last) == ("job", "completed", "end")
        assert await anext(stream, None) is None


async def test_an_ended_job_is_told_at_once_and_then_no_more(api, gen, hand):
    """A late client gets all results and the end; coming back with the end's id it is told to stay away."""
    job = await gen()
    await hand.claim(job)
    await hand.result(index=0, audio_url=AUDIO)
    await hand.finish()
    path = f"/api/v1/job/{job}/events"
    async with api.get(path) as answer:
        assert [event async for event, _, _ in frames(answer)] == ["result", "job"]
    async with api.get(path, headers={"Last-Event-ID": "end"}) as answer:
        assert answer.status == 204


async def test_a_stream_ends_when_its_job_is_purged(api, gen, db):
    """A job that disappears ends the stream without an error in it."""
    job = await gen()
    async with asyncio.timeout(120), api.get(f"/api/v1/job/{job}/events") as answer:
        stream = frames(answer)
        await anext(stream)
        await db.execute("delete from public.jobs where id = $1", UUID(job))
        assert await anext(stream, None) is None
