"""The way of the seed: one job after the other, and of each job one step after the other; all results at the end."""

from __future__ import annotations

import tempfile
import time
from contextlib import aclosing
from pathlib import Path

from bench.pipeline_engine import RATE, WaitingEngine
from bench.pipeline_world import World
from worker.domain import Options, Variant
from worker.pipeline.finish.audio_file import write
from worker.pipeline.look.look import ChildLooker

VARIANTS = 3


async def one_job(world: World, film_url: str) -> float:
    """Seconds until all three results are there. Tracks are written as they are: the seed did not master."""
    start_s = time.monotonic()
    engine = WaitingEngine()
    with tempfile.TemporaryDirectory(dir=world.folder) as folder:
        file = await world.fetcher.fetch(film_url, Path(folder))
        async with aclosing(ChildLooker().look(file, None)) as looks:
            clip = await anext(looks)
        files = []
        for index in range(VARIANTS):
            (direction,), *_ = await world.describer.describe(clip, "", 1)
            variant = Variant(index=index, seed=index, direction=direction)
            engine.prepare(clip, Options(), lambda: False)
            tracks = engine.compose(clip, [variant], Options(), lambda: False)
            files += [write(track.samples, RATE, "flac", {}) for track in tracks]
        for index, data in enumerate(files):
            await world.storage.put("audios", f"{Path(folder).name}/{index}.flac", data, "audio/flac")
    return time.monotonic() - start_s
