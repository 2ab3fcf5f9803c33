"""deploy/grafana/dashboard.json and deploy/prometheus/alerts.yml: linted, and drawn once by a real Prometheus that scrapes a house at work."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import shutil
import subprocess
import sys
from contextlib import asynccontextmanager
from types import SimpleNamespace

import aiohttp
import pytest
import yaml

from rhythmai.local.postgres import free_port
from tests.conftest import ROOT
from tests.docs.blocks import DOCS, blocks
from tests.worker.memory_queue import job
from tests.worker.test_metrics import Cuda
from worker.errors import LeaseLost, ServiceAway
from worker.timings import Timings

ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yml"
DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "dashboard.json").read_text())
PANELS = DASHBOARD["panels"]
RULES = yaml.safe_load(ALERTS.read_text())["groups"][0]["rules"]
CASES = ROOT / "tests" / "outside" / "alerts_test.yml"
OURS = re.compile(r"rhythmai_\w+")


def promtool(*arguments):
    done = subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def expressions():
    return [target["expr"] for panel in PANELS for target in panel["targets"]] + [rule["expr"] for rule in RULES]


def test_the_alerts_fire_when_they_should(tmp_path):
    """promtool takes the rules; each fires in a case of alerts_test.yml, and none in a quiet house."""
    for file in (ALERTS, CASES):
        shutil.copy(file, tmp_path)
    promtool("check", "rules", "--lint-fatal", tmp_path / ALERTS.name)
    promtool("test", "rules", tmp_path / CASES.name)
    assert all(rule["alert"] in CASES.read_text() for rule in RULES)


def test_every_alert_has_a_remedy():
    """docs/operations.md tells what to do about each alert, and knows no other."""
    assert set(re.findall(r"\| `(RhythmAI[A-Z]\w+)` \|", (DOCS / "operations.md").read_text())) == {
        rule["alert"] for rule in RULES
    }


def test_the_dashboard_is_sound():
    """Ids differ, nothing overlaps, every panel has a title, a word about it, a unit, and asks the chosen Prometheus."""
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    cells = [
        (place["x"] + x, place["y"] + y)
        for place in (panel["gridPos"] for panel in PANELS)
        for x, y in itertools.product(range(place["w"]), range(place["h"]))
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24
    (variable,) = DASHBOARD["templating"]["list"]
    for panel in PANELS:
        assert panel["title"]
        assert panel["description"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["datasource"] == {"type": variable["query"], "uid": f"${{{variable['name']}}}"}
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references) > 0


@asynccontextmanager
async def prometheus(folder, house):
    """Debian's Prometheus with the configuration of docs/operations.md, but for the addresses and the haste; yields how to ask it."""
    (block,) = [block for block in blocks(DOCS / "operations.md") if block.order == "file=prometheus.yml"]
    configuration = yaml.safe_load(block.text)
    configuration["global"] = {"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "500ms"}
    for scrape, address in zip(configuration["scrape_configs"], (house.api_metrics, house.worker_metrics), strict=True):
        scrape["static_configs"] = [{"targets": [address.removeprefix("http://")]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration))
    shutil.copy(ALERTS, folder)
    address = f"127.0.0.1:{free_port()}"
    process = await asyncio.create_subprocess_exec(
        "prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address={address}", stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        async with aiohttp.ClientSession(f"http://{address}") as session:

            async def ask(path, **parameters):
                try:
                    async with session.get(f"/api/v1/{path}", params=parameters) as answer:
                        told = await answer.json()
                except (aiohttp.ClientError, ValueError):  # it does not listen yet
                    return []
                assert told["status"] == "success", told
                return told["data"]

            yield ask
    finally:
        process.terminate()
        await process.wait()


async def until(truth, seconds=60):
    async with asyncio.timeout(seconds):
        while not (answer := await truth()):
            await asyncio.sleep(0.1)
    return answer


@pytest.mark.slow
async def test_every_panel_is_drawn(house, video, tmp_path, monkeypatch):
    """After one job, one retry and one lost lease on a box with a GPU, every expression of dashboard and alerts has something
    to say, and every metric that they name is exported."""
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=Cuda()))
    await house.submit(video)
    house.metrics.ended(job(), "failed", ServiceAway("Storage is away"), Timings())
    house.metrics.ended(job(), "lost", LeaseLost("somebody else's"), Timings())
    async with prometheus(tmp_path, house) as ask:

        async def scraped_thrice():
            counts = await ask("query", query="count_over_time(up[1m])")
            return counts and len(counts["result"]) == 2 and all(int(one["value"][1]) >= 3 for one in counts["result"])

        await until(scraped_thrice)
        exported = set(await ask("label/__name__/values"))
        for expression in expressions():
            assert set(OURS.findall(expression)) <= exported, expression
        for panel in PANELS:
            for target in panel["targets"]:
                drawn = await ask("query", query=target["expr"].replace("$__rate_interval", "1m"))
                assert drawn["result"], (panel["title"], target["expr"])

        async def evaluated():
            (group,) = (await ask("rules"))["groups"]
            return {rule["name"]: rule["health"] for rule in group["rules"] if rule["health"] != "unknown"}

        assert await until(evaluated) == {rule["alert"]: "ok" for rule in RULES}
