-- Retention: what may be forgotten, in bounded batches that walk indexes. Rows go first, in a transaction of their own, and
-- leave the names of their objects in private.discarded; Storage is asked later, with no transaction open. A worker that
-- dies in between has lost nothing: the names are still there. One worker at a time does it, each minute (queue.tidy).

create table private.discarded (
  bucket text not null,
  path text not null,
  since timestamptz not null default now(),
  primary key (bucket, path)
);
comment on table private.discarded is 'Storage objects that nobody needs any more and that Storage has not been asked to delete yet.';
alter table private.discarded enable row level security;
create index discarded_since on private.discarded (since);

create sequence private.tidied_ms minvalue 0;
comment on sequence private.tidied_ms is 'When a worker tidied up last, in milliseconds of the epoch: a hint.';

-- The object of our own buckets that an address names, 'uploads/<name>', on whichever host: what is only kept because of it
-- costs nothing, so another name of the project counts, too. Escapes are read.
create function private.object_of(p_url text) returns text
language plpgsql immutable strict set search_path = ''
as $$
declare
  v_name text := substring(p_url from '/storage/v1/object/public/((?:uploads|videos|audios)/[^?#]+)');
begin
  if position('%' in v_name) > 0 then
    v_name := convert_from((select string_agg(coalesce(decode(m[1], 'hex'), convert_to(m[2], 'UTF8')), ''::bytea)
                              from regexp_matches(v_name, '%([0-9a-fA-F]{2})|(.)', 'g') m), 'UTF8');
  end if;
  return v_name;
exception when character_not_in_repertoire then
  return null;
end
$$;
comment on function private.object_of(text) is 'bucket/path of an object of our own buckets that a public address names, else null.';

-- Who reads or names an object. The condition is a `like`, which is cheap for the others; a question must repeat it.
create index jobs_source on public.jobs using hash (private.object_of(video_url)) where video_url like '%/storage/v1/object/public/%';
create index results_object on public.results using hash (private.object_of(coalesce(audio_url, video_url)));

create function private.is_needed(p_object text) returns boolean
language sql stable set search_path = ''
as $$
  select exists (select from public.jobs j where j.video_url like '%/storage/v1/object/public/%' and private.object_of(j.video_url) = p_object)
      or exists (select from public.results r where private.object_of(coalesce(r.audio_url, r.video_url)) = p_object);
$$;
comment on function private.is_needed(text) is 'Whether a job reads an object (bucket/path) or a result names it.';

-- Deletes a batch of jobs that ended long ago, oldest first, and discards what lies under their ids: also what stands in no
-- row, because the worker died, or its lease was lost, before the row was written. So go their films, if they were uploaded.
-- A job that a webhook still needs stays, and so does one whose music a merge waits for.
create function queue.purge(p_older_than interval, p_limit integer default 100) returns integer
language plpgsql set search_path = ''
as $$
declare
  v_jobs uuid[] := array(
    select e.id
      from unnest(array['completed', 'failed', 'cancelled']) s (status),
           lateral (
             select j.id, j.finished_at from public.jobs j
              where j.status = s.status and j.finished_at < now() - p_older_than
                and not exists (select from public.deliveries d where d.job_id = j.id and d.state = 'pending')
                and not exists (select from public.results r
                                 where r.job_id = j.id
                                   and exists (select from public.jobs m where m.kind = 'merge' and m.finished_at is null
                                                                           and m.options ->> 'audio_url' = r.audio_url))
              order by j.finished_at limit p_limit for update skip locked) e
     order by e.finished_at limit p_limit);
  v_uploads text[] := array( -- by the host of a job's own tracks it is known whether its film lies on ours
    select distinct private.object_of(j.video_url) from public.jobs j join public.results r on r.job_id = j.id
     where j.id = any (v_jobs) and j.video_url like '%/storage/v1/object/public/uploads/%'
       and split_part(j.video_url, '/storage/v1/', 1) = split_part(coalesce(r.audio_url, r.video_url), '/storage/v1/', 1));
  v_job uuid;
