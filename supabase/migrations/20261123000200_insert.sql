-- How a job enters: whoever inserts, one BEFORE INSERT trigger checks the options, sets the tenant and stamps the turn.

-- What is wrong with a hand-written direction, as a sentence, or null. Types and lengths; the API is stricter about what they say.
create function private.direction_error(p_place text, p_direction jsonb) returns text
language plpgsql immutable set search_path = ''
as $$
declare
  v_key text;
  v_value jsonb;
  v_allowed text[] := array['prompt', 'title', 'description', 'genre', 'instruments', 'tempo_bpm', 'key', 'mood'];
begin
  if jsonb_typeof(p_direction) <> 'object' then
    return format('%s must be an object with a prompt, not %s', p_place, left(p_direction::text, 100));
  end if;
  if coalesce(p_direction ->> 'prompt', '') !~ '\S' then
    return format('%s.prompt is missing: a direction needs the caption the music is made from', p_place);
  end if;
  for v_key, v_value in select e.key, e.value from jsonb_each(p_direction) e loop
    if v_key <> all (v_allowed) then
      return format('%s: unknown field %s; a direction takes %s', p_place, left(v_key, 100), array_to_string(v_allowed, ', '));
    end if;
    continue when jsonb_typeof(v_value) = 'null';
    if v_key = 'tempo_bpm' then
      if jsonb_typeof(v_value) <> 'number' or not v_value::numeric between 20 and 300 then
        return format('%s.tempo_bpm must be a number from 20 to 300, not %s', p_place, left(v_value::text, 100));
      end if;
    elsif v_key = 'instruments' then
      if jsonb_typeof(v_value) <> 'array' or jsonb_array_length(v_value) > 16
        or exists (select from jsonb_array_elements(v_value) i where jsonb_typeof(i) <> 'string' or length(i #>> '{}') > 200) then
        return format('%s.instruments must be a list of at most 16 strings of at most 200 characters', p_place);
      end if;
    elsif jsonb_typeof(v_value) <> 'string' or length(v_value #>> '{}') > 2000 then
      return format('%s.%s must be a string of at most 2000 characters', p_place, v_key);
    end if;
  end loop;
  return null;
end
$$;
comment on function private.direction_error(text, jsonb) is 'What is wrong with a hand-written direction, as a sentence, or null.';

-- What is wrong with the options of a job, as a sentence, or null. The API refuses the same things earlier and more kindly.
create function private.options_error(p_kind text, p_options jsonb) returns text
language plpgsql immutable set search_path = ''
as $$
declare
  v_key text;
  v_value jsonb;
  v_shown text;
  v_error text;
  v_allowed text[] := case p_kind
    when 'merge' then array['audio_url', 'mode', 'music_gain_db', 'duck', 'callback_url', 'events', 'metadata']
    else array['variants', 'seed', 'duration', 'negative_prompt', 'conditioning', 'format', 'plan', 'steps', 'guidance',
               'callback_url', 'events', 'metadata']
  end;
begin
  if jsonb_typeof(p_options) <> 'object' then
    return format('options must be an object, not %s', jsonb_typeof(p_options));
  end if;
  if length(p_options::text) > 65536 then
    return 'options must be at most 65536 characters of JSON';
  end if;
  for v_key, v_value in select e.key, e.value from jsonb_each(p_options) e loop
    v_shown := left(v_value::text, 100);
    if v_key <> all (v_allowed) then
      return format('options: unknown field %s; a %s job takes %s', left(v_key, 100), p_kind, array_to_string(v_allowed, ', '));
    end if;
    continue when jsonb_typeof(v_value) = 'null';
    if v_key in ('variants', 'seed', 'duration', 'steps', 'guidance', 'music_gain_db') then
      if jsonb_typeof(v_value) <> 'number' then
        return format('options.%s must be a number, not %s', v_key, v_shown);
      end if;
      if v_key in ('variants', 'seed', 'steps') and v_value::numeric <> trunc(v_value::numeric) then
        return format('options.%s must be a whole number, not %s', v_key, v_shown);
      end if;
      if not (case v_key
        when 'variants' then v_value::numeric between 1 and 8
        when 'seed' then v_value::numeric between 0 and 4294967295
        when 'duration' then v_value::numeric between 0.64 and 86400
        when 'steps' then v_value::numeric between 1 and 100
        when 'guidance' then v_value::numeric between 0 and 20
        else v_value::numeric between -60 and 20
      end) then
        return format('options.%s is out of range: %s', v_key, v_shown);
      end if;
    elsif v_key = 'duck' then
      if jsonb_typeof(v_value) <> 'boolean' then
        return format('options.duck must be true or false, not %s', v_shown);
      end if;
    elsif v_key = 'events' then
      if jsonb_typeof(v_value) <> 'array' or jsonb_array_length(v_value) = 0
        or not v_value <@ '["job.completed", "job.failed", "job.cancelled", "result.ready"]' then
        return format('options.events must name some of job.completed, job.failed, job.cancelled and result.ready, not %s', v_shown);
      end if;
    elsif v_key = 'metadata' then
      if jsonb_typeof(v_value) <> 'object' or (select count(*) from jsonb_object_keys(v_value)) > 16
        or exists (select from jsonb_each(v_value) m
                    where m.key !~ '^[A-Za-z0-9_.-]{1,40}$' or jsonb_typeof(m.value) <> 'string'
                       or length(m.value #>> '{}') > 200 or m.value #>> '{}' ~ '[\x01-\x1f]') then
        return 'options.metadata must be at most 16 strings of at most 200 characters, none of them a control character, by names of letters, digits, ., _ and -';
      end if;
    elsif v_key = 'plan' then
      if jsonb_typeof(v_value) <> 'array' or jsonb_array_length(v_value) not between 1 and 8 then
        return 'options.plan must be a list of 1 to 8 directions';
      end if;
      select private.direction_error(format('options.plan[%s]', d.place - 1), d.direction) into v_error
        from jsonb_array_elements(v_value) with ordinality d (direction, place)
       where private.direction_error('', d.direction) is not null order by d.place limit 1;
      if v_error is not null then
        return v_error;
      end if;
    else
      if jsonb_typeof(v_value) <> 'string' or length(v_value #>> '{}') > 4096 then
        return format('options.%s must be a string of at most 4096 characters', v_key);
      end if;
      if v_key = 'conditioning' and v_value #>> '{}' not in ('full', 'text+clip', 'text')
        or v_key = 'format' and v_value #>> '{}' not in ('flac', 'wav', 'mp3', 'm4a')
        or v_key = 'mode' and v_value #>> '{}' not in ('replace', 'mix')
        or v_key in ('callback_url', 'audio_url') and v_value #>> '{}' !~* '^https?://.' then
        return format('options.%s has no meaning for us: %s', v_key, v_shown);
      end if;
    end if;
  end loop;
  if p_kind = 'merge' and p_options ->> 'audio_url' is null then
    return 'options.audio_url is missing: a merge job needs the music to put under the video';
  end if;
  return null;
end
$$;
comment on function private.options_error(text, jsonb) is 'What is wrong with the options of a job, as a sentence, or null.';

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
-- the round that is served now. Ties within a round go by age: `seq` fills the lower 32 bits.
create function private.turn_of(p_kind text, p_lane text, p_priority smallint, p_tenant text, p_seq bigint) returns bigint
language plpgsql set search_path = ''
as $$
declare
  v_round bigint := coalesce(pg_sequence_last_value(to_regclass('private.served_' || p_kind || '_' || p_lane)), 0) >> 32;
  v_last bigint;
begin
  select j.turn >> 32 into v_last from public.jobs j
   where j.tenant = p_tenant and j.kind = p_kind and j.lane = p_lane and j.priority = p_priority and j.status = 'pending'
     and j.turn >= v_round << 32
   order by j.turn desc limit 1;
  return (greatest(v_round, coalesce(v_last + 1, 0)) << 32) | (p_seq & 4294967295);
end
$$;
comment on function private.turn_of(text, text, smallint, text, bigint) is 'The fair turn of a new job.';

-- Who inserts, by role: a signed-in user through PostgREST has little say; the API and SQL of operators say what they mean.
create function private.before_insert_of_job() returns trigger
language plpgsql security definer set search_path = ''
as $$
declare
  v_error text;
  v_whose text;
begin
  if current_setting('role', true) in ('authenticated', 'anon') then
    new.owner := auth.uid();
    new.lane := 'interactive';
    if new.owner is null then
      raise exception using errcode = '42501', message = 'sign in first: a job inserted here belongs to its user';
    end if;
    if new.video_url !~* '^https?://.' then
      raise exception using errcode = '22023', message = 'video_url must be an http or https address';
    end if;
    perform private.guard_flood(new.owner::text, (select s.pending_per_owner from private.settings s));
  end if;

  if new.options <> '{}' or new.kind <> 'generate' then
    v_error := private.options_error(new.kind, new.options);
    if v_error is not null then
      raise exception using errcode = '22023', message = v_error;
    end if;
    new.options := jsonb_strip_nulls(new.options); -- null means unset, and workers need not know
    if new.kind = 'merge' then
      new.total_count := 1;
    elsif jsonb_typeof(new.options -> 'plan') = 'array' then
      new.total_count := jsonb_array_length(new.options -> 'plan');
    elsif jsonb_typeof(new.options -> 'variants') = 'number' then
      new.total_count := (new.options ->> 'variants')::numeric;
    end if;
  end if;
  if new.owner is not null and new.key_id is null then
    new.tenant := new.owner::text;
  end if;
  -- The transaction remembers whose job came last: for a backfill, which may be all of one tenant, the next round is the
  -- answer of turn_of without its index walk over the tenant's own rows, which took 50 us of 80.
  v_whose := concat_ws(' ', new.kind, new.lane, new.priority, new.tenant);
  if current_setting('rhythmai.turn_whose', true) = v_whose then
    new.turn := ((current_setting('rhythmai.turn_round')::bigint + 1) << 32) | (new.seq & 4294967295);
  else
    new.turn := private.turn_of(new.kind, new.lane, new.priority, new.tenant, new.seq);
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
