-- A worker's life: it registers, gets ready, beats, leaves. Liveness is the worker's, not the job's: one small row is
-- beaten, from the worker's own thread and connection, whatever its jobs are busy with. The clock is the database's.
--
-- Lock order, everywhere: a worker's row before the jobs it holds. A claim locks its worker FOR KEY SHARE; whoever takes
-- jobs away from a worker (queue.sweep, queue.leave) locks it FOR UPDATE. So no job is claimed behind their back, while
-- beats and claims of one worker do not wait for each other.

-- Milliseconds of the epoch.
create function private.now_ms() returns bigint
language sql volatile set search_path = ''
as $$
  select (extract(epoch from clock_timestamp()) * 1000)::bigint;
$$;
comment on function private.now_ms() is 'Milliseconds of the epoch; a function of its own so that tests can move it.';

-- A worker process begins. Each start is a new row: the id tells incarnations of one worker apart.
create function queue.register(p_name text, p_kinds text[], p_engines text[], p_version text, p_lease interval, p_slots integer default 2) returns bigint
language sql set search_path = ''
as $$
  delete from public.workers w where w.last_seen < now() - interval '7 days'
    and not exists (select from public.jobs j where j.worker_id = w.id);
  insert into public.workers (name, kinds, engines, engine, version, lease, slots)
  values (p_name, p_kinds, p_engines, array_to_string(p_engines, ', '), p_version, p_lease, p_slots)
    returning id;
$$;
comment on function queue.register(text, text[], text[], text, interval, integer) is 'Enter a worker process; returns its id.';

-- The models are loaded: the worker is ready.
create function queue.ready(p_worker bigint, p_engine text) returns void
language sql set search_path = ''
as $$
  update public.workers set state = 'ready', ready_at = now(), engine = p_engine, last_seen = now()
   where id = p_worker and state <> 'gone';
$$;
comment on function queue.ready(bigint, text) is 'Say that a worker has loaded its models.';

-- A worker's row, and with p_seen written first: it lives. While somebody holds an old snapshot (a dump, a forgotten psql)
-- nothing is vacuumed, and the walk to a row by its id passes every version that was ever left: where this session found or
-- wrote it last is tried first. A plan that was made while the table was one page shall not read all of it later.
create function private.worker_row(p_worker bigint, p_seen boolean) returns public.workers
language plpgsql set search_path = '' set enable_seqscan = off
as $$
declare
  v_at tid := nullif(current_setting('rhythmai.worker_at', true), '');
  v record;
begin
  for v_try in 1..2 loop
    if v_try = 2 then
      if p_seen then -- it shall not move again
        perform from public.workers w where w.id = p_worker for update;
      end if;
      select w.ctid into v_at from public.workers w where w.id = p_worker;
    end if;
    if p_seen then
      update public.workers w
         set last_seen = now(),
             state = case when w.state <> 'lost' then w.state when w.ready_at is null then 'loading' else 'ready' end
       where w.ctid = v_at and w.id = p_worker and w.state <> 'gone'
      returning w.ctid as at, w as row into v;
    else
      select w.ctid as at, w as row into v from public.workers w where w.ctid = v_at and w.id = p_worker;
    end if;
    exit when found;
  end loop;
  perform set_config('rhythmai.worker_at', coalesce(v.at::text, ''), false);
  return v.row;
end
$$;
comment on function private.worker_row(bigint, boolean) is 'The row of a worker, whose place the session remembers; with p_seen it is marked as living.';

-- One beat: say that the worker lives, learn which of its leases to stop ('lost', 'cancelled'), and what the worker itself
-- is to do (job null): 'drain', or register anew because its row is 'gone'. Beats come often, since users wait for what they
-- bring back; the row is written when a quarter of the lease has passed, at most 7.5 s, since each write leaves a dead version.
-- p_jobs are all that the worker knows of. What it holds besides was claimed by a call whose answer never arrived, and is
-- handed back once no answer can be on its way any more: else a living heart would keep it from everybody until its deadline.
create function queue.beat(p_worker bigint, p_jobs uuid[], p_attempts integer[])
returns table (job_id uuid, attempt integer, verdict text)
language plpgsql set search_path = ''
as $$
declare
  v_worker public.workers := private.worker_row(p_worker, false);
  v_ms bigint := private.now_ms();
begin
  -- Nobody was heard for long: the database was out of reach, not every worker dead. From the first beat on, the others have
  -- ten seconds to be heard as well.
  if v_ms - coalesce(pg_sequence_last_value('private.beat_ms'), v_ms) > 20000 then
    perform setval('private.heard_ms', v_ms - greatest(0, extract(epoch from v_worker.lease) * 1000 - 10000)::bigint);
  end if;
  perform setval('private.beat_ms', v_ms);
  perform private.pay_wakes();
  if v_worker.state = 'lost' or v_worker.last_seen <= now() - least(interval '7.5 seconds', v_worker.lease / 4) then
    v_worker := private.worker_row(p_worker, true);
  end if;
  if v_worker.id is null or v_worker.state = 'gone' then
    return query select null::uuid, null::integer, 'gone' union all select h.id, h.attempt, 'lost' from unnest(p_jobs, p_attempts) h (id, attempt);
    return;
  end if;
  perform queue.release(j.id, j.attempt, p_worker) from public.jobs j
    where j.worker_id = p_worker and j.claimed_at < now() - interval '45 seconds'
      and not exists (select from unnest(p_jobs, p_attempts) held (id, attempt) where held.id = j.id and held.attempt = j.attempt);
  if v_worker.draining then
    return query select null::uuid, null::integer, 'drain';
  end if;
  return query
    select held.id, held.attempt, case when j.id is null then 'lost' else 'cancelled' end
      from unnest(p_jobs, p_attempts) held (id, attempt)
      left join public.jobs j
        on j.id = held.id and j.attempt = held.attempt and j.worker_id = p_worker and j.status = 'processing'
     where j.id is null or j.cancel_requested;
end
$$;
comment on function queue.beat(bigint, uuid[], integer[]) is 'Heartbeat of a worker that holds these jobs; answers which to stop, and whether to drain or to register anew.';

-- The worker ends in good order: what it still holds is handed back.
create function queue.leave(p_worker bigint) returns void
language plpgsql set search_path = ''
as $$
begin
  perform from public.workers w where w.id = p_worker for update;
  perform queue.release(j.id, j.attempt, p_worker) from public.jobs j where j.worker_id = p_worker;
  update public.workers set state = 'gone', last_seen = now() where id = p_worker;
end
$$;
comment on function queue.leave(bigint) is 'Sign a worker off and hand back what it holds.';
