-- RhythmAI: the tables.
--
-- A job is a row of public.jobs. Whoever inserts it (the API, an edge function, a backfill in psql) is done; a worker
-- claims it, writes one row of public.results for each track the moment it is ready, and ends it. The database is the
-- only truth: Realtime and NOTIFY are hints that shorten a sleep.
--
--   pending ──claim──> processing ──finish──> completed | failed
--      ^                  │    └──cancel────> cancelled
--      └──retry, release──┘        (a pending job is cancelled at once)
--
-- private.job_is_sound makes every other state unrepresentable. The rules (who may move a job, and when) are the
-- functions of schema queue in the next files. Tables live in public, where signed-in users read their own rows under
-- RLS; functions live in queue and private, which Supabase does not expose.

create schema if not exists queue;
create schema if not exists private;
comment on schema queue is 'The rules of the queue: everything the API, the workers and operators call.';
comment on schema private is 'Triggers and helpers of the queue; nothing here is called by people.';

-- One row: the limits that hold for every API replica and for direct inserts.
create table private.settings (
  only_row boolean primary key default true constraint settings_one_row check (only_row),
  pending_per_owner integer not null default 50 check (pending_per_owner > 0),
  pending_per_client integer not null default 10 check (pending_per_client > 0),
  batch_first_share real not null default 0.1 check (batch_first_share between 0 and 1),
  max_crashes integer not null default 2 check (max_crashes > 0),
  max_outages integer not null default 300 check (max_outages > 0),
  keep_for interval check (keep_for > interval '0'),
  backoff_base interval not null default interval '2 seconds',
  backoff_cap interval not null default interval '5 minutes',
  client_salt uuid not null default gen_random_uuid(),
  uploads_walked text not null default '',
  input_buckets text[] not null default '{}'
);
comment on table private.settings is 'One row of limits: flood guard, how long ended jobs are kept (null: for ever), crash cap, outage cap, backoff, share of claims that look into the batch lane, and for one engine alone, first; how far retention has walked through the uploads, by name; and the buckets whose objects may be a job''s video (INPUT_BUCKETS).';
insert into private.settings default values;

-- A key stands in public.jobs.owner as a user does, so that whatever holds for users holds for it.
create table private.keys (
  id uuid primary key default gen_random_uuid(),
  name text not null unique constraint keys_name check (length(name) between 1 and 200),
  hash text not null unique constraint keys_hash check (hash ~ '^[0-9a-f]{64}$'),
  pending_limit integer not null constraint keys_limit check (pending_limit > 0),
  created_at timestamptz not null default now(),
  revoked_at timestamptz
);
comment on table private.keys is 'Keys for servers, rk_...: the SHA-256 of each, and how many of its jobs, and of its uploads, may wait.';
alter table private.keys enable row level security;

create table public.workers (
  id bigint generated always as identity primary key,
  name text not null constraint workers_name check (length(name) between 1 and 200),
  kinds text[] not null constraint workers_kinds check (kinds <@ array['generate', 'merge', 'brief', 'pack'] and cardinality(kinds) > 0),
  engines text[] not null default '{}',
  engine text not null default '',
  slots integer not null default 2 constraint workers_slots check (slots > 0),
  version text not null default '',
  state text not null default 'loading' constraint workers_state check (state in ('loading', 'ready', 'lost', 'gone')),
  draining boolean not null default false,
  lease interval not null default interval '30 seconds' constraint workers_lease check (lease > interval '0'),
  started_at timestamptz not null default now(),
  ready_at timestamptz,
  last_seen timestamptz not null default now()
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200);
comment on column public.workers.engines is 'What it can compose with, by name; what it takes for a job that names none comes first.';
comment on column public.workers.engine is 'The same for people, with the models.';
comment on column public.workers.slots is 'How many jobs it takes at a time.';
comment on table public.workers is 'One row per worker process. Liveness is here, not on jobs: a worker is dead when last_seen is older than its lease.';
-- Not on last_seen: a beat must stay a HOT update.
create index workers_alive on public.workers (id) where state in ('loading', 'ready');

