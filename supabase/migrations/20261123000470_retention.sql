-- Retention: what may be forgotten, in bounded batches. Nothing here runs by itself.

-- Deletes one batch of jobs that ended long ago, oldest first, and returns the Storage objects that nobody needs any more.
-- Call it in a transaction that commits once Storage has deleted them: after a failure the same batch comes again.
-- A job that a webhook still needs stays, and so does one whose music a merge waits for.
create function queue.purge(p_older_than interval, p_limit integer default 100) returns table (bucket text, path text)
language plpgsql set search_path = ''
as $$
declare
  v_jobs uuid[] := array(
    select j.id from public.jobs j
     where j.finished_at is not null and j.finished_at < now() - p_older_than
       and not exists (select from public.deliveries d where d.job_id = j.id and d.state = 'pending')
       and not exists (select from public.results r
                        where r.job_id = j.id
                          and exists (select from public.jobs m where m.kind = 'merge' and m.finished_at is null
                                                                  and m.options ->> 'audio_url' = r.audio_url))
     order by j.finished_at limit p_limit for update of j skip locked);
  v_urls text[] := array(
    select coalesce(r.audio_url, r.video_url) from public.results r where r.job_id = any (v_jobs)
    union select j.video_url from public.jobs j where j.id = any (v_jobs));
begin
  delete from public.jobs j where j.id = any (v_jobs);
  return query
    select split_part(o.name, '/', 1), substring(o.name from position('/' in o.name) + 1)
      from unnest(v_urls) u (url),
           lateral (select substring(u.url from '/storage/v1/object/public/((?:uploads|videos|audios)/[^?#]+)')) o (name)
     where o.name is not null
       and not exists (select from public.jobs j
                        where j.video_url like '%/storage/v1/object/public/%'
                          and substring(j.video_url from '/storage/v1/object/public/((?:uploads|videos|audios)/[^?#]+)') = o.name)
    union
    -- What was uploaded for these jobs and stands in no row: the worker died, or its lease was lost, before the row was written.
    select o.bucket_id, o.name
      from unnest(v_jobs) d (job), unnest(array['audios', 'videos']) b (bucket), storage.objects o
     where o.bucket_id = b.bucket and o.name like d.job || '/%'
       and not exists (select from public.jobs j
                        where j.video_url like '%/storage/v1/object/public/%'
                          and substring(j.video_url from '/storage/v1/object/public/((?:uploads|videos|audios)/[^?#]+)') = o.bucket_id || '/' || o.name);
end
$$;
comment on function queue.purge(interval, integer) is 'Delete a batch of jobs that ended long ago; returns the Storage objects to delete.';

-- Uploads that no job reads, oldest first: delete them through Storage.
create function queue.unused_uploads(p_older_than interval default interval '1 day', p_limit integer default 100)
returns table (bucket text, path text)
language sql stable set search_path = ''
as $$
  select o.bucket_id, o.name from storage.objects o
   where o.bucket_id = 'uploads' and o.created_at < now() - p_older_than
     and not exists (select from public.jobs j
                      where j.video_url like '%/storage/v1/object/public/%'
                        and substring(j.video_url from '/storage/v1/object/public/((?:uploads|videos|audios)/[^?#]+)') = 'uploads/' || o.name)
   order by o.created_at limit p_limit;
$$;
comment on function queue.unused_uploads(interval, integer) is 'Uploads older than that which no job reads.';
