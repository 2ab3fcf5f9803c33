"""A whole worker that holds all engines: each job is made by the one that it asks for."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from rhythmai.sample import make_sample
from tests.engine import tiny
from tests.worker.whole_worker import running_worker
from worker.engines.mmaudio import weights
from worker.errors import Misconfigured
from worker.jobs import PostgresQueue
from worker.loading import engines_of, load_engines
from worker.pipeline.engine_thread import EngineThread
from worker.pipeline.look.warm_process import WARM
from worker.settings import Settings


def settings(tmp_path, **changes) -> Settings:
    nobody = {"supabase_url": "http://127.0.0.1:9", "supabase_key": "k", "database_url": "postgresql://127.0.0.1:9/x"}
    box = {
        "engine": "sketch,acestep,mmaudio",
        "acestep_model": "tiny-random",
        "mmaudio_model": "tiny-random",
        "device": "cpu",
        "models_dir": tmp_path,
    }
    return Settings(_env_file=None, **nobody | box | changes)


async def test_each_job_is_made_by_the_engine_that_it_asks_for(
    database_url, db, insert, gateway, tmp_path, monkeypatch
):
    """Sketch at once, ACE-Step and MMAudio (random weights) when they are first wanted; a job that leaves it open by the first. Another
    take keeps its engine, and a part is made anew with what was kept.
    """
    tiny.write(tmp_path)
    WARM.need("worker.pipeline.look.showing")
    monkeypatch.setitem(weights.MODELS, tiny.TINY.name, tiny.TINY)
    monkeypatch.setitem(weights.FLOWS, tiny.TINY.name, tiny.FLOW)
    make_sample(tmp_path / "video.mp4", seconds=2)
    given = settings(tmp_path)
    thread = EngineThread()
    rack = await thread.wait_for(thread.submit(load_engines, given, engines_of(given), thread))
    assert [engine.name for engine in rack.loaded] == ["sketch"]
    queue = await PostgresQueue.connect(
        database_url, name="three", kinds=("generate",), engines=given.engine, version="0", lease=timedelta(seconds=30),
        job_timeout=timedelta(minutes=30),
    )  # fmt: skip
    await queue.ready("sketch, acestep, mmaudio")
    async with running_worker(database_url, queue, gateway, tmp_path / "work", rack) as worker:
        url = await worker.upload((tmp_path / "video.mp4").read_bytes())
        made = {}
        for engine in ("acestep", "mmaudio", "auto", "sketch"):
            job = await insert(video_url=url, options=json.dumps({"variants": 1, "engine": engine}))
            made[engine] = await worker.until_ended(job)
        again = await db.fetchval("select queue.again($1)", made["acestep"]["job_id"])
        made["again"] = await worker.until_ended(again)
        for engine in ("acestep", "mmaudio"):
            part = await db.fetchval("select queue.again($1, p_start => 0.5, p_end => 1.5)", made[engine]["job_id"])
            made[f"{engine}'s part"] = await worker.until_ended(part)
    await queue.close()
    assert {asked: [(one["engine"], one["model"]) for one in job["results"]] for asked, job in made.items()} == {
        "acestep": [("acestep", "tiny-random")],
        "mmaudio": [("mmaudio", "tiny-random")],
        "auto": [("sketch", "sketch-1")],
        "sketch": [("sketch", "sketch-1")],
        "again": [("acestep", "tiny-random")],
        "acestep's part": [("acestep", "tiny-random")],
        "mmaudio's part": [("mmaudio", "tiny-random")],
    }
    for engine in ("acestep", "mmaudio"):
        (part,) = made[f"{engine}'s part"]["results"]
        assert 0.4 < part["mended"]["start"] <= 0.5
        assert 1.5 <= part["mended"]["end"] < 1.6
    assert [engine.name for engine in rack.loaded] == ["sketch", "acestep", "mmaudio"]
    assert (
        await db.fetchval("select made_with from public.jobs where id = $1", made["acestep"]["job_id"])
        == "acestep tiny-random"
    )


def test_commercial_only_takes_the_first_that_may_be_sold(tmp_path):
    """Of ENGINE what may not be sold is left out, and `auto` is the first of the rest; where nothing is left a worker does not start."""
    assert engines_of(settings(tmp_path, engine="mmaudio,acestep,sketch")) == {
        "mmaudio": "tiny-random", "acestep": "tiny-random", "sketch": "sketch-1",
    }  # fmt: skip
    asked = settings(tmp_path, engine="mmaudio,acestep,sketch", commercial_only=True)
    assert list(engines_of(asked)) == ["acestep", "sketch"]
    with pytest.raises(Misconfigured, match="COMMERCIAL_ONLY"):
        engines_of(settings(tmp_path, engine="mmaudio", commercial_only=True))
    assert engines_of(settings(tmp_path, engine="mmaudio", worker_kinds="merge", commercial_only=True)) == {}
