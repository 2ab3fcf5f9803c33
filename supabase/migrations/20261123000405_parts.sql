-- What is asked of one finished track: a part of it made anew (queue.again with start and end), and a pack of it to take away.
-- Both begin from the row of its result. What they put into a job's options nobody else can: a worker reads those addresses.
-- SQLSTATE of our own: RY409 the track does not allow that, or is not there; the hint is the contract's code.

-- A track of a job. Raises RY409 not_ready.
create function private.track(p_job public.jobs, p_variant integer) returns public.results
language plpgsql stable set search_path = ''
as $$
declare
  v_track public.results;
begin
  select * into v_track from public.results r where r.job_id = p_job.id and r.index = p_variant;
  if not found then
    raise exception using errcode = 'RY409', hint = 'not_ready', message = case when p_job.finished_at is null
      then format('variant %s of this job is not there yet; ask again when it is', coalesce(p_variant, 0))
      else format('this job has ended without variant %s', coalesce(p_variant, 0)) end;
  end if;
  return v_track;
end
$$;
comment on function private.track(public.jobs, integer) is 'A result of a job by its index; RY409 when it is not there.';

-- Where every sample of a track is kept.
create function private.lossless(r public.results) returns text
language sql immutable set search_path = ''
as $$
  select coalesce(r.master_url, case when regexp_replace(r.audio_url, '[?#].*$', '') ~* '\.(flac|wav)$' then r.audio_url end);
$$;
comment on function private.lossless(public.results) is 'The address of a file with every sample of a track; null where none was kept.';

-- What a worker needs to make a part of a track anew, as options.mend. Raises RY409 cannot_mend, 22023.
create function private.mending(r public.results, p_start double precision, p_end double precision) returns jsonb
language plpgsql immutable set search_path = ''
as $$
declare
  v_why text := case
    when r.gain_db is null or r.seed is null then 'it is silent, or not known by how much it was raised'
    when private.lossless(r) is null then 'no file with every sample of it was kept'
    when r.engine = 'mmaudio' and r.latents_url is null then 'what its engine goes on from was not kept'
    when p_start >= r.duration or p_end > r.duration + 0.05 then format('it ends at %s s', r.duration) end;
begin
  if p_start >= p_end then
    raise exception using errcode = '22023', message = 'start must be before end';
  end if;
  if v_why is not null then
    raise exception using errcode = 'RY409', hint = 'cannot_mend',
      message = format('this part of variant %s cannot be made anew: %s; another take of the whole is made without start and end', r.index, v_why);
  end if;
  return jsonb_strip_nulls(jsonb_build_object(
    'start', p_start, 'end', least(p_end, r.duration), 'seed', r.seed, 'gain_db', r.gain_db, 'master_url', private.lossless(r),
    'latents_url', r.latents_url));
end
$$;
comment on function private.mending(public.results, double precision, double precision) is 'The options.mend of a job that makes a part of this track anew.';

-- A new job that packs one track, for a caller who may see the old job: null is 404. Without p_variant it is the best one, else the
-- first that is there. The new job has that one direction as its plan.
create function queue.pack(
  p_job uuid, p_user uuid default null, p_variant integer default null, p_client text default null, p_idempotency_key text default null,
  p_traceparent text default null
) returns uuid
language plpgsql set search_path = ''
as $$
declare
  v_old public.jobs;
  v_track public.results;
begin
  select * into v_old from public.jobs j where j.id = p_job and (j.owner is null or j.owner = p_user);
  if not found then
    return null;
  end if;
  if v_old.kind <> 'generate' then
    raise exception using errcode = '22023', message = format('a %s has no tracks, and tracks are what is packed', v_old.kind);
  end if;
  perform private.check_variant(v_old, p_variant);
  v_track := private.track(v_old, coalesce(p_variant, private.best(p_job, 2), (select min(r.index) from public.results r where r.job_id = p_job)));
  return private.enter(
    'pack', v_old.video_url, v_old.user_request,
    v_old.options - array['plan', 'variants', 'seed', 'callback_url', 'events', 'metadata'] || jsonb_build_object(
      'packs', private.result_json(v_track, 'generate')::jsonb, 'audio_url', coalesce(private.lossless(v_track), v_track.audio_url)),
    p_user, p_client, p_idempotency_key, p_traceparent, jsonb_build_array('pack', p_job, p_variant), false,
    v_old.plan || jsonb_build_object('variants', (
      select coalesce(jsonb_agg(v), '[]') from jsonb_array_elements(v_old.plan -> 'variants') v where (v -> 'index')::integer = v_track.index)));
end
$$;
comment on function queue.pack(uuid, uuid, integer, text, text, text) is 'A new job that packs one track of an old one; null when the caller may not see that.';
