"""Prometheus metrics of a worker, on a port of their own, loopback by default."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from worker.domain import Job
from worker.errors import Misconfigured

SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800)


class Metrics:
    """How jobs ended, how long their stages took, what is in flight."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._ends = Counter(
            "rhythmai_worker_jobs", "Jobs by how they ended here.", ["kind", "outcome"], registry=self._registry
        )
        self._seconds = Histogram(
            "rhythmai_worker_stage_seconds", "Time in each stage of a job.", ["kind", "stage"], buckets=SECONDS, registry=self._registry
        )  # fmt: skip
        self._ready = Gauge("rhythmai_worker_ready", "1 once the models are loaded.", registry=self._registry)
        self._running = Gauge("rhythmai_worker_jobs_running", "Jobs in flight.", registry=self._registry)

    def ready(self, running: Callable[[], int]) -> None:
        """The models are loaded; `running()` counts the jobs in flight."""
        self._ready.set(1)
        self._running.set_function(running)

    def ended(self, job: Job, outcome: str, seconds: dict[str, float]) -> None:
        """A job ended here: completed, cancelled, failed, released or lost."""
        self._ends.labels(job.kind.value, outcome).inc()
        for stage, spent_s in seconds.items():
            self._seconds.labels(job.kind.value, stage).observe(spent_s)

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
