"""A worker put together: the only place that joins ports to adapters."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from importlib.metadata import version
from typing import Any

import structlog

from rhythmai.project.telemetry import traced
from rhythmai.project.trace import Tracer
from worker.alarm import Alarm
from worker.errors import Misconfigured, Unregistered
from worker.fetch import HttpFetcher, covers
from worker.heartbeat import Heartbeat, Order
from worker.inputs import Inputs
from worker.jobs import PostgresQueue
from worker.listener import Listener
from worker.loading import engines_of, load_engines, load_signer, load_stems, make_describer
from worker.mastering_pool import MasteringPool
from worker.metrics import Metrics
from worker.pipeline.direct.local_describer import LocalDescriber
from worker.pipeline.direct.prompts import clip_tokens, estimate_tokens, fit
from worker.pipeline.engine_thread import EngineThread
from worker.pipeline.finish.for_players import for_players
from worker.pipeline.finish.master import master
from worker.pipeline.finish.mend import FfmpegMender
from worker.pipeline.finish.merge import FfmpegMerger
from worker.pipeline.finish.pack import TrackPacker
from worker.pipeline.finish.preview import FfmpegPreviewer
from worker.pipeline.look.confinement import missing
from worker.pipeline.look.look import ChildLooker
from worker.pipeline.look.speech import ChildEar
from worker.pipeline.look.warm_process import WARM
from worker.pipeline.rack import Rack
from worker.pipeline.run import Pipeline
from worker.pipeline.turn import Turn
from worker.ports import Signer, WakeUps
from worker.scratch import PREFIX
from worker.settings import Settings
from worker.storage import SupabaseStorage
from worker.tidying import Tidying
from worker.wakeups import ListenWakeUps, RealtimeWakeUps
from worker.webhooks import Webhooks

log = structlog.get_logger()
MOST_CONNECTIONS = 3
"""To the database, of one worker: the heartbeat's, LISTEN's, and those of the queue."""
BEAT_EVERY = timedelta(seconds=1.5)
"""Far more often than a lease needs: a beat is also how a running job learns within two seconds that it was cancelled."""
EXIT_START_AGAIN = 3


def patience(settings: Settings) -> timedelta:
    """How long a step of the engine may take: on a GPU it takes milliseconds, one of a big model on a CPU minutes."""
    return timedelta(minutes=5) if settings.device == "cpu" else timedelta(seconds=15)


def idle_beat(lease_s: float) -> timedelta:
    """Of a worker that holds nothing: often enough for its lease, and a drain that is asked for in the database."""
    return max(BEAT_EVERY, timedelta(seconds=min(6, lease_s / 5)))


async def enter(
    settings: Settings, engines: dict[str, str], on_order: Callable[[Order], None], tracer: Tracer
) -> tuple[PostgresQueue, Heartbeat]:
    """Enter the worker in the database and begin to beat."""
    dsn = str(settings.database_url)
    queue = await PostgresQueue.connect(
        dsn,
        name=settings.worker_name,
        kinds=settings.worker_kinds,
        engines=tuple(engines),
        version=version("rhythmai"),
        lease=timedelta(seconds=settings.lease_s),
        job_timeout=timedelta(seconds=settings.job_timeout_s),
        slots=settings.worker_slots,
        connections=MOST_CONNECTIONS - 1 - ("listen" in settings.wakeups),
        tracer=tracer,
    )
    heartbeat = Heartbeat(
        dsn, queue.worker_id, every=BEAT_EVERY, idle_every=idle_beat(settings.lease_s), on_order=on_order
    )
    heartbeat.start()
    return queue, heartbeat


async def work(settings: Settings) -> int:
    """Run a worker until it drains; returns the exit code. Raises Misconfigured."""
    engines = engines_of(settings)
    engine_thread = EngineThread(min(8 * patience(settings), timedelta(seconds=settings.job_timeout_s / 2)))
    refused: Misconfigured | None = None
    try:
        with traced("rhythmai-worker", settings.traces_to) as tracer:
            code = await live(settings, engines, engine_thread, tracer)
    except Misconfigured as error:
        refused, code = error, 2
    if code == EXIT_START_AGAIN or not engine_thread.answers():
        # A thread that hangs in the device never returns, and one that loads models not soon: Python would wait for it.
        if settings.work_dir and settings.work_dir.name.startswith(PREFIX):
            shutil.rmtree(settings.work_dir, ignore_errors=True)
        if refused:
            refused.tell()
        sys.stderr.flush()
        os._exit(code)
    if refused:
        raise refused
    return code


async def live(settings: Settings, engines: dict[str, str], engine_thread: EngineThread, tracer: Tracer) -> int:
    """From the first beat to the last; returns the exit code."""
    loop = asyncio.get_running_loop()
    orders: asyncio.Queue[Order] = asyncio.Queue()

    def on_order(order: Order) -> None:  # called in the heartbeat's thread
        loop.call_soon_threadsafe(orders.put_nowait, order)

    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, orders.put_nowait, "stop")
    # Side by side: whichever fails first is told at once, not after a minute of loading or ten of waiting for the database.
    loading = loop.run_in_executor(engine_thread, load_engines, settings, engines, engine_thread)
    entering = asyncio.create_task(enter(settings, engines, on_order, tracer))
    both, ordered = asyncio.gather(loading, entering, load_signer(settings)), asyncio.create_task(orders.get())
    try:
        either: list[asyncio.Future[Any]] = [both, ordered]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if ordered.done():
            log.info("worker.stopped_while_loading", order=ordered.result())
            return EXIT_START_AGAIN if ordered.result() == "gone" else 0
        ordered.cancel()
        rack, (queue, heartbeat), signer = both.result()
        return await serve(settings, rack, queue, heartbeat, orders, tracer, signer)
    finally:
        ordered.cancel()
        both.cancel()
        await asyncio.gather(both, return_exceptions=True)  # what it said has been told, or nobody asks any more
        await leave(entering)


async def leave(entering: asyncio.Task[tuple[PostgresQueue, Heartbeat]]) -> None:
    """Sign off, where we have entered."""
    entering.cancel()
    await asyncio.wait({entering})
    if entering.cancelled() or entering.exception():
        return
    queue, heartbeat = entering.result()
    await asyncio.to_thread(heartbeat.stop)
    await queue.close()
    log.info("worker.gone", worker=queue.worker_id)


async def serve(
    settings: Settings,
    rack: Rack | None,
    queue: PostgresQueue,
    heartbeat: Heartbeat,
    orders: asyncio.Queue[Order],
    tracer: Tracer,
    signer: Signer | None,
) -> int:
    """Listen until drained, by a signal or by `rhythmai drain`; returns the exit code."""
    storage = SupabaseStorage(settings.origin, settings.supabase_key, apikey=settings.apikey)
    engines = rack.models if rack else {}
    reads_captions = "mmaudio" in engines  # the others read longer ones, too
    if reads_captions:
        WARM.need("worker.pipeline.look.showing")
    count_tokens = clip_tokens() if reads_captions else estimate_tokens
    describer = make_describer(settings, count_tokens)
    named = ", ".join(map(rack.label, engines)) if rack else ""
    metrics = Metrics()
    mastering_pool = MasteringPool()
    pipeline = Pipeline(
        queue=queue,
        fetcher=HttpFetcher(
            supabase_url=settings.origin,
            inputs=Inputs(
                supabase_url=settings.origin,
                buckets=settings.input_buckets,
                key=settings.supabase_key,
                apikey=settings.apikey,
            ),
            max_bytes=settings.max_bytes,
        ),
        looker=ChildLooker(max_duration_s=settings.max_duration_s),
        ear=ChildEar(),
        describer=describer,
        rack=rack,
        master=master,
        mender=FfmpegMender(),
        merger=FfmpegMerger(),
        packer=TrackPacker(stems=load_stems, at_work=mastering_pool),
        storage=storage,
        for_players=for_players if settings.previews else None,
        previewer=FfmpegPreviewer(partial(covers, settings.origin)) if settings.previews else None,
        signer=signer,
        fit=partial(fit, count_tokens=count_tokens) if reads_captions or not engines else str,
        work_dir=settings.work_dir,
        turn=Turn(timedelta(seconds=settings.job_timeout_s / 2)),
        mastering=mastering_pool,
    )
    listener = Listener(
        queue=queue,
        run_job=pipeline.run,
        watch=heartbeat,
        slots=settings.worker_slots,
        beside=lambda: pipeline.beside,
        poll_every=timedelta(seconds=settings.poll_s),
        fleet=lambda: queue.fleet,
        grace=timedelta(seconds=settings.grace_s),
        patience=patience(settings),
        observe=metrics.ended,
        tracer=tracer,
        engine=named,
    )

    pipeline.freed = listener.wake
    tidying = Tidying(queue=queue, storage=storage)
    webhooks = Webhooks(outbox=queue, secrets=settings.webhook_secret, fleet=lambda: queue.fleet, tracer=tracer)

    alarm = Alarm(kinds=settings.worker_kinds, engines=tuple(engines), look=listener.wake, deliver=webhooks.wake)
    sources: dict[str, WakeUps] = {
        "listen": ListenWakeUps(str(settings.database_url)),
        "realtime": RealtimeWakeUps(settings.origin, settings.supabase_key, settings.apikey),
    }

    async def obey() -> None:
        while True:
            match await orders.get():
                case "gone":
                    listener.give_up(Unregistered("the database knows this worker no more; a new start registers it"))
                case "stop":
                    listener.drain()
                case "drain" if not listener.draining:
                    listener.drain()

    beside = [asyncio.create_task(obey())]
    try:
        await storage.check()
        WARM.open()
        for what in missing():
            log.warning("children.not_confined", missing=what)
        if rack is not None:
            mastering_pool.open()
        with metrics.served(settings.metrics_host, settings.metrics_port) as port:
            if port is not None:
                log.info("metrics.served", url=f"http://{settings.metrics_host}:{port}/metrics")
            metrics.ready(lambda: listener.running)
            await queue.ready(named)
            log.info(
                "worker.ready",
                worker=queue.worker_id,
                name=settings.worker_name,
                kinds=settings.worker_kinds,
                engine=named,
                kernels=rack and rack.loaded[0].kernels,
                signs=signer is not None,
            )
            beside += [
                *(asyncio.create_task(sources[name].run(alarm.ring)) for name in settings.wakeups),
                asyncio.create_task(webhooks.run()),
                asyncio.create_task(tidying.run()),
            ]
            await listener.listen()
    finally:
        alarm.stop()
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        mastering_pool.shutdown(wait=False, cancel_futures=True)
        WARM.close()
        await storage.close()
        if not isinstance(describer, LocalDescriber):
            await describer.aclose()
    if listener.broken is None:
        return 0
    log.error("worker.broken", error=str(listener.broken), code=listener.broken.code)
    return EXIT_START_AGAIN
