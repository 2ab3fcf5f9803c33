-- What the programs are to the project, so that a machine that is broken into holds what its program needs and no more.
--   rhythmai_worker      connects, claims jobs and writes what they become
--   rhythmai_api         connects, enters jobs and shows them
--   rhythmai_worker_key  is the role of a worker's key: our buckets, and the topic of wake-ups
-- The first two touch no table: their functions run with the rights of their owner, as the triggers do. They are made without
-- login; `rhythmai roles` gives them passwords. The third never connects, for Storage and Realtime want of it whatever anon may
-- do, and anon may truncate tables of a Supabase project, if only somebody gave it SQL to say.

do $$
declare
  v_role text;
  v_may record;
begin
  foreach v_role in array array['rhythmai_worker', 'rhythmai_worker_key', 'rhythmai_api'] loop
    if to_regrole(v_role) is null then
      begin
        execute format('create role %I nologin', v_role);
      exception when duplicate_object or unique_violation then
        null; -- roles belong to the whole server: another database of it was migrated at this moment
      end;
    end if;
  end loop;
  if not pg_has_role('rhythmai_worker_key', 'anon', 'member') then
    grant anon to rhythmai_worker_key;
  end if;
  if not pg_has_role('authenticator', 'rhythmai_worker_key', 'member') then
    grant rhythmai_worker_key to authenticator;
  end if;
  grant usage on schema queue to rhythmai_worker, rhythmai_api;
  for v_may in
    select p.oid::regprocedure as function, m.role
      from (values
        ('rhythmai_worker', '{register,ready,beat,leave,claim,next_due,fleet,interactive_waiting,set_stage,note,set_preview,put_speech,put_brief,known_speech,music_licence,save_plan,put_result,finish,fail,crash,
                              release,claim_delivery,settle_delivery,tidy,deleted}'::text[]),
        ('rhythmai_api', '{submit,again,pack,view,views,moved,list,cancel,erase,may_pass,health,gauges,key_of,take_upload,return_upload}')
      ) m (role, names) join pg_proc p on p.proname = any (m.names)
     where p.pronamespace = 'queue'::regnamespace
  loop
    execute format('alter function %s security definer', v_may.function);
    execute format('grant execute on function %s to %I', v_may.function, v_may.role);
  end loop;
end
$$;

create policy "workers hear of jobs and of themselves" on realtime.messages
  for select to rhythmai_worker_key
  using (realtime.messages.extension = 'broadcast'
         and ((select realtime.topic()) = 'jobs' or (select realtime.topic()) like 'echo:%'));
create policy "workers ping themselves" on realtime.messages
  for insert to rhythmai_worker_key
  with check (realtime.messages.extension = 'broadcast' and (select realtime.topic()) like 'echo:%');

-- A worker's key: it sees our buckets, and puts, reads and deletes in them. It changes nothing that is there.
create policy "workers see our buckets" on storage.buckets
  for select to rhythmai_worker_key using (id in ('uploads', 'videos', 'audios'));
create policy "workers read in our buckets" on storage.objects
  for select to rhythmai_worker_key using (bucket_id in ('uploads', 'videos', 'audios'));
create policy "workers put into our buckets" on storage.objects
  for insert to rhythmai_worker_key with check (bucket_id in ('uploads', 'videos', 'audios'));
create policy "workers delete from our buckets" on storage.objects
  for delete to rhythmai_worker_key using (bucket_id in ('uploads', 'videos', 'audios'));
