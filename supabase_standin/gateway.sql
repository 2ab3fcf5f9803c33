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

create or replace function gateway.typed(p_relation oid, p_rows jsonb) returns jsonb
language plpgsql stable as $$
declare
  v_rows jsonb;
begin
  execute format($select$
    select jsonb_agg((
      select coalesce(jsonb_object_agg(c.key, c.value), '{}')
      from jsonb_each(to_jsonb(jsonb_populate_record(null::%s, e.texts))) as c where e.texts ? c.key
    ) order by e.n)
    from jsonb_array_elements($1) with ordinality as e (texts, n)
  $select$, p_relation::regclass) into v_rows using p_rows;
  return coalesce(v_rows, '[]');
end
$$;
comment on function gateway.typed(oid, jsonb) is 'Rows as column texts out of the write-ahead log, as the JSON that to_jsonb gives for them.';

create or replace function gateway.sees(p_relation oid, p_rows jsonb, p_roles text[], p_claims text[])
returns table (visible boolean[], columns text[])
language plpgsql as $$
declare
  v_count constant int := jsonb_array_length(p_rows);
  v_condition constant text := (
    select string_agg(format('t.%1$I = (e.texts ->> %1$L)::%2$s', a.attname, format_type(a.atttypid, a.atttypmod)), ' and ')
    from pg_index as i join pg_attribute as a on a.attrelid = i.indrelid and a.attnum = any (i.indkey)
    where i.indrelid = p_relation and i.indisprimary
  );
  v_all boolean;
begin
  for i in 1 .. cardinality(p_roles) loop
    visible := array_fill(false, array[v_count]);
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
    select r.rolbypassrls or not c.relrowsecurity into v_all
    from pg_roles as r, pg_class as c where r.rolname = p_roles[i] and c.oid = p_relation;
    if v_all then
      visible := array_fill(true, array[v_count]);
    elsif v_condition is not null then
      begin
        perform set_config('request.jwt.claims', p_claims[i], true), set_config('role', p_roles[i], true);
        execute format(
          'select array_agg(exists (select from %s as t where %s) order by e.n) from jsonb_array_elements($1) with ordinality as e (texts, n)',
          p_relation::regclass, v_condition
        ) into visible using p_rows;
        perform set_config('role', 'none', true);
      exception when others then
        if v_count > 1 then
          raise; -- one of them is to blame: the caller asks again for each
        end if;
        visible := '{false}'; -- the rollback of this block has given the role back
      end;
    end if;
    return next;
  end loop;
end
$$;
comment on function gateway.sees(oid, jsonb, text[], text[]) is 'For each role and its claims: which of the rows with these keys are visible now, and which columns may be read.';

create or replace function gateway.matches(
  p_relation oid, p_rows jsonb, p_columns text[], p_operators text[], p_values text[]
) returns table (matches boolean[], failure text)
language plpgsql stable as $$
declare
  v_type text;
begin
  for i in 1 .. cardinality(p_columns) loop
    matches := null;
    failure := null;
    begin
      select format_type(a.atttypid, -1) into strict v_type from pg_attribute as a
      where a.attrelid = p_relation and a.attname = p_columns[i] and not a.attisdropped;
      execute format(
        'select array_agg((e.texts ->> %L)::%s %s order by e.n) from jsonb_array_elements($1) with ordinality as e (texts, n)',
        p_columns[i], v_type, case p_operators[i]
          when 'in' then format('= any (%L::%s[])', p_values[i], v_type)
          else format('%s %L::%s', case p_operators[i]
            when 'eq' then '=' when 'neq' then '<>' when 'lt' then '<' when 'lte' then '<=' when 'gt' then '>' when 'gte' then '>='
          end, p_values[i], v_type)
        end
      ) into matches using p_rows;
    exception when others then
      failure := sqlerrm;
    end;
    return next;
  end loop;
end
$$;
comment on function gateway.matches(oid, jsonb, text[], text[], text[]) is 'For each condition of a filter which rows, given as column texts, fulfil it, compared in the column''s own type, or why it fails; null is unknown.';

create or replace function gateway.messages_since(p_snapshot text)
returns table (id text, topic text, private text, event text, payload text, binary_payload text, extension text)
language sql stable as $$
  select
    m.id::text, m.topic, case when m.private then 't' else 'f' end, m.event, m.payload::text,
    '\x' || encode(m.binary_payload, 'hex'), m.extension
  from realtime.messages as m
  where not pg_visible_in_snapshot(m.xmin::text::xid8, p_snapshot::pg_snapshot)
  order by m.inserted_at
$$;
comment on function gateway.messages_since(text) is 'Messages committed after a snapshot, as the texts that a replication slot gives for them.';

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
