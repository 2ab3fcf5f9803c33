-- What a worker does with jobs. Every write carries (job, attempt, worker) and answers with a verdict:
--   'ok'         written
--   'cancelled'  the user took the job back: stop, then call queue.finish, which ends it as cancelled
--   'lost'       the lease no longer holds: another attempt owns the job, or it is over; write nothing more
-- The clock is the database's.

-- A worker process begins. Each start is a new row: the id tells incarnations of one box apart.
create function queue.register(p_name text, p_kinds text[], p_engine text, p_version text, p_lease interval) returns bigint
language sql set search_path = ''
as $$
  delete from public.workers w where w.last_seen < now() - interval '7 days'
    and not exists (select from public.jobs j where j.worker_id = w.id and j.status = 'processing');
  insert into public.workers (name, kinds, engine, version, lease) values (p_name, p_kinds, p_engine, p_version, p_lease)
    returning id;
$$;
comment on function queue.register(text, text[], text, text, interval) is 'Enter a worker process; returns its id.';

-- The models are loaded: the worker is ready to claim.
create function queue.ready(p_worker bigint, p_engine text) returns void
language sql set search_path = ''
as $$
  update public.workers set state = 'ready', engine = p_engine, last_seen = now() where id = p_worker;
$$;
comment on function queue.ready(bigint, text) is 'Mark a worker as ready to claim.';

-- One beat: say that the worker lives, learn which of its jobs to stop ('lost', 'cancelled') and whether to drain (job null).
create function queue.beat(p_worker bigint, p_jobs uuid[], p_attempts integer[]) returns table (job_id uuid, verdict text)
language plpgsql set search_path = ''
as $$
declare
  v_draining boolean;
begin
  update public.workers w
     set last_seen = now(), state = case when w.state = 'lost' then 'ready' else w.state end
   where w.id = p_worker and w.state <> 'gone'
  returning w.draining into v_draining;
  if not found then
    return query select unnest(p_jobs), 'lost';
    return;
  end if;
  if v_draining then
    return query select null::uuid, 'drain';
  end if;
  return query
    select held.id, case when j.id is null then 'lost' else 'cancelled' end
      from unnest(p_jobs, p_attempts) held (id, attempt)
      left join public.jobs j
        on j.id = held.id and j.attempt = held.attempt and j.worker_id = p_worker and j.status = 'processing'
     where j.id is null or j.cancel_requested;
end
$$;
comment on function queue.beat(bigint, uuid[], integer[]) is 'Heartbeat of a worker; answers which jobs to stop.';

-- End an attempt: cancelled if the user asked so, pending again where p_again allows it, completed when something came
-- out, else failed. The caller holds the row locked. Waits are capped, exponential and fully jittered.
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
  if v_status = 'pending' then
    select random() * least(s.backoff_cap, s.backoff_base * 2 ^ least(j.attempt, 20)) into v_wait from private.settings s;
  end if;
  update public.jobs
     set status = v_status, worker_id = null, deadline_at = null, stage = null,
         crashes = j.crashes + p_crashes,
         run_at = now() + v_wait,
         finished_at = case when v_status <> 'pending' then now() end,
         error = case when v_tells then p_error end,
         error_code = case when v_tells then p_code end
   where id = j.id;
end
$$;
comment on function private.settle(public.jobs, boolean, text, text, integer) is 'End an attempt of a locked job.';

-- A job comes back from a worker that is gone: a crash is counted apart from attempts, with a low cap, because a job that
-- kills workers must not travel through all of them.
create function private.requeue_lost(j public.jobs, p_reason text) returns void
language sql set search_path = ''
as $$
  select private.settle(j, j.crashes + 1 < s.max_crashes and j.attempt < j.max_attempts, 'worker_lost', p_reason, 1)
    from private.settings s;
$$;
comment on function private.requeue_lost(public.jobs, text) is 'Take a locked job from a worker that is gone; counts a crash.';

-- Put right what time has made wrong: jobs of dead workers, jobs past their deadline, backed-off jobs that are due.
-- Bounded, skips what others hold, costs three index probes when there is nothing to do. Every claim calls it.
create function queue.sweep() returns integer
language plpgsql set search_path = ''
as $$
declare
  v_worker record;
  v_job public.jobs;
  v_count integer := 0;
