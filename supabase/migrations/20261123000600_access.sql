-- Who may do what. Supabase grants much by default privileges; everything that is not meant is revoked here.

alter table public.jobs enable row level security;
alter table public.results enable row level security;
alter table public.workers enable row level security;
alter table public.deliveries enable row level security;
alter table private.settings enable row level security;

create policy "owners see their jobs" on public.jobs
  for select to authenticated using (owner = (select auth.uid()));
create policy "signed-in users insert jobs of their own" on public.jobs
  for insert to authenticated with check (owner = (select auth.uid()));
create policy "owners see their results" on public.results
  for select to authenticated using (owner = (select auth.uid()));

revoke all on public.jobs, public.results, public.workers, public.deliveries from anon, authenticated;
-- Of their rows they see what the REST contract tells: no tenants, traces, turns and leases.
grant select (id, owner, kind, engine, status, stage, video_url, user_request, options, total_count, error, error_code, notes, preview_url, speech, brief, created_at,
              started_at, finished_at) on public.jobs to authenticated;
grant select (job_id, index, prompt, title, description, audio_url, video_url, seed, duration, bpm, key, engine, model, licence, describer, peaks,
              loudness_lufs, true_peak_db, audio_preview_url, ignored, fit, gain_db, mended, pack_url, created_at) on public.results to authenticated;
grant insert (video_url, user_request, options) on public.jobs to authenticated;

-- Identity columns need no rights on their sequences.
revoke all on sequence public.jobs_seq_seq, public.workers_id_seq from anon, authenticated;

revoke all on schema queue, private from public, anon, authenticated;
revoke all on all tables in schema private from public, anon, authenticated;
revoke all on all sequences in schema private from public, anon, authenticated;
revoke all on all functions in schema queue, private from public, anon, authenticated;

-- Schema private is not exposed; the Realtime policy calls the first as the joining role, an insert the second as the user.
grant usage on schema private to anon, authenticated;
grant execute on function private.may_watch(text) to anon, authenticated;
grant execute on function private.new_traceparent() to authenticated;

-- Whoever inserts a job has its rules asked, and an index reads which object its address names.
grant execute on function private.job_is_sound(public.jobs) to authenticated;
grant execute on function private.object_of(text) to authenticated;

-- The service role runs the queue too: operators with the secret key, backfills, the edge function.
grant usage on schema queue, private to service_role;
grant all on all tables in schema private to service_role;
grant all on all sequences in schema private to service_role;
grant execute on all functions in schema queue, private to service_role;
