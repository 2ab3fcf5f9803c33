-- What the APIs call: edge_api, the edge function and a psql prompt use the same functions and get the same JSON.
-- SQLSTATEs of our own: RY429 too many pending jobs, RY422 idempotency key reused with another body.

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
create function private.enter(
  p_kind text, p_video_url text, p_user_request text, p_options jsonb, p_owner uuid,
  p_client text, p_idempotency_key text, p_traceparent text, p_request jsonb
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
  insert into public.jobs (kind, video_url, user_request, options, owner, key_id, tenant, lane, idempotency_key, request_hash, traceparent)
  values (p_kind, p_video_url, p_user_request, p_options, p_owner, v_key.id, v_tenant, 'interactive', p_idempotency_key, v_hash,
          coalesce(p_traceparent, private.new_traceparent()))
  returning * into v_job;
  return v_job.id;
end
$$;
comment on function private.enter(text, text, text, jsonb, uuid, text, text, text, jsonb) is 'Insert an interactive job; idempotent by (tenant, key), flood-guarded.';

-- Insert a job for a person who waits.
create function queue.submit(
  p_kind text, p_video_url text, p_user_request text default '', p_options jsonb default '{}', p_owner uuid default null,
  p_client text default null, p_idempotency_key text default null, p_traceparent text default null
) returns uuid
language plpgsql set search_path = ''
as $$
declare
  v_options jsonb := jsonb_strip_nulls(coalesce(p_options, '{}'));
begin
  return private.enter(p_kind, p_video_url, coalesce(p_user_request, ''), v_options, p_owner, p_client, p_idempotency_key,
                       p_traceparent, jsonb_build_array(p_kind, p_video_url, coalesce(p_user_request, ''), v_options));
end
$$;
comment on function queue.submit(text, text, text, jsonb, uuid, text, text, text) is 'Insert an interactive job; idempotent by (tenant, key), flood-guarded.';

-- A new job like an old one, for a caller who may see that: null is 404. It plays the old plan's directions (with
-- p_variant only that one), as if they had been written by hand, and takes a new seed unless p_seed fixes it.
-- A job that has no plan yet is copied as it is.
create function queue.again(
  p_job uuid, p_user uuid default null, p_seed bigint default null, p_variant integer default null,
  p_client text default null, p_idempotency_key text default null, p_traceparent text default null
) returns uuid
language plpgsql set search_path = ''
as $$
declare
  v_old public.jobs;
  v_options jsonb;
  v_plan jsonb;
begin
  select * into v_old from public.jobs j where j.id = p_job and (j.owner is null or j.owner = p_user);
  if not found then
    return null;
  end if;
  v_options := v_old.options - 'steps' - 'guidance'; -- which only operators may ask for
  if v_old.kind = 'merge' then
    if p_seed is not null or p_variant is not null then
      raise exception using errcode = '22023', message = 'a merge job has neither seed nor variants; leave them out';
    end if;
  else
    if p_variant >= v_old.total_count or p_variant < 0 then
      raise exception using errcode = '22023',
        message = format('variant %s does not exist; this job has variants 0 to %s', p_variant, v_old.total_count - 1);
    end if;
    select jsonb_agg(v -> 'direction' order by (v ->> 'index')::integer) into v_plan
      from jsonb_array_elements(v_old.plan -> 'variants') v;
    v_plan := coalesce(v_plan, v_options -> 'plan');
    v_options := jsonb_strip_nulls(v_options - 'seed' || jsonb_build_object('seed', p_seed));
    if v_plan is not null then
      v_options := v_options - 'variants' || jsonb_build_object('plan',
        case when p_variant is null then v_plan else jsonb_build_array(v_plan -> p_variant) end);
    elsif p_variant is not null then
      v_options := v_options || '{"variants": 1}';
    end if;
  end if;
  return private.enter(v_old.kind, v_old.video_url, v_old.user_request, v_options, p_user, p_client, p_idempotency_key,
                       p_traceparent, jsonb_build_array('again', p_job, p_seed, p_variant));
end
$$;
comment on function queue.again(uuid, uuid, bigint, integer, text, text, text) is 'A new job with the old one''s directions; null when the caller may not see the old one.';

-- What is asked for often is plpgsql, which keeps its plans: before Postgres 18 a function in plain SQL is planned at every call. And
-- json is put together in half the time that jsonb takes; it becomes jsonb once, at the end.

