"""Plays the worker, by the same SQL functions, one step at a time."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import asyncpg


class Hand:
    """A worker that is led by the hand."""

    def __init__(self, db: asyncpg.Connection, *kinds: str) -> None:
        self._db = db
        self._kinds = kinds or ("generate", "merge", "brief", "pack")
        self._worker: int | None = None
        self._lease: tuple[UUID, int, int] | None = None

    async def claim(self, job: str | None = None) -> str | None:
        """Take this job and every other that stands before it, or just the next one; None when none waits."""
        if self._worker is None:
            self._worker = await self._db.fetchval(
                "select queue.register('hand', $1, '{sketch}', '1', interval '1 day')", list(self._kinds)
            )
        while True:
            claimed = json.loads(
                await self._db.fetchval("select queue.claim($1, interval '1 day')", self._worker) or "null"
            )
            if not claimed or not claimed.get("id"):
                assert job is None, "the job does not wait"
                return None
            self._lease = (UUID(claimed["id"]), claimed["attempt"], self._worker)
            if job in {None, claimed["id"]}:
                return claimed["id"]

    async def stage(self, name: str) -> None:
        await self._db.fetchval("select queue.set_stage($1, $2, $3, $4)", *self._lease, name)

    async def note(self, sentence: str) -> None:
        await self._db.fetchval("select queue.note($1, $2, $3, $4)", *self._lease, sentence)

    async def preview(self, url: str) -> None:
        await self._db.fetchval("select queue.set_preview($1, $2, $3, $4)", *self._lease, url)

    async def hear(self, *spans: tuple[float, float], film_s: float) -> None:
        found = [{"start_s": start_s, "end_s": end_s} for start_s, end_s in spans]
        heard = json.dumps({"spans": found, "heard_s": film_s, "film_s": film_s})
        await self._db.fetchval("select queue.put_speech($1, $2, $3, $4::jsonb)", *self._lease, heard)

    async def brief(self, brief: dict[str, Any]) -> None:
        await self._db.fetchval("select queue.put_brief($1, $2, $3, $4::jsonb)", *self._lease, json.dumps(brief))

    async def plan(self, *prompts: str, **more: Any) -> None:
        variants = [
            {"index": index, "seed": index, "direction": {"title": prompt, "prompt": prompt}}
            for index, prompt in enumerate(prompts)
        ]
        plan = json.dumps({"variants": variants, "describer": "local"} | more)
        await self._db.fetchval("select queue.save_plan($1, $2, $3, $4::jsonb)", *self._lease, plan)

    async def result(self, **row) -> str:
        """Returns what became of it: ok, cancelled or lost."""
        return await self._db.fetchval("select queue.put_result($1, $2, $3, $4::jsonb)", *self._lease, json.dumps(row))

    async def finish(self) -> None:
        await self._db.fetchval("select queue.finish($1, $2, $3)", *self._lease)

    async def fail(self, code: str, message: str) -> None:
        await self._db.fetchval("select queue.fail($1, $2, $3, $4, $5, false)", *self._lease, code, message)