-- The trace of a job that continues nobody's; sampled, so that workers may record it.
create function private.new_traceparent() returns text
language sql set search_path = ''
as $$
  select '00-' || t.id || '-' || left(t.id, 16) || '-01' from (select encode(uuid_send(gen_random_uuid()), 'hex')) t (id);
$$;
comment on function private.new_traceparent() is 'A new W3C trace context, for jobs whose insert names none.';

create table public.jobs (
  id uuid primary key default gen_random_uuid(),
  kind text not null default 'generate',
  owner uuid,
  key_id uuid references private.keys (id) on delete restrict,
  tenant text not null default 'sql',
  status text not null default 'pending',
  stage text,
  stage_at timestamptz,
  engine text not null default '',
  made_with text,
  took_s jsonb not null default '{}',
  expected_s jsonb not null default '{}',
  lane text not null default 'batch',
  priority smallint not null default 0,
  turn bigint not null default 0,
  seq bigint generated always as identity,
  run_at timestamptz,
  video_url text not null,
  user_request text not null default '',
  options jsonb not null default '{}',
  plan jsonb,
  total_count smallint not null default 3,
  attempt integer not null default 0,
  max_attempts integer not null default 3,
  crashes integer not null default 0,
  worker_id bigint references public.workers (id) on delete restrict,
  claimed_at timestamptz,
  deadline_at timestamptz,
  cancel_requested boolean not null default false,
  unwanted boolean not null default false,
  idempotency_key text,
  request_hash text,
  traceparent text not null default private.new_traceparent()
    constraint jobs_traceparent check (traceparent ~ '^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$'),
  error text,
  error_code text,
  notes text[] not null default '{}',
  preview_url text,
  hearing jsonb,
  speech jsonb,
  brief jsonb,
  created_at timestamptz not null default now(),
  started_at timestamptz,
  finished_at timestamptz
) with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 500,
        autovacuum_analyze_scale_factor = 0.01, autovacuum_analyze_threshold = 500);
