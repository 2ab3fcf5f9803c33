-- The shape of a Supabase project, laid on a plain Postgres (15 to 18).
--
-- A hosted project brings roles, schemas and functions that migrations and policies lean on. This file makes
-- what most of them need, under the same names and with the same rights. Supabase's
-- generous default privileges are part of it: whatever is created in `public` belongs to everybody until a
-- migration revokes it, here as there. Running it again changes nothing. It needs a superuser.

-- Roles ---------------------------------------------------------------------------------------------------------------

do $$
declare
  v_role text;
begin
  foreach v_role in array array[
    'anon', 'authenticated', 'service_role', 'authenticator', 'supabase_auth_admin', 'supabase_realtime_admin', 'supabase_storage_admin'
  ] loop
    if not exists (select from pg_roles where rolname = v_role) then
      begin
        execute format('create role %I %s noinherit', v_role, case v_role when 'authenticator' then 'login' else 'nologin' end);
      exception when duplicate_object or unique_violation then
        null; -- roles belong to the whole server: another database laid its baseline at this moment
      end;
    end if;
  end loop;
  if not exists (select from pg_roles where rolname = 'service_role' and rolbypassrls) then
    alter role service_role bypassrls;
  end if;
  if not pg_has_role('authenticator', 'service_role', 'member') then
    grant anon, authenticated, service_role to authenticator;
  end if;
  execute format('grant anon, authenticated, service_role to %I', current_user);
end
$$;

-- Schemas and default privileges --------------------------------------------------------------------------------------

create schema if not exists extensions;
create schema if not exists auth;
create schema if not exists realtime;
create schema if not exists storage;

grant usage on schema public, extensions, auth, realtime, storage to anon, authenticated, service_role;
grant usage on schema realtime to supabase_realtime_admin;
grant usage on schema storage to supabase_storage_admin;

-- For whoever runs the migrations: the role that runs this file.
alter default privileges in schema public grant all on tables to anon, authenticated, service_role;
alter default privileges in schema public grant all on sequences to anon, authenticated, service_role;
alter default privileges in schema public grant all on functions to anon, authenticated, service_role;

-- auth: who asks --------------------------------------------------------------------------------------------------------

create or replace function auth.jwt() returns jsonb language sql stable as $$
  select coalesce(
    nullif(current_setting('request.jwt.claim', true), ''),
    nullif(current_setting('request.jwt.claims', true), '')
  )::jsonb
$$;
comment on function auth.jwt() is 'The claims of the token this request came with.';

create or replace function auth.uid() returns uuid language sql stable as $$
  select coalesce(nullif(current_setting('request.jwt.claim.sub', true), ''), auth.jwt() ->> 'sub')::uuid
$$;
comment on function auth.uid() is 'The user of the token, or null.';

create or replace function auth.role() returns text language sql stable as $$
  select coalesce(nullif(current_setting('request.jwt.claim.role', true), ''), auth.jwt() ->> 'role')
$$;
comment on function auth.role() is 'The role of the token.';

-- realtime: broadcast from the database ---------------------------------------------------------------------------------

create table if not exists realtime.messages (
  id uuid not null default gen_random_uuid(),
  topic text not null,
  extension text not null,
  payload jsonb,
  binary_payload bytea,
  event text,
  private boolean default false,
  updated_at timestamp not null default now(),
  inserted_at timestamp not null default now(),
  primary key (id, inserted_at)
) partition by range (inserted_at);
comment on table realtime.messages is 'Messages on their way to channels; a partition per day, kept for three days. Policies here decide who may join and send.';
create index if not exists messages_inserted_at_topic_index
  on realtime.messages (inserted_at desc, topic) where extension = 'broadcast' and private;

alter table realtime.messages owner to supabase_realtime_admin;
alter table realtime.messages enable row level security;
grant select, insert, update on realtime.messages to anon, authenticated, service_role;

create or replace function realtime.keep_partitions(p_today date default (now() at time zone 'utc')::date) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_day date;
  v_old record;
begin
  for v_day in select d::date from generate_series(p_today - 1, p_today + 3, interval '1 day') as days(d) loop
    execute format(
      'create table if not exists realtime.%I partition of realtime.messages for values from (%L) to (%L)',
      'messages_' || to_char(v_day, 'YYYY_MM_DD'), v_day, v_day + 1
    );
  end loop;
  for v_old in
    select c.relname from pg_catalog.pg_inherits as i join pg_catalog.pg_class as c on c.oid = i.inhrelid
    where i.inhparent = 'realtime.messages'::regclass and c.relname < 'messages_' || to_char(p_today - 3, 'YYYY_MM_DD')
  loop
    execute format('drop table if exists realtime.%I', v_old.relname);
  end loop;
end
$$;
comment on function realtime.keep_partitions(date) is 'Make the partitions from yesterday to three days ahead and drop those older than three days.';
revoke execute on function realtime.keep_partitions(date) from public, anon, authenticated;
select realtime.keep_partitions();

create or replace function realtime.topic() returns text language sql stable as $$
  select nullif(current_setting('realtime.topic', true), '')
$$;
comment on function realtime.topic() is 'The channel a policy on realtime.messages is asked about.';

create or replace function realtime.send(payload jsonb, event text, topic text, private boolean default true) returns void
language plpgsql as $$
declare
  v_id uuid := gen_random_uuid();