-- One result as the contract shows it.
create function private.result_json(r public.results, p_kind text) returns json
language plpgsql immutable set search_path = ''
as $$
begin
  if p_kind = 'merge' then
    return json_build_object('index', r.index, 'video_url', r.video_url);
  end if;
  return json_build_object(
    'prompt', r.prompt, 'audio_url', r.audio_url, 'audio_preview_url', r.audio_preview_url, 'index', r.index, 'title', r.title, 'description', r.description,
    'seed', r.seed, 'duration', r.duration, 'bpm', r.bpm, 'key', r.key, 'engine', r.engine, 'model', r.model,
    'describer', r.describer, 'peaks', r.peaks,
    'loudness_lufs', r.loudness_lufs, 'true_peak_db', r.true_peak_db, 'ignored', r.ignored, 'created_at', r.created_at);
end
$$;
comment on function private.result_json(public.results, text) is 'One result as the contract shows it.';

-- How many jobs are in front, plus one; counted up to 1,000, from the turn served last on.
create function private.queue_position(j public.jobs) returns integer
language plpgsql stable set search_path = ''
as $$
begin
  if j.status <> 'pending' then
    return null;
  end if;
  return (
    select 1 + count(*)::integer from (
      (select 1 from public.jobs a
        where a.kind = j.kind and a.lane = j.lane and a.priority > j.priority and a.status = 'pending' and a.run_at is null
        limit 999)
      union all
      (select 1 from public.jobs a
        where a.kind = j.kind and a.lane = j.lane and a.priority = j.priority and a.status = 'pending' and a.run_at is null
          and a.turn < j.turn and a.turn >= case when j.priority = 0 then
            coalesce(pg_sequence_last_value(to_regclass('private.served_' || j.kind || '_' || j.lane)), 0) else 0 end
        limit 999)
      limit 999) ahead);
end
$$;
comment on function private.queue_position(public.jobs) is 'The place of a pending job in its lane, 1 is next; null when it does not wait.';

