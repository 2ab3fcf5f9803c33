-- What a worker writes while it holds a job. Every write carries (job, attempt, worker) and answers with a verdict:
--   'ok'         written
--   'cancelled'  the user took the job back: stop, then call queue.finish, which ends it as cancelled
--   'lost'       the lease no longer holds: another attempt owns the job, or it is over; write nothing more

-- The fence: lock the job for a write of its holder and say whether the lease holds. SHARE conflicts with whoever takes
-- the job away (a foreign key's KEY SHARE would not), so a result cannot slip in behind a requeue.
create function private.fence(p_job uuid, p_attempt integer, p_worker bigint) returns text
language plpgsql set search_path = ''
as $$
declare
  v_cancel boolean;
begin
  select j.cancel_requested into v_cancel from public.jobs j
   where j.id = p_job and j.attempt = p_attempt and j.worker_id = p_worker and j.status = 'processing' for share;
  return case when not found then 'lost' when v_cancel then 'cancelled' else 'ok' end;
end
$$;
comment on function private.fence(uuid, integer, bigint) is 'Whether (job, attempt, worker) still holds: ok, cancelled or lost.';

-- How long each stage of a job will take: the median of this engine's among the last jobs that ended, else a guess.
create function private.expected_s(p_kind text, p_made_with text) returns jsonb
language sql stable set search_path = ''
as $$
  select case p_kind when 'merge' then '{"fetching": 3, "hearing": 3, "merging": 10}' when 'pack' then '{"fetching": 1, "packing": 5}'
           when 'brief' then '{"fetching": 2, "describing": 6}' else '{"fetching": 2, "describing": 6, "composing": 15}' end::jsonb
      || coalesce(jsonb_object_agg(m.stage, m.median), '{}')
    from (select t.key as stage, percentile_cont(0.5) within group (order by t.value::double precision) as median
            from (select f.kind, f.made_with, f.status, f.took_s from public.jobs f
                   where f.finished_at is not null order by f.finished_at desc limit 64) f,
                 jsonb_each_text(f.took_s) t
           where f.status = 'completed' and f.kind = p_kind and f.made_with = p_made_with
           group by t.key) m;
$$;
comment on function private.expected_s(text, text) is 'Seconds by stage: medians of the engine among the last 64 jobs that ended, else a guess.';

-- With its first stage an attempt is told how long its stages will take. p_made_with: the engine, and its model, that composes
-- where the worker has several.
create function queue.set_stage(p_job uuid, p_attempt integer, p_worker bigint, p_stage text, p_made_with text default null) returns text
language plpgsql set search_path = ''
as $$
declare
  v_cancel boolean;
  v_engine text := (select w.engine from public.workers w where w.id = p_worker);
begin
  update public.jobs j
     set stage = p_stage, made_with = coalesce(p_made_with, case when j.stage is not null then j.made_with end, v_engine),
         stage_at = case when j.stage = p_stage then j.stage_at else now() end,
         took_s = case when j.stage is null then '{}' when j.stage = p_stage then j.took_s else private.took_s(j) end,
         expected_s = case when j.stage is null then private.expected_s(j.kind, coalesce(p_made_with, v_engine))
           - case when j.options @> '{"mode": "mix", "duck": true}' then '{}' else '{hearing}' end::text[] else j.expected_s end
   where j.id = p_job and j.attempt = p_attempt and j.worker_id = p_worker and j.status = 'processing'
  returning j.cancel_requested into v_cancel;
  return case when not found then 'lost' when v_cancel then 'cancelled' else 'ok' end;
end
$$;
comment on function queue.set_stage(uuid, integer, bigint, text, text) is 'Fenced: say where a running job stands.';

-- A sentence for the user, once however often it is said; of very many the first ones are kept.
create function queue.note(p_job uuid, p_attempt integer, p_worker bigint, p_note text) returns text
language plpgsql set search_path = ''
as $$
declare
  v_cancel boolean;
begin
  update public.jobs j
     set notes = case when left(p_note, 500) = any (j.notes) or cardinality(j.notes) >= 16 then j.notes else j.notes || left(p_note, 500) end
   where j.id = p_job and j.attempt = p_attempt and j.worker_id = p_worker and j.status = 'processing'
  returning j.cancel_requested into v_cancel;
  return case when not found then 'lost' when v_cancel then 'cancelled' else 'ok' end;
end
$$;
comment on function queue.note(uuid, integer, bigint, text) is 'Fenced: say what went otherwise than asked without failing the job.';

-- The film as browsers play it; the one that is there already is kept.
create function queue.set_preview(p_job uuid, p_attempt integer, p_worker bigint, p_url text) returns text
language plpgsql set search_path = ''
as $$
declare
  v_cancel boolean;
begin
  update public.jobs j set preview_url = coalesce(j.preview_url, p_url)
   where j.id = p_job and j.attempt = p_attempt and j.worker_id = p_worker and j.status = 'processing'
  returning j.cancel_requested into v_cancel;
  return case when not found then 'lost' when v_cancel then 'cancelled' else 'ok' end;
end
$$;
comment on function queue.set_preview(uuid, integer, bigint, text) is 'Fenced: say where the film is that browsers play.';

-- What was heard within the first seconds (all of them where p_duration is null), as the contract shows it; null while that is
-- not heard: a word is known some time after it began.
create function private.speech(p_hearing jsonb, p_duration double precision) returns jsonb
language sql immutable set search_path = ''
as $$
  select case when (p_hearing ->> 'heard_s')::double precision >= least((p_hearing ->> 'film_s')::double precision, p_duration + 2) then (
    select coalesce(jsonb_agg(jsonb_build_object('start', s.start_s, 'end', least(s.end_s, p_duration)) order by s.start_s), '[]')
      from jsonb_to_recordset(p_hearing -> 'spans') s (start_s double precision, end_s double precision)
     where p_duration is null or s.start_s < p_duration) end;
$$;
comment on function private.speech(jsonb, double precision) is 'The spans of speech of a film''s first seconds; null while they were not heard.';

-- How far the film was heard, again and again.
create function queue.put_speech(p_job uuid, p_attempt integer, p_worker bigint, p_hearing jsonb) returns text
language plpgsql set search_path = ''
as $$
declare
  v_cancel boolean;
begin
  update public.jobs j
     set hearing = p_hearing, speech = coalesce(private.speech(p_hearing, (j.options ->> 'duration')::double precision), j.speech)
   where j.id = p_job and j.attempt = p_attempt and j.worker_id = p_worker and j.status = 'processing'
  returning j.cancel_requested into v_cancel;
  return case when not found then 'lost' when v_cancel then 'cancelled' else 'ok' end;
end
$$;
comment on function queue.put_speech(uuid, integer, bigint, jsonb) is 'Fenced: say where somebody speaks in the film, as far as it was heard.';

-- What the newest job of the same film heard of it, if that heard it to its end. A job of somebody else, or of another tenant, is none
-- of this one's business.
create function queue.known_speech(p_job uuid) returns jsonb
language sql stable set search_path = ''
as $$
  select h.hearing from public.jobs j, public.jobs h
   where j.id = p_job and h.tenant = j.tenant and h.owner is not distinct from j.owner
     and md5(h.video_url) = md5(j.video_url) and h.video_url = j.video_url
     and (h.hearing ->> 'heard_s')::double precision >= (h.hearing ->> 'film_s')::double precision
   order by h.seq desc limit 1;
$$;
comment on function queue.known_speech(uuid) is 'What a job of the same film, of the same owner and tenant, has heard of it; null when nobody heard it to its end.';

-- What a brief has found; the one that is there already is kept.
create function queue.put_brief(p_job uuid, p_attempt integer, p_worker bigint, p_brief jsonb) returns text
language plpgsql set search_path = ''
as $$
declare
  v_cancel boolean;
begin
  update public.jobs j set brief = coalesce(j.brief, p_brief)
   where j.id = p_job and j.attempt = p_attempt and j.worker_id = p_worker and j.status = 'processing'
  returning j.cancel_requested into v_cancel;
  return case when not found then 'lost' when v_cancel then 'cancelled' else 'ok' end;
end
$$;
comment on function queue.put_brief(uuid, integer, bigint, jsonb) is 'Fenced: say what a brief has found in the film.';

-- Saved once: a retry finds the plan of the first attempt and makes the same music. Answers with the plan that holds.
create function queue.save_plan(p_job uuid, p_attempt integer, p_worker bigint, p_plan jsonb, out verdict text, out plan jsonb)
language plpgsql set search_path = ''
as $$
declare
  v_cancel boolean;
begin
  update public.jobs j set plan = coalesce(j.plan, p_plan)
   where j.id = p_job and j.attempt = p_attempt and j.worker_id = p_worker and j.status = 'processing'
  returning j.cancel_requested, j.plan into v_cancel, save_plan.plan;
  verdict := case when not found then 'lost' when v_cancel then 'cancelled' else 'ok' end;
end
$$;
comment on function queue.save_plan(uuid, integer, bigint, jsonb) is 'Fenced: save the plan unless there is one; returns the one that holds.';

-- What a merge lays under a film keeps its licence. That it is a track of ours is known by its address, which names its job.
create function queue.music_licence(p_job uuid) returns jsonb
language sql stable set search_path = ''
as $$
  select r.licence
    from (select regexp_replace(j.options ->> 'audio_url', '[?#].*$', '') as url from public.jobs j where j.id = p_job) m,
         regexp_match(m.url, '/audios/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/([0-7])-[^/]+$') named,
         public.results r
   where r.job_id = named[1]::uuid and r.index = named[2]::smallint and m.url in (r.audio_url, r.audio_preview_url);
$$;
comment on function queue.music_licence(uuid) is 'The licence of the track that a merge was asked for; null when it is none of ours.';

-- A result that is there already is kept as it is.
create function queue.put_result(p_job uuid, p_attempt integer, p_worker bigint, p_result jsonb) returns text
language plpgsql set search_path = ''
as $$
declare
  v_verdict text := private.fence(p_job, p_attempt, p_worker);
  v_count smallint;
  v_hook text;
begin
  if v_verdict = 'ok' then
    select j.total_count, case when j.options -> 'events' ? 'result.ready' then j.options ->> 'callback_url' end
      into v_count, v_hook from public.jobs j where j.id = p_job;
    if ((p_result ->> 'index')::integer between 0 and v_count - 1) is not true then
      raise exception using errcode = '22023',
        message = format('result index %s is not one of this job''s %s', p_result ->> 'index', v_count);
    end if;
    insert into public.results (job_id, index, attempt, prompt, title, description, audio_url, video_url, seed, duration,
                                engine, model, licence, describer, bpm, key, peaks, loudness_lufs, true_peak_db, audio_preview_url, ignored,
                                fit, gain_db, mended, master_url, latents_url, pack_url)
    select p_job, r.index, p_attempt, coalesce(r.prompt, ''), coalesce(r.title, ''), coalesce(r.description, ''),
           r.audio_url, r.video_url, r.seed, r.duration, coalesce(r.engine, ''), coalesce(r.model, ''), r.licence,
           coalesce(r.describer, ''), r.bpm, r.key, r.peaks, r.loudness_lufs, r.true_peak_db, r.audio_preview_url, coalesce(r.ignored, '{}'),
           r.fit, r.gain_db, r.mended, r.master_url, r.latents_url, r.pack_url
      from jsonb_populate_record(null::public.results, p_result) r
    on conflict (job_id, index) do nothing;
    if found and v_hook is not null then
      insert into public.deliveries (job_id, result, url) values (p_job, (p_result ->> 'index')::smallint, v_hook);
      perform private.wake('webhook');
    end if;
  end if;
  return v_verdict;
end
$$;
comment on function queue.put_result(uuid, integer, bigint, jsonb) is 'Fenced: write one result row; an existing one is never overwritten.';

-- An error ended this attempt. With p_again the job is retried after a backoff while attempts are left. Without p_burn the
-- attempt does not count (our own Storage or database was away, which is no fault of the job), up to half a day of them.
create function queue.fail(
  p_job uuid, p_attempt integer, p_worker bigint, p_code text, p_error text, p_again boolean, p_burn boolean default true
) returns text
language plpgsql set search_path = ''
as $$
declare
  v_job public.jobs;
begin
  select * into v_job from public.jobs j
   where j.id = p_job and j.attempt = p_attempt and j.worker_id = p_worker and j.status = 'processing' for update;
  if not found then
    return 'lost';
  end if;
  if p_again and not p_burn and v_job.attempt < (select s.max_outages from private.settings s) then
    update public.jobs j set max_attempts = j.max_attempts + 1 where j.id = p_job returning * into v_job;
  end if;
  perform private.settle(v_job, p_again and v_job.attempt < v_job.max_attempts, p_code, p_error);
  return 'ok';
end
$$;
comment on function queue.fail(uuid, integer, bigint, text, text, boolean, boolean) is 'Fenced: report an error; retries with backoff when p_again.';

-- The device broke under this job. It may have been the job that broke it: a crash, which is counted apart with a low cap.
create function queue.crash(p_job uuid, p_attempt integer, p_worker bigint, p_code text, p_error text) returns text
language plpgsql set search_path = ''
as $$
declare
  v_job public.jobs;
begin
  select * into v_job from public.jobs j
   where j.id = p_job and j.attempt = p_attempt and j.worker_id = p_worker and j.status = 'processing' for update;
  if not found then
    return 'lost';
  end if;
  perform private.requeue_lost(v_job, p_code, p_error);
  perform private.wake(v_job.kind, v_job.engine);
  return 'ok';
end
$$;
comment on function queue.crash(uuid, integer, bigint, text, text) is 'Fenced: hand back a job under which the device broke; two such crashes end it.';

-- The job is done: completed when something came out, tracks or a brief, else failed.
create function queue.finish(p_job uuid, p_attempt integer, p_worker bigint) returns text
language plpgsql set search_path = ''
as $$
begin
  return queue.fail(p_job, p_attempt, p_worker, 'no_result', 'nothing came out of this job', false);
end
$$;
comment on function queue.finish(uuid, integer, bigint) is 'Fenced: end a job.';

-- Hand a job back as if it had not been claimed. The attempt is not burnt: one is added to max_attempts, because
-- `attempt` is the fencing token and never goes down.
create function queue.release(p_job uuid, p_attempt integer, p_worker bigint) returns text
language plpgsql set search_path = ''
as $$
declare
  v_kind text;
  v_engine text;
begin
  update public.jobs j
     set status = case when j.cancel_requested then 'cancelled' else 'pending' end,
         finished_at = case when j.cancel_requested then now() end,
         worker_id = null, deadline_at = null, stage = null, max_attempts = j.max_attempts + 1
   where j.id = p_job and j.attempt = p_attempt and j.worker_id = p_worker and j.status = 'processing'
  returning j.kind, j.engine into v_kind, v_engine;
  if not found then
    return 'lost';
  end if;
  perform private.wake(v_kind, v_engine);
  return 'ok';
end
$$;
comment on function queue.release(uuid, integer, bigint) is 'Fenced: hand a job back without burning an attempt.';
