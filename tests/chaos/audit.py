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
         else 'result' end,
    new.attempt, new.index::text
  from public.jobs j where j.id = new.job_id;
  return null;
end $$;
create trigger audit_jobs after update on public.jobs for each row execute function audit.on_job();
create trigger audit_results after insert or update on public.results for each row execute function audit.on_result();
"""

ZOMBIE_WRITES = ["write after the end", "attempt went down", "plan was overwritten", "zombie result"]


@dataclass(kw_only=True)
class Verdict:
    jobs: int
    completed: int
    failed: int
    lost: int
    duplicated: int
    zombie_writes: int
    max_recovery_s: float

    @property
    def clean(self):
        return self.lost == self.duplicated == self.zombie_writes == 0 and self.completed + self.failed == self.jobs

    def __str__(self):
        return (
            f"chaos: jobs={self.jobs} completed={self.completed} failed={self.failed} lost={self.lost} "
            f"duplicated={self.duplicated} zombie_writes={self.zombie_writes} max_recovery_s={self.max_recovery_s:.1f}"
        )


async def recovery_s(db, deaths):
    """The longest time from the death of a worker until its last job was claimed again or over."""
    longest = 0.0
    for at, job_id, attempt in deaths:
        seconds = await db.fetchval(
            "select extract(epoch from min(e.at) - $1::timestamptz)::float8 from audit.events e where e.job_id = $2"
            " and e.at > $1 and (e.attempt > $3 or e.status in ('completed', 'failed', 'cancelled'))",
            at, job_id, attempt,
        )  # fmt: skip
        longest = max(longest, seconds or 0.0)
    return longest


async def judge(db, deaths):
    """Read the invariants from the audit and the tables."""
    count = "select count(*) from public.jobs where status = any($1)"
    return Verdict(
        jobs=await db.fetchval("select count(*) from public.jobs"),
        completed=await db.fetchval(count, ["completed"]),
        failed=await db.fetchval(count, ["failed"]),
        lost=await db.fetchval(count, ["pending", "processing"])
        + await db.fetchval(
            "select count(*) from public.jobs j where j.status = 'completed' and j.error_code is null and j.crashes = 0"
            " and j.total_count > (select count(*) from public.results r where r.job_id = j.id)"
        ),
        duplicated=await db.fetchval("select count(*) from audit.events where what = 'result was changed'")
        + await db.fetchval(
            "select count(*) from (select from audit.events where what in ('result', 'zombie result')"
            " group by job_id, detail having count(*) > 1) twice"
        ),
        zombie_writes=await db.fetchval("select count(*) from audit.events where what = any($1)", ZOMBIE_WRITES),
        max_recovery_s=await recovery_s(db, deaths),
    )
