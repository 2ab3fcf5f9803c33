"""Webhooks: the deliveries a job with a `callback_url` has earned, sent at least once, as Standard Webhooks has them.

docs/operations.md shows how to verify them. Addresses are checked and pinned as in the fetcher; redirects are not followed.
"""

import asyncio
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import aiohttp
import structlog
from aiohttp.abc import AbstractResolver
from standardwebhooks import Webhook

from rhythmai.project.trace import HEADER, Attributes, Span, Tracer, trace_id, untraced
from worker.addresses import Policy, bare, checked_connector, public_url, why_forbidden
from worker.domain import Delivery
from worker.errors import QueueUnavailable, Rejected, Unavailable
from worker.ports import Outbox
from worker.wake import rest

log = structlog.get_logger()
TIMEOUT = aiohttp.ClientTimeout(total=15)
AT_ONCE = 8
GONE = 410
"""A receiver that answers so wants no more of this job."""
LONGEST_WAIT_S = 86400.0


class Refused(Unavailable):
    """The receiver answered, but not with a 2xx; it may have said when it wants the next try."""

    def __init__(self, message: str, *, wait_s: float) -> None:
        super().__init__(message)
        self.wait_s = wait_s


def signed(secrets: Sequence[str], message: str, at: datetime, body: str) -> dict[str, str]:
    """The headers of Standard Webhooks; one signature for each secret, none without any."""
    headers = {"webhook-id": message, "webhook-timestamp": str(int(at.timestamp()))}
    if secrets:
        signatures = (Webhook(secret).sign(message, at, body) for secret in secrets)
        headers["webhook-signature"] = " ".join(signatures)
    return headers


def wait_of(retry_after: str | None) -> float:
    """Seconds to wait by a Retry-After, which is a number of them or a date; 0 where it is neither."""
    if retry_after is None:
        return 0
    try:
        wait_s = (
            float(retry_after)
            if retry_after.isdecimal()
            else (parsedate_to_datetime(retry_after) - datetime.now(UTC)).total_seconds()
        )
    except (ValueError, TypeError):  # TypeError: a date without its zone
        return 0
    return min(max(wait_s, 0), LONGEST_WAIT_S)


@dataclass(slots=True, kw_only=True)
class Webhooks:
    """Sends deliveries until cancelled, some at once: a slow receiver must not hold the others up. Without secrets they go out unsigned."""

    outbox: Outbox
    secrets: Sequence[str] = ()
    poll_every: timedelta = timedelta(seconds=5)
    fleet: Callable[[], int] = lambda: 1
    """How many workers send webhooks."""
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
                    await asyncio.wait_for(self._awake.wait(), rest(self.poll_every, self.fleet()).total_seconds())
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
            wait_s = error.wait_s if isinstance(error, Refused) else 0
            await self.outbox.settle_delivery(delivery, delivered=False, error=str(error), again=again, wait_s=wait_s)
            told.info("webhook.failed", error=str(error))
        else:
            await self.outbox.settle_delivery(delivery, delivered=True, error=None, again=True)
            told.info("webhook.sent")

    async def _send(self, delivery: Delivery, span: Span) -> None:
        """Raises Rejected (no use in trying again) or Unavailable."""
        url = public_url(delivery.url, self.policy)
        body = json.dumps(delivery.body, ensure_ascii=False, separators=(",", ":"))
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "RhythmAI/1",
            HEADER: span.traceparent,
            **signed(self.secrets, f"msg_{delivery.id.hex}", datetime.now(UTC), body),
        }
        try:
            async with (
                aiohttp.ClientSession(
                    connector=checked_connector(self.resolver, self.policy), timeout=TIMEOUT, trust_env=False
                ) as session,
                session.post(url, data=body.encode(), headers=headers, allow_redirects=False) as answer,
            ):
                status, wait_s = answer.status, wait_of(answer.headers.get("Retry-After"))
                span.tell({"http.response.status_code": status})
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Unavailable(f"{bare(url)} did not take the webhook: {error or type(error).__name__}") from error
        if status == GONE:
            raise Rejected(f"{bare(url)} answered 410: it wants no more webhooks")
        if not 200 <= status < 300:
            raise Refused(
                f"{bare(url)} answered {status}; a webhook is taken with a 2xx, redirects are not followed",
                wait_s=wait_s,
            )
