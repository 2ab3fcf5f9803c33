"""Lists of objects: one level of folders at a time, or all names below a prefix; both show what the caller's role may select."""

from __future__ import annotations

from typing import Any, Final

from supabase_standin.authentication import Identity
from supabase_standin.database import Database
from supabase_standin.storage.bodies import Below, Level, Order

LEVEL: Final = """
with below as (
  select o.*, substr(o.name, length($2) + 1) as rest
  from storage.objects as o where o.bucket_id = $1 and starts_with(o.name, $2)
), entries as (
  select distinct on (split_part(rest, '/', 1)) split_part(rest, '/', 1) as entry, true as folder,
    null::uuid as id, null::timestamptz as updated_at, null::timestamptz as created_at,
    null::timestamptz as last_accessed_at, null::jsonb as metadata
  from below where position('/' in rest) > 0
  union all
  select rest, false, id, updated_at, created_at, last_accessed_at, metadata from below where position('/' in rest) = 0
), sortable as (
  select *, case $6 when 'updated_at' then updated_at when 'created_at' then created_at
    when 'last_accessed_at' then last_accessed_at end as moment
  from entries where starts_with(lower(entry), lower($3))
)
select entry as name, id, updated_at, created_at, last_accessed_at, metadata from sortable
order by folder desc,
  case when not $7 then moment end, case when $7 then moment end desc,
  case when not $7 then entry end collate "C", case when $7 then entry end collate "C" desc
limit $4 offset $5
"""

BELOW: Final = """
with below as (
  select o.*, strpos(substr(o.name, length($2) + 1), '/') as slash
  from storage.objects as o where o.bucket_id = $1 and starts_with(o.name, $2)
), entries as (
  select *, case when $3 and slash > 0 then left(name, length($2) + slash) else name end collate "C" as key from below
)
select distinct on (key) $3 and slash > 0 as folder, key, key as name, id, updated_at, created_at, last_accessed_at, metadata
from entries where $4::text is null or key > $4 order by key limit $5
"""


async def level(database: Database, identity: Identity, bucket: str, body: Level) -> list[dict[str, Any]]:
    """Folders (without an id) first, then files, named relative to the prefix."""
    prefix, order = (body.prefix or "").strip("/"), body.sort_by or Order()
    column, descending = order.column or "name", order.order == "desc"
    asked = (f"{prefix}/" if prefix else "", body.search or "", body.limit or 100, body.offset or 0)
    async with database.as_identity(identity) as connection:
        rows = await connection.fetch(LEVEL, bucket, *asked, column, descending)
    return [dict(row) for row in rows]


async def below(database: Database, identity: Identity, bucket: str, body: Below) -> dict[str, Any]:
    """A page of names below a prefix; with `with_delimiter` what lies deeper is one folder."""
    limit = min(body.limit or 1000, 1000)
    asked = (bucket, body.prefix or "", bool(body.with_delimiter), body.cursor, limit + 1)
    async with database.as_identity(identity) as connection:
        rows = await connection.fetch(BELOW, *asked)
    page = rows[:limit]
    more = {"nextCursor": page[-1]["key"]} if len(rows) > limit else {}
    return {
        "hasNext": bool(more),
        "folders": [{"key": row["key"].rstrip("/"), "name": row["key"]} for row in page if row["folder"]],
        "objects": [dict(list(row.items())[1:]) for row in page if not row["folder"]],
        **more,
    }
