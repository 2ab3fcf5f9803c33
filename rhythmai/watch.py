"""A job that is watched to its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Final
from uuid import UUID

from rhythmai.answers import Job
from rhythmai.api import id_of
from rhythmai.errors import Refused, Unreachable
from rhythmai.events import Event, JobDeleted, Story
from rhythmai.live import Joined, LiveTopic, Silence

SAFETY_POLL_S: Final = 15.0
"""How often REST is asked while Realtime is there: an event that got lost is late, never missed."""
BLIND_POLL_S: Final = 1.0
"""How often REST is asked while Realtime is not there."""
Trouble = Callable[[Unreachable | None], None]
PATIENCE_S: Final = 180.0
"""How long a watch goes on that nobody answers."""
SECOND_LOOK_S: Final = 3.0
"""A subscription may be announced some seconds before it is live: ask once more then."""


async def watch(
    job_id: UUID | str,
    ask: Callable[[UUID], Awaitable[Job]],
    topic_of: Callable[[UUID], LiveTopic | Silence],
    trouble: Trouble | None,
    patience_s: float,
) -> AsyncGenerator[Event]:
    """See `Client.watch`; `ask` is REST, the topic is Realtime's."""
    story = Story(id_of(job_id))
    clock = asyncio.get_running_loop().time
    heard_s = clock()
    async with topic_of(story.job_id) as topic:
        just_joined = False
        while True:
            try:
                job = await ask(story.job_id)
            except Unreachable as away:
                if story.standing is None or clock() - heard_s >= patience_s:
                    raise
                if trouble:
                    trouble(away)
            except Refused as refused:
                if story.standing is None or refused.code != "not_found":
                    raise
                yield JobDeleted(job_id=story.job_id)
                return
            else:
                heard_s = clock()
                if trouble:
                    trouble(None)
                for event in story.from_answer(job):
                    yield event
                if job.ended:
                    return
            pause_s = SECOND_LOOK_S if just_joined else SAFETY_POLL_S if topic.joined else BLIND_POLL_S
            just_joined = False
            while message := await topic.next(pause_s):
                just_joined = isinstance(message, Joined)
                # The end is told by REST, which knows all results: one that was pushed before may have been lost.
                if isinstance(message, Joined) or story.is_end(message.event, message.payload):
                    break
                heard_s = clock()
                for event in story.from_payload(message.event, message.payload):
                    yield event
