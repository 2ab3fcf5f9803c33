-- What is seen live. Events are hints and views, never the truth, so no trigger here may fail a write.
--   topic 'jobs'      event 'wake'     one per insert statement, however many rows: shortens a worker's sleep
--   topic 'job:<id>'  event 'job'      status, stage, counts, preview_url, error
--                     event 'plan'     the directions of all variants, before there is any music
--                     event 'result'   the whole result
--                     event 'deleted'  the job is gone

-- Wake workers, by NOTIFY and by Realtime: p_what is a kind of job or 'webhook'; who lacks p_engine sleeps on. A large fleet is woken at most four times a
-- second for each; what is swallowed is owed, and the next beat of any worker pays it. A wake-up that cannot be sent is no
-- reason to fail.
create function private.wake(p_what text, p_engine text default '') returns void
language plpgsql security definer set search_path = ''
as $$
declare
  v_ms bigint := extract(epoch from clock_timestamp()) * 1000;
  v_workers bigint := coalesce(pg_sequence_last_value('private.hearing'), 1);
  v_told jsonb := jsonb_build_object('what', p_what, 'engine', p_engine, 'workers', v_workers);
begin
  if abs(v_ms - coalesce(pg_sequence_last_value(to_regclass('private.woken_' || p_what)), 0)) < least(250, (v_workers - 20) / 4) then
    perform setval(to_regclass('private.owed_' || p_what), v_ms);
    return;
  end if;
  perform setval(to_regclass('private.woken_' || p_what), v_ms);
  perform pg_notify('jobs', v_told::text);
  perform realtime.send(v_told, 'wake', 'jobs', true);
exception when others then
  raise warning 'wake-up not sent: %', sqlerrm;
end
$$;
comment on function private.wake(text, text) is 'Shorten the sleep of workers: a hint.';

-- Wakes for what was swallowed, once it may.
create function private.pay_wakes() returns void
language plpgsql set search_path = ''
as $$
declare
  v_what text;
begin
  foreach v_what in array array['generate', 'merge', 'brief', 'pack', 'webhook'] loop
    if pg_sequence_last_value(to_regclass('private.owed_' || v_what)) > pg_sequence_last_value(to_regclass('private.woken_' || v_what)) then
      perform private.wake(v_what);
    end if;
  end loop;
end
$$;
comment on function private.pay_wakes() is 'Send the wake-ups that were swallowed.';

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
