"""What is read from the database when the soak is over: nothing lost, nothing twice, nothing by zombies, every callback told."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import asyncpg

from bench.soak_site import Site
from bench.soak_visitors import ENDED, Visitors
from tests.chaos.audit import ZOMBIE_WRITES

LAST = "select distinct on (job_id) job_id::text, status from audit.events where what = 'job' order by job_id, at desc"
OPEN = "select count(*) from public.jobs where status in ('pending', 'processing')"
TWICE = """
select (select count(*) from audit.events where what = 'result was changed')
     + (select count(*) from (select from audit.events where what in ('result', 'zombie result')
                               group by job_id, detail having count(*) > 1) twice)
"""
WAITING = "select (select count(*) from public.deliveries where state = 'pending') + (" + OPEN + ")"
"""Jobs and callbacks that are not at their end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """All from `lost` on is 0 in a sound run."""

    jobs: int
    """That ended, those of visitors who had left included."""
    lost: int
    """Jobs that a visitor was told of and that did not end, and whatever is still open."""
    duplicated: int
    zombie_writes: int
    unheard: int
    """Callbacks that were not told the end, or told it without our signature."""
    restarted: int
    """Programs of the stack that ended and were started again."""
    wrong: int
    """Answers and ends that were not as they should be."""

    @property
    def sound(self) -> bool:
        return self.jobs > 0 and not any(value for name, value in asdict(self).items() if name != "jobs")


async def judge(db: asyncpg.Connection, visitors: Visitors, site: Site, *, restarted: int, wrong: int) -> End:
    ended = {row["job_id"] for row in await db.fetch(LAST) if row["status"] in ENDED}
    told = {(job, status) for job, status in visitors.called_back.items() if status}
    return End(
        jobs=len(ended),
        lost=len(visitors.known - ended) + await db.fetchval(OPEN),
        duplicated=await db.fetchval(TWICE),
        zombie_writes=await db.fetchval("select count(*) from audit.events where what = any($1)", ZOMBIE_WRITES),
        unheard=len(told - site.heard) + site.forged,
        restarted=restarted,
        wrong=wrong,
    )
