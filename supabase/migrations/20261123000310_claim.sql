-- The way of a job to a worker and back: sweep, claim, settle.
-- One state per predicate and one partial index each, so that every step is a short index walk whatever the history is.

-- How long the stages of an attempt took, the one that ends now included.
create function private.took_s(j public.jobs) returns jsonb
language sql stable set search_path = ''
as $$
  select case when j.stage is null then j.took_s
    else j.took_s || jsonb_build_object(j.stage, round(extract(epoch from now() - coalesce(j.stage_at, now())), 3)) end;
$$;
comment on function private.took_s(public.jobs) is 'Seconds by stage of the attempt that runs, up to now.';

-- End an attempt: cancelled if the user asked so, pending again where p_again allows it, completed when something came
-- out, else failed. The caller holds the row locked. An error that may pass waits before the next attempt: capped,
-- exponential, fully jittered. A job taken from its worker (p_crashes) does not wait: it has waited for the lease already.
create function private.settle(j public.jobs, p_again boolean, p_code text, p_error text, p_crashes integer default 0) returns void
language plpgsql set search_path = ''
as $$
declare
  v_wait interval;
  v_status text := case
    when j.cancel_requested then 'cancelled'
    when p_again then 'pending'
    when exists (select from public.results r where r.job_id = j.id) then 'completed'
    else 'failed' end;
  v_tells boolean := v_status in ('pending', 'failed');
begin
  if v_status = 'pending' and p_crashes = 0 then
    select random() * least(s.backoff_cap, s.backoff_base * 2 ^ least(j.attempt, 20)) into v_wait from private.settings s;
  end if;
  update public.jobs
     set status = v_status, worker_id = null, deadline_at = null, stage = null,
         crashes = j.crashes + p_crashes,
         took_s = private.took_s(j),
         run_at = now() + v_wait,
         finished_at = case when v_status <> 'pending' then now() end,
         error = case when v_tells then p_error end,
         error_code = case when v_tells then p_code end
   where id = j.id;
end
$$;
comment on function private.settle(public.jobs, boolean, text, text, integer) is 'End an attempt of a locked job.';

-- A job is taken from a worker: a crash is counted apart from attempts, with a low cap, because a job that kills or hangs
-- workers must not travel through all of them.
create function private.requeue_lost(j public.jobs, p_code text, p_reason text) returns void
language sql set search_path = ''
as $$
  select private.settle(j, j.crashes + 1 < s.max_crashes and j.attempt < j.max_attempts, p_code, p_reason, 1)
    from private.settings s;
$$;
comment on function private.requeue_lost(public.jobs, text, text) is 'Take a locked job from its worker; counts a crash.';

-- Since when workers could beat. While the database was down nobody could: a worker that was last seen before has a whole
-- lease from its start, or every restart would take all running jobs from healthy workers. A failover, a crash of a backend
-- or a pooler that was away leaves the start as it was; those are known by the silence of everybody (queue.beat).
create function private.database_since() returns timestamptz
language sql stable set search_path = ''
as $$
  select greatest(pg_postmaster_start_time(), to_timestamp(pg_sequence_last_value('private.heard_ms') / 1000.0));
$$;
comment on function private.database_since() is 'Since when workers could beat; a function of its own so that tests can move it.';

-- Backed-off jobs whose moment has come are ready.
create function private.ready_due() returns boolean
language plpgsql set search_path = ''
as $$
begin
  update public.jobs j set run_at = null
   where j.id = any (array(select d.id from public.jobs d
                            where d.status = 'pending' and d.run_at is not null and d.run_at <= now()
                            order by d.run_at limit 1000 for update skip locked));
  return found;
end
$$;
comment on function private.ready_due() is 'Ready the backed-off jobs that are due; whether there were any.';

-- Put right what time has made wrong: jobs of dead workers, jobs past their deadline, backed-off jobs that are due, hints
-- that are off. Bounded, and it skips what others hold. Claims call it: one of them each second, and those that find nothing,
-- once in as many milliseconds as there are workers beyond twenty.
create function queue.sweep() returns integer
language plpgsql set search_path = '' set enable_seqscan = off
as $$
declare
  v_worker record;
  v_lane record;
  v_late record;
  v_job public.jobs;
  v_count integer := 0;
  v_since timestamptz := private.database_since();
