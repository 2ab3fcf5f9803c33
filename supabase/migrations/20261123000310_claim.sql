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

  for v_lane in -- where something waits that stands before the turn served last
    select k.kind, k.lane, k.engine, l.served, t.turn
      from (values ('merge', 'interactive', ''), ('merge', 'batch', ''), ('generate', 'interactive', ''), ('generate', 'batch', ''),
                   ('generate', 'interactive', 'mmaudio'), ('generate', 'batch', 'mmaudio'), ('generate', 'interactive', 'acestep'),
                   ('generate', 'batch', 'acestep'), ('generate', 'interactive', 'sketch'), ('generate', 'batch', 'sketch')) k (kind, lane, engine),
           lateral (select to_regclass('private.' || concat_ws('_', 'served', k.kind, k.lane, nullif(k.engine, ''))) as served) l,
           lateral (select coalesce(pg_sequence_last_value(l.served), 0) as turn) t,
           lateral (select from public.jobs j -- with a limit, so that it is ten walks along an index and never a join with all that waits
                     where j.kind = k.kind and j.lane = k.lane and j.engine = k.engine and j.priority = 0 and j.turn < t.turn
                       and j.status = 'pending' and j.run_at is null limit 1) before
  loop
    -- Turns that were missed, because the insert committed late or an operator had paused the jobs: they are drawn anew, or
    -- one tenant would get all the claims until it has caught up.
    for v_late in
      select j.id, j.priority, j.tenant, j.seq from public.jobs j
       where j.kind = v_lane.kind and j.lane = v_lane.lane and j.engine = v_lane.engine and j.priority = 0
         and j.status = 'pending' and j.run_at is null and j.turn < v_lane.turn >> 32 << 32 and j.attempt = 0
       order by j.turn limit 64 for update skip locked
    loop
      update public.jobs j set turn = private.turn_of(v_lane.kind, v_lane.lane, v_lane.engine, v_late.priority, v_late.tenant, v_late.seq)
       where j.id = v_late.id;
    end loop;
    -- The true head, where it stands before the job served last: those that came back keep their turns, and what is drawn anew,
    -- or committed late, is of the round but older.
    perform setval(v_lane.served, h.turn)
       from (select min(turn) as turn
               from ((select j.turn from public.jobs j
                       where j.kind = v_lane.kind and j.lane = v_lane.lane and j.engine = v_lane.engine and j.priority = 0
                         and j.status = 'pending' and j.run_at is null and j.turn >= v_lane.turn >> 32 << 32
                       order by j.turn limit 1)
                     union all
                     (select j.turn from public.jobs j
                       where j.kind = v_lane.kind and j.lane = v_lane.lane and j.engine = v_lane.engine and j.priority = 0
                         and j.status = 'pending' and j.run_at is null and j.attempt > 0
                       order by j.turn limit 1)) heads) h
      where h.turn < v_lane.turn;
  end loop;
  return v_count;
end
$$;
comment on function queue.sweep() is 'Requeue jobs of dead workers and past deadlines, ready the backed-off ones, correct the hints; returns how many were taken from workers.';

-- Lock the job of a lane whose turn it is, among those for these engines ('' is: for any): the head of each is looked at, and
-- the first of them taken, so that nothing stays locked that another worker could have. Walks begin at the turn served last;
-- priorities other than 0 are rare (only SQL sets them) and walk without that hint. Each walk is one index scan that ends at
-- its first row, and no job for another engine is in its way. One plan serves all: to make one for each array of engines
-- would take ten times as long as the walk.
--
-- Whatever these engines have yet to serve has no lower turn than the one taken, so their round is this one: who asks for an
-- engine that was rarely asked for takes turns with the others, and does not catch up first.
create function private.next_ready(p_kind text, p_lane text, p_engines text[]) returns uuid
language plpgsql set search_path = '' set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  v_served regclass[];
  v_turns bigint[];
  v_turn bigint;
  v_job uuid;
begin
  select r.id into v_job
    from (select e.engine, h.priority, h.turn
            from unnest(p_engines) e (engine),
                 lateral (select j.priority, j.turn from public.jobs j
                           where j.kind = p_kind and j.lane = p_lane and j.engine = e.engine and j.priority > 0
                             and j.status = 'pending' and j.run_at is null
                           order by j.priority desc, j.turn limit 1) h
           order by h.priority desc, h.turn) q,
         lateral (select j.id from public.jobs j
                   where j.kind = p_kind and j.lane = p_lane and j.engine = q.engine and j.priority > 0
                     and j.status = 'pending' and j.run_at is null
                   order by j.priority desc, j.turn limit 1 for update skip locked) r
   limit 1;
  if found then
    return v_job;
  end if;

  for v_at in 1..cardinality(p_engines) loop
    v_served[v_at] := to_regclass('private.' || concat_ws('_', 'served', p_kind, p_lane, nullif(p_engines[v_at], '')));
    v_turns[v_at] := coalesce(pg_sequence_last_value(v_served[v_at]), 0);
  end loop;
  select r.id, q.turn into v_job, v_turn
    from (select e.engine, h.turn
            from unnest(p_engines, v_turns) e (engine, served),
                 lateral (select j.turn from public.jobs j
                           where j.kind = p_kind and j.lane = p_lane and j.engine = e.engine and j.priority = 0 and j.turn >= e.served
                             and j.status = 'pending' and j.run_at is null
                           order by j.turn limit 1) h
           order by h.turn) q,
         lateral (select j.id from public.jobs j
                   where j.kind = p_kind and j.lane = p_lane and j.engine = q.engine and j.priority = 0 and j.turn >= q.turn
                     and j.status = 'pending' and j.run_at is null
                   order by j.turn limit 1 for update skip locked) r
   limit 1;
  if found then
    for v_at in 1..cardinality(p_engines) loop
      if v_turns[v_at] < v_turn then
        v_turn := setval(v_served[v_at], v_turn); -- an assignment: `perform` would run a query
      end if;
    end loop;
    return v_job;
  end if;

  select r.id into v_job
    from (select e.engine, h.priority, h.turn
            from unnest(p_engines) e (engine),
                 lateral (select j.priority, j.turn from public.jobs j
                           where j.kind = p_kind and j.lane = p_lane and j.engine = e.engine and j.priority < 0
                             and j.status = 'pending' and j.run_at is null
                           order by j.priority desc, j.turn limit 1) h
           order by h.priority desc, h.turn) q,
         lateral (select j.id from public.jobs j
                   where j.kind = p_kind and j.lane = p_lane and j.engine = q.engine and j.priority < 0
                     and j.status = 'pending' and j.run_at is null
                   order by j.priority desc, j.turn limit 1 for update skip locked) r
   limit 1;
  return v_job;
