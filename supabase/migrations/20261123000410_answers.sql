-- What is told of a job: the answer of GET /job, for whoever may see it, one by one and many at once.
-- What is asked for often is plpgsql, which keeps its plans: before Postgres 18 a function in plain SQL is planned at every call. And
-- json is put together in half the time that jsonb takes; it becomes jsonb once, at the end.

-- One result as the contract shows it.
create function private.result_json(r public.results, p_kind text) returns json
language plpgsql immutable set search_path = ''
as $$
begin
  if p_kind = 'merge' then
    return json_build_object('index', r.index, 'video_url', r.video_url, 'licence', r.licence);
  elsif p_kind = 'pack' then
    return json_build_object('index', r.index, 'pack_url', r.pack_url);
  end if;
  return json_build_object(
    'prompt', r.prompt, 'audio_url', r.audio_url, 'audio_preview_url', r.audio_preview_url, 'index', r.index, 'title', r.title, 'description', r.description,
    'seed', r.seed, 'duration', r.duration, 'bpm', r.bpm, 'key', r.key, 'engine', r.engine, 'model', r.model, 'licence', r.licence,
    'describer', r.describer, 'peaks', r.peaks,
    'loudness_lufs', r.loudness_lufs, 'true_peak_db', r.true_peak_db, 'ignored', r.ignored, 'fit', r.fit, 'gain_db', r.gain_db,
    'mended', case when r.mended is not null then json_build_object('start', r.mended -> 'start_s', 'end', r.mended -> 'end_s') end,
    'created_at', r.created_at);
end
$$;
comment on function private.result_json(public.results, text) is 'One result as the contract shows it.';

-- How many jobs are in front, plus one; counted up to 1,000, from the turn served last on. In front are those for the same
-- engine and those for any.
create function private.queue_position(j public.jobs) returns integer
language plpgsql stable set search_path = ''
as $$
begin
  if j.status <> 'pending' then
    return null;
  end if;
  return (
    select 1 + count(*)::integer from (
      select from unnest(case j.engine when '' then array[''] else array['', j.engine] end) e (engine),
                  lateral ((select from public.jobs a
                             where a.kind = j.kind and a.lane = j.lane and a.engine = e.engine and a.priority > j.priority
                               and a.status = 'pending' and a.run_at is null
                             limit 999)
                           union all
                           (select from public.jobs a
                             where a.kind = j.kind and a.lane = j.lane and a.engine = e.engine and a.priority = j.priority
                               and a.status = 'pending' and a.run_at is null
                               and a.turn < j.turn and a.turn >= case when j.priority = 0 then coalesce(pg_sequence_last_value(
                                 to_regclass('private.' || concat_ws('_', 'served', j.kind, j.lane, nullif(e.engine, '')))), 0) else 0 end
                             limit 999)) a
       limit 999) ahead);
end
$$;
comment on function private.queue_position(public.jobs) is 'The place of a pending job in its lane, 1 is next; null when it does not wait.';

-- What a pending job lacks beside its turn: a worker that has its engine.
create function private.waiting_for(j public.jobs) returns text
language plpgsql stable set search_path = '' set enable_seqscan = off
as $$
begin
  if j.status = 'pending' and j.engine <> '' and not exists (
    select from public.workers w
     where w.state in ('loading', 'ready') and not w.draining and w.last_seen > now() - w.lease and j.engine = any (w.engines)) then
    return 'engine';
  end if;
  return null;
