"""Server-sent events, for clients without supabase-js: what Realtime sends on the job's topic, over plain HTTP.

A stream begins with everything that is there already and ends with the job. Each event's id says what was told up to there, so that
whoever comes back with it is told the rest; the server keeps no books.
"""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import aclosing, suppress
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
_ID: Final = re.compile(r"([0-9a-f]{1,3}):([a-z]*/[a-z]*/[0-8]|)")
PLAN: Final = 1 << 8
PREVIEW: Final = 1 << 9
STATE: Final = ("job_id", "status", "stage", "completed_count", "total_count", "preview_url", "error", "error_code")


class Teller:
    """Turns views of one job into the events that a client has not had yet.

    An id is `<told>:<version>`: what was told, as the bits of a hexadecimal number, one for the index of each result, above
    them one for the plan and one for the preview; and the version of the state that was, its status, stage and count. One that is none of ours counts as nothing.
    """

    def __init__(self, last_id: str = "") -> None:
        found = _ID.fullmatch(last_id)
        self._told = int(found[1], 16) if found else 0
        self._version = found[2] if found else ""

    def events(self, view: View) -> str:
        """Event `plan` once there is one, `result` for each new track, then event `job` when the state differs."""
        frames = []
        if view["directions"] and not self._told & PLAN:
            self._told |= PLAN
            frames.append(self._frame("plan", {"job_id": view["job_id"], "directions": view["directions"]}))
        for result in view["results"]:
            if not self._told >> result["index"] & 1:
                self._told |= 1 << result["index"]
                frames.append(self._frame("result", {**result, "job_id": view["job_id"]}))
        version = f"{view['status']}/{view['stage'] or ''}/{view['completed_count']}"
        if view["preview_url"] and not self._told & PREVIEW:
            self._told |= PREVIEW
            self._version = ""
        ended = view["status"] in ENDED
        if ended or version != self._version:
            self._version = version
            frames.append(self._frame("job", {name: view[name] for name in STATE}, ended=ended))
        return "".join(frames)

    def gone(self, job: UUID) -> str:
        """Event `deleted`, the last one."""
        return self._frame("deleted", {"job_id": str(job)}, ended=True)

    def _frame(self, event: str, data: dict[str, Any], *, ended: bool = False) -> str:
        event_id = END_ID if ended else f"{self._told:x}:{self._version}"
        return f"event: {event}\ndata: {json.dumps(data, ensure_ascii=False)}\nid: {event_id}\n\n"


async def stream(
    request: web.Request, watches: Watches, job: UUID, user: UUID | None, client: str
) -> web.StreamResponse:
    """GET /api/v1/job/{job_id}/events. Raises Problem before the stream has begun; later it just ends."""
    last_id = request.headers.get("Last-Event-ID", "")
    if last_id == END_ID:
        return web.Response(status=204)
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"})
    teller = Teller(last_id)
    clock = asyncio.get_running_loop().time
    spoke_at = clock()

    async def say(text: str) -> None:
        async with asyncio.timeout(SLOWEST_READER_S):
            await response.write(text.encode())

    try:
        async with aclosing(watches.views(job, user, client)) as views:
            async for view in views:
                text = teller.events(view) if view else ": still here\n\n" if clock() - spoke_at > KEEPALIVE_S else ""
                if not response.prepared:
                    await response.prepare(request)
                    text = "retry: 2000\n\n" + text
                if text:
                    await say(text)
                    spoke_at = clock()
    except (ConnectionError, TimeoutError):
        response.force_close()  # the reader went away, or does not read
    except Problem as problem:
        if not response.prepared:
            raise
        if problem.code == "not_found":
            with suppress(ConnectionError, TimeoutError):
                await say(teller.gone(job))
    return response