begin
  for v_worker in
    select w.id, w.name, w.last_seen from public.workers w
     where w.state in ('loading', 'ready') and w.last_seen < now() - w.lease
     order by w.last_seen limit 10 for update skip locked
  loop
    for v_job in
      select * from public.jobs j where j.worker_id = v_worker.id and j.status = 'processing'
       order by j.id limit 100 for update skip locked
    loop
      perform private.requeue_lost(v_job, format('the worker %s stopped answering while it had this job', v_worker.name));
      v_count := v_count + 1;
    end loop;
    update public.workers w set state = 'lost' where w.id = v_worker.id
       and not exists (select from public.jobs j where j.worker_id = v_worker.id and j.status = 'processing');
  end loop;

  for v_job in
    select * from public.jobs j where j.status = 'processing' and j.deadline_at < now()
     order by j.deadline_at limit 100 for update skip locked
  loop
    perform private.requeue_lost(v_job, 'the job ran longer than its time limit');
    v_count := v_count + 1;
  end loop;

  update public.jobs j set run_at = null
   where j.id = any (array(select d.id from public.jobs d
                            where d.status = 'pending' and d.run_at is not null and d.run_at <= now()
                            order by d.run_at limit 100 for update skip locked));
  return v_count;
end
$$;
comment on function queue.sweep() is 'Requeue jobs of dead workers and past deadlines, ready the backed-off ones; returns how many were taken from workers.';

-- The next job for a worker, as JSON with the indices that are done already; null when there is none.
-- One index walk per lane and kind: interactive first, the batch lane first about once in ten claims; kinds in random order.
create function queue.claim(p_worker bigint, p_timeout interval) returns jsonb
language plpgsql set search_path = ''
as $$
declare
  v_kinds text[];
  v_kind text;
  v_lane text;
  v_lanes text[] := array['interactive', 'batch'];
  v_job public.jobs;
begin
  select w.kinds into v_kinds from public.workers w where w.id = p_worker and w.state in ('loading', 'ready') and not w.draining;
  if not found then
    return null;
  end if;
  perform queue.sweep();
  if random() < (select s.batch_first_share from private.settings s) then
    v_lanes := array['batch', 'interactive'];
  end if;
  if cardinality(v_kinds) > 1 and random() < 0.5 then
    v_kinds := array[v_kinds[2], v_kinds[1]];
  end if;
  foreach v_lane in array v_lanes loop
    foreach v_kind in array v_kinds loop
      update public.jobs j
         set status = 'processing', attempt = j.attempt + 1, worker_id = p_worker,
             started_at = coalesce(j.started_at, now()), deadline_at = now() + p_timeout
       where j.id = (select r.id from public.jobs r
                      where r.kind = v_kind and r.lane = v_lane and r.status = 'pending' and r.run_at is null
                      order by r.priority desc, r.turn, r.seq
                      limit 1 for update skip locked)
      returning j.* into v_job;
      if found then
        return to_jsonb(v_job) || jsonb_build_object(
          'done', (select coalesce(jsonb_agg(r.index order by r.index), '[]') from public.results r where r.job_id = v_job.id));
      end if;
    end loop;
  end loop;
  return null;
end
$$;
comment on function queue.claim(bigint, interval) is 'Take the next job of the worker''s kinds, or null. `for update skip locked`, no advisory lock, no walk over tenants.';

-- Seconds until the first backed-off job is due, null when none waits.
create function queue.next_due() returns double precision
language sql stable set search_path = ''
as $$
  select greatest(0, extract(epoch from min(j.run_at) - now()))::double precision
    from public.jobs j where j.status = 'pending' and j.run_at is not null;
$$;
comment on function queue.next_due() is 'Seconds until the first backed-off job is due, null when none waits.';

-- Whether interactive work of these kinds waits: a batch job then hands itself back between variants.
create function queue.interactive_waiting(p_kinds text[]) returns boolean
language sql stable set search_path = ''
as $$
  select exists (select from public.jobs j
                  where j.kind = any (p_kinds) and j.lane = 'interactive' and j.status = 'pending' and j.run_at is null);
$$;
comment on function queue.interactive_waiting(text[]) is 'Whether interactive work of these kinds waits.';

