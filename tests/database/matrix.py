"""The access matrix: who may do what with every object of ours, as text that a person can review line by line."""

from __future__ import annotations

import asyncpg

from tests.database.desk import Queue
from tests.database.roles import ALICE, ALICES, BOBS, SERVICE, VISITOR, may_join

RELATIONS = """
select case c.relkind when 'S' then 'sequence ' when 'v' then 'view ' else 'table ' end || n.nspname || '.' || c.relname as object,
       case when c.relkind = 'S' then '' when c.relrowsecurity then 'rls on' else 'rls OFF' end as note,
       (select jsonb_object_agg(r.role, (
          select coalesce(string_agg(p.privilege || coalesce('(' || (
                   select string_agg(a.attname, ', ' order by a.attnum) from pg_attribute a
                    where not p.whole and a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
                      and has_column_privilege(r.role, c.oid, a.attnum, p.privilege)) || ')', ''), ', ' order by p.privilege), '-')
            from (select x.privilege,
                         case when c.relkind = 'S' then has_sequence_privilege(r.role, c.oid, x.privilege)
                              else has_table_privilege(r.role, c.oid, x.privilege) end as whole
                    from unnest(case when c.relkind = 'S' then array['select', 'update', 'usage']
                                     else array['delete', 'insert', 'references', 'select', 'trigger', 'truncate', 'update'] end) x (privilege)) p
           where p.whole or (c.relkind <> 'S' and p.privilege in ('insert', 'references', 'select', 'update')
                             and has_any_column_privilege(r.role, c.oid, p.privilege))))
          from unnest(array['anon', 'authenticated', 'service_role']) r (role)) as rights
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
 where n.nspname in ('public', 'private', 'queue') and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
 order by 1
"""
FUNCTIONS = """
select 'function ' || p.oid::regprocedure as object,
       concat_ws(', ', case when p.prosecdef then 'security definer' end, case when p.prorettype = 'trigger'::regtype then 'trigger' end) as note,
       (select jsonb_object_agg(r.role, case when has_function_privilege(r.role, p.oid, 'execute')
                                              and has_schema_privilege(r.role, p.pronamespace, 'usage') then 'execute' else '-' end)
          from unnest(array['anon', 'authenticated', 'service_role']) r (role)) as rights
  from pg_proc p join pg_namespace n on n.oid = p.pronamespace
 where n.nspname in ('public', 'private', 'queue')
 order by 1
"""
POLICIES = """
select format('policy %s.%s "%s"', schemaname, tablename, policyname) as object,
       format('%s for %s to %s, using %s, check %s', lower(permissive), lower(cmd), array_to_string(roles, ', '),
              coalesce(regexp_replace(qual, '\\s+', ' ', 'g'), '-'), coalesce(regexp_replace(with_check, '\\s+', ' ', 'g'), '-')) as note
  from pg_policies where schemaname in ('public', 'private', 'queue', 'realtime', 'storage')
 order by 1
"""
BUCKETS = """
select 'bucket ' || id as object,
       format('%s, at most %s bytes, %s', case when public then 'public' else 'private' end, file_size_limit,
              array_to_string(allowed_mime_types, ' ')) as note
  from storage.buckets order by 1
"""
PUBLISHED = """
select format('publication %s %s.%s', pubname, schemaname, tablename) as object
  from pg_publication_tables where pubname = 'supabase_realtime' order by 1
"""
ROLES = ("anon", "authenticated", "service_role")


async def matrix(db: asyncpg.Connection) -> str:
    """One line an object, and a line below it for each role that may do anything."""
    lines = []
    for row in [*await db.fetch(RELATIONS), *await db.fetch(FUNCTIONS)]:
        lines.append(f"{row['object']}  [{row['note']}]" if row["note"] else row["object"])
        lines += [f"    {role}: {row['rights'][role]}" for role in ROLES if row["rights"][role] != "-"]
    for query in (POLICIES, BUCKETS):
        lines += [f"{row['object']}\n    {row['note']}" for row in await db.fetch(query)]
    lines += [row["object"] for row in await db.fetch(PUBLISHED)]
    return "\n".join([*lines, *await topics(db)]) + "\n"


async def topics(db: asyncpg.Connection) -> list[str]:
    """Who may join what; the service role passes every policy."""
    queue = Queue(db)
    known = {
        "jobs": "jobs",
        "job:<ownerless>": f"job:{await queue.insert()}",
        "job:<alice's>": f"job:{await queue.insert(owner=ALICE)}",
        "job:<unknown>": "job:00000000-0000-4000-8000-000000000000",
        "anything": "anything",
    }
    lines = []
    for name, topic in known.items():
        who = [somebody.name for somebody in (VISITOR, ALICES, BOBS, SERVICE) if await may_join(db, somebody, topic)]
        lines.append(f"topic {name}\n    watched by {', '.join(who)}")
    return lines
