"""A worker put together: the only place that joins ports to adapters."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from importlib.metadata import version
from typing import Any

import structlog

from rhythmai.project.telemetry import traced
from rhythmai.project.trace import Tracer
from worker.errors import Misconfigured, Unregistered
from worker.fetch import HttpFetcher
from worker.heartbeat import Heartbeat, Order
from worker.jobs import PostgresQueue
from worker.listener import Listener
from worker.mastering_pool import MasteringPool
from worker.metrics import Metrics
from worker.pipeline.direct.describe import OpenAIDescriber
from worker.pipeline.direct.local_describer import LocalDescriber
from worker.pipeline.direct.prompts import CountTokens, clip_tokens, estimate_tokens, fit
from worker.pipeline.finish.master import master
from worker.pipeline.finish.merge import FfmpegMerger
from worker.pipeline.look.confinement import missing
from worker.pipeline.look.look import ChildLooker
from worker.pipeline.look.warm_process import WARM
from worker.pipeline.run import Pipeline
from worker.ports import Engine
from worker.settings import Settings
from worker.storage import SupabaseStorage
from worker.wakeups import ListenWakeUps, RealtimeWakeUps
from worker.webhooks import Webhooks

log = structlog.get_logger()
BEAT_EVERY = timedelta(seconds=1.5)
"""Far more often than a lease needs: a beat is also how a running job learns within two seconds that it was cancelled."""
EXIT_START_AGAIN = 3


def load_engine(settings: Settings) -> Engine | None:
    """The engine that was asked for; never another one. Raises Misconfigured."""
    if "generate" not in settings.worker_kinds:
        return None
    if settings.engine == "sketch":
        from worker.engines.sketch.engine import SketchEngine

        return SketchEngine()
    try:
        from worker.engines.mmaudio.engine import MMAudioEngine
        from worker.engines.mmaudio.sampling import Sampler

        return MMAudioEngine.load(
            settings.mmaudio_model,
            models_dir=settings.models_dir,
            device=settings.device or "auto",
            sampler=Sampler(
                steps=settings.mmaudio_steps,
                sway=settings.mmaudio_sway,
                interval=settings.mmaudio_guided,
            ),
            clip_fps=settings.mmaudio_clip_fps,
            clip_fp8=settings.mmaudio_clip_fp8,
        )
    except ModuleNotFoundError as error:
        raise Misconfigured(
            f"ENGINE=mmaudio needs {error.name}: pip install 'rhythmai[gpu]', or set ENGINE=sketch for the procedural composer"
        ) from None


def make_describer(settings: Settings, count_tokens: CountTokens) -> LocalDescriber | OpenAIDescriber:
    if not settings.base_url:
        return LocalDescriber(count_tokens)
    return OpenAIDescriber(
        api_key=settings.api_key,
        base_url=settings.base_url,
        model=settings.vlm_model,
        sees=settings.vlm_input,
        timeout_s=settings.vlm_timeout_s,
        count_tokens=count_tokens,
    )


async def enter(
    settings: Settings, on_order: Callable[[Order], None], tracer: Tracer
) -> tuple[PostgresQueue, Heartbeat]:
    """Enter the worker in the database and begin to beat."""
    dsn = str(settings.database_url)
    queue = await PostgresQueue.connect(
        dsn,
        name=settings.worker_name,
        kinds=settings.worker_kinds,
        engine=settings.engine,
        version=version("rhythmai"),
        lease=timedelta(seconds=settings.lease_s),
        job_timeout=timedelta(seconds=settings.job_timeout_s),
        tracer=tracer,
    )
    heartbeat = Heartbeat(dsn, queue.worker_id, every=BEAT_EVERY, on_order=on_order)
    heartbeat.start()
    return queue, heartbeat


async def work(settings: Settings) -> int:
    """Run a worker until it drains; returns the exit code. Raises Misconfigured."""
    with traced("rhythmai-worker", settings.traces_to) as tracer:
        code = await live(settings, tracer)
    if code == EXIT_START_AGAIN:
        # A thread that hangs in the device never returns, and Python would wait for it.
        sys.stderr.flush()
        os._exit(code)
    return code


async def live(settings: Settings, tracer: Tracer) -> int:
    """From the first beat to the last; returns the exit code."""
    loop = asyncio.get_running_loop()
    orders: asyncio.Queue[Order] = asyncio.Queue()

    def on_order(order: Order) -> None:  # called in the heartbeat's thread
        loop.call_soon_threadsafe(orders.put_nowait, order)

    # Side by side: a worker without weights says so at once, also when the database is away.
    engine_thread = ThreadPoolExecutor(1, "engine")
    loading = loop.run_in_executor(engine_thread, load_engine, settings)
    entering = asyncio.create_task(enter(settings, on_order, tracer))
    both: list[asyncio.Future[Any]] = [loading, entering]
    await asyncio.wait(both, return_when=asyncio.FIRST_EXCEPTION)
    if not entering.done():
        entering.cancel()
        await asyncio.wait({entering})
    if entering.cancelled() or entering.exception():
        await loading
    queue, heartbeat = await entering
    try:
        return await serve(settings, await loading, engine_thread, queue, heartbeat, orders, tracer)
    finally:
        await asyncio.to_thread(heartbeat.stop)
        await queue.close()
        log.info("worker.gone", worker=queue.worker_id)


async def serve(
    settings: Settings,
    engine: Engine | None,
    engine_thread: ThreadPoolExecutor,
    queue: PostgresQueue,
    heartbeat: Heartbeat,
    orders: asyncio.Queue[Order],
    tracer: Tracer,
) -> int:
    """Listen until drained, by a signal or by `rhythmai drain`; returns the exit code."""
    storage = SupabaseStorage(settings.origin, settings.supabase_key, apikey=settings.apikey)
    reads_captions = settings.engine == "mmaudio" and engine is not None
    count_tokens = clip_tokens() if reads_captions else estimate_tokens
    describer = make_describer(settings, count_tokens)
    named = f"{engine.name} {engine.model}".strip() if engine else ""
    metrics = Metrics(named)
    mastering_pool = MasteringPool()
    pipeline = Pipeline(
        queue=queue,
        fetcher=HttpFetcher(supabase_url=settings.origin, max_bytes=settings.max_bytes),
        looker=ChildLooker(max_duration_s=settings.max_duration_s, views=engine.frames if engine else None),
        describer=describer,
        engine=engine,
        master=master,
        merger=FfmpegMerger(),
        storage=storage,
        fit=partial(fit, count_tokens=count_tokens) if reads_captions else str,
        work_dir=settings.work_dir,
        engine_thread=engine_thread,
        mastering=mastering_pool,
    )
    listener = Listener(
        queue=queue,
        run_job=pipeline.run,
        watch=heartbeat,
        slots=settings.worker_slots,
        poll_every=timedelta(seconds=settings.poll_s),
        grace=timedelta(seconds=settings.grace_s),
        # A step on a GPU takes milliseconds, one of a big model on a CPU minutes.
        patience=timedelta(minutes=5) if settings.device == "cpu" else timedelta(seconds=15),
        observe=metrics.ended,
        tracer=tracer,
        engine=named,
    )

    webhooks = Webhooks(outbox=queue, secret=settings.webhook_secret, tracer=tracer)

    def wake() -> None:
        listener.wake()
        webhooks.wake()

    async def obey() -> None:
        while True:
            match await orders.get():
                case "gone":
                    listener.give_up(Unregistered("the database knows this worker no more; a new start registers it"))
                case "drain" if not listener.draining:
                    listener.drain()

    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, listener.drain)
    beside: list[asyncio.Task[None]] = []
    try:
        await storage.check()
        WARM.open()
        for what in missing():
            log.warning("children.not_confined", missing=what)
        if engine is not None:
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
                engine=engine and engine.name,
                model=engine and engine.model,
            )
            beside = [
                asyncio.create_task(ListenWakeUps(str(settings.database_url)).run(wake)),
                asyncio.create_task(RealtimeWakeUps(settings.origin, settings.supabase_key, settings.apikey).run(wake)),
                asyncio.create_task(obey()),
                asyncio.create_task(webhooks.run()),
            ]
            await listener.listen()
    finally:
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        mastering_pool.shutdown(wait=False, cancel_futures=True)
        WARM.close()
        await storage.close()
        if isinstance(describer, OpenAIDescriber):
            await describer.aclose()
    if listener.broken is None:
        return 0
    log.error("worker.broken", error=str(listener.broken), code=listener.broken.code)
    return EXIT_START_AGAIN