begin
  perform setval('private.swept_ms', (extract(epoch from clock_timestamp()) * 1000)::bigint);
  perform setval('private.hearing', (select count(*) from public.workers w where w.state in ('loading', 'ready')));
  for v_worker in
    select w.id, w.name from public.workers w
     where w.state in ('loading', 'ready') and greatest(w.last_seen, v_since) < now() - w.lease
     order by w.id limit 100 for update skip locked
  loop
    for v_job in
      select * from public.jobs j where j.worker_id = v_worker.id
       order by j.id limit 100 for update skip locked
    loop
      perform private.requeue_lost(v_job, 'worker_lost', format('the worker %s stopped answering while it had this job', v_worker.name));
      v_count := v_count + 1;
    end loop;
    update public.workers w set state = 'lost' where w.id = v_worker.id
       and not exists (select from public.jobs j where j.worker_id = v_worker.id);
  end loop;

  for v_job in
    select * from public.jobs j where j.status = 'processing' and j.deadline_at < now()
     order by j.deadline_at limit 100 for update skip locked
  loop
    perform private.requeue_lost(v_job, 'timed_out', 'the job ran longer than its time limit');
    v_count := v_count + 1;
  end loop;

  perform private.ready_due();

  for v_lane in
    select k.kind, k.lane, l.served, coalesce(pg_sequence_last_value(l.served), 0) as turn
      from (values ('generate', 'interactive'), ('generate', 'batch'), ('merge', 'interactive'), ('merge', 'batch')) k (kind, lane),
           lateral (select to_regclass('private.served_' || k.kind || '_' || k.lane) as served) l
  loop
    -- Turns that were missed, because the insert committed late or an operator had paused the jobs: they are drawn anew, or
    -- one tenant would get all the claims until it has caught up.
    for v_late in
      select j.id, j.priority, j.tenant, j.seq from public.jobs j
       where j.kind = v_lane.kind and j.lane = v_lane.lane and j.priority = 0 and j.status = 'pending' and j.run_at is null
         and j.turn < v_lane.turn >> 32 << 32 and j.attempt = 0
       order by j.turn limit 64 for update skip locked
    loop
      update public.jobs j set turn = private.turn_of(v_lane.kind, v_lane.lane, v_late.priority, v_late.tenant, v_late.seq)
       where j.id = v_late.id;
    end loop;
    -- The true head: jobs that came back keep their turns and may stand before the one served last.
    perform setval(v_lane.served, h.turn)
       from (select min(turn) as turn
               from ((select j.turn from public.jobs j
                       where j.kind = v_lane.kind and j.lane = v_lane.lane and j.priority = 0 and j.status = 'pending' and j.run_at is null
                         and j.turn >= v_lane.turn >> 32 << 32
                       order by j.turn limit 1)
                     union all
                     (select j.turn from public.jobs j
                       where j.kind = v_lane.kind and j.lane = v_lane.lane and j.priority = 0 and j.status = 'pending' and j.run_at is null
                         and j.attempt > 0
                       order by j.turn limit 1)) heads) h
      where h.turn is not null;
  end loop;
  return v_count;
end
$$;
comment on function queue.sweep() is 'Requeue jobs of dead workers and past deadlines, ready the backed-off ones, correct the hints; returns how many were taken from workers.';

-- Lock the job of a lane whose turn it is: the head of jobs_ready, from the turn served last on. Priorities other than 0
-- are rare (only SQL sets them) and walk without that hint. Each walk is one index scan that ends at its first free row.
create function private.next_ready(p_kind text, p_lane text) returns uuid
language plpgsql set search_path = '' set enable_seqscan = off
as $$
declare
  v_served bigint := coalesce(pg_sequence_last_value(to_regclass('private.served_' || p_kind || '_' || p_lane)), 0);
  v_job uuid;
begin
  select j.id into v_job from public.jobs j
   where j.kind = p_kind and j.lane = p_lane and j.priority > 0 and j.status = 'pending' and j.run_at is null
   order by j.priority desc, j.turn
   limit 1 for update skip locked;
  if not found then
    select j.id into v_job from public.jobs j
     where j.kind = p_kind and j.lane = p_lane and j.priority = 0 and j.turn >= v_served and j.status = 'pending' and j.run_at is null
     order by j.turn
     limit 1 for update skip locked;
  end if;
  if not found then
    select j.id into v_job from public.jobs j
     where j.kind = p_kind and j.lane = p_lane and j.priority < 0 and j.status = 'pending' and j.run_at is null
     order by j.priority desc, j.turn
     limit 1 for update skip locked;
  end if;
  return v_job;