begin
  if jsonb_typeof(payload) = 'object' and not payload ? 'id' then
    payload := payload || jsonb_build_object('id', v_id);
  end if;
  perform set_config('realtime.topic', topic, true);
  insert into realtime.messages (id, payload, event, topic, private, extension)
  values (v_id, payload, event, topic, private, 'broadcast');
exception when others then
  raise warning 'WarnSendingBroadcastMessage: %', sqlerrm;
end
$$;
comment on function realtime.send(jsonb, text, text, boolean) is 'Broadcast a JSON payload; an error is only a warning, the write that called it goes on.';

create or replace function realtime.send_binary(payload bytea, event text, topic text, private boolean default true) returns void
language plpgsql as $$
begin
  perform set_config('realtime.topic', topic, true);
  insert into realtime.messages (binary_payload, event, topic, private, extension)
  values (payload, event, topic, private, 'broadcast');
exception when others then
  raise warning 'WarnSendingBroadcastMessage: %', sqlerrm;
end
$$;
comment on function realtime.send_binary(bytea, text, text, boolean) is 'Broadcast bytes; clients that speak protocol 1.0.0 do not receive them.';

create or replace function realtime.broadcast_changes(
  topic_name text, event_name text, operation text, table_name text, table_schema text,
  new record, old record, level text default 'ROW'
) returns void
language plpgsql as $$
declare
  v_payload jsonb;
begin
  if level = 'STATEMENT' then
    raise exception 'realtime.broadcast_changes works in a trigger for each row, not for each statement';
  end if;
  v_payload := jsonb_build_object(
    'schema', table_schema, 'table', table_name, 'operation', operation,
    'record', case when operation = 'DELETE' then null else to_jsonb(new) end,
    'old_record', case when operation = 'INSERT' then null else to_jsonb(old) end
  );
  perform realtime.send(v_payload, event_name, topic_name);
end
$$;
comment on function realtime.broadcast_changes(text, text, text, text, text, record, record, text) is 'Broadcast a changed row to a private channel, from a trigger.';

do $$
begin
  if not exists (select from pg_publication where pubname = 'supabase_realtime') then
    create publication supabase_realtime;
    if current_setting('server_version_num')::int >= 180000 then
      execute 'alter publication supabase_realtime set (publish_generated_columns = stored)'; -- as wal2json has them
    end if;
  end if;
  if not exists (select from pg_publication where pubname = 'supabase_realtime_messages_publication') then
    create publication supabase_realtime_messages_publication for table realtime.messages with (publish_via_partition_root = true);
  end if;
end
$$;

-- storage: buckets and objects -------------------------------------------------------------------------------------------

create table if not exists storage.buckets (
  id text primary key,
  name text not null unique,
  owner uuid,
  owner_id text,
  public boolean default false,
  avif_autodetection boolean default false,
  file_size_limit bigint,
  allowed_mime_types text[],
  created_at timestamptz default now(),
  updated_at timestamptz default now()
);
comment on table storage.buckets is 'Buckets of the storage gateway.';

create table if not exists storage.objects (
  id uuid primary key default gen_random_uuid(),
  bucket_id text references storage.buckets (id),
  name text,
  owner uuid,
  owner_id text,
  path_tokens text[] generated always as (string_to_array(name, '/')) stored,
  version text,
  metadata jsonb,
  user_metadata jsonb,
  created_at timestamptz default now(),
  updated_at timestamptz default now(),
  last_accessed_at timestamptz default now()
);
comment on table storage.objects is 'Objects of the storage gateway; the bytes lie on disk under the version.';
create unique index if not exists bucketid_objname on storage.objects (bucket_id, name);
create index if not exists objects_name_prefix on storage.objects (bucket_id, name text_pattern_ops);

create or replace function storage.foldername(name text) returns text[] language sql immutable as $$
  select (string_to_array(name, '/'))[:array_length(string_to_array(name, '/'), 1) - 1]
$$;
comment on function storage.foldername(text) is 'The folders of an object name, outermost first.';

create or replace function storage.filename(name text) returns text language sql immutable as $$
  select (string_to_array(name, '/'))[array_length(string_to_array(name, '/'), 1)]
$$;
comment on function storage.filename(text) is 'The last part of an object name.';

create or replace function storage.extension(name text) returns text language sql immutable as $$
  select reverse(split_part(reverse(storage.filename(name)), '.', 1))
$$;
comment on function storage.extension(text) is 'What follows the last dot of an object name.';

create or replace function storage.protect_delete() returns trigger language plpgsql as $$
begin
  if coalesce(current_setting('storage.allow_delete_query', true), 'false') <> 'true' then
    raise exception 'Direct deletion from storage tables is not allowed. Use the Storage API instead.'
      using errcode = '42501', hint = 'A row deleted here would leave its file behind.';
  end if;
  return null;
end
$$;
comment on function storage.protect_delete() is 'Rows and files go together: only the Storage API deletes them.';
create or replace trigger protect_buckets_delete before delete on storage.buckets
  for each statement execute function storage.protect_delete();
create or replace trigger protect_objects_delete before delete on storage.objects
  for each statement execute function storage.protect_delete();

alter table storage.buckets owner to supabase_storage_admin;
alter table storage.objects owner to supabase_storage_admin;
alter table storage.buckets enable row level security;
alter table storage.objects enable row level security;
grant all on storage.buckets, storage.objects to anon, authenticated, service_role;