end
$$;
comment on function private.waiting_for(public.jobs) is '''engine'' while a job is queued whose engine no living worker has; else null.';

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

-- The moments that the music is to meet, and the stretches with music of their own, as gen takes them.
create function private.hits(p_plan jsonb) returns jsonb
language plpgsql immutable set search_path = ''
as $$
begin
  return (select coalesce(jsonb_agg(jsonb_build_object('at', h -> 'at_s', 'kind', h -> 'kind')), '[]') from jsonb_path_query(p_plan, '$.hits[*]') h);
end
$$;
comment on function private.hits(jsonb) is 'The hits of a plan as the contract shows them.';

create function private.segments(p_plan jsonb) returns jsonb
language plpgsql immutable set search_path = ''
as $$
begin
  return (
    select coalesce(jsonb_agg(jsonb_build_object('start', s -> 'start_s', 'prompt', s -> 'prompt', 'energy', s -> 'energy')), '[]')
      from jsonb_path_query(p_plan, '$.segments[*]') s);
end
$$;
comment on function private.segments(jsonb) is 'The segments of a plan as the contract shows them.';

-- How far a job is, as {progress, eta_s}, from its row alone. Each stage has its share of the whole by the seconds that it was
-- expected to take. Within a stage the way left shrinks with time and is never gone before the next one begins; tracks that are
-- there count at once. So progress never falls within an attempt, whatever takes how long.
create function private.progress(j public.jobs, p_results bigint) returns jsonb
language plpgsql stable set search_path = ''
as $$
declare
  v_stages text[] := array['fetching', 'describing', 'composing', 'hearing', 'merging', 'packing'];
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
    v_share := greatest(v_share, p_results::double precision / nullif(j.total_count, 0));
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

-- Which of several tracks fits the film best, by its index; null where none does beyond chance.
create function private.best(p_job uuid, p_results bigint) returns smallint
language plpgsql stable set search_path = ''
as $$
begin
  return (
    select r.index from public.results r
     where p_results > 1 and r.job_id = p_job and (r.fit ->> 'score')::real > 0
     order by (r.fit ->> 'score')::real desc, r.index limit 1);
end
$$;
comment on function private.best(uuid, bigint) is 'The index of the track that fits the film best, as it is heard; null where none does beyond chance, or is alone.';

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
    'notes', to_json(j.notes), 'speech', j.speech, 'best', private.best(j.id, v_count),
    'kind', j.kind, 'stage', j.stage, 'video_url', j.video_url, 'preview_url', j.preview_url, 'user_request', j.user_request,
    'metadata', coalesce(j.options -> 'metadata', '{}'),
    'created_at', j.created_at, 'started_at', j.started_at, 'finished_at', j.finished_at,
    'expires_at', j.finished_at + (select s.keep_for from private.settings s),
    'directions', private.directions(case when j.kind <> 'pack' then j.plan end), -- a pack plays nothing
    'hits', private.hits(j.plan), 'segments', private.segments(j.plan),
    'brief', case when j.finished_at is not null then j.brief end,
    'engine', coalesce(nullif(j.engine, ''), 'auto'), 'waiting_for', private.waiting_for(j),
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

-- Many of them in one question, each for a caller of its own, in the order asked, without the answer where this version of it was
-- seen. The answer of a job that has ended depends on its row and on how long jobs are kept, since nobody writes results any more;
-- of one that runs on its row, its results, and its progress, which moves with time and is told apart. Jobs without a stage, which
-- wait or were just claimed, have the version '', one that is not there for the caller null.
create function queue.views(p_jobs uuid[], p_users uuid[], p_seen text[]) returns table (version text, progress jsonb, answer jsonb)
language plpgsql stable set search_path = ''
as $$
declare
  v_keep_for interval := (select s.keep_for from private.settings s);
  v_runs boolean;
begin
  for v_place in 1..cardinality(p_jobs) loop
    select case when j.finished_at is null then '' else concat_ws('/', j.xmin, extract(epoch from j.finished_at), extract(epoch from v_keep_for)) end,
           j.stage is not null
      into version, v_runs from public.jobs j where j.id = p_jobs[v_place] and (j.owner is null or j.owner = p_users[v_place]);
    progress := null;
    if v_runs then
      select concat_ws('/', j.xmin, j.attempt, r.count), private.progress(j, r.count) into version, progress
        from public.jobs j, (select count(*) from public.results o where o.job_id = p_jobs[v_place]) r where j.id = p_jobs[v_place];
    end if;
    answer := case when version = '' or version <> coalesce(p_seen[v_place], '') then queue.answer(p_jobs[v_place]) end;
    if v_runs then
      answer := answer - array['progress', 'eta_s'];
    end if;
    return next;
  end loop;
end
$$;
comment on function queue.views(uuid[], uuid[], text[]) is 'queue.view of each of the jobs for its caller, without the answer where this version of it was seen; progress and eta_s of one that runs apart.';

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
