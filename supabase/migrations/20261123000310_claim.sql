-- The way of a job to a worker: whose turn it is, and the claim.

-- Lock the job of a lane whose turn it is, among those of these kinds, each for one of these engines ('' is: for any): the head of each
-- is looked at, and the first of them taken, so that nothing stays locked that another worker could have. Walks begin at the turn served last;
-- priorities other than 0 are rare (only SQL sets them) and walk without that hint. Each walk is one index scan that ends at
-- its first row, and no job for another engine is in its way. One plan serves all: to make one for each array
-- would take ten times as long as the walk.
--
-- Whatever these have yet to serve has no lower turn than the one taken, so their round is this one: who asks for an engine, or a
-- kind, that was rarely asked for takes turns with the others, and does not catch up first.
create function private.next_ready(p_kinds text[], p_engines text[], p_lane text) returns uuid
language plpgsql set search_path = '' set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  v_served regclass[];
  v_turns bigint[];
  v_turn bigint;
  v_job uuid;
begin
  select r.id into v_job
    from (select e.kind, e.engine, h.priority, h.turn
            from unnest(p_kinds, p_engines) e (kind, engine),
                 lateral (select j.priority, j.turn from public.jobs j
                           where j.kind = e.kind and j.lane = p_lane and j.engine = e.engine and j.priority > 0
                             and j.status = 'pending' and j.run_at is null
                           order by j.priority desc, j.turn limit 1) h
           order by h.priority desc, h.turn) q,
         lateral (select j.id from public.jobs j
                   where j.kind = q.kind and j.lane = p_lane and j.engine = q.engine and j.priority > 0
                     and j.status = 'pending' and j.run_at is null
                   order by j.priority desc, j.turn limit 1 for update skip locked) r
   limit 1;
  if found then
    return v_job;
  end if;

  for v_at in 1..cardinality(p_engines) loop
    v_served[v_at] := to_regclass('private.' || concat_ws('_', 'served', p_kinds[v_at], p_lane, nullif(p_engines[v_at], '')));
    v_turns[v_at] := coalesce(pg_sequence_last_value(v_served[v_at]), 0);
  end loop;
  select r.id, q.turn into v_job, v_turn
    from (select e.kind, e.engine, h.turn
            from unnest(p_kinds, p_engines, v_turns) e (kind, engine, served),
                 lateral (select j.turn from public.jobs j
                           where j.kind = e.kind and j.lane = p_lane and j.engine = e.engine and j.priority = 0 and j.turn >= e.served
                             and j.status = 'pending' and j.run_at is null
                           order by j.turn limit 1) h
           order by h.turn) q,
         lateral (select j.id from public.jobs j
                   where j.kind = q.kind and j.lane = p_lane and j.engine = q.engine and j.priority = 0 and j.turn >= q.turn
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
    from (select e.kind, e.engine, h.priority, h.turn
            from unnest(p_kinds, p_engines) e (kind, engine),
                 lateral (select j.priority, j.turn from public.jobs j
                           where j.kind = e.kind and j.lane = p_lane and j.engine = e.engine and j.priority < 0
                             and j.status = 'pending' and j.run_at is null
                           order by j.priority desc, j.turn limit 1) h
           order by h.priority desc, h.turn) q,
         lateral (select j.id from public.jobs j
                   where j.kind = q.kind and j.lane = p_lane and j.engine = q.engine and j.priority < 0
                     and j.status = 'pending' and j.run_at is null
                   order by j.priority desc, j.turn limit 1 for update skip locked) r
   limit 1;
  return v_job;
end
$$;
comment on function private.next_ready(text[], text[], text) is 'Lock and return the next job of a lane of these kinds, each for its engine; null when there is none. `for update skip locked`, no advisory lock, no walk over tenants or other engines.';

-- The next job for a worker, as JSON with the indices that are done already; null when there is none.
-- Interactive first, the batch lane first about once in ten claims; what is composed and all other kinds in random order, so that
-- neither starves the other. For the same reason one engine, or kind, alone is looked at first in those ten: where workers that had others, too, have driven its
-- rounds far ahead and are gone, its turn would not come for long.
create function queue.claim(p_worker bigint, p_timeout interval) returns jsonb
language plpgsql set search_path = ''
as $$
declare
  v_ms bigint := private.now_ms();
  v_swept bigint := coalesce(pg_sequence_last_value('private.swept_ms'), 0);
  v_since_ms bigint := abs(v_ms - v_swept); -- also when the clock was set back
  v_sweep boolean := v_since_ms >= 1000;
  v_odd boolean := random() < (select s.batch_first_share from private.settings s);
  v_lanes text[] := case when v_odd then array['batch', 'interactive'] else array['interactive', 'batch'] end;
  v_kinds text[];
  v_engines text[];
  v_composed_first boolean := random() < 0.5;
  v_some text[];
  v_for text[];
  v_one integer;
  v_lane text;
  v_id uuid;
  v_job public.jobs;
begin
  -- A worker that does not beat gets no work: whoever claims next would only take it away again.
  select w.kinds, array[''] || w.engines into v_kinds, v_engines from public.workers w
   where w.id = p_worker and w.state in ('loading', 'ready') and not w.draining and w.last_seen >= now() - w.lease
     for key share;
  if not found then
    return null;
  end if;
  loop
    if v_sweep then
      perform queue.sweep();
    end if;
    foreach v_lane in array v_lanes loop
      for v_at in 1..2 loop
        if (v_at = 1) = v_composed_first then
          v_for := case when 'generate' = any (v_kinds) then v_engines else '{}' end;
          v_some := array_fill('generate'::text, array[cardinality(v_for)]);
        else
          v_some := array_remove(v_kinds, 'generate');
          v_for := array_fill(''::text, array[cardinality(v_some)]);
        end if;
        continue when v_some = '{}';
        v_one := ceil(random() * cardinality(v_some));
        v_id := case when v_odd then private.next_ready(v_some[v_one:v_one], v_for[v_one:v_one], v_lane) end;
        v_id := coalesce(v_id, private.next_ready(v_some, v_for, v_lane));
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
    select from public.workers w, unnest(w.kinds) k (kind), unnest(case k.kind when 'generate' then array[''] || w.engines else array[''] end) e (engine)
     where w.id = p_worker
       and (exists (select from public.jobs j
                     where j.kind = k.kind and j.lane = 'interactive' and j.engine = e.engine and j.priority = 0 and j.status = 'pending' and j.run_at is null
                       and j.turn >= coalesce(pg_sequence_last_value(to_regclass('private.' || concat_ws('_', 'served', k.kind, 'interactive', nullif(e.engine, '')))), 0))
         or exists (select from public.jobs j
                     where j.kind = k.kind and j.lane = 'interactive' and j.engine = e.engine and j.priority > 0 and j.status = 'pending' and j.run_at is null)));
$$;
comment on function queue.interactive_waiting(bigint) is 'Whether interactive work of this worker''s kinds and engines waits.';
