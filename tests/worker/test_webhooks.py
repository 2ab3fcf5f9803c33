"""Webhooks against a receiver on loopback: signed, retried, never redirected, never to a private address."""

import asyncio
import json
from datetime import timedelta
from pathlib import Path

import pytest
import structlog
from aiohttp import web

from tests.unit.stranger import Names
from worker.webhooks import Webhooks, signature

BODY_KEYS = {"job_id", "status", "completed_count", "total_count", "results", "error"}


@pytest.fixture
async def receiver():
    """A server that answers with `receiver.status` and remembers what came."""
    app = web.Application()

    class Receiver:
        status, got, came = 204, [], asyncio.Event()

    async def take(request):
        Receiver.got.append((dict(request.headers), await request.read()))
        Receiver.came.set()
        return web.Response(status=Receiver.status, headers={"Location": "/elsewhere"})

    Receiver.got, Receiver.came = [], asyncio.Event()
    app.router.add_post("/{tail:.*}", take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    Receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook?token=secret"
    yield Receiver
    await runner.cleanup()


@pytest.fixture
async def sending(queue):
    """The sender of a worker; its policy lets it reach loopback."""
    tasks = []

    def start(**options):
        webhooks = Webhooks(outbox=queue, secret="s3cret", **{"policy": lambda address: None} | options)
        tasks.append(asyncio.create_task(webhooks.run()))
        return webhooks

    yield start
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def end_a_job(queue, insert, url, **columns):
    """A job with a callback that has failed for good."""
    job_id = await insert(
        options=json.dumps({"callback_url": url}),
        video_url="https://example.com/a.mp4?signature=private",
        **columns,
    )
    job = await queue.claim()
    await queue.fail(job.lease, code="not_a_video", message="this is not a video", again=False)
    return job_id


async def settled(db, state):
    async with asyncio.timeout(120):
        while (row := await db.fetchrow("select * from public.deliveries")) is None or row["state"] != state:
            await asyncio.sleep(0.01)
    return row


async def test_a_delivery_is_signed_and_carries_the_jobs_answer(queue, insert, db, receiver, sending):
    """The body is the job's answer without query strings, and its HMAC verifies with the shared secret."""
    job_id = await end_a_job(queue, insert, receiver.url)
    sending()
    await settled(db, "delivered")
    ((headers, body),) = receiver.got
    answer = json.loads(body)
    assert answer.keys() >= BODY_KEYS
    assert (answer["job_id"], answer["status"], answer["error"]) == (str(job_id), "failed", "this is not a video")
    assert answer["video_url"] == "https://example.com/a.mp4"
    assert headers["RhythmAI-Signature"] == signature("s3cret", int(headers["RhythmAI-Timestamp"]), body)


async def test_a_delivery_goes_on_with_the_jobs_trace(queue, insert, receiver, sending):
    """The traceparent of the row is a header of the webhook, and its trace id stands in the log line of the delivery."""
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        job_id = await end_a_job(queue, insert, receiver.url, traceparent=trace)
        sending()
        async with asyncio.timeout(120):
            while not lines:
                await asyncio.sleep(0.01)
    ((headers, _),) = receiver.got
    assert headers["traceparent"] == trace
    (line,) = lines
    assert (line["event"], line["job"], line["trace_id"]) == ("webhook.sent", str(job_id), trace.split("-")[1])


async def test_the_documented_snippet_verifies(queue, insert, db, receiver, sending):
    """The code in docs/operations.md accepts our delivery and refuses another body, another secret and an old one."""
    page = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
    snippet = {}
    exec(page.partition("```python verify\n")[2].partition("```")[0], snippet)
    await end_a_job(queue, insert, receiver.url)
    sending()
    await settled(db, "delivered")
    ((headers, body),) = receiver.got
    assert snippet["is_ours"]("s3cret", headers, body)
    assert not snippet["is_ours"]("s3cret", headers, body + b" ")
    assert not snippet["is_ours"]("other", headers, body)
    assert not snippet["is_ours"]("s3cret", headers | {"RhythmAI-Timestamp": "1"}, body)
    assert not snippet["is_ours"]("s3cret", {}, body)


@pytest.mark.parametrize("status", [500, 302, 404])
async def test_what_is_not_taken_is_tried_again(queue, insert, db, receiver, sending, status):
    """Anything but a 2xx leaves the delivery pending with its error and a later time; redirects are not followed."""
    receiver.status = status
    await end_a_job(queue, insert, receiver.url)
    sending()
    await asyncio.wait_for(receiver.came.wait(), 120)
    async with asyncio.timeout(120):
        while (row := await db.fetchrow("select * from public.deliveries"))["last_error"] is None:
            await asyncio.sleep(0.01)
    assert (row["state"], row["attempt"]) == ("pending", 1)
    assert str(status) in row["last_error"]
    assert "secret" not in row["last_error"]
    assert len(receiver.got) == 1
    receiver.status = 200
    await db.execute("update public.deliveries set next_at = now()")
    sending()
    await settled(db, "delivered")


async def test_a_receiver_that_is_gone_is_left_alone(queue, insert, db, receiver, sending):
    """410 ends a delivery at once."""
    receiver.status = 410
    await end_a_job(queue, insert, receiver.url)
    sending()
    assert (await settled(db, "failed"))["attempt"] == 1


async def test_a_private_address_is_never_called(queue, insert, db, receiver, sending):
    """With the real policy a loopback receiver is refused for good, and nothing reaches it."""
    from worker.addresses import why_forbidden

    await end_a_job(queue, insert, receiver.url)
    sending(policy=why_forbidden)
    assert "never" in (await settled(db, "failed"))["last_error"]
    assert receiver.got == []


async def test_a_slow_receiver_does_not_hold_the_others_up(queue, insert, db, receiver, sending):
    """Deliveries go out side by side: one that hangs keeps its own place only."""
    connected, end = asyncio.Event(), asyncio.Event()

    async def say_nothing(_, writer):
        connected.set()
        await end.wait()
        writer.close()

    async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as silent:
        await end_a_job(queue, insert, f"http://127.0.0.1:{silent.sockets[0].getsockname()[1]}/hook")
        sending()
        await asyncio.wait_for(connected.wait(), 120)
        await end_a_job(queue, insert, receiver.url)
        await asyncio.wait_for(receiver.came.wait(), 120)
        end.set()


async def test_a_name_that_leads_to_a_private_address_is_never_called(queue, insert, db, receiver, sending):
    """Guards the checked connector: what a name resolves to is checked as well, when it is dialled."""
    from worker.addresses import why_forbidden

    async def resolve(host, port):
        return ["127.0.0.1"]

    await end_a_job(queue, insert, receiver.url.replace("127.0.0.1", "hooks.example.com"))
    sending(policy=why_forbidden, resolver=Names(resolve))
    assert "never" in (await settled(db, "failed"))["last_error"]
    assert receiver.got == []


async def test_a_proxy_of_the_environment_is_not_used(queue, insert, db, receiver, sending, monkeypatch):
    """Guards `trust_env=False`: behind a proxy nobody could say which address is called."""
    for name, value in {"http_proxy": "http://127.0.0.1:9", "no_proxy": ""}.items():
        monkeypatch.setenv(name, value)
        monkeypatch.setenv(name.upper(), value)
    await end_a_job(queue, insert, receiver.url)
    sending()
    await settled(db, "delivered")


async def test_one_strange_delivery_does_not_silence_the_others(queue, insert, db, receiver):
    """An error that nobody foresaw is logged, and the sender goes on."""

    class Strange:
        calls = 0

        async def claim_delivery(self):
            self.calls += 1
            if self.calls == 1:
                raise ZeroDivisionError
            return await queue.claim_delivery()

        def settle_delivery(self, *arguments, **options):
            return queue.settle_delivery(*arguments, **options)

    await end_a_job(queue, insert, receiver.url)
    webhooks = Webhooks(outbox=Strange(), policy=lambda address: None, poll_every=timedelta(milliseconds=10))
    sender = asyncio.create_task(webhooks.run())
    await settled(db, "delivered")
    sender.cancel()
    await asyncio.gather(sender, return_exceptions=True)


async def test_a_job_without_callback_makes_no_delivery(queue, insert, db):
    """Only jobs with a callback_url earn a row in the outbox."""
    await insert()
    job = await queue.claim()
    await queue.finish(job.lease)
    assert await db.fetchval("select count(*) from public.deliveries") == 0
