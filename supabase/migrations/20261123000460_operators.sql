-- What operators call.

-- Every box that has not signed off: what it does and since when. A lost one is shown until it is forgotten (a week).
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
comment on function queue.workers() is 'The boxes, what they do, since when.';

-- The boxes of that name take no more jobs and end when theirs are done; they hear of it with their next beat.
create function queue.drain(p_name text) returns integer
language sql set search_path = ''
as $$
  with drained as (
    update public.workers w set draining = true
     where w.name = p_name and w.state <> 'gone' returning w.state)
  select count(*)::integer from drained where state <> 'lost'; -- one that thaws will hear of it too
$$;
comment on function queue.drain(text) is 'Ask the boxes of that name to finish and end; returns how many were asked.';

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
  if (select count(*) from public.results r where r.job_id = p_job) >= v_job.total_count then
    raise exception using errcode = '22023', message = format('job %s has all of its results: make a new job with queue.again', p_job);
  end if;
  delete from public.deliveries d where d.job_id = p_job and d.state = 'pending';
  update public.jobs j
     set status = 'pending', finished_at = null, error = null, error_code = null, cancel_requested = false, crashes = 0,
         max_attempts = j.attempt + 3, turn = private.turn_of(j.kind, j.lane, j.priority, j.tenant, j.seq)
   where j.id = p_job;
  perform private.wake();
  return queue.answer(p_job);
end
$$;
comment on function queue.retry(uuid) is 'Give an ended job another three attempts; answers like queue.answer.';
