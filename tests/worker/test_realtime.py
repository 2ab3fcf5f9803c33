"""The worker's Realtime and Storage adapters, through the real clients, against the local gateway."""

import asyncio
from datetime import timedelta

import aiohttp
import pytest

from tests.worker.line import Line
from worker.errors import Misconfigured, Rejected, ServiceAway, Unavailable
from worker.storage import SupabaseStorage
from worker.wakeups import RealtimeWakeUps

SOON = timedelta(milliseconds=100)


@pytest.fixture
async def wakes(gateway):
    woken = asyncio.Event()
    task = asyncio.create_task(RealtimeWakeUps(gateway.url, gateway.key, second_look=SOON).run(lambda _: woken.set()))
    async with asyncio.timeout(120):
        await woken.wait()  # subscribed
        woken.clear()
        await woken.wait()  # the second look: what was inserted just before the subscription was live
        woken.clear()
        yield woken
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_an_insert_wakes_over_realtime_alone(wakes, db):
    """The broadcast of the insert trigger on the private topic is enough to wake a worker."""
    await db.execute("insert into public.jobs (video_url) values ('https://example.com/a.mp4')")
    await wakes.wait()


async def test_wake_ups_come_back_after_the_gateway_did(wakes, db, gateway):
    """When Realtime restarts the client is rebuilt, looks for work at once, and hears the next insert."""
    await gateway.restart()
    await wakes.wait()
    wakes.clear()
    await wakes.wait()
    wakes.clear()
    await db.execute("insert into public.jobs (video_url) values ('https://example.com/a.mp4')")
    await wakes.wait()


async def test_a_subscription_is_looked_behind_once_more(gateway):
    """Guards the second look: both channels say SUBSCRIBED seconds before they are live, so a third wake-up follows."""
    woken, looks, enough = asyncio.Event(), [], 3

    def wake(_):
        looks.append("look")
        if len(looks) == enough:
            woken.set()

    task = asyncio.create_task(RealtimeWakeUps(gateway.url, gateway.key, second_look=SOON).run(wake))
    async with asyncio.timeout(120):
        await woken.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_socket_that_only_looks_alive_is_given_up(gateway):
    """Guards the echo: a socket that carries nothing any more still says it is connected; the ping stays unanswered and the client is rebuilt."""
    woken, looks, enough = asyncio.Event(), [], 3

    def wake(_):
        looks.append("look")
        if len(looks) == enough:
            woken.set()

    async with Line(gateway.url) as line:
        realtime = RealtimeWakeUps(
            line.url, gateway.key, ping_every=SOON, patience=timedelta(seconds=1), second_look=SOON
        )
        task = asyncio.create_task(realtime.run(wake))
        async with asyncio.timeout(120):
            await woken.wait()
            woken.clear()
            enough = len(looks) + 1
            line.freeze()
            await woken.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_an_object_is_never_overwritten(gateway):
    """Guards `upsert: false`: whoever puts other content under a taken path changes nothing."""
    storage = SupabaseStorage(gateway.url, gateway.key)
    url = await storage.put("audios", "a/1-abc.flac", b"the first", "audio/flac")
    await storage.put("audios", "a/1-abc.flac", b"a zombie's", "audio/flac")
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        assert await answer.read() == b"the first"
    await storage.close()


async def test_a_storage_that_fails_once_is_asked_again(gateway):
    """Guards the tries of an upload: a moment without Storage costs a moment, not the attempt."""
    async with Line(gateway.url) as line:
        storage = SupabaseStorage(line.url, gateway.key)
        line.cut()
        putting = asyncio.create_task(storage.put("audios", "a/2-abc.flac", b"fLaC", "audio/flac"))
        async with asyncio.timeout(120):
            await line.turned_away.wait()
            line.mend()
            await putting
        await storage.close()


async def test_an_object_is_put_once_and_an_equal_one_counts(gateway):
    """A second upload of the same path is no error: paths carry a hash of their content."""
    storage = SupabaseStorage(gateway.url, gateway.key)
    url = await storage.put("audios", "a/0-abc.flac", b"fLaC", "audio/flac")
    assert url == f"{gateway.url}/storage/v1/object/public/audios/a/0-abc.flac"
    assert await storage.put("audios", "a/0-abc.flac", b"fLaC", "audio/flac") == url
    await storage.close()


async def test_storage_that_is_away_may_come_back(gateway):
    """After its tries an unreachable Storage is Unavailable, so that the job is tried again later."""
    storage = SupabaseStorage("http://127.0.0.1:9", gateway.key, tries=1)
    with pytest.raises(Unavailable, match="Storage"):
        await storage.put("audios", "a/0-abc.flac", b"fLaC", "audio/flac")
    await storage.close()


async def test_a_key_that_storage_refuses_is_told_at_the_start(gateway):
    """A wrong SUPABASE_KEY ends the worker with a word of the key; later the same answer may be a proxy's, and is waited out."""
    storage = SupabaseStorage(gateway.url, "sb_publishable_wrong", tries=1)
    with pytest.raises(Misconfigured, match="SUPABASE_KEY"):
        await storage.check()
    with pytest.raises(ServiceAway, match="Storage refused"):
        await storage.put("audios", "a/0-abc.flac", b"fLaC", "audio/flac")
    await storage.close()


async def test_a_right_key_and_an_absent_storage_pass_the_check(gateway):
    """The check finds nothing wrong with our own gateway, and a Storage that is away is waited for later."""
    for url in (gateway.url, "http://127.0.0.1:9"):
        storage = SupabaseStorage(url, gateway.key)
        await storage.check()
        await storage.close()


async def test_what_the_bucket_does_not_take_is_not_made_again(gateway):
    """A refusal by type or size ends the job, since another try would end the same."""
    storage = SupabaseStorage(gateway.url, gateway.key)
    with pytest.raises(Rejected, match=r"audios/a/0-abc\.txt"):
        await storage.put("audios", "a/0-abc.txt", b"text", "text/plain")
    await storage.close()