begin
  delete from public.jobs j where j.id = any (v_jobs);
  foreach v_job in array v_jobs loop -- one by one: joined, the planner would read all objects of a bucket
    insert into private.discarded (bucket, path)
      select o.bucket_id, o.name from storage.objects o
       where o.bucket_id in ('audios', 'videos')
         and o.name operator(pg_catalog.~>=~) (v_job || '/') and o.name operator(pg_catalog.~<~) (v_job || '0')
         and not private.is_needed(o.bucket_id || '/' || o.name)
      on conflict do nothing;
  end loop;
  insert into private.discarded (bucket, path)
    select 'uploads', substr(u.object, length('uploads/') + 1) from unnest(v_uploads) u (object) where not private.is_needed(u.object)
    on conflict do nothing;
  return cardinality(v_jobs);
end
$$;
comment on function queue.purge(interval, integer) is 'Delete a batch of jobs that ended long ago and discard their objects; returns how many jobs.';

-- Discards uploads of more than a day that no job reads, among the next p_limit by name; begins anew after the last. Returns
-- how many it looked at.
create function queue.discard_unused_uploads(p_limit integer default 1000) returns integer
language plpgsql set search_path = ''
as $$
declare
  v_after text := (select s.uploads_walked from private.settings s);
  v_names text[] := array(select o.name from storage.objects o where o.bucket_id = 'uploads' and o.name > v_after order by o.name limit p_limit);
begin
  insert into private.discarded (bucket, path)
    select o.bucket_id, o.name from storage.objects o
     where o.bucket_id = 'uploads' and o.name = any (v_names) and o.created_at < now() - interval '1 day'
       and not private.is_needed('uploads/' || o.name)
    on conflict do nothing;
  update private.settings s
     set uploads_walked = case when cardinality(v_names) < p_limit then '' else v_names[cardinality(v_names)] end
   where s.uploads_walked <> '' or cardinality(v_names) >= p_limit;
  return cardinality(v_names);
end
$$;
comment on function queue.discard_unused_uploads(integer) is 'Discard what no job reads among the next uploads by name; returns how many were looked at.';

-- What Storage is to delete, longest waiting first. Say queue.deleted once it has.
create function queue.discarded(p_limit integer default 1000) returns table (bucket text, path text)
language sql stable set search_path = ''
as $$
  select d.bucket, d.path from private.discarded d order by d.since limit p_limit;
$$;
comment on function queue.discarded(integer) is 'Storage objects that nobody needs any more.';

create function queue.deleted(p_bucket text, p_paths text[]) returns void
language sql set search_path = ''
as $$
  delete from private.discarded d where d.bucket = p_bucket and d.path = any (p_paths);
$$;
comment on function queue.deleted(text, text[]) is 'Storage has deleted these objects.';

-- A minute's work of retention for whoever asks first: forgets jobs that ended longer ago than they are kept, discards unused
-- uploads, and answers which objects to delete now. How long is the operator's to say, in private.settings: a worker on a
-- rented box that is broken into must not make everything be forgotten.
create function queue.tidy() returns table (bucket text, path text)
language plpgsql set search_path = ''
as $$
declare
  v_ms bigint := extract(epoch from clock_timestamp()) * 1000;
  v_keep_for interval := (select s.keep_for from private.settings s);
begin
  if abs(v_ms - coalesce(pg_sequence_last_value('private.tidied_ms'), 0)) < 60000
     or not pg_try_advisory_xact_lock(hashtextextended('rhythmai:tidy', 0)) then
    return;
  end if;
  perform setval('private.tidied_ms', v_ms);
  if v_keep_for is not null then
    perform queue.purge(v_keep_for, 1000);
  end if;
  perform queue.discard_unused_uploads();
  return query select d.bucket, d.path from queue.discarded(10000) d;
end
$$;
comment on function queue.tidy() is 'Once a minute: forget what is old, and answer which Storage objects to delete.';
