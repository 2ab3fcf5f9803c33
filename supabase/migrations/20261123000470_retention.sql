-- Retention: what may be forgotten, in bounded batches that walk indexes. Rows go first, in a transaction of their own, and
-- leave the names of their objects in private.discarded; Storage is asked later, with no transaction open. A worker that
-- dies in between has lost nothing: the names are still there. One worker at a time does it, each quarter of a minute (queue.tidy).

create table private.discarded (
  bucket text not null,
  path text not null,
  since timestamptz not null default now(),
  primary key (bucket, path)
);
comment on table private.discarded is 'Storage objects that nobody needs any more and that Storage has not been asked to delete yet.';
alter table private.discarded enable row level security;
create index discarded_since on private.discarded (since);

create table private.deleted_jobs (
  job_id uuid primary key,
  since timestamptz not null default now()
);
comment on table private.deleted_jobs is 'Jobs that their owners deleted a moment ago: a worker that had lost one may bring something yet.';
alter table private.deleted_jobs enable row level security;

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
create index jobs_music on public.jobs using hash (private.object_of(options ->> 'audio_url')) where kind in ('merge', 'pack') and finished_at is null;
-- A part that is made anew reads several objects of the same job.
create index jobs_mends on public.jobs using hash (split_part(private.object_of(options #>> '{mend,master_url}'), '/', 2)) where options ? 'mend' and finished_at is null;
create index results_object on public.results using hash (private.object_of(coalesce(audio_url, video_url, pack_url)));

create function private.is_needed(p_object text) returns boolean
language sql stable set search_path = ''
as $$
  select exists (select from public.jobs j where j.video_url like '%/storage/v1/object/public/%' and private.object_of(j.video_url) = p_object)
      or exists (select from public.jobs j
                  where j.kind in ('merge', 'pack') and j.finished_at is null and private.object_of(j.options ->> 'audio_url') = p_object)
      or exists (select from public.jobs j
                  where j.options ? 'mend' and j.finished_at is null
                    and split_part(private.object_of(j.options #>> '{mend,master_url}'), '/', 2) = split_part(p_object, '/', 2))
      or exists (select from public.results r where private.object_of(coalesce(r.audio_url, r.video_url, r.pack_url)) = p_object);
$$;
comment on function private.is_needed(text) is 'Whether a job reads an object (bucket/path), one that has not ended lays it under a film, packs or mends it, or a result names it.';

-- Discards what lies under the id of a job, also what stands in no row, because the worker died, or its lease was lost, before
-- the row was written.
create function private.discard(p_job uuid) returns void
language sql set search_path = ''
as $$
  insert into private.discarded (bucket, path)
    select o.bucket_id, o.name from storage.objects o
     where o.bucket_id in ('audios', 'videos')
       and o.name operator(pg_catalog.~>=~) (p_job || '/') and o.name operator(pg_catalog.~<~) (p_job || '0')
    on conflict do nothing;
$$;
comment on function private.discard(uuid) is 'Discard the objects under the id of a job.';

-- Deletes jobs and discards what lies under their ids. So go the uploads they read, with the last job that reads them: but none that
-- lies on another host than a job's own results, and none that another user or key has uploaded.
create function private.forget(p_jobs uuid[]) returns void
language plpgsql set search_path = ''
as $$
declare
  v_uploads text[] := array(
    select distinct private.upload_of(u.url)
      from public.jobs j, unnest(array[j.video_url, j.options ->> 'audio_url']) u (url)
     where j.id = any (p_jobs)
       and not exists (select from public.results r
                        where r.job_id = j.id
                          and split_part(u.url, '/storage/v1/', 1) <> split_part(coalesce(r.audio_url, r.video_url, r.pack_url), '/storage/v1/', 1))
       and not exists (select from private.uploads t
                        where t.path = private.upload_of(u.url) and t.tenant <> j.tenant and t.tenant not similar to 'client:%|sql'));
  v_job uuid;
begin
  delete from public.jobs j where j.id = any (p_jobs);
  foreach v_job in array p_jobs loop -- one by one: joined, the planner would read all objects of a bucket
    perform private.discard(v_job);
  end loop;
  insert into private.discarded (bucket, path)
    select o.bucket_id, o.name from storage.objects o
     where o.bucket_id = 'uploads' and o.name = any (v_uploads) and not private.is_needed('uploads/' || o.name)
    on conflict do nothing;
end
$$;
comment on function private.forget(uuid[]) is 'Delete jobs that have ended and discard their objects.';

-- Forgets a batch of jobs that ended long ago, oldest first. A job that a webhook still needs stays.
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
              order by j.finished_at limit p_limit for update skip locked) e
     order by e.finished_at limit p_limit);
begin
  perform private.forget(v_jobs);
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

-- What Storage is to delete, longest waiting first, but for what somebody needs (again). Say queue.deleted once it has.
create function queue.discarded(p_limit integer default 1000) returns table (bucket text, path text)
language sql stable set search_path = ''
as $$
  select d.bucket, d.path from private.discarded d where not private.is_needed(d.bucket || '/' || d.path) order by d.since limit p_limit;
$$;
comment on function queue.discarded(integer) is 'Storage objects that nobody needs any more.';

create function queue.deleted(p_bucket text, p_paths text[]) returns void
language sql set search_path = ''
as $$
  delete from private.discarded d where d.bucket = p_bucket and d.path = any (p_paths);
$$;
comment on function queue.deleted(text, text[]) is 'Storage has deleted these objects.';

-- A quarter of a minute's work of retention for whoever asks first: forgets jobs that ended longer ago than they are kept, discards unused
-- uploads, and answers which objects to delete now. How long is the operator's to say, in private.settings: a worker on a
-- rented box that is broken into must not make everything be forgotten.
create function queue.tidy() returns table (bucket text, path text)
language plpgsql set search_path = ''
as $$
declare
  v_ms bigint := extract(epoch from clock_timestamp()) * 1000;
  v_job uuid;
  v_keep_for interval := (select s.keep_for from private.settings s);
begin
  if abs(v_ms - coalesce(pg_sequence_last_value('private.tidied_ms'), 0)) < 15000
     or not pg_try_advisory_xact_lock(hashtextextended('rhythmai:tidy', 0)) then
    return;
  end if;
  perform setval('private.tidied_ms', v_ms);
  if v_keep_for is not null then
    perform queue.purge(v_keep_for, 1000);
  end if;
  perform queue.discard_unused_uploads();
  for v_job in delete from private.deleted_jobs d where d.since < now() - interval '15 minutes' returning d.job_id loop
    perform private.discard(v_job);
  end loop;
  return query select d.bucket, d.path from queue.discarded(10000) d;
end
$$;
comment on function queue.tidy() is 'Once in a quarter of a minute: forget what is old, and answer which Storage objects to delete.';
