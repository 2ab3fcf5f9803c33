-- What is seen live. Events are hints and views, never the truth, so no trigger here may fail a write.
--   topic 'jobs'      event 'wake'     one per insert statement, however many rows: shortens the sleep of some workers
--   topic 'job:<id>'  event 'job'      status, stage, counts, preview_url, error
--                     event 'plan'     the directions of all variants, before there is any music
--                     event 'result'   the whole result
--                     event 'deleted'  the job is gone

-- Whose turn it is to look when work has come. A look costs Postgres about as much as a beat, so that a thousand idle workers
-- are not all called: of those who have room for such a job about 32 are, and two more for each job that waits; of all about
-- eight for a webhook. A large fleet is called at most four times a second for each kind. All of this may be too little, and so
-- whoever calls a part of a fleet, or nobody because somebody was called just now, owes a look at what waits then: the next beat
-- of any worker pays it, and calls anew for what it finds, until nothing waits that anybody has room for.

-- How many jobs wait that workers could take now, or webhooks that are due; not counted beyond p_most. Short walks, as the claim's.
create function private.waiting(p_what text, p_engine text, p_most bigint) returns bigint
language plpgsql stable set search_path = '' set enable_seqscan = off
as $$
begin
  if p_what = 'webhook' then
    return (select count(*) from (select from public.deliveries d where d.state = 'pending' and d.next_at <= now() limit p_most) due);
  end if;
  return (
    select count(*)
      from (select from unnest(array['interactive', 'batch']) l (lane),
                   lateral (select coalesce(pg_sequence_last_value(to_regclass('private.' || concat_ws('_', 'served', p_what, l.lane, nullif(p_engine, '')))), 0) as turn) served,
                   lateral (select from public.jobs j
                             where j.kind = p_what and j.lane = l.lane and j.engine = p_engine and j.priority > 0
                               and j.status = 'pending' and j.run_at is null
                            union all
                            select from public.jobs j
                             where j.kind = p_what and j.lane = l.lane and j.engine = p_engine and j.priority = 0 and j.turn >= served.turn
                               and j.status = 'pending' and j.run_at is null
                            union all
                            select from public.jobs j
                             where j.kind = p_what and j.lane = l.lane and j.engine = p_engine and j.priority < 0
                               and j.status = 'pending' and j.run_at is null) ready
             limit p_most) found);
end
$$;
comment on function private.waiting(text, text, bigint) is 'How many jobs of a kind and engine are ready, or webhooks due; not counted beyond a limit.';

-- Of a small fleet everybody, and everybody sends webhooks.
create function private.room(p_what text, p_engine text) returns bigint
language plpgsql stable set search_path = ''
as $$
declare
  v_hearing bigint := coalesce(pg_sequence_last_value('private.hearing'), 1);
begin
  if v_hearing <= 32 or p_what = 'webhook' then
    return v_hearing;
  end if;
  return coalesce(pg_sequence_last_value(to_regclass('private.room_' || coalesce(nullif(p_engine, ''), p_what))), v_hearing);
end
$$;
comment on function private.room(text, text) is 'How many workers have room for a job of a kind and engine: a hint.';

-- Wake workers, by NOTIFY and by Realtime: p_what is a kind of job or 'webhook'; who lacks p_engine sleeps on, and of `workers` that
-- could take it about as many as `lookers` look. A wake-up that cannot be sent is no reason to fail.
create function private.wake(p_what text, p_engine text default '') returns void
language plpgsql security definer set search_path = ''
as $$
declare
  v_ms bigint := private.now_ms();
  v_woken bigint := coalesce(pg_sequence_last_value(to_regclass('private.woken_' || p_what)), 0);
  v_owed bigint := nullif(pg_sequence_last_value('private.owed_ms'), 0);
  v_pause bigint := least(250, (coalesce(pg_sequence_last_value('private.hearing'), 1) - 20) / 4);
  v_workers bigint := private.room(p_what, p_engine);
  v_lookers bigint := case p_what when 'webhook' then 8 else 32 end;
  v_told jsonb;
begin
  if abs(v_ms - v_woken) < v_pause then
    perform setval('private.owed_ms', least(v_woken + v_pause, v_owed));
    return;
  end if;
  perform setval(to_regclass('private.woken_' || p_what), v_ms);
  if v_workers > v_lookers and p_what <> 'webhook' then
    v_lookers := v_lookers + 2 * private.waiting(p_what, p_engine, v_workers / 2);
  end if;
  if v_workers > v_lookers then
    perform setval('private.owed_ms', least(v_ms + 300, v_owed));
  else
    v_workers := greatest(v_workers, 1);
    v_lookers := v_workers;
  end if;
  v_told := jsonb_build_object('what', p_what, 'engine', p_engine, 'workers', v_workers, 'lookers', v_lookers);
  perform pg_notify('jobs', v_told::text);
  perform realtime.send(v_told, 'wake', 'jobs', true);
exception when others then
  raise warning 'wake-up not sent: %', sqlerrm;
end
$$;
comment on function private.wake(text, text) is 'Shorten the sleep of workers: a hint.';

-- In any order, or the first engine of a kind would keep the others from being called. Where nobody has room nobody is called:
-- whoever gets some looks by himself.
create function private.pay_wakes() returns void
language plpgsql set search_path = ''
as $$
declare
  v_owed bigint := pg_sequence_last_value('private.owed_ms');
  v_ms bigint;
