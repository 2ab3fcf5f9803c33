"""Lists of objects: one level of folders at a time, or all names below a prefix."""

from __future__ import annotations

import base64
import json
from typing import Any, Final

from supabase_standin.authentication import Identity
from supabase_standin.database import Database
from supabase_standin.storage.bodies import Below, Level, Order
from supabase_standin.storage.failures import bad_request

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
with entries as (
  select case when $3 and position('/' in substr(o.name, length($2) + 1)) > 0
      then $2 || split_part(substr(o.name, length($2) + 1), '/', 1) || '/' end as folder, o.*
  from storage.objects as o where o.bucket_id = $1 and starts_with(o.name, $2)
), distinct_entries as (
  select distinct on (coalesce(folder, name)) coalesce(folder, name) as key, folder is not null as is_folder,
    coalesce(case when folder is not null then null when $7 = 'updated_at' then updated_at
      when $7 = 'created_at' then created_at when $7 = 'last_accessed_at' then last_accessed_at end, '-infinity') as moment,
    id, updated_at, created_at, last_accessed_at, metadata
  from entries order by coalesce(folder, name)
)
select *, moment::text as moment_text from distinct_entries
where $4::text is null or case when $6 then (moment, key collate "C") < ($8::text::timestamptz, $4)
  else (moment, key collate "C") > ($8::text::timestamptz, $4) end
order by case when not $6 then moment end, case when $6 then moment end desc,
  case when not $6 then key end collate "C", case when $6 then key end collate "C" desc
limit $5
"""


class Listing:
    """Both lists show what the caller's role may select."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def level(self, identity: Identity, bucket: str, body: Level) -> list[dict[str, Any]]:
        """Folders (without an id) first, then files, named relative to the prefix."""
        prefix = (body.prefix or "").strip("/")
        order = body.sort_by or Order()
        async with self._database.as_identity(identity) as connection:
            rows = await connection.fetch(
                LEVEL,
                bucket,
                f"{prefix}/" if prefix else "",
                body.search or "",
                body.limit or 100,
                body.offset or 0,
                order.column or "name",
                order.order == "desc",
            )
        return [_times(dict(row)) for row in rows]

    async def below(self, identity: Identity, bucket: str, body: Below) -> dict[str, Any]:
        """A page of names below a prefix; with `with_delimiter` what lies deeper is one folder, which has no time."""
        limit = min(body.limit or 1000, 1000)
        moment, key = _read_cursor(body.cursor) if body.cursor else (None, None)
        order = body.sort_by or Order()
        async with self._database.as_identity(identity) as connection:
            rows = await connection.fetch(
                BELOW,
                bucket,
                body.prefix or "",
                bool(body.with_delimiter),
                key,
                limit + 1,
                order.order == "desc",
                order.column or "name",
                moment,
            )
        page = rows[:limit]
        folders = [{"key": row["key"].rstrip("/"), "name": row["key"]} for row in page if row["is_folder"]]
        objects = [
            _times({name: row[name] for name in ("id", "updated_at", "created_at", "last_accessed_at", "metadata")})
            | {"key": row["key"], "name": row["key"]}
            for row in page
            if not row["is_folder"]
        ]
        more = len(rows) > limit
        cursor = {"nextCursor": _cursor(page[-1]["moment_text"], page[-1]["key"])} if more else {}
        return {"hasNext": more, "folders": folders, "objects": objects, **cursor}


def _cursor(moment: str, key: str) -> str:
    """Where a page ended: the moment it was ordered by, as Postgres writes it, and the name."""
    return base64.urlsafe_b64encode(json.dumps([moment, key]).encode()).decode()


def _read_cursor(cursor: str) -> tuple[str, str]:
    try:
        moment, key = json.loads(base64.urlsafe_b64decode(cursor))
    except (ValueError, TypeError, RecursionError) as error:
        raise bad_request(f"cursor {cursor!r:.80} is not a nextCursor that was given") from error
    if not isinstance(moment, str) or not isinstance(key, str):
        raise bad_request(f"cursor {cursor!r:.80} is not a nextCursor that was given")
    return moment, key


def _times(row: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value.isoformat() if name.endswith("_at") and value else str(value) if name == "id" and value else value
        for name, value in row.items()
    }
