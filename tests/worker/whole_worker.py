"""A whole worker in this process."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

from worker.engines.sketch.engine import SketchEngine
from worker.fetch import HttpFetcher, covers
from worker.heartbeat import Heartbeat
from worker.jobs import PostgresQueue
from worker.listener import Listener
from worker.loading import load_stems
from worker.pipeline.direct.local_describer import LocalDescriber
from worker.pipeline.finish.for_players import for_players
from worker.pipeline.finish.master import master
from worker.pipeline.finish.mend import FfmpegMender
from worker.pipeline.finish.merge import FfmpegMerger
from worker.pipeline.finish.pack import TrackPacker
from worker.pipeline.finish.preview import FfmpegPreviewer
from worker.pipeline.look.look import ChildLooker
from worker.pipeline.look.speech import ChildEar
from worker.pipeline.rack import Rack
from worker.pipeline.run import Pipeline
from worker.storage import SupabaseStorage

MAX_BYTES = 2_000_000
MAX_DURATION_S = 5


@dataclass(frozen=True)
class WholeWorker:
    """What a test does with it."""

    work_dir: Path
    storage: SupabaseStorage
    listener: Listener
    queue: PostgresQueue

    async def until_ended(self, job_id):
        async with asyncio.timeout(120):
            while True:
                answer = json.loads(await self.queue._ask("select queue.answer($1)", job_id))
                if answer["finished_at"]:
                    return answer
                await asyncio.sleep(0.02)

    async def upload(self, data, name="video.mp4"):
        return await self.storage.put("uploads", f"{secrets.token_hex(16)}/{name}", data, "video/mp4")


@asynccontextmanager
async def running_worker(
    database_url, queue, gateway, work_dir, rack=None, signer=None, **options
) -> AsyncIterator[WholeWorker]:
    """Sketch engine and all, over the local gateway; `options` are the listener's."""
    work_dir.mkdir()
    heart = Heartbeat(
        database_url,
        queue.worker_id,
        every=timedelta(milliseconds=200),
        idle_every=timedelta(milliseconds=200),
        on_order=lambda order: None,
    )
    heart.start()
    storage = SupabaseStorage(gateway.url, gateway.key)
    pipeline = Pipeline(
        queue=queue, fetcher=HttpFetcher(supabase_url=gateway.url, max_bytes=MAX_BYTES),
        looker=ChildLooker(max_duration_s=MAX_DURATION_S), ear=ChildEar(), describer=LocalDescriber(), rack=rack or Rack.of(SketchEngine()),
        master=master, mender=FfmpegMender(), for_players=for_players, merger=FfmpegMerger(), packer=TrackPacker(stems=load_stems, at_work=ThreadPoolExecutor(1)), storage=storage, work_dir=work_dir,
        previewer=FfmpegPreviewer(partial(covers, gateway.url)), signer=signer,
    )  # fmt: skip
    listener = Listener(
        queue=queue,
        run_job=pipeline.run,
        watch=heart,
        beside=lambda: pipeline.beside,
        poll_every=timedelta(milliseconds=50),
        **options,
    )
    pipeline.freed = listener.wake
    listening = asyncio.create_task(listener.listen())
    yield WholeWorker(work_dir, storage, listener, queue)
    listener.drain()
    await asyncio.wait_for(listening, 120)
    await asyncio.to_thread(heart.stop)
    await storage.close()
