-- What the gateways ask the database for themselves: who may do what on a channel, who sees a changed row.
--
-- The functions take another role for the length of one look, as the hosted Realtime server does. They live in a
-- schema that nobody else may use; the gateway lays them at every start, and only a superuser can. They leave the
-- search path as it is: the policies, types and operators they meet are the project's, and may lean on it.

create schema if not exists gateway;
revoke all on schema gateway from public;

create or replace function gateway.is_role(p_role text) returns boolean
language sql stable as $$
  select exists (
    select from pg_roles as r where r.rolname = p_role and pg_has_role('authenticator', r.oid, 'member')
  )
$$;
comment on function gateway.is_role(text) is 'Whether a token may name this role: those that the authenticator may take, never a superuser.';

create or replace function gateway.become(p_role text, p_claims text) returns void
language plpgsql as $$
begin
  if not gateway.is_role(p_role) then
    raise exception 'role "%" does not exist', p_role using errcode = 'invalid_parameter_value';
  end if;
  perform set_config('request.jwt.claims', p_claims, true), set_config('role', p_role, true);
end
$$;
comment on function gateway.become(text, text) is 'Take a role and its claims until the end of the transaction.';

create or replace function gateway.authorise(p_topic text, p_role text, p_claims text, p_headers text)
returns table (may_read text[], may_write text[])
language plpgsql as $$
declare
  v_probes uuid[] := array[gen_random_uuid(), gen_random_uuid()];
  v_extensions constant text[] := array['broadcast', 'presence'];
  v_extension text;
begin
  may_read := '{}';
  may_write := '{}';
  if not gateway.is_role(p_role) then
    return next;
    return;
  end if;
  begin
    insert into realtime.messages (id, topic, extension, private)
    select p.id, p_topic, p.extension, true from unnest(v_probes, v_extensions) as p (id, extension);
    perform
      set_config('realtime.topic', p_topic, true), set_config('request.jwt.claims', p_claims, true),
      set_config('request.headers', p_headers, true), set_config('role', p_role, true);
    select coalesce(array_agg(m.extension), '{}') into may_read
    from realtime.messages as m where m.id = any (v_probes) and m.inserted_at = localtimestamp;
    foreach v_extension in array v_extensions loop
      begin
        insert into realtime.messages (topic, extension, private) values (p_topic, v_extension, true);
        may_write := may_write || v_extension;
      exception when others then
        null; -- refused, for whatever reason: no permission
      end;
    end loop;
    raise exception 'the probes are taken back' using errcode = 'RTLOK';
  exception when sqlstate 'RTLOK' then
    null;
  end;
  return next;
end
$$;
comment on function gateway.authorise(text, text, text, text) is 'Which extensions of a private channel a role may read and write, by the policies on realtime.messages. Leaves no row behind.';

create or replace function gateway.relation(p_relation oid)
returns table (schema_name text, table_name text, names text[], types text[], key text[], secured boolean)
language sql stable as $$
  select
    n.nspname, c.relname, array_agg(a.attname::text order by a.attnum), array_agg(t.typname::text order by a.attnum),
    coalesce((
      select array_agg(k.attname::text order by k.attnum)
      from pg_index as i join pg_attribute as k on k.attrelid = i.indrelid and k.attnum = any (i.indkey)
      where i.indrelid = c.oid and i.indisprimary
    ), '{}'),
    c.relrowsecurity
  from pg_class as c
  join pg_namespace as n on n.oid = c.relnamespace
  join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
  join pg_type as t on t.oid = a.atttypid
  where c.oid = p_relation
  group by c.oid, n.nspname, c.relname, c.relrowsecurity
$$;
comment on function gateway.relation(oid) is 'A table as subscribers are told about it: columns in order, primary key, whether row security is on.';

create or replace function gateway.typed(p_relation oid, p_texts jsonb) returns jsonb
language plpgsql stable as $$
declare
  v_row jsonb;
begin
  execute format('select to_jsonb(jsonb_populate_record(null::%s, $1))', p_relation::regclass) into v_row using p_texts;
  return (select coalesce(jsonb_object_agg(e.key, e.value), '{}') from jsonb_each(v_row) as e where p_texts ? e.key);
end
$$;
comment on function gateway.typed(oid, jsonb) is 'Column texts out of the write-ahead log as the JSON that to_jsonb gives for the row.';