comment on table public.jobs is 'The queue: one row per job, from its insert to its end. `attempt` is the fencing token and only ever grows.';
comment on column public.jobs.owner is 'The user, or the key, whose job it is; null: whoever knows its id.';
comment on column public.jobs.tenant is 'The fairness key, never null: the owner, the key as key:<id>, else a hash of the client address, else ''sql''.';
comment on column public.jobs.turn is 'Start-time fair queueing, stamped at insert: the round of the tenant in the upper bits, `seq` in the lower 32.';
comment on column public.jobs.started_at is 'When a worker took the job for the first time; claimed_at: for the last time.';
comment on column public.jobs.stage_at is 'Since when the stage is.';
comment on column public.jobs.engine is 'What it is to be composed with, and so which workers may take it; '''' is auto, any of them.';
comment on column public.jobs.made_with is 'Engine and model of the worker that has, or had last, the job.';
comment on column public.jobs.took_s is 'How many seconds each stage of the last attempt took, as far as it is over.';
comment on column public.jobs.expected_s is 'How many seconds each stage was expected to take when the last attempt began: progress is told by it.';
comment on column public.jobs.traceparent is 'W3C trace context: the trace that the job belongs to, from the request to the webhook, and its parent in it.';
comment on column public.jobs.notes is 'Sentences for the user: what went otherwise than asked without failing the job.';
comment on column public.jobs.unwanted is 'Its owner deletes it: the row goes in the moment in which the job has ended.';
comment on column public.jobs.preview_url is 'The film as every browser plays it; null where one plays it as it is.';
comment on column public.jobs.hearing is 'How far the film was heard, and who speaks when: {spans: [{start_s, end_s}], heard_s, film_s}; null before anything was.';
comment on column public.jobs.speech is 'Where somebody speaks in what is set to music, [{start, end}] in seconds; null: not heard yet.';
comment on column public.jobs.brief is 'What a brief has found in the film, as the contract shows it; null before, and of other jobs.';
comment on column public.jobs.run_at is 'null = ready; otherwise in backoff until then (and outside the ready index).';

-- What a job may be, rule by rule; the first that is broken is named. One function, because Postgres reads the text of every
-- CHECK anew for each statement: as twenty constraints these rules took 60 us of an insert, a claim and an end; so they take 5.
create function private.job_is_sound(j public.jobs) returns boolean
language plpgsql immutable set search_path = ''
as $$
declare
  v_broken text := case
    when j.status not in ('pending', 'processing', 'completed', 'failed', 'cancelled') then 'jobs_status'
    when (j.status = 'processing') <> (j.deadline_at is not null) then 'jobs_processing_has_deadline'
    when (j.status = 'processing') <> (j.worker_id is not null) then 'jobs_processing_is_held'
    when j.status = 'processing' and (j.started_at is null or j.claimed_at is null or j.attempt = 0) then 'jobs_processing_was_started'
    when j.run_at is not null and j.status <> 'pending' then 'jobs_only_pending_waits'
    when j.stage is not null and j.status <> 'processing' then 'jobs_stage_is_of_processing'
    when (j.status in ('completed', 'failed', 'cancelled')) <> (j.finished_at is not null) then 'jobs_ended_has_time'
    when j.status = 'failed' and (j.error is null or j.error_code is null) then 'jobs_failed_says_why'
    when j.status = 'completed' and j.error is not null then 'jobs_completed_is_clean'
    when j.kind not in ('generate', 'merge', 'brief', 'pack') then 'jobs_kind'
    when j.engine not in ('', 'mmaudio', 'acestep', 'sketch') or j.engine <> '' and j.kind <> 'generate' then 'jobs_engine'
    when j.lane not in ('interactive', 'batch') then 'jobs_lane'
    when j.stage not in ('fetching', 'describing', 'composing', 'hearing', 'merging', 'packing') then 'jobs_stage'
    when length(j.video_url) not between 1 and 4096 then 'jobs_video_url'
    when length(j.user_request) > 2000 then 'jobs_user_request'
    when jsonb_typeof(j.options) <> 'object' then 'jobs_options'
    when j.total_count not between (j.kind <> 'brief')::integer and 8 then 'jobs_total_count'
    when j.attempt < 0 then 'jobs_attempt'
    when j.max_attempts < 1 then 'jobs_max_attempts'
    when j.crashes < 0 then 'jobs_crashes'
    when cardinality(j.notes) > 16 then 'jobs_notes'
    when jsonb_typeof(j.speech) <> 'array' then 'jobs_speech'
    when jsonb_typeof(j.brief) <> 'object' or j.brief is not null and j.kind <> 'brief' then 'jobs_brief'
    when length(j.idempotency_key) not between 1 and 255 then 'jobs_idempotency_key'
  end;
begin
  if v_broken is not null then
    raise exception using errcode = '23514', schema = 'public', table = 'jobs', constraint = v_broken,
      message = format('new row for relation "jobs" violates check constraint "%s"', v_broken);
  end if;
  return true;
end
$$;
comment on function private.job_is_sound(public.jobs) is 'True, or a check violation that names the broken rule: the state machine of a job and the ranges of its columns.';
alter table public.jobs add constraint jobs_sound check (private.job_is_sound(jobs));

create index jobs_ready on public.jobs (kind, lane, engine, priority desc, turn) where status = 'pending' and run_at is null;
create index jobs_returned on public.jobs (kind, lane, engine, priority, turn) where status = 'pending' and run_at is null and attempt > 0;
create index jobs_tenant on public.jobs (tenant, kind, lane, engine, priority, turn) where status = 'pending';
create index jobs_backed_off on public.jobs (run_at) where status = 'pending' and run_at is not null;
-- `worker_id is not null`, and not `status = 'processing'`, which means the same: the foreign key's own lookup uses it too.
create index jobs_held on public.jobs (worker_id) where worker_id is not null;
create index jobs_deadline on public.jobs (deadline_at) where status = 'processing';
create unique index jobs_idempotency on public.jobs (tenant, idempotency_key) where idempotency_key is not null;
create index jobs_owner on public.jobs (owner, created_at desc, id desc) where owner is not null;
create index jobs_key on public.jobs (key_id) where key_id is not null;
create index jobs_finished on public.jobs (status, finished_at) where finished_at is not null;
-- Whose film was heard to its end: merges ask. Of an address its hash, since it may be longer than what a B-tree holds.
create index jobs_heard on public.jobs (tenant, md5(video_url), seq desc)
  where (hearing ->> 'heard_s')::double precision >= (hearing ->> 'film_s')::double precision;

create table public.results (
  job_id uuid not null references public.jobs (id) on delete cascade,
  index smallint not null constraint results_index check (index between 0 and 7),
  attempt integer not null,
  owner uuid,
  prompt text not null default '',
  title text not null default '',
  description text not null default '',
  audio_url text,
  video_url text,
  seed bigint constraint results_seed check (seed between 0 and 4294967295),
  duration double precision,
  engine text not null default '',
  model text not null default '',
  licence jsonb,
  describer text not null default '',
  bpm real,
  key text,
  peaks text constraint results_peaks check (length(peaks) <= 216),
  loudness_lufs real,
  true_peak_db real,
  audio_preview_url text,
  ignored text[] not null default '{}',
  fit jsonb constraint results_fit check (jsonb_typeof(fit) = 'object' and octet_length(fit::text) <= 700),
  gain_db real,
  mended jsonb constraint results_mended check (jsonb_typeof(mended) = 'object' and octet_length(mended::text) <= 100),
  master_url text,
  latents_url text,
  pack_url text,
  created_at timestamptz not null default now(),
  primary key (job_id, index),
  constraint results_has_media check (num_nonnulls(audio_url, video_url, pack_url) = 1)
);
comment on table public.results is 'One row per finished track (or merged video, or pack), written the moment it is ready. Never overwritten.';
comment on column public.results.licence is 'Under what the weights that made it stand, {name, commercial, url}; null of music that is not ours.';
comment on column public.results.gain_db is 'By which the raw track was raised when it was mastered; null for silence.';
comment on column public.results.mended is 'The stretch that was made anew, {start_s, end_s}; null: all of it.';
comment on column public.results.master_url is 'Of a file that holds every sample, where audio_url does not.';
comment on column public.results.latents_url is 'What the engine wants back when a part of the track is mended.';
create index results_owner on public.results (owner, created_at desc) where owner is not null;

create table public.deliveries (
  id uuid primary key default gen_random_uuid(),
  job_id uuid not null references public.jobs (id) on delete cascade,
  result smallint,
  url text not null,
  attempt integer not null default 0,
  max_attempts integer not null default 12,
  next_at timestamptz default now(),
  worker_id bigint references public.workers (id) on delete set null,
  state text not null default 'pending' constraint deliveries_state check (state in ('pending', 'delivered', 'failed')),
  last_error text,
  created_at timestamptz not null default now(),
  delivered_at timestamptz,
  constraint deliveries_once unique nulls not distinct (job_id, result),
  constraint deliveries_pending_has_time check ((state = 'pending') = (next_at is not null))
);
comment on column public.deliveries.id is 'The id of the message, the same in every try; a job that ends anew has a new one to tell.';
comment on column public.deliveries.result is 'The index of the result that is ready; null: the job has ended.';
comment on column public.deliveries.next_at is 'When the next try is due; while a worker tries, when its lease ends.';
comment on table public.deliveries is 'The webhook outbox: a row is made in the transaction that ends a job with a callback_url, or brings a result it asked to hear of.';
create index deliveries_held on public.deliveries (worker_id) where worker_id is not null;
create index deliveries_due on public.deliveries (next_at) where state = 'pending';
