"""Webhooks: the deliveries a job with a `callback_url` has earned, sent at least once, signed.

The signature is HMAC-SHA256 with WEBHOOK_SECRET over `<timestamp>.<body>`; docs/operations.md shows how to verify it.
Addresses are checked and pinned as in the fetcher; redirects are not followed.
"""

import asyncio
import hashlib
import hmac
import json
import random
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta

import aiohttp
import structlog
from aiohttp.abc import AbstractResolver

from rhythmai.project.trace import HEADER, Attributes, Span, Tracer, trace_id, untraced
from worker.addresses import Policy, bare, checked_connector, public_url, why_forbidden
from worker.domain import Delivery
from worker.errors import QueueUnavailable, Rejected, Unavailable
from worker.ports import Outbox

log = structlog.get_logger()
TIMEOUT = aiohttp.ClientTimeout(total=15)
AT_ONCE = 8
GONE = 410
"""A receiver that answers so wants no more tries."""


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """What stands in the header RhythmAI-Signature: `v1=` and the hex HMAC-SHA256 over `<timestamp>.<body>`."""
    digest = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
    return f"v1={digest}"


@dataclass(slots=True, kw_only=True)
class Webhooks:
    """Sends deliveries until cancelled, some at once: a slow receiver must not hold the others up. Without a secret they go out unsigned."""

    outbox: Outbox
    secret: str = ""
    poll_every: timedelta = timedelta(seconds=5)
    resolver: AbstractResolver | None = None
    policy: Policy = why_forbidden
    tracer: Tracer = untraced
    _awake: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    def wake(self) -> None:
        """Shorten the sleep: a job may have ended."""
        self._awake.set()

    async def run(self) -> None:
        sending: set[asyncio.Task[None]] = set()
        try:
            while True:
                self._awake.clear()
                while (delivery := await self._due()) is not None:
                    sending.add(asyncio.create_task(self._deliver(delivery)))
                    if len(sending) == AT_ONCE:
                        _, sending = await asyncio.wait(sending, return_when=asyncio.FIRST_COMPLETED)
                with suppress(TimeoutError):
                    rest = self.poll_every.total_seconds() * random.uniform(0.8, 1.2)
                    await asyncio.wait_for(self._awake.wait(), rest)
        finally:
            for task in sending:
                task.cancel()
            await asyncio.gather(*sending, return_exceptions=True)

    async def _due(self) -> Delivery | None:
        try:
            return await self.outbox.claim_delivery()
        except QueueUnavailable as error:
            log.warning("queue.unavailable", error=str(error))
        except Exception:
            log.exception("webhook.bug")
        return None

    async def _deliver(self, delivery: Delivery) -> None:
        """Never raises: a delivery that was not settled comes again when its lease ends."""
        structlog.contextvars.bind_contextvars(job=str(delivery.job_id), trace_id=trace_id(delivery.traceparent))
        about: Attributes = {
            "rhythmai.job_id": str(delivery.job_id),
            "rhythmai.attempt": delivery.attempt,
            "url.full": bare(delivery.url),
        }
        try:
            with self.tracer("webhook", parent=delivery.traceparent, kind="client", attributes=about) as span:
                await self._try(delivery, span)
        except QueueUnavailable as error:
            log.warning("queue.unavailable", error=str(error))
        except Exception:
            log.exception("webhook.bug")

    async def _try(self, delivery: Delivery, span: Span) -> None:
        told = log.bind(attempt=delivery.attempt, url=bare(delivery.url))
        try:
            await self._send(delivery, span)
        except (Rejected, Unavailable) as error:
            span.fail(error.code)
            again = not isinstance(error, Rejected)
            await self.outbox.settle_delivery(delivery, delivered=False, error=str(error), again=again)
            told.info("webhook.failed", error=str(error))
        else:
            await self.outbox.settle_delivery(delivery, delivered=True, error=None, again=True)
            told.info("webhook.sent")

    async def _send(self, delivery: Delivery, span: Span) -> None:
        """Raises Rejected (no use in trying again) or Unavailable."""
        url = public_url(delivery.url, self.policy)
        body = json.dumps(delivery.body, ensure_ascii=False, separators=(",", ":")).encode()
        timestamp = int(time.time())
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "RhythmAI/1",
            "RhythmAI-Job": str(delivery.job_id),
            "RhythmAI-Attempt": str(delivery.attempt),
            "RhythmAI-Timestamp": str(timestamp),
            HEADER: span.traceparent,
        }
        if self.secret:
            headers["RhythmAI-Signature"] = signature(self.secret, timestamp, body)
        try:
            async with (
                aiohttp.ClientSession(
                    connector=checked_connector(self.resolver, self.policy), timeout=TIMEOUT, trust_env=False
                ) as session,
                session.post(url, data=body, headers=headers, allow_redirects=False) as answer,
            ):
                status = answer.status
                span.tell({"http.response.status_code": status})
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Unavailable(f"{bare(url)} did not take the webhook: {error or type(error).__name__}") from error
        if status == GONE:
            raise Rejected(f"{bare(url)} answered 410: it wants no more webhooks")
        if not 200 <= status < 300:
            raise Unavailable(
                f"{bare(url)} answered {status}; a webhook is taken with a 2xx, redirects are not followed"
            )
