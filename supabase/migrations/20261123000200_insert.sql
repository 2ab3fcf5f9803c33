-- How a job enters: whoever inserts, one BEFORE INSERT trigger checks the options, sets the tenant and stamps the turn.

-- An address as the contract means it: http or https, a host, no user name, nothing blank or invisible in it.
create function private.is_address(p_text text) returns boolean
language sql immutable set search_path = ''
as $$
  select length(p_text) between 8 and 2048 and p_text ~ ('^[Hh][Tt][Tt][Pp][Ss]?://[^' || blank || '/?#@\\]+([/?#][^' || blank || ']*)?$')
    from (values ('\u0001-\u0020\u007f-\u00a0\u2000-\u200f\u2028-\u202f\u3000\ufeff')) b (blank);
$$;
comment on function private.is_address(text) is 'Whether a text is an http or https address with a host and without a user name.';

-- An object of this project's own Storage as a job's video, storage://bucket/path: for servers' keys and for SQL, from buckets that
-- INPUT_BUCKETS names. Bucket and path are taken as they are written: what somebody could decode or resolve is refused.
create function private.stored_error(p_video_url text, p_may boolean) returns text
language sql stable set search_path = ''
as $$
  select case
    when p_video_url !~* '^storage:' then null
    when not p_may then
      'video_url: storage:// is for servers'' keys (rhythmai keys add) and for SQL; upload the video (POST /api/v1/upload), or give an http or https address'
    when length(p_video_url) > 2048 or p_video_url !~ ('^storage://[A-Za-z0-9][A-Za-z0-9_.-]{0,62}(/\.*[' || name || '][' || name || '.]*)+$') then
      'video_url must be storage://bucket/path with letters, digits and !-_.*''() &$@=;:+, as they are: nothing encoded, no part empty or of dots alone'
    when not split_part(p_video_url, '/', 3) = any (s.input_buckets) then
      format('video_url: bucket %s is none of INPUT_BUCKETS; name it there and run `rhythmai migrate`', split_part(p_video_url, '/', 3))
    end
    from private.settings s, (values ('A-Za-z0-9_!*''() &$@=;:+,-')) n (name);
$$;
comment on function private.stored_error(text, boolean) is 'What is wrong with storage://bucket/path as a job''s video, as a sentence; null for other addresses. Without p_may the caller is nobody who may name one.';

-- What is wrong with an object of the contract (the options of a kind of job, or a hand-written direction), as a sentence, or
-- null. One table of fields for every door: the bodies of the REST contract are these, but for what only operators may say.
create function private.wrong(p_place text, p_of text, p_given jsonb, p_operator boolean) returns text
language plpgsql immutable set search_path = ''
as $$
declare
  v_fields jsonb := case replace(p_of, 'pack', 'generate') -- a pack has the options of what it packs, and more
    when 'generate' then '{
      "variants": ["whole", 1, 8], "seed": ["whole", 0, 4294967295], "duration": ["number", 0.64, 86400],
      "negative_prompt": ["text", 0, 2000], "conditioning": ["choice", "full", "text+clip", "text"],
      "engine": ["choice", "auto", "mmaudio", "acestep", "sketch"], "format": ["choice", "flac", "wav", "mp3", "m4a"],
      "loudness_lufs": ["number", -30, -9], "plan": ["list", 1, 8, "direction"], "hits": ["list", 0, 32, "hit"],
      "segments": ["list", 0, 16, "segment"], "loop": ["flag"], "callback_url": ["address"]}'::jsonb
    when 'merge' then '{
      "audio_url": ["address"], "mode": ["choice", "replace", "mix"], "music_gain_db": ["number", -60, 20],
      "duck": ["flag"], "duck_db": ["number", -60, 0], "callback_url": ["address"]}'::jsonb
    when 'brief' then '{
      "variants": ["whole", 1, 8], "seed": ["whole", 0, 4294967295], "duration": ["number", 0.64, 86400], "callback_url": ["address"]}'::jsonb
    when 'hit' then '{"at": ["number", 0, 86400], "kind": ["choice", "accent", "drop", "stop", "downbeat"]}'::jsonb
    when 'segment' then '{"start": ["number", 0, 86400], "prompt": ["text", 1, 1000], "energy": ["number", 0, 1]}'::jsonb
    when 'mend' then '{
      "start": ["number", 0, 86400], "end": ["number", 0, 86400], "seed": ["whole", 0, 4294967295], "gain_db": ["number", -200, 200],
      "master_url": ["address"], "latents_url": ["address"]}'::jsonb
    when 'direction' then '{
      "prompt": ["text", 1, 1000], "title": ["text", 0, 200], "description": ["text", 0, 2000], "genre": ["text", 0, 200],
      "instruments": ["texts", 0, 16], "tempo_bpm": ["number", 20, 300], "key": ["key"], "mood": ["text", 0, 200]}'::jsonb
    else '{}'::jsonb end;
  v_told jsonb := '{
      "events": ["choices", "job.completed", "job.failed", "job.cancelled", "result.ready"], "metadata": ["metadata"]}'; -- by webhooks
  v_needed text[] := case p_of when 'merge' then array['audio_url'] when 'pack' then array['packs', 'audio_url'] when 'direction' then array['prompt'] when 'hit' then array['at']
    when 'segment' then array['start'] when 'mend' then array['start', 'end', 'seed', 'gain_db', 'master_url'] else '{}' end;
  v_key text;
  v_value jsonb;
  v_said text;
  v_field jsonb;
  v_low numeric;
  v_high numeric;
  v_type text;
  v_fits boolean;
