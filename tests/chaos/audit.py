"""What happened, written down by triggers of the harness, and the invariants that are read from it."""

from dataclasses import dataclass

SETUP = """
create schema audit;
create table audit.events (
  at timestamptz not null default clock_timestamp(), job_id uuid, what text, attempt integer, status text, detail text
);
create function audit.on_job() returns trigger language plpgsql security definer set search_path = '' as $$
begin
  insert into audit.events (job_id, what, attempt, status, detail)
  values (new.id,
    case when old.finished_at is not null then 'write after the end'
         when new.attempt < old.attempt then 'attempt went down'
         when old.plan is not null and new.plan is distinct from old.plan then 'plan was overwritten'
         else 'job' end,
    new.attempt, new.status, new.error);
  return null;
end $$;
create function audit.on_result() returns trigger language plpgsql security definer set search_path = '' as $$
begin
  insert into audit.events (job_id, what, attempt, detail)
  select new.job_id,
    case when tg_op <> 'INSERT' then 'result was changed'
         when j.status <> 'processing' or j.attempt <> new.attempt then 'zombie result'
         when j.cancel_requested then 'result after a cancel'
         else 'result' end,
    new.attempt, new.index::text
  from public.jobs j where j.id = new.job_id;
  return null;
end $$;
create trigger audit_jobs after update on public.jobs for each row execute function audit.on_job();
create trigger audit_results after insert or update on public.results for each row execute function audit.on_result();
"""

ZOMBIE_WRITES = [
    "write after the end", "attempt went down", "plan was overwritten", "zombie result", "result after a cancel",
]  # fmt: skip
UNEXPLAINED = """
select count(*) from public.jobs j
 where j.status = 'failed' and (j.error_code not in ('worker_lost', 'timed_out') or j.crashes < 2)
    or (j.status = 'cancelled') <> j.cancel_requested
    or j.status = 'cancelled' and j.id <> all ($1::uuid[])
"""
"""Jobs that ended as nobody foresees: only two crashes may fail a job here, and only who is cancelled ends so."""
LOST = """
select count(*) from public.jobs j
 where j.status in ('pending', 'processing')
    or j.status = 'completed' and j.crashes < 2
       and j.total_count > (select count(*) from public.results r where r.job_id = j.id)
"""
RECOVERED = """
select extract(epoch from min(e.at) - $1::timestamptz)::float8 from audit.events e
 where e.job_id = $2 and (e.attempt > $3 or e.attempt = $3 and e.status <> 'processing')
"""
UNHEARD = """
select count(*) from public.jobs j
 where j.options ? 'callback_url' and j.finished_at is not null
   and not exists (select from unnest($1::text[], $2::text[]) heard (job_id, status)
                    where heard.job_id = j.id::text and heard.status = j.status)
"""
RECOVERY_S = 90
"""No death may go unnoticed longer: a lease, a sweep, and what outages in between cost. Far from what is measured."""


@dataclass(kw_only=True)
class Verdict:
    """What came of the jobs; all from `missing` on is 0 in a sound run."""

    jobs: int
    completed: int
    failed: int
    lost: int
    duplicated: int
    zombie_writes: int
    max_recovery_s: float
    cancelled: int
    missing: int
    """Jobs that were inserted and are not there."""
    unexplained: int
    unheard: int
    """Ends that a callback was not told, or told without our signature."""
    changed: int
    """Objects in Storage that are gone or are not what was put first."""
    left: int
    """Folders of dead workers."""
    quit: int
    """Workers that ended by themselves."""

    @property
    def clean(self):
        sound = not (self.lost or self.duplicated or self.zombie_writes or self.missing or self.unexplained)
        kept = not (self.unheard or self.changed or self.left or self.quit)
        return sound and kept and self.completed > 0 and self.max_recovery_s <= RECOVERY_S

    def __str__(self):
        return (
            f"chaos: jobs={self.jobs} completed={self.completed} failed={self.failed} lost={self.lost} "
            f"duplicated={self.duplicated} zombie_writes={self.zombie_writes} max_recovery_s={self.max_recovery_s:.1f} "
            f"cancelled={self.cancelled} missing={self.missing} unexplained={self.unexplained} unheard={self.unheard} "
            f"changed={self.changed} left={self.left} quit={self.quit}"
        )


async def recovery_s(db, deaths):
    """The longest time from the death of a worker until its last job could be claimed again or was over; infinite if one never was."""
    times = [await db.fetchval(RECOVERED, *death) for death in deaths]
    return max((float("inf") if time is None else max(time, 0.0) for time in times), default=0.0)


async def judge(db, *, inserted, deaths, cancels, receiver, **seen):
    """Read the invariants from the audit and the tables; `seen` is what only the harness saw."""
    count = "select count(*) from public.jobs where status = $1"
    jobs = await db.fetchval("select count(*) from public.jobs")
    ids, ends = zip(*receiver.heard, strict=True) if receiver.heard else ((), ())
    return Verdict(
        jobs=jobs,
        completed=await db.fetchval(count, "completed"),
        failed=await db.fetchval(count, "failed"),
        cancelled=await db.fetchval(count, "cancelled"),
        missing=inserted - jobs,
        lost=await db.fetchval(LOST),
        duplicated=await db.fetchval("select count(*) from audit.events where what = 'result was changed'")
        + await db.fetchval(
            "select count(*) from (select from audit.events where what in ('result', 'zombie result')"
            " group by job_id, detail having count(*) > 1) twice"
        ),
        zombie_writes=await db.fetchval("select count(*) from audit.events where what = any($1)", ZOMBIE_WRITES),
        unexplained=await db.fetchval(UNEXPLAINED, list(cancels)),
        unheard=await db.fetchval(UNHEARD, list(ids), list(ends)) + receiver.forged,
        max_recovery_s=await recovery_s(db, deaths),
        **seen,
    )
