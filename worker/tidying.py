"""Tidying up: each quarter of a minute, whichever worker asks first forgets what is old and deletes what nobody needs any more."""

import asyncio
import random
from collections import defaultdict
from dataclasses import dataclass
from datetime import timedelta

import structlog

from worker.errors import QueueUnavailable, ServiceAway
from worker.ports import Retention, Storage

log = structlog.get_logger()
AT_ONCE = 1000
"""Objects that Storage deletes in one call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tidying:
    queue: Retention
    storage: Storage
    every: timedelta = timedelta(seconds=15)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(self.every.total_seconds() * random.uniform(0.5, 1.5))
            try:
                await self.once()
            except (QueueUnavailable, ServiceAway) as error:
                log.warning("tidying.put_off", error=str(error))
            except Exception:
                log.exception("tidying.bug")

    async def once(self) -> None:
        """What Storage has not deleted is asked for again the next time. Raises QueueUnavailable, ServiceAway."""
        found: defaultdict[str, list[str]] = defaultdict(list)
        for bucket, path in await self.queue.tidy():
            found[bucket].append(path)
        for bucket, paths in found.items():
            for first in range(0, len(paths), AT_ONCE):
                some = paths[first : first + AT_ONCE]
                await self.storage.remove(bucket, some)
                await self.queue.deleted(bucket, some)
            log.info("tidying.deleted", bucket=bucket, objects=len(paths))
