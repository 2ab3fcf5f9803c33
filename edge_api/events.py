"""Server-sent events, for clients without supabase-js: what Realtime sends on the job's topic, over plain HTTP.

A stream begins with everything that is there already and ends with the job, so coming back needs no bookkeeping.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from typing import Any, Final
from uuid import UUID

from aiohttp import web

from edge_api.database import View
from edge_api.problems import Problem
from edge_api.watch import ENDED, Watches

KEEPALIVE_S: Final = 15.0
SLOWEST_READER_S: Final = 20.0
END_ID: Final = "end"
"""The id of a stream's last event: an EventSource that comes back with it is told that there is nothing more."""
STATE: Final = ("job_id", "status", "stage", "completed_count", "total_count", "error", "error_code")


class Teller:
    """Turns views of one job into the events that a client has not had yet."""

    def __init__(self) -> None:
        self._state: dict[str, Any] = {}
        self._told: set[int] = set()

    def events(self, view: View) -> str:
        """Event `result` for each new track, then event `job` when the state differs."""
        frames = [
            _frame("result", {**result, "job_id": view["job_id"]})
            for result in view["results"]
            if result["index"] not in self._told
        ]
        self._told.update(result["index"] for result in view["results"])
        state = {name: view[name] for name in STATE}
        if state != self._state:
            self._state = state
            frames.append(_frame("job", state, END_ID if view["status"] in ENDED else None))
        return "".join(frames)


def _frame(event: str, data: dict[str, Any], id: str | None = None) -> str:
    lines = [f"event: {event}", f"data: {json.dumps(data, ensure_ascii=False)}"]
    return "\n".join([*lines, f"id: {id}"] if id else lines) + "\n\n"


async def stream(
    request: web.Request, watches: Watches, job: UUID, user: UUID | None, client: str
) -> web.StreamResponse:
    """GET /api/v1/job/{job_id}/events. Raises Problem before the stream has begun; later it just ends."""
    if request.headers.get("Last-Event-ID") == END_ID:
        return web.Response(status=204)
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"})
    teller = Teller()
    clock = asyncio.get_running_loop().time
    spoke_at = clock()
    try:
        async with aclosing(watches.views(job, user, client)) as views:
            async for view in views:
                text = teller.events(view) if view else ": still here\n\n" if clock() - spoke_at > KEEPALIVE_S else ""
                if not response.prepared:
                    await response.prepare(request)
                    text = "retry: 2000\n\n" + text
                if text:
                    async with asyncio.timeout(SLOWEST_READER_S):
                        await response.write(text.encode())
                    spoke_at = clock()
    except (ConnectionError, TimeoutError):
        response.force_close()  # the reader went away, or does not read
    except Problem:
        if not response.prepared:
            raise
    return response
