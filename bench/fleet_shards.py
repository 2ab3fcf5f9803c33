"""A simulation, not a measurement: jobs of tenants whose sizes follow a Zipf law, on one queue and on shards by a hash of the tenant, whose
workers are their own or everybody's.

    python bench/fleet_shards.py
"""

from __future__ import annotations

import heapq
import random
from itertools import accumulate
from zlib import crc32

WORKERS, JOB_S, LOAD = 96, 4.0, 0.8
TENANTS, JOBS = 10_000, 200_000
EXPONENT = 1.1


def arrivals(rng: random.Random) -> list[tuple[float, int]]:
    """(second, tenant), Poisson, at LOAD of what the workers manage."""
    weights = list(accumulate(1 / rank**EXPONENT for rank in range(1, TENANTS + 1)))
    tenants = rng.choices(range(TENANTS), cum_weights=weights, k=JOBS)
    now, found = 0.0, []
    for tenant in tenants:
        now += rng.expovariate(LOAD * WORKERS / JOB_S)
        found.append((now, tenant))
    return found


def waits(jobs: list[tuple[float, int]], workers: int, rng: random.Random) -> list[float]:
    """Seconds that each job waits for the first free worker, in order of arrival."""
    free = [0.0] * workers
    found = []
    for at, _ in jobs:
        start = max(at, free[0])
        heapq.heapreplace(free, start + rng.uniform(0.5, 1.5) * JOB_S)
        found.append(start - at)
    return sorted(found)


def main() -> None:
    rng = random.Random(1)
    jobs = arrivals(rng)
    together = waits(jobs, WORKERS, rng)
    print(
        f"one queue, or a dispatcher over all shards: p50 {together[JOBS // 2]:.1f} s, p99 {together[JOBS * 99 // 100]:.1f} s"
    )
    for shards in (4, 8, 16):
        parts: list[list[tuple[float, int]]] = [[] for _ in range(shards)]
        for job in jobs:
            parts[crc32(b"%d" % job[1]) % shards].append(job)
        busiest = max(map(len, parts)) * shards / JOBS
        apart = sorted(wait for part in parts for wait in waits(part, WORKERS // shards, rng))
        print(
            f"{shards} shards with workers of their own: the busiest has {busiest:.2f} x its share, "
            f"p50 {apart[JOBS // 2]:.1f} s, p99 {apart[JOBS * 99 // 100]:.1f} s"
        )


if __name__ == "__main__":
    main()
