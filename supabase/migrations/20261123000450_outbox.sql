-- The webhook outbox: at least once. The delivery is made in the transaction that ends the job or brings its result; any
-- worker takes it under a short lease, sends it, and says how it went. A worker that dies in between has burnt a try, nothing else.

-- What a webhook says: {type, timestamp, data}, always under 20 kB. Of the job's answer, or of the result, it leaves out wave
-- forms, speech and what was planned; where texts or addresses are longer than there is room for, only the short members are left, and GET tells the rest.
-- Addresses go out without their query strings, which may carry other people's keys.
create function private.webhook_body(d public.deliveries) returns jsonb
language plpgsql stable set search_path = ''
as $$
declare
  v_answer jsonb := queue.answer(d.job_id);
  v_data jsonb;
begin
  if d.result is null then
    v_data := v_answer - array['queue_position', 'progress', 'eta_s', 'directions', 'hits', 'segments', 'speech'] || jsonb_build_object(
      'video_url', regexp_replace(v_answer ->> 'video_url', '[?#].*$', ''),
      'results', (select coalesce(jsonb_agg(r - 'peaks' order by (r -> 'index')), '[]') from jsonb_array_elements(v_answer -> 'results') r));
  else
    select r - 'peaks' || jsonb_build_object('job_id', d.job_id, 'metadata', v_answer -> 'metadata') into v_data
      from jsonb_array_elements(v_answer -> 'results') r where (r -> 'index')::smallint = d.result;
  end if;
  if octet_length(v_data::text) > 19500 then
    select jsonb_object_agg(m.key, m.value) into v_data from jsonb_each(v_data) m
     where m.key in ('job_id', 'status', 'kind', 'completed_count', 'total_count', 'error_code', 'index', 'metadata');
  end if;
  return jsonb_build_object(
    'type', case when d.result is null then 'job.' || (v_answer ->> 'status') else 'result.ready' end,
    'timestamp', d.created_at, 'data', v_data);
end
$$;
comment on function private.webhook_body(public.deliveries) is 'The body of a webhook, {type, timestamp, data}, under 20 kB.';

-- The next delivery that is due, as {id, job_id, url, attempt, traceparent, body}; null when there is none.
create function queue.claim_delivery(p_worker bigint, p_lease interval default interval '1 minute') returns jsonb
language plpgsql set search_path = ''
as $$
declare
  v_delivery public.deliveries;
begin
  update public.deliveries d
     set state = 'failed', next_at = null, worker_id = null,
         last_error = coalesce(d.last_error, 'the worker went away during the last try')
   where d.id = any (array(select due.id from public.deliveries due
                            where due.state = 'pending' and due.next_at <= now() and due.attempt >= due.max_attempts
                            order by due.next_at limit 100 for update skip locked));
  update public.deliveries d
     set attempt = d.attempt + 1, worker_id = p_worker, next_at = now() + p_lease
   where d.id = (select due.id from public.deliveries due
                  where due.state = 'pending' and due.next_at <= now() and due.attempt < due.max_attempts
                  order by due.next_at limit 1 for update skip locked)
  returning d.* into v_delivery;
  if not found then
    return null;
  end if;
  return jsonb_build_object(
    'id', v_delivery.id, 'job_id', v_delivery.job_id, 'url', v_delivery.url, 'attempt', v_delivery.attempt,
    'traceparent', (select j.traceparent from public.jobs j where j.id = v_delivery.job_id),
    'body', private.webhook_body(v_delivery));
end
$$;
comment on function queue.claim_delivery(bigint, interval) is 'Take the next webhook that is due, under a lease; null when there is none.';

-- How a try went. Without success it is tried again later (from about 10 s, doubling, up to 6 h, with jitter, and not before
-- p_wait_s, as the receiver asked, up to a day) until max_attempts. With p_again false never: the job forgets its callback, and what
-- waits for it fails, too. Answers 'lost' when the lease is over and another worker tries.
create function queue.settle_delivery(
  p_delivery uuid, p_attempt integer, p_worker bigint, p_delivered boolean, p_error text default null, p_again boolean default true,
  p_wait_s double precision default 0
) returns text
language plpgsql set search_path = ''
as $$
declare
  v_state text;
  v_job uuid;
begin
  if not (p_delivered or p_again) then -- the job first, as everybody who writes for it: several receivers may refuse at once
    perform from public.jobs j where j.id = (select d.job_id from public.deliveries d where d.id = p_delivery) for update;
  end if;
  select case when p_delivered then 'delivered' when p_again and d.attempt < d.max_attempts then 'pending' else 'failed' end, d.job_id
    into v_state, v_job from public.deliveries d
   where d.id = p_delivery and d.attempt = p_attempt and d.worker_id = p_worker and d.state = 'pending' for update;
  if not found then
    return 'lost';
  end if;
  update public.deliveries d
     set state = v_state, worker_id = null, last_error = left(p_error, 1000),
         delivered_at = case when v_state = 'delivered' then now() end,
         next_at = case when v_state = 'pending' then now() + greatest(
           (0.5 + random() / 2) * least(interval '6 hours', interval '10 seconds' * 2 ^ (p_attempt - 1)),
           interval '1 second' * least(p_wait_s, 86400)) end
   where d.id = p_delivery;
  if not (p_delivered or p_again) then
    update public.jobs j set options = j.options - 'callback_url' where j.id = v_job;
    update public.deliveries d set state = 'failed', next_at = null, worker_id = null, last_error = left(p_error, 1000)
     where d.job_id = v_job and d.state = 'pending';
  end if;
  return 'ok';
end
$$;
comment on function queue.settle_delivery(uuid, integer, bigint, boolean, text, boolean, double precision) is 'Fenced: say how a try of a webhook went.';