-- The directions of a plan as the contract shows them: what will be heard, before anything is.
create function private.directions(p_plan jsonb) returns jsonb
language plpgsql immutable set search_path = ''
as $$
begin
  return (
    select coalesce(jsonb_agg(jsonb_build_object(
           'index', v -> 'index', 'title', coalesce(v #> '{direction,title}', '""'),
           'description', coalesce(v #> '{direction,description}', '""'),
           'tempo_bpm', v #> '{direction,tempo_bpm}', 'key', v #> '{direction,key}') order by v -> 'index'), '[]')
      from jsonb_path_query(p_plan, '$.variants[*]') v);
end
$$;
comment on function private.directions(jsonb) is 'Title, description, tempo and key of each variant of a plan.';

-- How far a job is, as {progress, eta_s}, from its row alone. Each stage has its share of the whole by the seconds that it was
-- expected to take. Within a stage the way left shrinks with time and is never gone before the next one begins; tracks that are
-- there count at once. So progress never falls within an attempt, whatever takes how long.
create function private.progress(j public.jobs, p_results bigint) returns jsonb
language plpgsql stable set search_path = ''
as $$
declare
  v_stages text[] := array['fetching', 'describing', 'composing', 'hearing', 'merging'];
  v_own double precision := greatest(0.05, coalesce((j.expected_s ->> j.stage)::double precision, 5));
  v_before double precision;
  v_whole double precision;
  v_share double precision;
begin
  if j.status <> 'processing' or j.stage is null then
    return jsonb_build_object('progress', case when j.finished_at is null then 0 else 100 end, 'eta_s', null);
  end if;
  v_share := 0.95 * (1 - exp(-least(50, greatest(0, extract(epoch from now() - coalesce(j.stage_at, now()))) / v_own)));
  if j.stage = 'composing' then
    v_share := greatest(v_share, p_results::double precision / j.total_count);
  elsif j.stage = 'hearing' and j.hearing is not null then -- a long film says itself how far it is
    v_share := (j.hearing ->> 'heard_s')::double precision / (j.hearing ->> 'film_s')::double precision;
  end if;
  select coalesce(sum(e.value::double precision) filter (where array_position(v_stages, e.key) < array_position(v_stages, j.stage)), 0),
         coalesce(sum(e.value::double precision) filter (where e.key <> j.stage), 0) + v_own
    into v_before, v_whole from jsonb_each_text(j.expected_s) e;
  v_share := (v_before + v_share * v_own) / v_whole;
  return jsonb_build_object('progress', least(99, floor(100 * v_share)::integer), 'eta_s', ceil(v_whole * (1 - v_share))::integer);
end
$$;
comment on function private.progress(public.jobs, bigint) is 'How far a job is, 0 to 100, and how many seconds it will still take; monotone within an attempt.';

-- The answer of GET /job. `error` is shown when the job failed, not while it is retried.
create function queue.answer(p_job uuid) returns jsonb
language plpgsql stable set search_path = ''
as $$
declare
  j public.jobs;
  v_count bigint;
  v_results json;
begin
  select * into j from public.jobs a where a.id = p_job;
  if not found then
    return null;
  end if;
  select count(*), coalesce(json_agg(private.result_json(r, j.kind) order by r.index), '[]') into v_count, v_results
    from public.results r where r.job_id = p_job;
  return json_build_object(
    'job_id', j.id, 'status', j.status,
    'completed_count', v_count, 'total_count', j.total_count, 'results', v_results,
    'error', case when j.status = 'failed' then j.error end,
    'error_code', case when j.status = 'failed' then j.error_code end,
    'notes', to_json(j.notes), 'speech', j.speech,
    'kind', j.kind, 'stage', j.stage, 'video_url', j.video_url, 'preview_url', j.preview_url, 'user_request', j.user_request,
    'metadata', coalesce(j.options -> 'metadata', '{}'),
    'created_at', j.created_at, 'started_at', j.started_at, 'finished_at', j.finished_at,
    'expires_at', j.finished_at + (select s.keep_for from private.settings s),
    'directions', private.directions(j.plan),
    'queue_position', private.queue_position(j))::jsonb || private.progress(j, v_count);
end
$$;
comment on function queue.answer(uuid) is 'A job and its results as JSON, as in the REST contract; null when there is none.';

-- The same for a caller: an ownerless job needs only its id, an owned one its owner; null is 404.
create function queue.view(p_job uuid, p_user uuid default null) returns jsonb
language plpgsql stable set search_path = ''
as $$
begin
  if exists (select from public.jobs j where j.id = p_job and (j.owner is null or j.owner = p_user)) then
    return queue.answer(p_job);
  end if;
  return null;
end
$$;
comment on function queue.view(uuid, uuid) is 'queue.answer for a caller who may see the job; null otherwise.';

-- Many of them in one question, each for a caller of its own, in the order asked.
create function queue.views(p_jobs uuid[], p_users uuid[]) returns setof jsonb
language plpgsql stable set search_path = ''
as $$
begin
  for v_place in 1..cardinality(p_jobs) loop
    return next queue.view(p_jobs[v_place], p_users[v_place]);
  end loop;
end
$$;
comment on function queue.views(uuid[], uuid[]) is 'queue.view of each of the jobs for its caller.';

-- What event streams ask for all the jobs that they are about, again and again: which of them are at another version than
-- was seen (a word that moves with whatever a stream tells), with the job as answered. A job that is gone has neither.
create function queue.moved(p_jobs uuid[], p_versions text[]) returns jsonb
language sql stable set search_path = ''
as $$
  select coalesce(jsonb_agg(jsonb_build_array(m.job, m.version, queue.answer(m.job))), '[]')
    from (select s.job, s.version as seen,
                 (select concat_ws('/', j.status, j.stage, j.plan is not null, j.preview_url is not null, (select count(*) from public.results r where r.job_id = j.id))
                    from public.jobs j where j.id = s.job) as version
            from unnest(p_jobs, p_versions) as s(job, version)) m
   where m.version is distinct from m.seen;
$$;
comment on function queue.moved(uuid[], text[]) is 'Those of the jobs whose version is not the one that was seen: [job, version, answer].';

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
    'child_killed', 'decoder_failed', 'encoder', 'worker_lost', 'device_lost', 'internal');
$$;
comment on function queue.may_pass(text) is 'Whether a job that failed with this code may work with another try.';

-- What /healthz tells: how many workers beat, and how many of them take jobs.
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
                       where w.state = 'ready' and not w.draining and w.last_seen > now() - w.lease));
end
$$;
comment on function queue.health() is 'Counts of living workers, for /healthz. Raises read_only_sql_transaction where no job can be inserted.';
