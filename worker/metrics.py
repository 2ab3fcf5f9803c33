"""Prometheus metrics of a worker, on a port of their own, loopback by default."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from worker.domain import Job
from worker.errors import Misconfigured, WorkerError
from worker.gpu_memory import GpuMemory
from worker.timings import Timings

SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800)
FACTORS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 50)


class Metrics:
    """How attempts ended, how long jobs waited and their stages took, what is in flight, what the GPU holds."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(GpuMemory())
        self._ends = Counter(
            "rhythmai_worker_jobs", "Attempts by how they ended here: completed, cancelled, failed, released or lost.", ["kind", "outcome"],
            registry=self._registry,
        )  # fmt: skip
        self._retries = Counter(
            "rhythmai_worker_retries", "Attempts that failed for a reason that may pass: tried again while attempts are left.", ["kind", "code"],
            registry=self._registry,
        )  # fmt: skip
        self._losses = Counter(
            "rhythmai_worker_lease_losses", "Attempts whose job was taken from this worker.", registry=self._registry
        )
        self._wait = Histogram(
            "rhythmai_worker_wait_seconds", "From the insert of a job to its first claim.", ["kind", "lane"], buckets=SECONDS, registry=self._registry
        )  # fmt: skip
        self._seconds = Histogram(
            "rhythmai_worker_stage_seconds", "Time in each stage of a job.", ["kind", "stage"], buckets=SECONDS, registry=self._registry
        )  # fmt: skip
        self._factor = Histogram(
            "rhythmai_worker_real_time_factor", "Seconds of composing for a second of music, by attempt: below 1 is faster than it plays.",
            ["engine"], buckets=FACTORS, registry=self._registry,
        )  # fmt: skip
        self._ready = Gauge("rhythmai_worker_ready", "1 once the models are loaded.", registry=self._registry)
        self._running = Gauge("rhythmai_worker_jobs_running", "Jobs in flight.", registry=self._registry)

    def ready(self, running: Callable[[], int]) -> None:
        """The models are loaded; `running()` counts the jobs in flight."""
        self._ready.set(1)
        self._running.set_function(running)

    def ended(self, job: Job, ended: str, outcome: WorkerError | None, timings: Timings) -> None:
        """An attempt ended here: completed, cancelled, failed, released or lost."""
        self._ends.labels(job.kind.value, ended).inc()
        if ended == "lost":
            self._losses.inc()
        if ended == "failed" and outcome is not None and outcome.may_pass:
            self._retries.labels(job.kind.value, outcome.code).inc()
        if job.waited_s is not None:
            self._wait.labels(job.kind.value, job.lane).observe(job.waited_s)
        for stage, spent_s in timings.seconds.items():
            self._seconds.labels(job.kind.value, stage).observe(spent_s)
        if timings.music_s and "compose" in timings.seconds:  # a device that hangs never ends it
            self._factor.labels(timings.engine).observe(timings.seconds["compose"] / timings.music_s)

    @contextmanager
    def served(self, host: str, port: int | None) -> Iterator[int | None]:
        """Answer GET /metrics while inside; port 0 takes a free one, None serves nothing. Yields the port. Raises Misconfigured."""
        if port is None:
            yield None
            return
        try:
            server, thread = start_http_server(port, host, self._registry)
        except OSError as error:
            raise Misconfigured(
                f"METRICS_PORT={port} cannot be served on {host} ({error.strerror}): take another port"
            ) from None
        try:
            yield server.server_port
        finally:
            server.shutdown()
            server.server_close()
            thread.join()
