-- What the APIs call: edge_api, the edge function and a psql prompt use the same functions and get the same JSON.
-- SQLSTATEs of our own: RY429 too many pending jobs, RY422 idempotency key reused with another body, RY409 not with this track.

-- The fairness key of a visitor: a salted hash, so that addresses are not stored.
create function private.tenant_of(p_owner uuid, p_client text) returns text
language plpgsql stable set search_path = ''
as $$
begin
  if p_owner is not null then
    return coalesce((select 'key:' || k.id from private.keys k where k.id = p_owner), p_owner::text);
  end if;
  return (select coalesce('client:' || left(encode(sha256(convert_to(s.client_salt || p_client, 'UTF8')), 'hex'), 32), 'sql')
            from private.settings s);
end
$$;
comment on function private.tenant_of(uuid, text) is 'The fairness key: the owner, the key as key:<id>, else a salted hash of the client address, else ''sql''.';

-- The one way in for all of them: with an idempotency key, the same request (by its hash) again answers with the first job.
-- With p_commercial_only an engine whose music allows no commercial use is refused: mmaudio's, whatever its checkpoint.
create function private.enter(
  p_kind text, p_video_url text, p_user_request text, p_options jsonb, p_owner uuid,
  p_client text, p_idempotency_key text, p_traceparent text, p_request jsonb, p_commercial_only boolean, p_plan jsonb default null
) returns uuid
language plpgsql set search_path = ''
as $$
declare
  v_tenant text := private.tenant_of(p_owner, p_client);
  v_hash text := encode(sha256(convert_to(p_request::text, 'UTF8')), 'hex');
  v_job public.jobs;
  v_key private.keys;
begin
  select * into v_key from private.keys k where k.id = p_owner;
  if p_video_url ~* '^storage:' and v_key.id is null and (p_owner is not null or p_client is not null) then
    raise exception using errcode = '22023', message = private.stored_error(p_video_url, false);
  end if;
  if p_commercial_only and p_options ->> 'engine' = 'mmaudio' then
    raise exception using errcode = '22023', message = 'engine: the music of mmaudio may not be used commercially (CC-BY-NC-4.0), '
      'and this server makes none such (COMMERCIAL_ONLY); ask for auto, acestep or sketch';
  end if;
  if p_idempotency_key is not null then
    if p_owner is null and length(p_idempotency_key) < 16 then
      raise exception using errcode = '22023',
        message = 'an Idempotency-Key without sign-in must have at least 16 characters: a short one could be guessed';
    end if;
    perform pg_advisory_xact_lock(hashtextextended('idempotency:' || v_tenant || ':' || p_idempotency_key, 0));
    select * into v_job from public.jobs j where j.tenant = v_tenant and j.idempotency_key = p_idempotency_key;
    if found then
      if v_job.request_hash is distinct from v_hash then
        raise exception using errcode = 'RY422',
          message = 'this Idempotency-Key was used with another body; take a new key for a new request';
      end if;
      return v_job.id;
    end if;
  end if;
  if p_owner is not null then
    perform private.guard_flood(v_tenant, coalesce(v_key.pending_limit, (select s.pending_per_owner from private.settings s)));
    update private.uploads u set waits = false where u.path = private.upload_of(p_video_url) and u.tenant = 'key:' || v_key.id;
  elsif p_client is not null then
    perform private.guard_flood(v_tenant, (select s.pending_per_client from private.settings s));
  end if;
  insert into public.jobs (kind, video_url, user_request, options, plan, owner, key_id, tenant, lane, idempotency_key, request_hash, traceparent)
  values (p_kind, p_video_url, p_user_request, p_options, p_plan, p_owner, v_key.id, v_tenant, 'interactive', p_idempotency_key, v_hash,
          coalesce(p_traceparent, private.new_traceparent()))
  returning * into v_job;
  return v_job.id;
end
$$;
comment on function private.enter(text, text, text, jsonb, uuid, text, text, text, jsonb, boolean, jsonb) is 'Insert an interactive job; idempotent by (tenant, key), flood-guarded.';

