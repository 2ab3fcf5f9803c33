-- Uploads: a door signs one for whoever has a ticket. Tickets limit what a client brings in an hour, as pending jobs limit what
-- it asks for, and bind the size that was announced. A server's key may bring as much as it makes jobs of: its tickets count
-- while no job reads them. Tickets of more than a day are forgotten, and so are unused uploads.

create table private.uploads (
  path text primary key,
  tenant text not null,
  size bigint not null constraint uploads_size check (size > 0),
  taken_at timestamptz not null default now(),
  waits boolean not null default true
);
comment on table private.uploads is 'A row for each signed upload of the last day: its path in bucket uploads, whose it is, how many bytes were announced, whether a job of its key has yet to read it.';
create index uploads_of_tenant on private.uploads (tenant, taken_at);
create index uploads_oldest on private.uploads (taken_at);
alter table private.uploads enable row level security;

-- How large an upload is: as Storage has it, once it is there.
create function private.uploaded(p_path text) returns bigint
language sql stable set search_path = ''
as $$
  select (o.metadata ->> 'size')::bigint from storage.objects o where o.bucket_id = 'uploads' and o.name = p_path;
$$;
comment on function private.uploaded(text) is 'The bytes of an upload, null when there is none yet.';

-- The path in bucket uploads that an address names, else null.
create function private.upload_of(p_video_url text) returns text
language sql immutable set search_path = ''
as $$
  select substring(private.object_of(p_video_url) from '^uploads/(.*)');
$$;
comment on function private.upload_of(text) is 'The path in bucket uploads that an address names, else null.';

-- A ticket for an upload: within an hour twice as many as jobs may wait, with half a gigabyte for each of these; for a key as
-- many as its jobs that may wait, while their signatures hold, which is two hours. Who uploads more than was announced has it
-- counted. Raises RY430 with the seconds to wait as its hint.
create function queue.take_upload(p_path text, p_size bigint, p_owner uuid, p_client text) returns void
language plpgsql set search_path = ''
as $$
declare
  v_tenant text := private.tenant_of(p_owner, p_client);
  v_key bigint := (select k.pending_limit from private.keys k where k.id = p_owner);
  v_jobs bigint := coalesce(v_key, (select case when p_owner is null then s.pending_per_client else s.pending_per_owner end from private.settings s));
  v_most bigint := coalesce(v_key, 2 * v_jobs);
  v_span interval := case when v_key is null then '1 hour' else '2 hours' end;
  v_taken record;
begin
  perform pg_advisory_xact_lock(hashtextextended('uploads:' || v_tenant, 0));
  delete from private.uploads u
   where u.path = any (array(select old.path from private.uploads old where old.taken_at < now() - interval '1 day'
                              order by old.taken_at limit 100 for update skip locked));
  select count(*) as tickets, coalesce(sum(greatest(u.size, private.uploaded(u.path))), 0) as bytes, min(u.taken_at) as first
    into v_taken from private.uploads u where u.tenant = v_tenant and u.taken_at > now() - v_span and (v_key is null or u.waits);
  if v_taken.tickets >= v_most or v_taken.bytes + p_size > v_jobs * 536870912 then
    raise exception using errcode = 'RY430',
      message = case when v_key is null then
        format('%s uploads of yours, with %s MB, were within the last hour: %s, or %s MB, are the limit; try again later',
               v_taken.tickets, ceil(v_taken.bytes / 1048576), v_most, v_jobs * 512)
      else
        format('%s uploads of this key wait for a job already, and %s are the limit; make jobs of them, or try again later',
               v_taken.tickets, v_most) end,
      hint = ceil(extract(epoch from coalesce(v_taken.first, now()) + v_span - now()));
  end if;
  insert into private.uploads (path, tenant, size) values (p_path, v_tenant, p_size);
end
$$;
comment on function queue.take_upload(text, bigint, uuid, text) is 'A ticket for an upload of that size; RY430 when the client has had enough.';

-- The upload could not be signed.
create function queue.return_upload(p_path text) returns void
language sql set search_path = ''
as $$
  delete from private.uploads u where u.path = p_path;
$$;
comment on function queue.return_upload(text) is 'Give a ticket back that was of no use.';

-- What is wrong with a job's video as an upload, as a sentence, or null: more came than the ticket says.
create function private.upload_error(p_video_url text) returns text
language sql stable set search_path = ''
as $$
  select format('the upload has %s bytes and was announced with %s: ask for another one with its true size', private.uploaded(u.path), u.size)
    from private.uploads u
   where u.path = private.upload_of(p_video_url) and private.uploaded(u.path) > u.size;
$$;
comment on function private.upload_error(text) is 'What is wrong with a job''s video as an upload, as a sentence, or null.';
