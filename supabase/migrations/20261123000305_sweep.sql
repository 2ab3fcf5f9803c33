-- What ends an attempt, and what time has made wrong: jobs of dead workers, past deadlines, backed-off jobs that are due.
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
    when j.brief is not null or exists (select from public.results r where r.job_id = j.id) then 'completed'
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

-- How many workers hear of work, and how many of them have room for it, by kind and by engine; those of a small fleet are all called.
create function private.count_room() returns void
language plpgsql set search_path = '' set enable_seqscan = off
as $$
begin
  if setval('private.hearing', (select count(*) from public.workers w where w.state in ('loading', 'ready'))) > 32 then
    perform setval('private.room_' || k.what, coalesce(r.count, 0))
       from unnest(array['generate', 'merge', 'brief', 'pack', 'mmaudio', 'acestep', 'sketch']) k (what)
       left join (select t.what, sum(alike.count)::bigint as count
                    from (select w.kinds || w.engines as takes, count(*)
                            from public.workers w left join (select j.worker_id, count(*) from public.jobs j where j.worker_id is not null group by 1) held
                              on held.worker_id = w.id
                           where w.state in ('loading', 'ready') and w.state = 'ready' and not w.draining -- the first for workers_alive
                             and coalesce(held.count, 0) < w.slots
                           group by 1) alike,
                         unnest(alike.takes) t (what)
                   group by 1) r using (what);
  end if;
end
$$;
comment on function private.count_room() is 'Count the workers that have room for a job, for wake-ups.';

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
  perform setval('private.swept_ms', private.now_ms());
  perform private.count_room();
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
      from (values ('merge', 'interactive', ''), ('merge', 'batch', ''), ('brief', 'interactive', ''), ('brief', 'batch', ''),
                   ('pack', 'interactive', ''), ('pack', 'batch', ''), ('generate', 'interactive', ''), ('generate', 'batch', ''),
                   ('generate', 'interactive', 'mmaudio'), ('generate', 'batch', 'mmaudio'), ('generate', 'interactive', 'acestep'),
                   ('generate', 'batch', 'acestep'), ('generate', 'interactive', 'sketch'), ('generate', 'batch', 'sketch')) k (kind, lane, engine),
           lateral (select to_regclass('private.' || concat_ws('_', 'served', k.kind, k.lane, nullif(k.engine, ''))) as served) l,
           lateral (select coalesce(pg_sequence_last_value(l.served), 0) as turn) t,
           lateral (select from public.jobs j -- with a limit, so that it is fourteen walks along an index and never a join with all that waits
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
