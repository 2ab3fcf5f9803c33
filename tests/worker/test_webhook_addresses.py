"""Where webhooks do not go, and whom a slow or strange one does not hold up."""

import asyncio
from datetime import timedelta

from tests.unit.stranger import Names
from tests.worker.test_webhooks import end_a_job, receiver, sending, settled
from worker.webhooks import Webhooks

__all__ = ["receiver", "sending"]


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
