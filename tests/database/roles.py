"""Doing things as somebody: role switching with request.jwt.claims, as PostgREST and Realtime do it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg

ALICE = "aaaaaaaa-0000-4000-8000-000000000001"
BOB = "bbbbbbbb-0000-4000-8000-000000000002"


@dataclass(frozen=True)
class Somebody:
    name: str
    role: str
    user: str | None = None

    @asynccontextmanager
    async def acts(self, db: asyncpg.Connection) -> AsyncIterator[None]:
        """Inside, statements run as this role with this user's token; an error rolls back what was done."""
        claims = {"role": self.role} | ({"sub": self.user} if self.user else {})
        async with db.transaction():
            await db.execute("select set_config('request.jwt.claims', $1, true)", json.dumps(claims))
            await db.execute(f"set local role {self.role}")
            yield
            await db.execute("reset role")


VISITOR = Somebody("anon", "anon")
ALICES = Somebody("alice", "authenticated", ALICE)
BOBS = Somebody("bob", "authenticated", BOB)
SERVICE = Somebody("service", "service_role")
WORKER = Somebody("worker", "rhythmai_worker_key")


async def may_join(db: asyncpg.Connection, who: Somebody, topic: str) -> bool:
    """What Realtime asks at a join: of a probe message on the topic, does the joining role see it?"""
    transaction = db.transaction()
    await transaction.start()
    try:
        await db.execute("select realtime.send('{}', 'probe', $1, true)", topic)
        async with who.acts(db):
            await db.execute("select set_config('realtime.topic', $1, true)", topic)
            return bool(await db.fetchval("select count(*) from realtime.messages where topic = $1", topic))
    finally:
        await transaction.rollback()