-- The fence: lock the job for a write of its holder and say whether the lease holds. SHARE conflicts with whoever takes
-- the job away (a foreign key's KEY SHARE would not), so a result cannot slip in behind a requeue.
create function private.fence(p_job uuid, p_attempt integer, p_worker bigint) returns text
language plpgsql set search_path = ''
as $$
declare
  v_cancel boolean;
begin
  select j.cancel_requested into v_cancel from public.jobs j
   where j.id = p_job and j.attempt = p_attempt and j.worker_id = p_worker and j.status = 'processing' for share;
  return case when not found then 'lost' when v_cancel then 'cancelled' else 'ok' end;
end
$$;
comment on function private.fence(uuid, integer, bigint) is 'Whether (job, attempt, worker) still holds: ok, cancelled or lost.';

create function queue.set_stage(p_job uuid, p_attempt integer, p_worker bigint, p_stage text) returns text
language plpgsql set search_path = ''
as $$
declare
  v_cancel boolean;
begin
  update public.jobs j set stage = p_stage
   where j.id = p_job and j.attempt = p_attempt and j.worker_id = p_worker and j.status = 'processing'
  returning j.cancel_requested into v_cancel;
  return case when not found then 'lost' when v_cancel then 'cancelled' else 'ok' end;
end
$$;
comment on function queue.set_stage(uuid, integer, bigint, text) is 'Fenced: say where a running job stands.';

-- Saved once: a retry finds the plan of the first attempt and makes the same music. Answers with the plan that holds.
create function queue.save_plan(p_job uuid, p_attempt integer, p_worker bigint, p_plan jsonb, out verdict text, out plan jsonb)
language plpgsql set search_path = ''
as $$
declare
  v_cancel boolean;
begin
  update public.jobs j set plan = coalesce(j.plan, p_plan)
   where j.id = p_job and j.attempt = p_attempt and j.worker_id = p_worker and j.status = 'processing'
  returning j.cancel_requested, j.plan into v_cancel, save_plan.plan;
  verdict := case when not found then 'lost' when v_cancel then 'cancelled' else 'ok' end;
end
$$;
comment on function queue.save_plan(uuid, integer, bigint, jsonb) is 'Fenced: save the plan unless there is one; returns the one that holds.';

-- A result that is there already is kept as it is.
create function queue.put_result(p_job uuid, p_attempt integer, p_worker bigint, p_result jsonb) returns text
language plpgsql set search_path = ''
as $$
declare
  v_verdict text := private.fence(p_job, p_attempt, p_worker);
begin
  if v_verdict = 'ok' then
    insert into public.results (job_id, index, attempt, prompt, title, description, audio_url, video_url, seed, duration,
                                engine, model, describer, bpm, key, peaks)
    select p_job, r.index, p_attempt, coalesce(r.prompt, ''), coalesce(r.title, ''), coalesce(r.description, ''),
           r.audio_url, r.video_url, r.seed, r.duration, coalesce(r.engine, ''), coalesce(r.model, ''),
           coalesce(r.describer, ''), r.bpm, r.key, r.peaks
      from jsonb_populate_record(null::public.results, p_result) r
    on conflict (job_id, index) do nothing;
  end if;
  return v_verdict;
end
$$;
comment on function queue.put_result(uuid, integer, bigint, jsonb) is 'Fenced: write one result row; an existing one is never overwritten.';

-- An error ended this attempt. With p_again the job is retried after a backoff while attempts are left.
create function queue.fail(p_job uuid, p_attempt integer, p_worker bigint, p_code text, p_error text, p_again boolean) returns text
language plpgsql set search_path = ''
as $$
declare
  v_job public.jobs;
begin
  select * into v_job from public.jobs j
   where j.id = p_job and j.attempt = p_attempt and j.worker_id = p_worker and j.status = 'processing' for update;
  if not found then
    return 'lost';
  end if;
  perform private.settle(v_job, p_again and v_job.attempt < v_job.max_attempts, p_code, p_error);
  return 'ok';
end
$$;
comment on function queue.fail(uuid, integer, bigint, text, text, boolean) is 'Fenced: report an error; retries with backoff when p_again.';

-- The job is done: completed when something came out, else failed.
create function queue.finish(p_job uuid, p_attempt integer, p_worker bigint) returns text
language sql set search_path = ''
as $$
  select queue.fail(p_job, p_attempt, p_worker, 'no_result', 'nothing came out of this job', false);
$$;
comment on function queue.finish(uuid, integer, bigint) is 'Fenced: end a job.';

-- Hand a job back as if it had not been claimed. The attempt is not burnt: one is added to max_attempts, because
-- `attempt` is the fencing token and never goes down.
create function queue.release(p_job uuid, p_attempt integer, p_worker bigint) returns text
language plpgsql set search_path = ''
as $$
begin
  update public.jobs j
     set status = case when j.cancel_requested then 'cancelled' else 'pending' end,
         finished_at = case when j.cancel_requested then now() end,
         worker_id = null, deadline_at = null, stage = null, max_attempts = j.max_attempts + 1
   where j.id = p_job and j.attempt = p_attempt and j.worker_id = p_worker and j.status = 'processing';
  return case when found then 'ok' else 'lost' end;
end
$$;
comment on function queue.release(uuid, integer, bigint) is 'Fenced: hand a job back without burning an attempt.';

-- The worker ends in good order: what it still holds is handed back.
create function queue.leave(p_worker bigint) returns void
language plpgsql set search_path = ''
as $$
begin
  perform queue.release(j.id, j.attempt, p_worker) from public.jobs j where j.worker_id = p_worker and j.status = 'processing';
  update public.workers set state = 'gone', last_seen = now() where id = p_worker;
end
$$;
comment on function queue.leave(bigint) is 'Sign a worker off and hand back what it holds.';