create or replace function gateway.viewers(
  p_relation oid, p_key jsonb, p_roles text[], p_claims text[], out visible boolean, out columns text[]
) returns setof record
language plpgsql as $$
declare
  v_condition text;
  v_bypass boolean;
begin
  select string_agg(format('%I = %L::%s', e.key, e.value, format_type(a.atttypid, a.atttypmod)), ' and ')
  into v_condition
  from jsonb_each_text(p_key) as e join pg_attribute as a on a.attrelid = p_relation and a.attname = e.key;

  for i in 1 .. cardinality(p_roles) loop
    visible := false;
    columns := '{}';
    if not gateway.is_role(p_roles[i]) then
      return next;
      continue;
    end if;
    columns := array(
      select a.attname::text from pg_attribute as a
      where a.attrelid = p_relation and a.attnum > 0 and not a.attisdropped
        and has_column_privilege(p_roles[i], p_relation, a.attnum, 'select')
      order by a.attnum
    );
    select r.rolbypassrls or not c.relrowsecurity into v_bypass
    from pg_roles as r, pg_class as c where r.rolname = p_roles[i] and c.oid = p_relation;
    visible := v_bypass;
    if not visible and v_condition is not null then
      begin
        perform set_config('request.jwt.claims', p_claims[i], true), set_config('role', p_roles[i], true);
        execute format('select exists (select from %s where %s)', p_relation::regclass, v_condition) into visible;
        perform set_config('role', 'none', true);
      exception when others then
        visible := false; -- the rollback of this block has given the role back
      end;
    end if;
    return next;
  end loop;
end
$$;
comment on function gateway.viewers(oid, jsonb, text[], text[]) is 'For each role and its claims: whether the row with this key is visible now, and which columns may be read.';

create or replace function gateway.matches(
  p_relation oid, p_column text, p_operator text, p_wanted text, p_value text
) returns boolean
language plpgsql stable as $$
declare
  v_type text := (
    select format_type(a.atttypid, null) from pg_attribute as a
    where a.attrelid = p_relation and a.attname = p_column and a.attnum > 0 and not a.attisdropped
  );
  v_sign text;
  v_match boolean;
begin
  if v_type is null then
    raise exception 'invalid column for filter %', p_column;
  elsif p_operator = 'is' then
    if lower(p_wanted) not in ('null', 'true', 'false', 'unknown') then
      raise exception 'invalid value for filter is: %', p_wanted;
    end if;
    execute format('select %L::%s is %s', p_value, v_type, lower(p_wanted)) into v_match;
  elsif p_operator = 'in' then
    execute format('select %L::%s = any (%L::%s[])', p_value, v_type, p_wanted, v_type) into v_match;
  else
    v_sign := case p_operator
      when 'eq' then '=' when 'neq' then '<>' when 'lt' then '<' when 'lte' then '<=' when 'gt' then '>' when 'gte' then '>='
      when 'like' then '~~' when 'ilike' then '~~*' when 'match' then '~' when 'imatch' then '~*'
      when 'isdistinct' then 'is distinct from'
    end;
    if p_operator in ('like', 'ilike', 'match', 'imatch') then
      v_type := 'text';
    end if;
    execute format('select %L::%s %s %L::%s', p_value, v_type, v_sign, p_wanted, v_type) into v_match;
  end if;
  return v_match;
end
$$;
comment on function gateway.matches(oid, text, text, text, text) is 'Whether a column text fulfils one condition of a filter, compared in the column''s own type; null is unknown.';

create or replace function gateway.published(p_schema text, p_table text) returns oid[]
language sql stable as $$
  select array(
    select c.oid from pg_publication_tables as t
    join pg_namespace as n on n.nspname = t.schemaname
    join pg_class as c on c.relnamespace = n.oid and c.relname = t.tablename
    where t.pubname = 'supabase_realtime' and p_schema in ('*', t.schemaname) and p_table in ('*', t.tablename)
  )
$$;
comment on function gateway.published(text, text) is 'The tables of publication supabase_realtime that a subscription names; * is any.';

create or replace function gateway.has_column(p_relation oid, p_column text) returns boolean
language sql stable as $$
  select exists (
    select from pg_attribute as a
    where a.attrelid = p_relation and a.attname = p_column and a.attnum > 0 and not a.attisdropped
  )
$$;
comment on function gateway.has_column(oid, text) is 'Whether the table has this column.';