-- Insert a job for a person who waits.
create function queue.submit(
  p_kind text, p_video_url text, p_user_request text default '', p_options jsonb default '{}', p_owner uuid default null,
  p_client text default null, p_idempotency_key text default null, p_traceparent text default null, p_commercial_only boolean default false
) returns uuid
language plpgsql set search_path = ''
as $$
declare
  v_options jsonb := jsonb_strip_nulls(coalesce(p_options, '{}'));
begin
  if p_kind = 'pack' or v_options ? 'mend' then
    raise exception using errcode = '22023', message = 'a pack, and a part made anew, are asked for of a job: queue.pack and queue.again';
  end if;
  return private.enter(p_kind, p_video_url, coalesce(p_user_request, ''), v_options, p_owner, p_client, p_idempotency_key,
                       p_traceparent, jsonb_build_array(p_kind, p_video_url, coalesce(p_user_request, ''), v_options), p_commercial_only);
end
$$;
comment on function queue.submit(text, text, text, jsonb, uuid, text, text, text, boolean) is 'Insert an interactive job; idempotent by (tenant, key), flood-guarded.';

-- Raises 22023 where a job has no such variant.
create function private.check_variant(j public.jobs, p_variant integer) returns void
language plpgsql set search_path = ''
as $$
begin
  if p_variant >= j.total_count or p_variant < 0 then
    raise exception using errcode = '22023',
      message = format('variant %s does not exist; this job has variants 0 to %s, which are its tracks 1 to %s', p_variant, j.total_count - 1, j.total_count);
  end if;
end
$$;
comment on function private.check_variant(public.jobs, integer) is 'Raise where a job has no such variant.';

-- A new job like an old one, for a caller who may see that: null is 404. It plays the old plan's directions (with
-- p_variant only that one), as if they had been written by hand, and takes a new seed unless p_seed fixes it. Its engine is the
-- old one's unless p_engine says otherwise. With p_start and p_end only that part of one track is made anew, by what made it.
-- A job that has no plan yet is copied as it is.
create function queue.again(
  p_job uuid, p_user uuid default null, p_seed bigint default null, p_variant integer default null,
  p_client text default null, p_idempotency_key text default null, p_traceparent text default null, p_commercial_only boolean default false,
  p_engine text default null, p_start double precision default null, p_end double precision default null
) returns uuid
language plpgsql set search_path = ''
as $$
declare
  v_old public.jobs;
  v_options jsonb;
  v_plan jsonb;
  v_track public.results;
  v_mend jsonb;
  v_variant integer := p_variant;
  v_engine text := p_engine;
begin
  select * into v_old from public.jobs j where j.id = p_job and (j.owner is null or j.owner = p_user);
  if not found then
    return null;
  end if;
  v_options := v_old.options - array['steps', 'guidance', 'mend']; -- two are operators', and another take is one of the whole
  if v_old.kind = 'pack' then
    raise exception using errcode = '22023', message = 'a pack is made anew from its track: ask for another one of the job that made that';
  elsif v_old.kind = 'merge' then
    if num_nonnulls(p_seed, p_variant, p_engine, p_start, p_end) > 0 then
      raise exception using errcode = '22023', message = 'a merge job has neither seed, variants, engine nor parts; leave them out';
    end if;
  elsif v_old.kind = 'brief' then
    if num_nonnulls(p_variant, p_engine, p_start, p_end) > 0 then
      raise exception using errcode = '22023', message = 'a brief has neither variants, engine nor parts; leave them out';
    end if;
    v_options := jsonb_strip_nulls(v_options || jsonb_build_object('seed', p_seed));
  else
    perform private.check_variant(v_old, p_variant);
    if num_nonnulls(p_start, p_end) = 1 then
      raise exception using errcode = '22023', message = 'start and end go together: give both of them or neither';
    elsif p_start is not null then
      v_variant := coalesce(p_variant, case v_old.total_count when 1 then 0 end);
      if v_variant is null then
        raise exception using errcode = '22023',
          message = format('variant is missing: a part is made anew of one track, and this job has variants 0 to %s', v_old.total_count - 1);
      end if;
      v_track := private.track(v_old, v_variant);
      v_engine := v_track.engine;
      if p_engine <> v_engine then
        raise exception using errcode = '22023', message = format('engine: a part is made anew by what made the track, %s; leave it out', v_engine);
      end if;
      v_mend := private.mending(v_track, p_start, p_end);
    end if;
    select jsonb_agg(v -> 'direction' order by (v ->> 'index')::integer) into v_plan
      from jsonb_array_elements(v_old.plan -> 'variants') v;
    v_plan := coalesce(v_plan, v_options -> 'plan');
    v_options := jsonb_strip_nulls(v_options || jsonb_build_object('seed', p_seed, 'engine', coalesce(v_engine, nullif(v_old.engine, '')), 'mend', v_mend));
    if v_plan is not null then
      v_options := v_options - 'variants' || jsonb_build_object('plan',
        case when v_variant is null then v_plan else jsonb_build_array(v_plan -> v_variant) end);
    elsif v_variant is not null then
      v_options := v_options || '{"variants": 1}';
    end if;
    if v_old.plan @? '$.hits[*]' then -- with a plan of one's own nobody proposes any
      v_options := v_options || jsonb_build_object('hits', private.hits(v_old.plan));
    end if;
    if v_old.plan @? '$.segments[*]' then
      v_options := v_options || jsonb_build_object('segments', jsonb_strip_nulls(private.segments(v_old.plan)));
    end if;
  end if;
  return private.enter(v_old.kind, v_old.video_url, v_old.user_request, v_options, p_user, p_client, p_idempotency_key,
                       p_traceparent, jsonb_build_array('again', p_job, p_seed, p_variant, p_engine, p_start, p_end), p_commercial_only);
