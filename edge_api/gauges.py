"""The queue as Prometheus sees it: what `queue.gauges` answers, as metrics."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


class QueueGauges(Collector):
    """Shows what it was given last; None when the database did not answer."""

    def __init__(self) -> None:
        self.answer: dict[str, Any] | None = None

    def collect(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("rhythmai_database_up", "1 when the database answered this scrape.")
        jobs = GaugeMetricFamily(
            "rhythmai_queue_jobs",
            "Jobs that are not over: ready, backed_off, paused or running. The engine is what those that wait ask for (none: any), or what makes them.",
            labels=["kind", "lane", "state", "engine"],
        )
        heads = GaugeMetricFamily(
            "rhythmai_queue_head_age_seconds", "Age of the job whose turn it is, by the engine that it asks for; 0 in an empty lane.", labels=["kind", "lane", "engine"]
        )  # fmt: skip
        workers = GaugeMetricFamily(
            "rhythmai_workers",
            "Workers: loading, ready, draining, or lost within the last hour.",
            labels=["state", "engine"],
        )
        pending = GaugeMetricFamily("rhythmai_webhooks_pending", "Webhooks that nobody has taken yet.")
        oldest = GaugeMetricFamily("rhythmai_webhooks_oldest_age_seconds", "Age of the oldest of them.")
        up.add_metric([], self.answer is not None)
        if self.answer is not None:
            waits_s = {(head["kind"], head["lane"], head["engine"]): head["waits_s"] for head in self.answer["heads"]}
            for row in self.answer["jobs"]:
                jobs.add_metric([row["kind"], row["lane"], row["state"], row["engine"]], row["count"])
                if row["state"] == "ready":  # of any engine one row a lane, also of an empty one
                    lane = row["kind"], row["lane"], row["engine"]
                    heads.add_metric(lane, waits_s.get(lane, 0))
            for row in self.answer["workers"]:
                workers.add_metric([row["state"], row["engine"]], row["count"])
            pending.add_metric([], self.answer["webhooks"]["pending"])
            oldest.add_metric([], self.answer["webhooks"]["oldest_s"])
        yield from (up, jobs, heads, workers, pending, oldest)
