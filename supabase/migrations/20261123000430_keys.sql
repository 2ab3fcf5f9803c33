-- Keys for servers, and the lists of jobs that keys and users may ask for.
--
-- A key is `rk_` and 256 random bits, shown once; here is its SHA-256. Whoever calls with it is, for all the functions of this
-- schema, the user whose id is the key's. So its jobs are its own, by REST and by its limit; Realtime knows no such user.

create function queue.add_key(p_name text, p_hash text, p_limit integer) returns uuid
language plpgsql set search_path = ''
as $$
declare
  v_id uuid;
begin
  insert into private.keys (name, hash, pending_limit) values (p_name, p_hash, p_limit)
    on conflict (name) do nothing returning id into v_id;
  if v_id is null then
    raise exception using errcode = '22023', message = format('there is a key of the name %s already; a name is taken once', p_name);
  end if;
  return v_id;
end
$$;
comment on function queue.add_key(text, text, integer) is 'Enter a key by the SHA-256 of it, in hexadecimal digits.';

-- Its jobs stay, and nobody may see them any more but operators.
create function queue.revoke_key(p_name text) returns boolean
language sql set search_path = ''
as $$
  with revoked as (update private.keys k set revoked_at = now() where k.name = p_name and k.revoked_at is null returning 1)
  select exists (select from revoked);
$$;
comment on function queue.revoke_key(text) is 'End a key; false when none of that name holds.';

create function queue.keys() returns table (id uuid, name text, pending_limit integer, created_at timestamptz, revoked_at timestamptz, pending bigint)
language sql stable set search_path = ''
as $$
  select k.id, k.name, k.pending_limit, k.created_at, k.revoked_at,
         (select count(*) from public.jobs j where j.tenant = 'key:' || k.id and j.status = 'pending')
    from private.keys k order by k.created_at;
$$;
comment on function queue.keys() is 'All keys, with the jobs of each that wait.';

create function queue.key_of(p_hash text) returns uuid
language sql stable set search_path = ''
as $$
  select k.id from private.keys k where k.hash = p_hash and k.revoked_at is null;
$$;
comment on function queue.key_of(text) is 'The id of the key with this SHA-256; null when there is none that holds.';

-- The jobs of a user or a key, newest first, a page at a time: {jobs, next_cursor}. A cursor is where the page before ended, so
-- that what is made or deleted meanwhile moves nothing. Results and directions are left out: GET the job.
create function queue.list(p_owner uuid, p_status text default null, p_cursor text default null, p_limit text default null) returns jsonb
language plpgsql stable set search_path = ''
as $$
declare
  v_limit integer := 20;
  v_at timestamptz;
  v_id uuid;
  v_page jsonb;
begin
  if p_status not in ('pending', 'processing', 'completed', 'failed', 'cancelled') then
    raise exception using errcode = '22023', message = 'status: must be pending, processing, completed, failed or cancelled';
  end if;
  if p_limit is not null then
    if p_limit !~ '^0*([1-9][0-9]?|100)$' then
      raise exception using errcode = '22023', message = 'limit: must be a whole number from 1 to 100';
    end if;
    v_limit := p_limit;
  end if;
  if p_cursor is not null then
    if p_cursor !~ '^[0-9]{1,17}\.[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then
      raise exception using errcode = '22023', message = 'cursor: must be the next_cursor of an answer';
    end if;
    v_at := timestamptz 'epoch' + interval '1 microsecond' * split_part(p_cursor, '.', 1)::bigint;
    v_id := split_part(p_cursor, '.', 2);
  end if;
  select coalesce(jsonb_agg(jsonb_build_array(j.id, (extract(epoch from j.created_at) * 1000000)::bigint) order by j.created_at desc, j.id desc), '[]')
    into v_page
    from (select j.id, j.created_at from public.jobs j
           where j.owner = p_owner and (p_status is null or j.status = p_status)
             and (v_at is null or (j.created_at, j.id) < (v_at, v_id))
           order by j.created_at desc, j.id desc limit v_limit + 1) j;
  return jsonb_build_object(
    'jobs', (select coalesce(jsonb_agg(queue.answer((p.job ->> 0)::uuid) - array['results', 'directions', 'hits', 'segments', 'brief'] order by p.place), '[]')
               from jsonb_array_elements(v_page) with ordinality p (job, place) where p.place <= v_limit),
    'next_cursor', case when jsonb_array_length(v_page) > v_limit then
      (v_page -> (v_limit - 1) ->> 1) || '.' || (v_page -> (v_limit - 1) ->> 0) end);
end
$$;
comment on function queue.list(uuid, text, text, text) is 'A page of the jobs of a user or a key, newest first.';
