-- Where the queue stands, kept outside MVCC: a sequence is changed in place, so it leaves no dead rows behind, even while
-- somebody holds an old snapshot. All of them are hints. Losing one, or finding it a little wrong, costs a longer index
-- walk or a second of unfairness, never a job: queue.sweep sets them right.
--   served_<kind>_<lane>[_<engine>]  the turn of the last job claimed there, or elsewhere by workers that found none
--                         here with a lower one. A claim starts its walk here instead of stepping over the dead index
--                         entries of all jobs claimed before; an insert takes it for the current round.
--   swept_ms              when the last sweep ran, in milliseconds of the epoch: busy workers sweep once a second.
--   beat_ms, heard_ms     when any worker beat last, and since when workers can be heard again after a silence of all.
--   woken_<what>          when workers were woken last for a kind of job or for webhooks.
--   owed_ms               from when on a beat shall look whether that was enough; 0: it was.
--   hearing, room_<what>  how many workers hear of it, and how many of them have room for a job of a kind, or for an engine.
do $$
declare
  v_hint record;
begin
  for v_hint in
    select concat_ws('_', 'served', k.kind, l.lane, k.engine) as name,
           format('The turn of the last %s %s job%s claimed: a hint.', l.lane, k.kind, ' for ' || k.engine) as tells
      from (values ('generate', null), ('generate', 'mmaudio'), ('generate', 'acestep'), ('generate', 'sketch'),
                   ('merge', null), ('brief', null), ('pack', null)) k (kind, engine),
           unnest(array['interactive', 'batch']) l (lane)
    union all
    select 'woken_' || w.what, format('When workers were woken for %s, in milliseconds of the epoch: a hint.', w.what)
      from unnest(array['generate', 'merge', 'brief', 'pack', 'webhook']) w (what)
    union all
    select 'room_' || r.what, format('How many workers have room for %s: a hint.', r.what)
      from unnest(array['generate', 'merge', 'brief', 'pack', 'mmaudio', 'acestep', 'sketch']) r (what)
    union all values
      ('hearing', 'How many workers live: a hint.'),
      ('owed_ms', 'From when on a beat shall look whether a wake-up was enough, in milliseconds of the epoch; 0: it was. A hint.'),
      ('swept_ms', 'When the last sweep ran, in milliseconds of the epoch: a hint.'),
      ('beat_ms', 'When any worker beat last, in milliseconds of the epoch: a hint.'),
      ('heard_ms', 'Since when workers can be heard again after a silence of all of them, in milliseconds of the epoch: a hint.')
  loop
    execute format('create sequence private.%I minvalue 0', v_hint.name);
    execute format('comment on sequence private.%I is %L', v_hint.name, v_hint.tells);
  end loop;
end
$$;
