-- The webhook outbox: at least once. A trigger makes the delivery in the transaction that ends the job; any worker takes
-- it under a short lease, sends it, and says how it went. A worker that dies in between has burnt a try, nothing else.

-- The next delivery that is due, as {job_id, url, attempt, traceparent, body}; null when there is none. The body is the job's answer;
-- addresses go out without their query strings, which may carry other people's keys.
create function queue.claim_delivery(p_worker bigint, p_lease interval default interval '1 minute') returns jsonb
language plpgsql set search_path = ''
as $$
declare
  v_delivery public.deliveries;
begin
  update public.deliveries d
     set state = 'failed', next_at = null, worker_id = null,
         last_error = coalesce(d.last_error, 'the worker went away during the last try')
   where d.job_id = any (array(select due.job_id from public.deliveries due
                                where due.state = 'pending' and due.next_at <= now() and due.attempt >= due.max_attempts
                                order by due.next_at limit 100 for update skip locked));
  update public.deliveries d
     set attempt = d.attempt + 1, worker_id = p_worker, next_at = now() + p_lease
   where d.job_id = (select due.job_id from public.deliveries due
                      where due.state = 'pending' and due.next_at <= now() and due.attempt < due.max_attempts
                      order by due.next_at limit 1 for update skip locked)
  returning d.* into v_delivery;
  if not found then
    return null;
  end if;
  return (select jsonb_build_object(
            'job_id', v_delivery.job_id, 'url', v_delivery.url, 'attempt', v_delivery.attempt,
            'traceparent', (select j.traceparent from public.jobs j where j.id = v_delivery.job_id),
            'body', a.answer || jsonb_build_object('video_url', regexp_replace(a.answer ->> 'video_url', '[?#].*$', '')))
            from queue.answer(v_delivery.job_id) a (answer));
end
$$;
comment on function queue.claim_delivery(bigint, interval) is 'Take the next webhook that is due, under a lease; null when there is none.';

-- How a try went. Without success it is tried again later (from about 10 s, doubling, up to 6 h, with jitter) until
-- max_attempts, or never with p_again false. Answers 'lost' when the lease is over and another worker tries.
create function queue.settle_delivery(
  p_job uuid, p_attempt integer, p_worker bigint, p_delivered boolean, p_error text default null, p_again boolean default true
) returns text
language plpgsql set search_path = ''
as $$
declare
  v_state text;
begin
  select case when p_delivered then 'delivered' when p_again and d.attempt < d.max_attempts then 'pending' else 'failed' end
    into v_state from public.deliveries d
   where d.job_id = p_job and d.attempt = p_attempt and d.worker_id = p_worker and d.state = 'pending' for update;
  if not found then
    return 'lost';
  end if;
  update public.deliveries d
     set state = v_state, worker_id = null, last_error = left(p_error, 1000),
         delivered_at = case when v_state = 'delivered' then now() end,
         next_at = case when v_state = 'pending' then
           now() + (0.5 + random() / 2) * least(interval '6 hours', interval '10 seconds' * 2 ^ (p_attempt - 1)) end
   where d.job_id = p_job;
  return 'ok';
end
$$;
comment on function queue.settle_delivery(uuid, integer, bigint, boolean, text, boolean) is 'Fenced: say how a try of a webhook went.';