end
$$;
comment on function private.next_ready(text, text, text[]) is 'Lock and return the next job of a lane for one of these engines; null when there is none. `for update skip locked`, no advisory lock, no walk over tenants or other engines.';

-- The next job for a worker, as JSON with the indices that are done already; null when there is none.
-- Interactive first, the batch lane first about once in ten claims; kinds in random order, so that neither starves the other.
-- For the same reason one engine alone is looked at first in those ten: where workers that had others, too, have driven its
-- rounds far ahead and are gone, its turn would not come for long.
create function queue.claim(p_worker bigint, p_timeout interval) returns jsonb
language plpgsql set search_path = ''
as $$
declare
  v_ms bigint := extract(epoch from clock_timestamp()) * 1000;
  v_swept bigint := coalesce(pg_sequence_last_value('private.swept_ms'), 0);
  v_since_ms bigint := abs(v_ms - v_swept); -- also when the clock was set back
  v_sweep boolean := v_since_ms >= 1000;
  v_odd boolean := random() < (select s.batch_first_share from private.settings s);
  v_lanes text[] := case when v_odd then array['batch', 'interactive'] else array['interactive', 'batch'] end;
  v_kinds text[];
  v_all text[];
  v_engines text[];
  v_kind text;
  v_lane text;
  v_id uuid;
  v_job public.jobs;
begin
  -- A worker that does not beat gets no work: whoever claims next would only take it away again.
  select w.kinds, array[''] || w.engines into v_kinds, v_all from public.workers w
   where w.id = p_worker and w.state in ('loading', 'ready') and not w.draining and w.last_seen >= now() - w.lease
     for key share;
  if not found then
    return null;
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
        v_engines := case v_kind when 'merge' then array[''] else v_all end;
        v_id := case when v_odd then private.next_ready(v_kind, v_lane, array[v_engines[ceil(random() * cardinality(v_engines))]]) end;
        v_id := coalesce(v_id, private.next_ready(v_kind, v_lane, v_engines));
        if v_id is not null then
          update public.jobs j
             set status = 'processing', attempt = j.attempt + 1, worker_id = p_worker,
                 started_at = coalesce(j.started_at, now()), claimed_at = now(), deadline_at = now() + p_timeout
           where j.id = v_id
          returning j.* into v_job;
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
comment on function queue.claim(bigint, interval) is 'Take the next job of the worker''s kinds and engines, or null.';

-- Seconds until the first backed-off job is due, null when none waits. A job that an operator paused waits for no moment.
create function queue.next_due() returns double precision
language sql stable set search_path = ''
as $$
  select greatest(0, extract(epoch from j.run_at - now()))::double precision
    from public.jobs j where j.status = 'pending' and j.run_at < 'infinity'
   order by j.run_at limit 1;
$$;
comment on function queue.next_due() is 'Seconds until the first backed-off job is due, null when none waits.';

-- How many workers share the queue, as the last sweep counted them: the more there are, the more rarely each needs to look.
create function queue.fleet() returns bigint
language sql stable set search_path = ''
as $$
  select coalesce(pg_sequence_last_value('private.hearing'), 1);
$$;
comment on function queue.fleet() is 'How many workers live: a hint.';

-- Whether interactive work waits that this worker could do: a batch job then hands itself back between variants.
create function queue.interactive_waiting(p_worker bigint) returns boolean
language sql stable set search_path = ''
as $$
  select exists (
    select from public.workers w, unnest(w.kinds) k (kind), unnest(case k.kind when 'merge' then array[''] else array[''] || w.engines end) e (engine)
     where w.id = p_worker
       and (exists (select from public.jobs j
                     where j.kind = k.kind and j.lane = 'interactive' and j.engine = e.engine and j.priority = 0 and j.status = 'pending' and j.run_at is null
                       and j.turn >= coalesce(pg_sequence_last_value(to_regclass('private.' || concat_ws('_', 'served', k.kind, 'interactive', nullif(e.engine, '')))), 0))
         or exists (select from public.jobs j
                     where j.kind = k.kind and j.lane = 'interactive' and j.engine = e.engine and j.priority > 0 and j.status = 'pending' and j.run_at is null)));
$$;
comment on function queue.interactive_waiting(bigint) is 'Whether interactive work of this worker''s kinds and engines waits.';
