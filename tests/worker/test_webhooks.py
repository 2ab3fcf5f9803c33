"""Webhooks against a receiver on loopback: signed, retried, never redirected, never to a private address."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import jsonschema_rs
import openai
import pytest
import structlog
from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError

from edge_api.contract import contract
from worker.domain import Result
from worker.errors import Misconfigured
from worker.settings import read_settings
from worker.webhooks import Webhooks, wait_of

SECRET, NEXT_SECRET = (f"whsec_{letter * 43}=" for letter in "CD")


@pytest.fixture
async def receiver():
    """A server that answers with `receiver.status` and remembers what came."""
    app = web.Application()

    class Receiver:
        status, retry_after, got, came = 204, "", [], asyncio.Event()

    async def take(request):
        Receiver.got.append((dict(request.headers), await request.read()))
        Receiver.came.set()
        return web.Response(
            status=Receiver.status, headers={"Location": "/elsewhere", "Retry-After": Receiver.retry_after}
        )

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
        webhooks = Webhooks(
            outbox=queue, **{"policy": lambda address: None, "secrets": (SECRET, NEXT_SECRET)} | options
        )
        tasks.append(asyncio.create_task(webhooks.run()))
        return webhooks

    yield start
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def end_a_job(queue, insert, url, *events, **columns):
    """A job with a callback that has failed for good, or with `events` has brought a track."""
    job_id = await insert(
        options=json.dumps({"callback_url": url} | ({"events": events} if events else {})),
        video_url="https://example.com/a.mp4?signature=private",
        **columns,
    )
    job = await queue.claim()
    if events:
        await queue.put_result(job.lease, Result(index=0, audio_url="https://example.com/a.flac", peaks=(0.5,)))
        await queue.finish(job.lease)
    else:
        await queue.fail(job.lease, code="not_a_video", message="this is not a video", again=False)
    return job_id


def described(name, body):
    """Whether the contract knows such a body."""
    whole = {"$ref": f"#/components/schemas/{name}", "components": contract()["components"]}
    return jsonschema_rs.Draft202012Validator(whole).is_valid(body)


async def settled(db, state):
    async with asyncio.timeout(120):
        while (row := await db.fetchrow("select * from public.deliveries")) is None or row["state"] != state:
            await asyncio.sleep(0.01)
    return row


async def test_a_delivery_is_signed_and_carries_the_jobs_answer(queue, insert, db, receiver, sending):
    """The body is as described, and the libraries of Standard Webhooks and of OpenAI verify it with either secret of a rotation."""
    job_id = await end_a_job(queue, insert, receiver.url)
    sending()
    await settled(db, "delivered")
    ((headers, body),) = receiver.got
    event = Webhook(SECRET).verify(body, headers)
    assert event == Webhook(NEXT_SECRET).verify(body, headers)
    for secret in (SECRET, NEXT_SECRET):
        openai.OpenAI(api_key="a").webhooks.verify_signature(body, headers, secret=secret)
    assert described("JobWebhook", event)
    assert event["type"] == "job.failed"
    data = event["data"]
    assert (data["job_id"], data["status"], data["error"]) == (str(job_id), "failed", "this is not a video")
    assert data["video_url"] == "https://example.com/a.mp4"
    assert not [name for name in headers if name.startswith("RhythmAI")]
    with pytest.raises(WebhookVerificationError):
        Webhook(f"whsec_{'E' * 43}=").verify(body, headers)


async def test_a_result_is_told_when_it_is_asked_for(queue, insert, db, receiver, sending):
    """Each result and the end are messages of their own, whose bodies are as described."""
    await end_a_job(queue, insert, receiver.url, "result.ready", "job.completed")
    sending()
    async with asyncio.timeout(120):
        while await db.fetchval("select count(*) from public.deliveries where state = 'delivered'") < 2:
            await asyncio.sleep(0.01)
    told = {event["type"]: event for event in (Webhook(SECRET).verify(body, headers) for headers, body in receiver.got)}
    assert described("JobWebhook", told["job.completed"])
    assert described("ResultWebhook", told["result.ready"])
    assert told["result.ready"]["data"]["audio_url"] == "https://example.com/a.flac"
    assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 2


async def test_without_secrets_it_goes_out_unsigned(queue, insert, db, receiver, sending):
    """Id and timestamp are there, a signature is not."""
    await end_a_job(queue, insert, receiver.url)
    sending(secrets=())
    await settled(db, "delivered")
    ((headers, _),) = receiver.got
    assert headers["webhook-id"].startswith("msg_")
    assert "webhook-signature" not in headers


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
    assert snippet["event_of"](SECRET, headers, body)["type"] == "job.failed"
    assert snippet["event_of"](SECRET, headers, body + b" ") is None
    assert snippet["event_of"](f"whsec_{'E' * 43}=", headers, body) is None
    assert snippet["event_of"](SECRET, headers | {"webhook-timestamp": "1"}, body) is None
    assert snippet["event_of"](SECRET, {}, body) is None


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
    (first, _), (second, _) = receiver.got
    assert first["webhook-id"] == second["webhook-id"]


async def test_a_receiver_that_asks_for_time_gets_it(queue, insert, db, receiver, sending):
    """A Retry-After moves the next try behind it."""
    receiver.status, receiver.retry_after = 429, "3600"
    await end_a_job(queue, insert, receiver.url)
    sending()
    async with asyncio.timeout(120):
        while await db.fetchval("select last_error from public.deliveries") is None:
            await asyncio.sleep(0.01)
    assert await db.fetchval("select next_at > now() + interval '50 minutes' from public.deliveries")


def test_a_retry_after_is_seconds_or_a_date():
    """What is neither, or lies in the past, asks for nothing; nobody waits longer than a day."""
    later = format_datetime(datetime.now(UTC) + timedelta(minutes=10), usegmt=True)
    assert 590 < wait_of(later) <= 600
    assert [wait_of(text) for text in ("120", "9" * 400, "0")] == [120, 86_400, 0]
    assert [wait_of(text) for text in (None, "", "soon", "-5", "1.5", "Wed, 21 Oct 2015 07:28:00 GMT")] == [0] * 6
    assert wait_of("Wed, 21 Oct 2099 07:28:00 -0000") == 0


def test_a_secret_that_is_none_is_refused_by_its_place(monkeypatch):
    """WEBHOOK_SECRET takes several with commas; what it holds is not repeated."""
    for name, value in {
        "SUPABASE_URL": "https://a.example",
        "SUPABASE_KEY": "k",
        "DATABASE_URL": "postgresql://a",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("WEBHOOK_SECRET", f"{SECRET}, {NEXT_SECRET}")
    assert read_settings().webhook_secret == (SECRET, NEXT_SECRET)
    for wrong in ("s3cret", f"whsec_{'A' * 31}", f"whsec_{'A' * 88}", "whsec_????"):
        monkeypatch.setenv("WEBHOOK_SECRET", f"{SECRET},{wrong}")
        with pytest.raises(Misconfigured, match="WEBHOOK_SECRET is malformed: its secret 2 is not whsec_") as refused:
            read_settings()
        assert wrong not in str(refused.value)
        assert SECRET not in str(refused.value)


async def test_a_receiver_that_is_gone_is_left_alone(queue, insert, db, receiver, sending):
    """410 ends a delivery at once."""
    receiver.status = 410
    await end_a_job(queue, insert, receiver.url)
    sending()
    assert (await settled(db, "failed"))["attempt"] == 1


async def test_a_job_without_callback_makes_no_delivery(queue, insert, db):
    """Only jobs with a callback_url earn a row in the outbox."""
    await insert()
    job = await queue.claim()
    await queue.finish(job.lease)
    assert await db.fetchval("select count(*) from public.deliveries") == 0
