import sys
import urllib.request
from types import SimpleNamespace

import pytest

from tests.worker.memory_queue import job
from worker.errors import LeaseLost, Misconfigured, Rejected, ServiceAway
from worker.metrics import Metrics
from worker.timings import Timings


def scraped(metrics):
    with metrics.served("127.0.0.1", 0) as port, urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        return answer.read().decode().splitlines()


def test_what_ended_and_what_runs_can_be_scraped():
    """/metrics on its own port tells readiness, jobs in flight, outcomes, waits, stage times and the real-time factor."""
    metrics = Metrics()
    metrics.ready(lambda: 2)
    metrics.ended(job(waited_s=3.0), "completed", None, Timings({"compose": 1.5}, music_s=30.0, engine="sketch 1"))
    metrics.ended(job(), "released", None, Timings({"fetch": 1.0}))
    lines = scraped(metrics)
    assert 'rhythmai_worker_jobs_total{kind="generate",outcome="completed"} 1.0' in lines
    assert "rhythmai_worker_jobs_running 2.0" in lines
    assert "rhythmai_worker_ready 1.0" in lines
    assert 'rhythmai_worker_stage_seconds_sum{kind="generate",stage="compose"} 1.5' in lines
    assert 'rhythmai_worker_wait_seconds_sum{kind="generate",lane="interactive"} 3.0' in lines
    assert 'rhythmai_worker_wait_seconds_count{kind="generate",lane="interactive"} 1.0' in lines
    assert 'rhythmai_worker_real_time_factor_sum{engine="sketch 1"} 0.05' in lines
    assert 'rhythmai_worker_real_time_factor_count{engine="sketch 1"} 1.0' in lines


def test_retries_and_lost_leases_are_counted():
    """Only what may pass is a retry, by its code; a lease that was lost is counted as such."""
    metrics = Metrics()
    metrics.ended(job(), "failed", ServiceAway("Storage is away"), Timings())
    metrics.ended(job(), "failed", Rejected("no video", code="not_a_video"), Timings())
    metrics.ended(job(), "lost", LeaseLost("somebody else's"), Timings())
    lines = scraped(metrics)
    retries = [line for line in lines if line.startswith("rhythmai_worker_retries_total{")]
    assert retries == ['rhythmai_worker_retries_total{code="service_away",kind="generate"} 1.0']
    assert "rhythmai_worker_lease_losses_total 1.0" in lines


class Cuda:
    """Two GPUs of which we use the first."""

    def __init__(self, *, lost=False):
        self.lost = lost

    def is_initialized(self):
        return True

    def device_count(self):
        return 2

    def memory_reserved(self, device):
        return 0 if device else 300

    def memory_allocated(self, device):
        return 200

    def mem_get_info(self, device):
        if self.lost or device:
            raise RuntimeError("CUDA error: unspecified launch failure")
        return 600, 1000


@pytest.mark.parametrize("lost", [False, True])
def test_the_memory_of_the_gpu_in_use_is_told(monkeypatch, lost):
    """Total, used, reserved and allocated of our GPU, none of another one; a device that is lost takes nothing else along."""
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=Cuda(lost=lost)))
    lines = scraped(Metrics())
    told = dict(line.rsplit(" ", 1) for line in lines if line.startswith("rhythmai_worker_gpu_memory_bytes{"))
    states = {"total": "1000.0", "used": "400.0", "reserved": "300.0", "allocated": "200.0"}
    expected = {f'rhythmai_worker_gpu_memory_bytes{{device="0",state="{name}"}}': is_ for name, is_ in states.items()}
    assert told == ({} if lost else expected)
    assert "rhythmai_worker_ready 0.0" in lines


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
