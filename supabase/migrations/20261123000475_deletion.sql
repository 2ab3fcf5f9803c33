-- Deletion: whoever may see a job may have it gone, row and files. It is cancelled first; the row goes in the transaction that
-- ends it, which for one that waits or has ended is this one. Storage is asked within a quarter of a minute (queue.tidy), and a
-- quarter of an hour later once more, for what a worker that had lost the job was about to bring.

create function queue.erase(p_job uuid, p_user uuid default null) returns jsonb
language plpgsql set search_path = ''
as $$
declare
  v_answer jsonb := queue.cancel(p_job, p_user);
begin
  update public.jobs j set unwanted = true where j.id = p_job and v_answer is not null;
  return v_answer;
end
$$;
comment on function queue.erase(uuid, uuid) is 'Delete a job for a caller, with its files; answers like queue.cancel.';

create function private.after_end_of_unwanted() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  perform private.forget(array[new.id]);
  insert into private.deleted_jobs (job_id) values (new.id);
  begin
    perform realtime.send(jsonb_build_object('job_id', new.id), 'deleted', 'job:' || new.id, true);
  exception when others then
    raise warning 'event of the deleted job % not sent: %', new.id, sqlerrm;
  end;
  return null;
end
$$;
comment on function private.after_end_of_unwanted() is 'Deletes a job that has ended and that its owner wants gone; sends event deleted on its private topic.';

-- By its name behind the triggers that tell how the job ended.
create trigger jobs_unwanted after update on public.jobs
  for each row when (new.unwanted and new.finished_at is not null)
  execute function private.after_end_of_unwanted();
