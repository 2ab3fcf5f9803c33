"""The access matrix: who may do what with every object there is, as text that a person can review line by line.

First what the catalog says, then what is true when somebody tries: buckets, topics, a job inserted by hand.
"""

from __future__ import annotations

import asyncpg

from tests.database.catalog import CATALOG, ROLES
from tests.database.desk import Queue
from tests.database.roles import ALICE, ALICES, BOBS, SERVICE, VISITOR, WORKER, Somebody, may_join

EVERYBODY = (VISITOR, ALICES, BOBS, SERVICE, WORKER)
BUCKETS = """
select id, format('%s, at most %s bytes, %s', case when public then 'public' else 'private' end, file_size_limit,
                  array_to_string(allowed_mime_types, ' ')) as note
  from storage.buckets order by 1
"""
OBJECT = "insert into storage.objects (bucket_id, name, owner, owner_id) values ($1, $2, $3::uuid, $3::uuid::text)"
WITH_BUCKETS = {
    "see": "select from storage.buckets where id = $1",
    "change": "update storage.buckets set public = public where id = $1",
    "list": "select from storage.objects where bucket_id = $1 and name = 'probe'",
    "upload": "insert into storage.objects (bucket_id, name) values ($1, 'new')",
    "overwrite": "update storage.objects set metadata = '{}' where bucket_id = $1 and name = 'probe'",
    "remove": "delete from storage.objects where bucket_id = $1 and name = 'probe'",
}
SEND = "insert into realtime.messages (topic, extension, private) values ($1, 'broadcast', true)"
OPTIONS = {
    "operators' steps": {"steps": 100},
    "operators' guidance": {"guidance": 20},
    "OPTIONS OF ANOTHER KIND": {"audio_url": "https://example.com/a.flac"},
    "AN ADDRESS THAT IS NONE": {"callback_url": "https://user@example.com"},
    "A KEY THAT IS NONE": {"plan": [{"prompt": "harp", "key": "H minor"}]},
}
JOB = "insert into public.jobs (video_url, options) values ('https://example.com/a.mp4', $1)"
BECAME = "select kind, lane, priority, status, owner, tenant, total_count, max_attempts from public.jobs order by seq desc limit 1"


async def matrix(db: asyncpg.Connection) -> str:
    """One line an object, and a line below it for each role that may do anything. Leaves nothing behind."""
    lines: list[str] = []
    for query in CATALOG:
        for row in await db.fetch(query, *[ROLES] * ("$1" in query)):
            lines.append(f"{row['object']}  [{row['note']}]" if row["note"] else row["object"])
            rights = row.get("rights") or {}
            lines += [f"    {role}: {rights[role]}" for role in ROLES if rights.get(role, "-") != "-"]
    transaction = db.transaction()
    await transaction.start()
    lines += [*await buckets(db), *await topics(db), *await jobs(db)]
    await transaction.rollback()
    return "\n".join(lines) + "\n"


async def may(db: asyncpg.Connection, who: Somebody, statement: str, *arguments: object) -> bool:
    """Whether the statement touches its one row; it is taken back."""
    transaction = db.transaction()
    await transaction.start()
    try:
        async with who.acts(db):
            return (await db.execute(statement, *arguments)).endswith(" 1")
    except asyncpg.PostgresError:
        return False
    finally:
        await transaction.rollback()


async def buckets(db: asyncpg.Connection) -> list[str]:
    """What each may do with a bucket and an object of Alice's in it; a public one is downloaded by whoever knows the path."""
    lines = []
    await db.execute("select set_config('storage.allow_delete_query', 'true', true)")
    for bucket in await db.fetch(BUCKETS):
        await db.execute(OBJECT, bucket["id"], "probe", ALICE)
        lines.append(f"bucket {bucket['id']}  [{bucket['note']}]")
        for who in EVERYBODY:
            done = [name for name, statement in WITH_BUCKETS.items() if await may(db, who, statement, bucket["id"])]
            lines += [f"    {who.name}: {', '.join(done)}"] if done else []
    return lines


async def topics(db: asyncpg.Connection) -> list[str]:
    """Who may join what, and who may send; the service role passes every policy."""
    queue = Queue(db)
    known = {
        "jobs": "jobs",
        "job:<ownerless>": f"job:{await queue.insert()}",
        "job:<alice's>": f"job:{await queue.insert(owner=ALICE)}",
        "job:<unknown>": "job:00000000-0000-4000-8000-000000000000",
        "echo:<any>": "echo:8f3a",
        "anything": "anything",
    }
    lines = []
    for name, topic in known.items():
        await db.execute("select set_config('realtime.topic', $1, true)", topic)
        join = [who.name for who in EVERYBODY if await may_join(db, who, topic)]
        send = [who.name for who in EVERYBODY if await may(db, who, SEND, topic)]
        lines.append(f"topic {name}\n    watched by {', '.join(join)}\n    sent to by {', '.join(send)}")
    return lines


async def jobs(db: asyncpg.Connection) -> list[str]:
    """What becomes of a job that is inserted by hand: what its trigger makes of it."""
    lines = []
    for who in EVERYBODY:
        if await may(db, who, JOB, {}):
            async with who.acts(db):
                await db.execute(JOB, {"variants": 2})
            became = ", ".join(f"{name} {value}" for name, value in (await db.fetchrow(BECAME)).items())
            lines.append(f"job inserted by {who.name}\n    {became}")
        lines += [
            f"job inserted by {who.name} with {option}"
            for option in OPTIONS
            if await may(db, who, JOB, OPTIONS[option])
        ]
    return lines
