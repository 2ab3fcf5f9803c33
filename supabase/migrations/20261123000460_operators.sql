-- What operators call.

-- Every worker that has not signed off: what it does and since when. A lost one is shown until it is forgotten (a week).
create function queue.workers() returns table (
  id bigint, name text, state text, draining boolean, kinds text[], engine text, version text,
  started_at timestamptz, last_seen timestamptz, jobs jsonb
)
language sql stable set search_path = ''
as $$
  select w.id, w.name,
         case when w.state <> 'gone' and w.last_seen < now() - w.lease then 'lost' else w.state end,
         w.draining, w.kinds, w.engine, w.version, w.started_at, w.last_seen,
         (select coalesce(jsonb_agg(jsonb_build_object('job_id', j.id, 'kind', j.kind, 'lane', j.lane, 'stage', j.stage,
                                                       'attempt', j.attempt, 'since', j.claimed_at) order by j.claimed_at), '[]')
            from public.jobs j where j.worker_id = w.id)
    from public.workers w
   where w.state <> 'gone'
   order by w.name, w.id;
$$;
comment on function queue.workers() is 'The workers, what they do, since when.';

-- For which engines jobs wait that no living worker has, and how many do; counted up to 10,000.
create function queue.lacking() returns table (engine text, jobs bigint)
language sql stable set search_path = '' set enable_seqscan = off
as $$
  select e.engine, sum(waiting.count)::bigint
    from (values ('mmaudio'), ('acestep'), ('sketch')) e (engine), (values ('interactive'), ('batch')) l (lane),
         lateral (select count(*) from (
           select from public.jobs j
            where j.kind = 'generate' and j.lane = l.lane and j.engine = e.engine and j.status = 'pending' and j.run_at is null
            limit 10000) j) waiting
   where not queue.health() -> 'engines' ? e.engine
   group by e.engine having sum(waiting.count) > 0 order by e.engine;
$$;
comment on function queue.lacking() is 'Engines that jobs wait for and no living worker has, with how many.';

-- The workers of that name take no more jobs and end when theirs are done; they hear of it with their next beat.
create function queue.drain(p_name text) returns integer
language sql set search_path = ''
as $$
  with drained as (
    update public.workers w set draining = true
     where w.name = p_name and w.state <> 'gone' returning w.state)
  select count(*)::integer from drained where state <> 'lost'; -- one that thaws will hear of it too
$$;
comment on function queue.drain(text) is 'Ask the workers of that name to finish and end; returns how many were asked.';

-- Give an ended job another three attempts: only what is missing is made. Null when there is no such job.
create function queue.retry(p_job uuid) returns jsonb
language plpgsql set search_path = ''
as $$
declare
  v_job public.jobs;
begin
  select * into v_job from public.jobs j where j.id = p_job for update;
  if not found then
    return null;
  end if;
  if v_job.finished_at is null then
    raise exception using errcode = '22023', message = format('job %s is %s: only a job that has ended can be tried again', p_job, v_job.status);
  end if;
  if v_job.brief is not null or v_job.kind <> 'brief' and (select count(*) from public.results r where r.job_id = p_job) >= v_job.total_count then
    raise exception using errcode = '22023', message = format('job %s has all of its results: make a new job with queue.again', p_job);
  end if;
  delete from public.deliveries d where d.job_id = p_job and d.state = 'pending';
  update public.jobs j
     set status = 'pending', finished_at = null, error = null, error_code = null, cancel_requested = false, crashes = 0,
         max_attempts = j.attempt + 3, turn = private.turn_of(j.kind, j.lane, j.engine, j.priority, j.tenant, j.seq)
   where j.id = p_job;
  perform private.wake(v_job.kind, v_job.engine);
  return queue.answer(p_job);
end
$$;
comment on function queue.retry(uuid) is 'Give an ended job another three attempts; answers like queue.answer.';

