"""The access matrix out of the catalog: every object outside Postgres' own schemas, and what each role may do with it.

Each query gives `object`, a `note` and, where there are rights, `rights` by role. What differs between the versions of
Postgres is left out (the privilege MAINTAIN), what differs between days too (the dates of partitions).
"""

from __future__ import annotations

ROLES = ("anon", "authenticated", "service_role", "rhythmai_worker", "rhythmai_worker_key", "rhythmai_api")

ROLE_ATTRIBUTES = """
select 'role ' || r.rolname as object,
       concat_ws(', ', case when r.rolsuper then 'superuser' end, case when r.rolbypassrls then 'bypasses rls' end,
         case when r.rolinherit then 'inherits' end, case when r.rolcanlogin then 'logs in' end,
         case when r.rolcreaterole then 'creates roles' end, case when r.rolreplication then 'replicates' end,
         'member of ' || coalesce((select string_agg(distinct g.rolname, ' ' order by g.rolname)
           from pg_auth_members m join pg_roles g on g.oid = m.roleid where m.member = r.oid), 'nothing'),
         'taken by ' || coalesce((select string_agg(distinct g.rolname, ' ' order by g.rolname)
           from pg_auth_members m join pg_roles g on g.oid = m.member where m.roleid = r.oid and not g.rolsuper), 'nobody')
       ) as note
  from pg_roles r
 where r.rolname in ('anon', 'authenticated', 'service_role', 'authenticator') or r.rolname ~ '^(supabase|rhythmai)_'
 order by 1
"""
SCHEMAS = """
select 'schema ' || n.nspname as object, null as note,
       (select jsonb_object_agg(r.role, (select coalesce(string_agg(p.privilege, ', ' order by p.privilege), '-')
          from unnest(array['create', 'usage']) p (privilege) where has_schema_privilege(r.role, n.oid, p.privilege)))
          from unnest($1::text[]) r (role)) as rights
  from pg_namespace n where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
 order by 1
"""
RELATIONS = """
select distinct case c.relkind when 'S' then 'sequence ' when 'v' then 'view ' when 'm' then 'materialized view ' else 'table ' end
         || n.nspname || '.' || case when c.relispartition then regexp_replace(c.relname, '\\d{4}_\\d\\d_\\d\\d$', '<day>') else c.relname end as object,
       case when c.relkind <> 'S' then concat_ws(', ',
         case when c.relrowsecurity then 'rls on' else 'rls OFF' end,
         case when c.relforcerowsecurity then 'for the owner too' end,
         case c.relreplident when 'f' then 'replica identity full' when 'i' then 'replica identity by an index' when 'n' then
           case when c.relkind in ('r', 'p') then 'replica identity nothing' end end,
         case when c.relkind = 'v' then array_to_string(c.reloptions, ' ') end) end as note,
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
          from unnest($1::text[]) r (role)) as rights
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
 where n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
 order by 1
"""
FUNCTIONS = """
select 'function ' || n.nspname || '.' || p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')' as object,
       concat_ws(', ', 'returns ' || pg_get_function_result(p.oid),
         -- With the rights of its owner, or in the middle of every write: what it says is part of who may do what.
         case when p.prosecdef then concat_ws(' ', 'security definer', array_to_string(p.proconfig, ' ')) end,
         case when p.prosecdef or p.prorettype = 'trigger'::regtype
           then 'body ' || left(md5(coalesce(pg_get_function_sqlbody(p.oid), p.prosrc)), 8) end) as note,
       (select jsonb_object_agg(r.role, case when has_function_privilege(r.role, p.oid, 'execute')
                                              and has_schema_privilege(r.role, p.pronamespace, 'usage') then 'execute' else '-' end)
          from unnest($1::text[]) r (role)) as rights
  from pg_proc p join pg_namespace n on n.oid = p.pronamespace
 where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
 order by 1
"""
DEFAULTS = """
select format('default privileges on %s%s',
         case d.defaclobjtype when 'r' then 'tables' when 'S' then 'sequences' when 'f' then 'functions' when 'T' then 'types' else 'schemas' end,
         coalesce(' in schema ' || n.nspname, '')) as object,
       string_agg(g.who || ' ' || g.privileges, ', ' order by g.who) as note
  from pg_default_acl d left join pg_namespace n on n.oid = d.defaclnamespace,
       lateral (select case when a.grantee = 0 then 'public' else a.grantee::regrole::text end as who,
                       lower(string_agg(a.privilege_type, '+' order by a.privilege_type)) as privileges
                  from aclexplode(d.defaclacl) a
                 where a.grantee <> d.defaclrole and a.privilege_type <> 'MAINTAIN' group by 1) g
 group by 1 order by 1
"""
TRIGGERS = """
select format('trigger %s.%s %s', n.nspname, case when c.relispartition then '<partition>' else c.relname end, t.tgname) as object,
       concat_ws(', ', case t.tgenabled when 'D' then 'DISABLED' when 'O' then null else format('enabled %s', t.tgenabled) end,
         substring(pg_get_triggerdef(t.oid) from 'TRIGGER \\S+ (.*)')) as note
  from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace
 where not t.tgisinternal
 union all
select 'event trigger ' || evtname, concat_ws(' ', evtevent, evtfoid::regprocedure, evtenabled) from pg_event_trigger
 order by 1
"""
POLICIES = """
select format('policy %s.%s "%s"', schemaname, tablename, policyname) as object,
       format('%s for %s to %s, using %s, check %s', lower(permissive), lower(cmd), array_to_string(roles, ', '),
              coalesce(regexp_replace(qual, '\\s+', ' ', 'g'), '-'), coalesce(regexp_replace(with_check, '\\s+', ' ', 'g'), '-')) as note
  from pg_policies order by 1
"""
PUBLICATIONS = """
select 'publication ' || p.pubname as object,
       concat_ws(', ', case when p.puballtables then 'ALL TABLES' end, case when p.pubinsert then 'insert' end,
         case when p.pubupdate then 'update' end, case when p.pubdelete then 'delete' end,
         case when p.pubtruncate then 'truncate' end, case when p.pubviaroot then 'by the root' end) as note
  from pg_publication p
 union all
select format('publication %s %s.%s', t.pubname, t.schemaname, t.tablename),
       format('%s columns%s', case when cardinality(t.attnames) = (select count(*) from pg_attribute a
                where a.attrelid = format('%I.%I', t.schemaname, t.tablename)::regclass and a.attnum > 0 and not a.attisdropped)
              then 'all' else array_to_string(t.attnames, ' ') end, coalesce(', where ' || t.rowfilter, ''))
  from pg_publication_tables t
 order by 1
"""
CATALOG = (ROLE_ATTRIBUTES, SCHEMAS, RELATIONS, FUNCTIONS, DEFAULTS, TRIGGERS, POLICIES, PUBLICATIONS)