begin
  if v_owed > 0 then
    v_ms := private.now_ms();
    if v_owed > v_ms and v_owed <= v_ms + 1000 then -- not yet; later still it can only be if the clock was set back
      return;
    end if;
    perform setval('private.owed_ms', 0); -- before the look: what comes from now on owes one of its own
    if abs(v_ms - coalesce(pg_sequence_last_value('private.swept_ms'), 0)) >= 1000 then -- nobody claims, and so nobody counted
      perform private.count_room();
    end if;
    perform private.wake(k.what, k.engine)
       from (select w.what, w.engine
               from (values ('generate', ''), ('generate', 'mmaudio'), ('generate', 'acestep'), ('generate', 'sketch'), ('merge', ''),
                            ('brief', ''), ('pack', ''), ('webhook', '')) w (what, engine)
              where private.room(w.what, w.engine) > 0 and private.waiting(w.what, w.engine, 1) > 0
              order by random()) k;
  end if;
end
$$;
comment on function private.pay_wakes() is 'Call workers for what still waits, where that is owed.';

create function private.after_insert_of_jobs() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  perform private.wake(k.kind, k.engine) from (select distinct f.kind, f.engine from fresh f) k;
  return null;
end
$$;
comment on function private.after_insert_of_jobs() is 'Wakes workers, once per statement, kind and engine.';

create trigger jobs_wake after insert on public.jobs referencing new table as fresh
  for each statement execute function private.after_insert_of_jobs();

create function private.after_update_of_job() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  perform realtime.send(
    jsonb_build_object(
      'job_id', new.id, 'status', new.status, 'stage', new.stage,
      'completed_count', (select count(*) from public.results r where r.job_id = new.id), 'total_count', new.total_count,
      'preview_url', new.preview_url,
      'error', case when new.status = 'failed' then new.error end,
      'error_code', case when new.status = 'failed' then new.error_code end),
    'job', 'job:' || new.id, true);
  return null;
exception when others then
  raise warning 'event of job % not sent: %', new.id, sqlerrm;
  return null;
end
$$;
comment on function private.after_update_of_job() is 'Sends event job on the private topic of the job.';

create trigger jobs_event after update on public.jobs
  for each row when (old.status is distinct from new.status or old.stage is distinct from new.stage
    or old.preview_url is distinct from new.preview_url)
  execute function private.after_update_of_job();

create function private.after_plan_of_job() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  perform realtime.send(jsonb_build_object('job_id', new.id, 'directions', private.directions(new.plan)),
                        'plan', 'job:' || new.id, true);
  return null;
exception when others then
  raise warning 'event of the plan of job % not sent: %', new.id, sqlerrm;
  return null;
end
$$;
comment on function private.after_plan_of_job() is 'Sends event plan on the private topic of the job.';

create trigger jobs_plan after update on public.jobs
  for each row when (old.plan is null and new.plan is not null)
  execute function private.after_plan_of_job();

create function private.after_insert_of_result() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  perform realtime.send(
    private.result_json(new, (select j.kind from public.jobs j where j.id = new.job_id))::jsonb || jsonb_build_object('job_id', new.job_id),
    'result', 'job:' || new.job_id, true);
  return null;
exception when others then
  raise warning 'event of result % of job % not sent: %', new.index, new.job_id, sqlerrm;
  return null;
end
$$;
comment on function private.after_insert_of_result() is 'Sends event result on the private topic of the job.';

create trigger results_event after insert on public.results
  for each row execute function private.after_insert_of_result();

-- The webhook outbox: the delivery is made in the transaction that ends the job. This one may fail the write: a job that
-- ends without its promised webhook would be a lie.
create function private.after_end_of_job() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  insert into public.deliveries (job_id, url) values (new.id, new.options ->> 'callback_url')
    on conflict (job_id, result) do update -- a job that an operator retried ends twice, and its last word counts
      set id = gen_random_uuid(), created_at = now(), state = 'pending', attempt = 0, next_at = now(), worker_id = null,
          last_error = null, delivered_at = null;
  perform private.wake('webhook');
  return null;
end
$$;
comment on function private.after_end_of_job() is 'Makes the row of deliveries for a job whose end its callback_url wants to hear of.';

create trigger jobs_delivery after update on public.jobs
  for each row when (old.finished_at is null and new.finished_at is not null and new.options ->> 'callback_url' is not null
    and coalesce(new.options -> 'events' ? ('job.' || new.status), true))
  execute function private.after_end_of_job();

-- Who may join a topic. By primary key, as its own owner: a policy that reads jobs would run under the visitor's RLS.
create function private.may_watch(topic text) returns boolean
language sql stable security definer set search_path = ''
as $$
  select case when topic ~ '^job:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$' then
    exists (select from public.jobs j
             where j.id = substring(topic from 5)::uuid and (j.owner is null or j.owner = (select auth.uid())))
  else false end;
$$;
comment on function private.may_watch(text) is 'Whether the caller may watch a topic: the ownerless job whose id it knows, or its own job.';

create policy "watch the job whose id you know, or your own" on realtime.messages
  for select to anon, authenticated
  using (realtime.messages.extension = 'broadcast' and (select private.may_watch((select realtime.topic()))));

-- For owners who prefer postgres_changes.
do $$
begin
  if not exists (select from pg_publication where pubname = 'supabase_realtime') then
    create publication supabase_realtime;
  end if;
  alter publication supabase_realtime add table public.jobs, public.results;
end
$$;