-- What is seen from outside (Prometheus, `rhythmai top`): jobs by kind, lane, state and engine, and since when the next of each
-- lane and engine waits; workers; webhooks. It costs what waits and runs, whatever the history: the indexes it walks hold nothing
-- else, and the planner is kept from the table. The engine of a job that waits is what it asks for ('' is any), that of a running
-- one what makes it.
create function queue.gauges() returns jsonb
language sql stable set search_path = '' set enable_seqscan = off
as $$
  with lanes (kind, lane, engine) as (
    select k.kind, l.lane, k.engine
      from (values ('merge', ''), ('brief', ''), ('pack', ''), ('generate', ''), ('generate', 'mmaudio'), ('generate', 'acestep'), ('generate', 'sketch')) k (kind, engine),
           (values ('interactive'), ('batch')) l (lane)
  ), jobs as (
    select l.kind, l.lane, 'ready' as state, l.engine, ready.count
      from lanes l,
           lateral (select count(*) from public.jobs j
                     where j.kind = l.kind and j.lane = l.lane and j.engine = l.engine and j.status = 'pending' and j.run_at is null) ready
     where l.engine = '' or ready.count > 0
    union all
    select j.kind, j.lane, case when j.run_at = 'infinity' then 'paused' else 'backed_off' end, j.engine, count(*)
      from public.jobs j where j.status = 'pending' and j.run_at is not null group by 1, 2, 3, 4
    union all
    select j.kind, j.lane, 'running', coalesce(j.made_with, w.engine), count(*)
      from public.jobs j join public.workers w on w.id = j.worker_id where j.worker_id is not null group by 1, 2, 4
  ), heads as (
    select l.kind, l.lane, l.engine, head.waits_s
      from lanes l,
           lateral (select extract(epoch from now() - j.created_at)::double precision as waits_s from public.jobs j
                     where j.kind = l.kind and j.lane = l.lane and j.engine = l.engine and j.status = 'pending' and j.run_at is null
                     order by j.priority desc, j.turn limit 1) head
  ), workers as (
    select w.engine, count(*),
           case when w.state = 'lost' or w.last_seen < now() - w.lease then 'lost' when w.draining then 'draining' else w.state end as state
      from public.workers w
     where w.state in ('loading', 'ready') or w.state = 'lost' and w.last_seen > now() - interval '1 hour'
     group by 1, 3
  )
  select jsonb_build_object(
    'jobs', (select jsonb_agg(to_jsonb(j) order by j.kind, j.lane, j.state, j.engine) from jobs j),
    'heads', (select coalesce(jsonb_agg(to_jsonb(h) order by h.kind, h.lane, h.engine), '[]') from heads h),
    'workers', (select coalesce(jsonb_agg(to_jsonb(b) order by b.state, b.engine), '[]') from workers b),
    'webhooks', (select jsonb_build_object('pending', count(*), 'oldest_s', coalesce(extract(epoch from now() - min(d.created_at)), 0))
                   from public.deliveries d where d.state = 'pending'));
$$;
comment on function queue.gauges() is 'How many jobs wait and run, since when the heads wait, which workers there are, which webhooks are due: one walk over what is not over.';

-- The buckets that INPUT_BUCKETS names: jobs may name what lies in them, and a worker's key reads there, and in no other.
create function queue.set_input_buckets(p_buckets text[]) returns boolean
language plpgsql set search_path = ''
as $$
begin
  if p_buckets = (select s.input_buckets from private.settings s) then
    return false;
  end if;
  update private.settings s set input_buckets = p_buckets where s.only_row;
  drop policy if exists "workers see input buckets" on storage.buckets;
  drop policy if exists "workers read in input buckets" on storage.objects;
  if p_buckets <> '{}' then
    execute format('create policy "workers see input buckets" on storage.buckets for select to rhythmai_worker_key using (id = any (%L::text[]))', p_buckets);
    execute format('create policy "workers read in input buckets" on storage.objects for select to rhythmai_worker_key using (bucket_id = any (%L::text[]))', p_buckets);
  end if;
  return true;
end
$$;
comment on function queue.set_input_buckets(text[]) is 'Let jobs name objects of exactly these buckets, and a worker''s key read them; whether that changed anything.';
