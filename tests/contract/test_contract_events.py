"""Server-sent events on both hosts."""

from __future__ import annotations

import asyncio
import json
from uuid import UUID

import pytest

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
        named = {"job_id", "status", "stage", "completed_count", "total_count", "preview_url", "error", "error_code"}
        assert set(data) == named
        await hand.claim(job)
        while data["status"] != "processing":
            _, data, _ = await anext(stream)
        await hand.plan("piano", "strings")
        event, plan, _ = await anext(stream)
        assert (event, plan["job_id"]) == ("plan", job)
        assert [one["title"] for one in plan["directions"]] == ["piano", "strings"]
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


async def test_a_preview_is_told_when_it_is_there(api, gen, hand):
    """Event `job` says so, once; who comes back with an id from before hears it, who comes back with a later one does not."""
    job, film = await gen(variants=1), "https://example.com/preview.mp4"
    path = f"/api/v1/job/{job}"
    await hand.claim(job)
    async with asyncio.timeout(120), api.get(f"{path}/events") as answer:
        stream = frames(answer)
        _, state, before = await anext(stream)
        assert (state["status"], state["preview_url"]) == ("processing", None)
        await hand.preview(film)
        event, state, after = await anext(stream)
        assert (event, state["status"], state["preview_url"]) == ("job", "processing", film)
    assert (await (await api.get(path)).json())["preview_url"] == film
    async with asyncio.timeout(120), api.get(f"{path}/events", headers={"Last-Event-ID": before}) as answer:
        assert (await anext(frames(answer)))[1]["preview_url"] == film
    async with asyncio.timeout(120), api.get(f"{path}/events", headers={"Last-Event-ID": after}) as answer:
        await hand.result(index=0, audio_url=AUDIO)
        assert (await anext(frames(answer)))[0] == "result"


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


async def test_a_resume_sends_only_what_is_missing(api, gen, hand):
    """With the id of the last event that was heard, whichever that was, come the results and the state after it, and nothing twice."""
    job = await gen(variants=3)
    path = f"/api/v1/job/{job}/events"
    await hand.claim(job)
    await hand.stage("composing")
    await hand.plan("a", "b", "c")
    await hand.result(index=2, audio_url=AUDIO)
    await hand.result(index=0, audio_url=AUDIO)
    async with asyncio.timeout(120), api.get(path) as answer:
        stream = frames(answer)
        heard = [await anext(stream) for _ in range(4)]
    whole = [("plan", None), ("result", 0), ("result", 2), ("job", None)]
    assert [(event, data.get("index")) for event, data, _ in heard] == whole
    assert len({mark for _, _, mark in heard}) == 4
    await hand.result(index=1, audio_url=AUDIO)
    await hand.finish()
    rest = [("result", 1), ("job", None)]
    missed = ([("result", 0), ("result", 1), whole[2], rest[1]], [rest[0], whole[2], rest[1]], rest, rest)
    for (*_, mark), missing in zip(heard, missed, strict=True):
        async with api.get(path, headers={"Last-Event-ID": mark}) as answer:
            told = [frame async for frame in frames(answer)]
        assert [(event, data.get("index")) for event, data, _ in told] == missing
        assert (told[-1][1]["status"], told[-1][2]) == ("completed", "end")


async def test_a_resume_where_nothing_is_missing_waits(api, gen, hand):
    """Whoever heard the state as it is hears the next one first."""
    job = await gen(variants=1)
    path = f"/api/v1/job/{job}/events"
    async with asyncio.timeout(120):
        async with api.get(path) as answer:
            _, _, mark = await anext(frames(answer))
        async with api.get(path, headers={"Last-Event-ID": mark}) as answer:
            await hand.claim(job)
            event, data, _ = await anext(frames(answer))
    assert (event, data["status"]) == ("job", "processing")


async def test_an_id_of_somebody_else_counts_as_none(api, gen, hand):
    """Whatever a Last-Event-ID says, the end of an ended job is told."""
    job = await gen(variants=1)
    await hand.claim(job)
    await hand.result(index=0, audio_url=AUDIO)
    await hand.finish()
    for mark, told in (
        ("", 2),
        ("7", 2),
        ("zz:pending//0", 2),
        ("1:completed//1;", 2),
        ("End", 2),
        ("1:completed//1", 1),
    ):
        async with api.get(f"/api/v1/job/{job}/events", headers={"Last-Event-ID": mark}) as answer:
            assert [last async for _, _, last in frames(answer)][-1] == "end"
        async with api.get(f"/api/v1/job/{job}/events", headers={"Last-Event-ID": mark}) as answer:
            assert len([frame async for frame in frames(answer)]) == told


@pytest.mark.parametrize("by", ["its owner", "retention"])
async def test_a_stream_ends_when_its_job_is_deleted(api, gen, db, by):
    """A job that disappears ends the stream with event `deleted`, whose id stops an EventSource."""
    job = await gen()
    async with asyncio.timeout(120), api.get(f"/api/v1/job/{job}/events") as answer:
        stream = frames(answer)
        await anext(stream)
        if by == "retention":
            await db.execute("delete from public.jobs where id = $1", UUID(job))
        else:
            await api.delete(f"/api/v1/job/{job}?files=true")
        assert await anext(stream) == ("deleted", {"job_id": job}, "end")
        assert await anext(stream, None) is None
