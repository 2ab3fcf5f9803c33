import urllib.request

import pytest

from tests.worker.memory_queue import job as made
from worker.errors import Misconfigured
from worker.metrics import Metrics


def test_what_ended_and_what_runs_can_be_scraped():
    """/metrics on its own port tells readiness, jobs in flight, outcomes and stage times."""
    metrics = Metrics()
    job = made()
    metrics.ready(lambda: 2)
    metrics.ended(job, "completed", {"compose": 1.5})
    with metrics.served("127.0.0.1", 0) as port, urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        text = answer.read().decode()
    assert 'rhythmai_worker_jobs_total{kind="generate",outcome="completed"} 1.0' in text
    assert "rhythmai_worker_jobs_running 2.0" in text
    assert "rhythmai_worker_ready 1.0" in text
    assert 'rhythmai_worker_stage_seconds_sum{kind="generate",stage="compose"} 1.5' in text


def test_without_a_port_nothing_is_served():
    """METRICS_PORT unset opens no port."""
    with Metrics().served("127.0.0.1", None) as port:
        assert port is None


def test_a_port_that_is_taken_is_named():
    """METRICS_PORT in use by another program is one line, not a traceback."""
    with (
        Metrics().served("127.0.0.1", 0) as port,
        pytest.raises(Misconfigured, match=f"METRICS_PORT={port} cannot be served"),
        Metrics().served("127.0.0.1", port),
    ):
        pass
