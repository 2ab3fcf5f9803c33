"""A whole worker in this process, with a meter between it and the world: jobs go in, figures come out."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from bench.pipeline_engine import WaitingEngine
from bench.pipeline_meter import Meter, children_s, studio_s
from bench.pipeline_world import World
from worker.listener import Listener
from worker.loading import load_stems
from worker.pipeline.finish.master import master
from worker.pipeline.finish.mend import FfmpegMender
from worker.pipeline.finish.merge import FfmpegMerger
from worker.pipeline.finish.pack import TrackPacker
from worker.pipeline.look.look import ChildLooker
from worker.pipeline.look.speech import ChildEar
from worker.pipeline.rack import Rack
from worker.pipeline.run import Pipeline


class NoHeart:
    """Nobody is cancelled here."""

    def hold(self, lease: Any, on_stop: Any) -> None: ...

    def drop(self, lease: Any) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """Jobs that were run at once, as it was."""

    seconds: float
    cpu_s: dict[str, float]
    """By stage; `rest` is the event loop with everything on it: download, Storage and its stand-in, VLM and its stand-in."""
    at: dict[str, dict[str, float]]
    watched_s: dict[str, list[float]]
    engine: WaitingEngine
    inserted_s: float

    def mean(self, mark: str) -> float:
        return statistics.mean(at[mark] - self.inserted_s for at in self.at.values())

    @property
    def busy(self) -> float:
        """Share of the time between the first and the last composing in which the engine worked."""
        composed = [stay for stay in self.engine.stays if stay.task == "compose"]
        first, last = min(stay.end_s for stay in composed), max(stay.end_s for stay in composed)
        worked = sum(max(0.0, min(end, last) - max(start, first)) for start, end in self.engine.work)
        return worked / (last - first) if len(composed) > 1 else float("nan")

    def unexplained_s(self, urls: dict[Any, str]) -> list[float]:
        """Of each job: how long it was ready for the engine, and neither it nor another one had a GPU to work."""
        waits: dict[str, float] = {}
        asked = {url: iter(times) for url, times in self.watched_s.items()}
        for stay in self.engine.stays:
            url = urls[stay.job]
            asked_s = self.at[url]["ready"] if stay.task == "compose" else next(asked[url])
            worked = sum(max(0.0, min(end, stay.start_s) - max(start, asked_s)) for start, end in self.engine.work)
            waits[url] = waits.get(url, 0.0) + max(0.0, stay.start_s - asked_s - worked)
        return sorted(waits.values())


async def ran(world: World, films: Iterable[Path], *, slots: int, stretch: float = 1.0) -> tuple[Ran, Meter]:
    """Upload the films, insert a job of each at once, and wait for the last."""
    urls = [await world.upload(film) for film in films]
    engine = WaitingEngine(stretch)
    meter = Meter(world.queue, world.fetcher, ChildLooker())
    pipeline = Pipeline(
        queue=meter, fetcher=meter, looker=meter, ear=ChildEar(), describer=world.describer, rack=Rack.of(engine), master=master, mender=FfmpegMender(), merger=FfmpegMerger(), packer=TrackPacker(stems=load_stems, at_work=world.mastering_pool), storage=world.storage, work_dir=world.folder,
        mastering=world.mastering_pool,
    )  # fmt: skip
    listener = Listener(
        queue=meter, run_job=pipeline.run, watch=NoHeart(), slots=slots, poll_every=timedelta(seconds=1)
    )
    children, own, mastering, started_s = children_s(), time.process_time(), studio_s(), time.monotonic()
    for url in urls:
        await world.insert(url)
    listening = asyncio.create_task(listener.listen())
    while await world.db.fetchval("select exists (select from public.jobs where finished_at is null)"):
        await asyncio.sleep(0.05)
    seconds = time.monotonic() - started_s
    listener.drain()
    await listening
    if await world.db.fetchval("select count(*) from public.jobs where status <> 'completed'"):
        raise RuntimeError(await world.db.fetchval("select string_agg(error, '; ') from public.jobs"))
    await world.empty()
    cpu = dict(meter.cpu)
    cpu["master"] = studio_s() - mastering
    in_process = sum(stay.cpu_s for stay in engine.stays)
    cpu["look"] = children_s() - children
    cpu["rest"] = time.process_time() - own - in_process
    return Ran(
        seconds=seconds,
        cpu_s=cpu,
        at=dict(meter.at),
        watched_s=dict(meter.asked_s),
        engine=engine,
        inserted_s=started_s,
    ), meter