end
$$;
comment on function private.next_ready(text, text) is 'Lock and return the next job of a lane; null when there is none. `for update skip locked`, no advisory lock, no walk over tenants.';

-- The next job for a worker, as JSON with the indices that are done already; null when there is none.
-- Interactive first, the batch lane first about once in ten claims; kinds in random order, so that neither starves the other.
create function queue.claim(p_worker bigint, p_timeout interval) returns jsonb
language plpgsql set search_path = ''
as $$
declare
  v_ms bigint := extract(epoch from clock_timestamp()) * 1000;
  v_swept bigint := coalesce(pg_sequence_last_value('private.swept_ms'), 0);
  v_since_ms bigint := abs(v_ms - v_swept); -- also when the clock was set back
  v_sweep boolean := v_since_ms >= 1000;
  v_lanes text[] := array['interactive', 'batch'];
  v_kinds text[];
  v_kind text;
  v_lane text;
  v_id uuid;
  v_job public.jobs;
begin
  -- A worker that does not beat gets no work: whoever claims next would only take it away again.
  select w.kinds into v_kinds from public.workers w
   where w.id = p_worker and w.state in ('loading', 'ready') and not w.draining and w.last_seen >= now() - w.lease
     for key share;
  if not found then
    return null;
  end if;
  if random() < (select s.batch_first_share from private.settings s) then
    v_lanes := array['batch', 'interactive'];
  end if;
  if cardinality(v_kinds) > 1 and random() < 0.5 then
    v_kinds := array[v_kinds[2], v_kinds[1]];
  end if;
  loop
    if v_sweep then
      perform queue.sweep();
    end if;
    foreach v_lane in array v_lanes loop
      foreach v_kind in array v_kinds loop
        v_id := private.next_ready(v_kind, v_lane);
        if v_id is not null then
          update public.jobs j
             set status = 'processing', attempt = j.attempt + 1, worker_id = p_worker,
                 started_at = coalesce(j.started_at, now()), claimed_at = now(), deadline_at = now() + p_timeout
           where j.id = v_id
          returning j.* into v_job;
          if v_job.priority = 0 then
            perform setval(to_regclass('private.served_' || v_kind || '_' || v_lane), v_job.turn);
          end if;
          return to_jsonb(v_job) || jsonb_build_object(
            'announced_bytes', (select u.size from private.uploads u where u.path = private.upload_of(v_job.video_url)),
            'done', (select coalesce(jsonb_agg(r.index order by r.index), '[]') from public.results r where r.job_id = v_id));
        end if;
      end loop;
    end loop;
    exit when v_sweep;
    v_sweep := v_since_ms >= coalesce(pg_sequence_last_value('private.hearing'), 0) - 20;
    exit when not (v_sweep or private.ready_due());
  end loop;
  return null;
end
$$;
comment on function queue.claim(bigint, interval) is 'Take the next job of the worker''s kinds, or null.';

-- Seconds until the first backed-off job is due, null when none waits. A job that an operator paused waits for no moment.
create function queue.next_due() returns double precision
language sql stable set search_path = ''
as $$
  select greatest(0, extract(epoch from j.run_at - now()))::double precision
    from public.jobs j where j.status = 'pending' and j.run_at < 'infinity'
   order by j.run_at limit 1;
$$;
comment on function queue.next_due() is 'Seconds until the first backed-off job is due, null when none waits.';

-- Whether interactive work of these kinds waits: a batch job then hands itself back between variants.
create function queue.interactive_waiting(p_kinds text[]) returns boolean
language sql stable set search_path = ''
as $$
  select exists (
    select from unnest(p_kinds) k (kind)
     where exists (select from public.jobs j
                    where j.kind = k.kind and j.lane = 'interactive' and j.priority = 0 and j.status = 'pending' and j.run_at is null
                      and j.turn >= coalesce(pg_sequence_last_value(to_regclass('private.served_' || k.kind || '_interactive')), 0))
        or exists (select from public.jobs j
                    where j.kind = k.kind and j.lane = 'interactive' and j.priority > 0 and j.status = 'pending' and j.run_at is null));
$$;
comment on function queue.interactive_waiting(text[]) is 'Whether interactive work of these kinds waits.';