begin
  if jsonb_typeof(p_given) <> 'object' then
    return format('%s must be an object, not %s', p_place, left(p_given::text, 100));
  end if;
  if p_operator and p_of in ('generate', 'pack') then
    v_fields := v_fields || '{"steps": ["whole", 1, 100], "guidance": ["number", 0, 20], "mend": ["object", "mend"]}';
  end if;
  if p_of = 'pack' then
    v_fields := v_fields || '{"packs": ["object"], "audio_url": ["address"]}';
  end if;
  if p_of in ('generate', 'merge', 'brief') then
    v_fields := v_fields || v_told;
  end if;
  for v_key, v_value in select g.key, g.value from jsonb_each(p_given) g loop
    v_field := v_fields -> v_key;
    if v_field is null then
      return format('%s: unknown field %s; known are %s', p_place, left(v_key, 100), (select string_agg(f, ', ') from jsonb_object_keys(v_fields) f));
    end if;
    continue when v_value = 'null';
    v_type := v_field ->> 0;
    v_said := v_value #>> '{}';
    if v_type in ('whole', 'number', 'text', 'texts', 'list') then
      v_low := v_field -> 1;
      v_high := v_field -> 2;
    end if;
    v_fits := case jsonb_typeof(v_value)
      when 'number' then v_type in ('whole', 'number') and v_said::numeric between v_low and v_high
                         and (v_type = 'number' or v_said::numeric = trunc(v_said::numeric))
      when 'boolean' then v_type = 'flag'
      -- A subquery here would make a query of the expression, and a field five times as slow.
      when 'array' then case v_type
        when 'choices' then v_value <> '[]' and v_value <@ (v_field - 0)
        when 'list' then jsonb_array_length(v_value) between v_low and v_high
        when 'texts' then jsonb_array_length(v_value) between v_low and v_high
                          and not v_value @? 'strict $[*] ? (@.type() != "string" || !(@ like_regex "^.{0,200}$" flag "s"))'
        else false end
      when 'object' then v_type = 'object'
                         or v_type = 'metadata' and jsonb_array_length(jsonb_path_query_array(v_value, '$.keyvalue()')) <= 16
                         and not v_value @? 'strict $.keyvalue() ? (!(@.key like_regex "^[A-Za-z0-9_.-]{1,40}$")
                             || @.value.type() != "string" || !(@.value like_regex "^[^\\x01-\\x1f]{0,200}$"))'
      when 'string' then case v_type
        when 'text' then length(v_said) between v_low and v_high
        when 'choice' then v_said <> 'choice' and v_field ? v_said
        when 'address' then private.is_address(v_said)
        -- A describer that names no key leaves it empty, and its direction may be asked for again.
        when 'key' then v_said ~ '^[A-G](#|b)? (major|minor|dorian|phrygian|lydian|mixolydian)$' or v_said = '' and p_operator
        else false end
      else false end;
    if not v_fits then
      return format('%s.%s must be %s, not %s', p_place, v_key, case v_type
        when 'whole' then format('a whole number from %s to %s', v_low, v_high)
        when 'number' then format('a number from %s to %s', v_low, v_high)
        when 'flag' then 'true or false'
        when 'choice' then 'one of ' || (select string_agg(c, ', ') from jsonb_array_elements_text(v_field - 0) c)
        when 'choices' then 'some of ' || (select string_agg(c, ', ') from jsonb_array_elements_text(v_field - 0) c)
        when 'metadata' then 'at most 16 strings of at most 200 characters, none of them a control character, by names of letters, digits, ., _ and -'
        when 'text' then format('a string of %s to %s characters', v_low, v_high)
        when 'address' then 'an http or https address with a host and without a user name'
        when 'key' then 'a tonic and a mode, such as "D minor" or "F# major"'
        when 'texts' then format('a list of at most %s strings of at most 200 characters', v_high)
        when 'object' then 'an object'
        else format('a list of %s to %s %ss', v_low, v_high, v_field ->> 3) end, left(v_value::text, 100));
    end if;
    if v_type = 'list' then
      for v_at in 0 .. jsonb_array_length(v_value) - 1 loop
        v_said := private.wrong(format('%s.%s[%s]', p_place, v_key, v_at), v_field ->> 3, v_value -> v_at, p_operator);
        if v_said is not null then
          return v_said;
        end if;
        if v_field ->> 3 = 'segment' and v_at > 0 and (v_value #>> array[v_at::text, 'start'])::numeric <= (v_value #>> array[(v_at - 1)::text, 'start'])::numeric then
          return format('%s.%s[%s].start must be after that of the segment before', p_place, v_key, v_at);
        end if;
      end loop;
    elsif v_type = 'object' and v_field ->> 1 is not null then
      v_said := private.wrong(format('%s.%s', p_place, v_key), v_field ->> 1, v_value, p_operator);
      if v_said is not null then
        return v_said;
      end if;
    end if;
  end loop;
  foreach v_key in array v_needed loop
    if p_given ->> v_key is null then
      return format('%s.%s is missing', p_place, v_key);
    end if;
  end loop;
  if p_of = 'generate' and p_given -> 'loop' = 'true' and p_given ->> 'format' in ('mp3', 'm4a') then
    return format('%s.loop: %s files have a gap at each end; a loop is flac or wav', p_place, p_given ->> 'format');
  end if;
  return null;
end
$$;
comment on function private.wrong(text, text, jsonb, boolean) is 'What is wrong with an object of the contract, as a sentence, or null.';

-- What is wrong with the options of a job, as a sentence, or null.
create function private.options_error(p_kind text, p_options jsonb, p_operator boolean default true) returns text
language sql immutable set search_path = ''
as $$
  select case when length(p_options::text) > 65536 then 'options must be at most 65536 characters of JSON'
              else private.wrong('options', p_kind, p_options, p_operator) end;
$$;
comment on function private.options_error(text, jsonb, boolean) is 'What is wrong with the options of a job, as a sentence, or null.';

-- Refuse a tenant that has too many pending jobs. The lock makes the count exact for one tenant and costs others nothing.
create function private.guard_flood(p_tenant text, p_limit integer) returns void
language plpgsql set search_path = ''
as $$
declare
  v_pending integer;
begin
  perform pg_advisory_xact_lock(hashtextextended('flood:' || p_tenant, 0));
  select count(*) into v_pending
    from (select from public.jobs j where j.tenant = p_tenant and j.status = 'pending' limit p_limit) waiting;
  if v_pending >= p_limit then
    raise exception using errcode = 'RY429',
      message = format('%s jobs of yours wait already, which is the limit; try again when some have run', p_limit);
  end if;
end
$$;
comment on function private.guard_flood(text, integer) is 'Raise RY429 when a tenant has p_limit pending jobs or more.';

-- The turn of a new job (start-time fair queueing): the round after the tenant's own last pending job, but never before
-- the round that is served now. Ties within a round go by age: `seq` fills the lower 32 bits. Jobs for different engines
-- are different queues, whose rounds may be far apart: fast workers have served more of them than slow ones.
-- Never by a scan of the table: a plan that was made while it was empty would serve a backfill of 100,000 rows to its end.
create function private.turn_of(p_kind text, p_lane text, p_engine text, p_priority smallint, p_tenant text, p_seq bigint) returns bigint
language plpgsql set search_path = '' set enable_seqscan = off
as $$
declare
  v_round bigint := coalesce(pg_sequence_last_value(to_regclass('private.' || concat_ws('_', 'served', p_kind, p_lane, nullif(p_engine, '')))), 0) >> 32;
  v_last bigint;
begin
  select j.turn >> 32 into v_last from public.jobs j
   where j.tenant = p_tenant and j.kind = p_kind and j.lane = p_lane and j.engine = p_engine and j.priority = p_priority and j.status = 'pending'
     and j.turn >= v_round << 32
   order by j.turn desc limit 1;
  return (greatest(v_round, coalesce(v_last + 1, 0)) << 32) | (p_seq & 4294967295);
end
$$;
comment on function private.turn_of(text, text, text, smallint, text, bigint) is 'The fair turn of a new job.';

-- Who inserts, by role: a signed-in user through PostgREST has little say; the API and SQL of operators say what they mean.
create function private.before_insert_of_job() returns trigger
language plpgsql security definer set search_path = ''
as $$
declare
  v_user boolean := current_setting('role', true) in ('authenticated', 'anon');
  v_error text;
  v_whose text;
begin
  if v_user then
    new.owner := auth.uid();
    new.lane := 'interactive';
    if new.owner is null then
      raise exception using errcode = '42501', message = 'sign in first: a job inserted here belongs to its user';
    end if;
    if not private.is_address(new.video_url) then
      v_error := coalesce(private.stored_error(new.video_url, false), 'video_url must be an http or https address with a host and without a user name');
    end if;
    perform private.guard_flood(new.owner::text, (select s.pending_per_owner from private.settings s));
  elsif new.video_url ~* '^storage:' then
    v_error := private.stored_error(new.video_url, true);
  end if;
  if new.video_url like '%/storage/v1/object/public/uploads/%' then
    v_error := coalesce(v_error, private.upload_error(new.video_url));
  end if;
  if v_error is null and (new.options <> '{}' or new.kind <> 'generate') then
    v_error := private.options_error(new.kind, new.options, not v_user);
  end if;
  if v_error is not null then
    raise exception using errcode = '22023', message = v_error;
  end if;

  if new.options <> '{}' or new.kind <> 'generate' then
    new.options := jsonb_strip_nulls(new.options); -- null means unset, and workers need not know
    if new.options ? 'engine' then
      new.engine := new.options ->> 'engine';
      new.options := new.options - 'engine';
    end if;
    if new.kind in ('merge', 'pack') then
      new.total_count := 1;
    elsif new.kind = 'brief' then
      new.total_count := 0;
    elsif jsonb_typeof(new.options -> 'plan') = 'array' then
      new.total_count := jsonb_array_length(new.options -> 'plan');
    elsif jsonb_typeof(new.options -> 'variants') = 'number' then
      new.total_count := (new.options ->> 'variants')::numeric;
    end if;
  end if;
  new.engine := coalesce(nullif(new.engine, 'auto'), '');
  if new.owner is not null and new.key_id is null then
    new.tenant := new.owner::text;
  end if;
  -- The transaction remembers whose job came last: for a backfill, which may be all of one tenant, the next round is the
  -- answer of turn_of without its index walk over the tenant's own rows, which took 50 us of 80.
  v_whose := concat_ws(' ', new.kind, new.lane, new.engine, new.priority, new.tenant);
  if current_setting('rhythmai.turn_whose', true) = v_whose then
    new.turn := ((current_setting('rhythmai.turn_round')::bigint + 1) << 32) | (new.seq & 4294967295);
  else
    new.turn := private.turn_of(new.kind, new.lane, new.engine, new.priority, new.tenant, new.seq);
    v_whose := set_config('rhythmai.turn_whose', v_whose, true); -- an assignment: `perform` would run a query
  end if;
  v_whose := set_config('rhythmai.turn_round', (new.turn >> 32)::text, true);
  return new;
end
$$;
comment on function private.before_insert_of_job() is 'Checks a new job, sets owner, tenant and total_count, stamps its fair turn.';

create trigger jobs_before_insert before insert on public.jobs
  for each row execute function private.before_insert_of_job();

-- A result carries its job's owner, so that RLS needs no join.
create function private.before_insert_of_result() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  select j.owner into new.owner from public.jobs j where j.id = new.job_id;
  return new;
end
$$;
comment on function private.before_insert_of_result() is 'Copies the owner of the job into its result.';

create trigger results_before_insert before insert on public.results
  for each row execute function private.before_insert_of_result();