end
$$;
comment on function queue.again(uuid, uuid, bigint, integer, text, text, text, boolean, text, double precision, double precision) is 'A new job with the old one''s directions and engine, or one that makes a part of a track anew; null when the caller may not see the old one.';

-- Immediate for a pending job, cooperative for a running one; an ended job stays as it is. Null is 404.
create function queue.cancel(p_job uuid, p_user uuid default null) returns jsonb
language plpgsql set search_path = ''
as $$
begin
  update public.jobs j
     set cancel_requested = true,
         status = case when j.status = 'pending' then 'cancelled' else j.status end,
         finished_at = case when j.status = 'pending' then now() end,
         run_at = null
   where j.id = p_job and j.status in ('pending', 'processing') and not j.cancel_requested
     and (j.owner is null or j.owner = p_user);
  return queue.view(p_job, p_user);
end
$$;
comment on function queue.cancel(uuid, uuid) is 'Cancel a job for a caller; answers like queue.view.';

-- Trouble outside of the request; everything else is the request's own, whose next try would fail alike.
create function queue.may_pass(p_code text) returns boolean
language sql immutable set search_path = ''
as $$
  select p_code in ('unavailable', 'unreachable', 'upstream_error', 'timeout', 'no_disk', 'storage_unavailable',
    'child_killed', 'decoder_failed', 'encoder', 'signing_failed', 'worker_lost', 'device_lost', 'internal');
$$;
comment on function queue.may_pass(text) is 'Whether a job that failed with this code may work with another try.';

-- What /healthz tells: how many workers beat, how many of them take jobs, and which engines those have.
create function queue.health() returns jsonb
language plpgsql stable set search_path = ''
as $$
begin
  if current_setting('transaction_read_only')::boolean then
    raise read_only_sql_transaction using message = 'the database takes no jobs: it is read-only';
  end if;
  return jsonb_build_object(
    'workers', (select count(*) from public.workers w
                 where w.state in ('loading', 'ready') and w.last_seen > now() - w.lease),
    'workers_ready', (select count(*) from public.workers w
                       where w.state = 'ready' and not w.draining and w.last_seen > now() - w.lease),
    'engines', (select coalesce(jsonb_agg(distinct e.engine order by e.engine), '[]') from public.workers w, unnest(w.engines) e (engine)
                 where w.state in ('loading', 'ready') and not w.draining and w.last_seen > now() - w.lease));
end
$$;
comment on function queue.health() is 'Counts of living workers and their engines, for /healthz. Raises read_only_sql_transaction where no job can be inserted.';
